#include "runtime/object_file.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace smelt {
namespace {

enum Section : uint16_t { kNone, kText, kSymbols, kStrings, kSectionNames, kStackNote, kNumSections };
constexpr const char* kNames[kNumSections] = {"", ".text", ".symtab", ".strtab", ".shstrtab", ".note.GNU-stack"};

void append(std::vector<char>& out, const void* data, size_t size) {
  const char* bytes = static_cast<const char*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

struct Names {
  std::vector<char> text = {'\0'};
  uint32_t add(const std::string& name) {
    if (name.empty()) return 0;
    const auto at = static_cast<uint32_t>(text.size());
    append(text, name.c_str(), name.size() + 1);
    return at;
  }
};

Result<ObjectFile> bad_object(const char* why) {
  return fail(ErrorKind::Input, std::string("cannot load compiled code: ") + why);
}

}  // namespace

std::vector<char> write_object_file(const ObjectFile& object) {
  Names names, section_names;
  std::vector<Elf64_Sym> symbols(1);
  Elf64_Word locals = 1;
  for (const ObjectSymbol& symbol : object.symbols) {
    Elf64_Sym entry = {};
    entry.st_name = names.add(symbol.name);
    entry.st_info = static_cast<unsigned char>(ELF64_ST_INFO(symbol.exported ? STB_GLOBAL : STB_LOCAL, STT_FUNC));
    entry.st_shndx = kText;
    entry.st_value = symbol.offset;
    entry.st_size = symbol.size;
    if (!symbol.exported) locals = static_cast<Elf64_Word>(symbols.size()) + 1;
    symbols.push_back(entry);
  }
  Elf64_Shdr headers[kNumSections] = {};
  for (size_t s = 0; s < kNumSections; ++s) headers[s].sh_name = section_names.add(kNames[s]);
  std::vector<char> out(sizeof(Elf64_Ehdr));
  const auto add = [&](Section section, Elf64_Word type, uint64_t alignment, const void* data, size_t size) {
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    headers[section].sh_type = type;
    headers[section].sh_addralign = alignment;
    headers[section].sh_offset = out.size();
    headers[section].sh_size = size;
    if (size > 0) append(out, data, size);
  };
  add(kText, SHT_PROGBITS, object.alignment, object.code.data(), object.code.size());
  headers[kText].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
  add(kSymbols, SHT_SYMTAB, 8, symbols.data(), symbols.size() * sizeof(Elf64_Sym));
  headers[kSymbols].sh_link = kStrings;
  headers[kSymbols].sh_info = locals;  // the first global symbol
  headers[kSymbols].sh_entsize = sizeof(Elf64_Sym);
  add(kStrings, SHT_STRTAB, 1, names.text.data(), names.text.size());
  add(kSectionNames, SHT_STRTAB, 1, section_names.text.data(), section_names.text.size());
  add(kStackNote, SHT_PROGBITS, 1, nullptr, 0);  // says that the stack needs no execute permission
  out.resize((out.size() + 7) / 8 * 8);

  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_shoff = out.size();
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = kNumSections;
  header.e_shstrndx = kSectionNames;
  std::memcpy(out.data(), &header, sizeof(header));
  append(out, headers, sizeof(headers));
  return out;
}

Result<ObjectFile> read_object_file(const std::vector<char>& bytes) {
  Elf64_Ehdr header;
  Elf64_Shdr sections[kNumSections];
  if (bytes.size() < sizeof(header)) return bad_object("it is too short");
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != EM_X86_64 || header.e_type != ET_REL ||
      header.e_shnum != kNumSections) {
    return bad_object("it is not an object file of Smelt");
  }
  const auto inside = [&](uint64_t offset, uint64_t size) {
    return offset <= bytes.size() && size <= bytes.size() - offset;
  };
  if (!inside(header.e_shoff, sizeof(sections))) return bad_object("its section table is cut off");
  std::memcpy(sections, bytes.data() + header.e_shoff, sizeof(sections));
  for (const Section s : {kText, kSymbols, kStrings}) {
    if (!inside(sections[s].sh_offset, sections[s].sh_size)) return bad_object("a section is cut off");
  }
  const char* strings = bytes.data() + sections[kStrings].sh_offset;
  const uint64_t strings_size = sections[kStrings].sh_size;
  if (strings_size == 0 || strings[strings_size - 1] != '\0') return bad_object("its names do not end");

  ObjectFile object;
  const char* code = bytes.data() + sections[kText].sh_offset;
  object.code.assign(code, code + sections[kText].sh_size);
  object.alignment = std::max<uint64_t>(sections[kText].sh_addralign, 1);
  for (uint64_t at = sizeof(Elf64_Sym); at + sizeof(Elf64_Sym) <= sections[kSymbols].sh_size; at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    std::memcpy(&symbol, bytes.data() + sections[kSymbols].sh_offset + at, sizeof(symbol));
    if (symbol.st_name >= strings_size || symbol.st_value >= object.code.size())
      return bad_object("a symbol is out of range");
    object.symbols.push_back(
        {strings + symbol.st_name, symbol.st_value, symbol.st_size, ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL});
  }
  return object;
}

}  // namespace smelt
