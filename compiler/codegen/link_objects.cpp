#include "compiler/codegen/link_objects.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "ir/support/check.h"
#include "runtime/object_file.h"

namespace smelt {
namespace {

/// One part's tables, copied out of its bytes.
struct Part {
  const std::vector<char>& bytes;
  std::vector<Elf64_Shdr> sections;
  std::vector<Elf64_Sym> symbols;
  const char* names = nullptr;
  std::vector<uint64_t> offsets;  // of each section in the result

  template <typename T>
  std::vector<T> table(const Elf64_Shdr& section) const {
    std::vector<T> entries(section.sh_size / sizeof(T));
    std::memcpy(entries.data(), bytes.data() + section.sh_offset, entries.size() * sizeof(T));
    return entries;
  }

  explicit Part(const std::vector<char>& object) : bytes(object) {
    Elf64_Ehdr header;
    SMELT_CHECK(bytes.size() > sizeof(header), "a part is no object file");
    std::memcpy(&header, bytes.data(), sizeof(header));
    sections.resize(header.e_shnum);
    std::memcpy(sections.data(), bytes.data() + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
    for (const Elf64_Shdr& section : sections) {
      if (section.sh_type != SHT_SYMTAB) continue;
      symbols = table<Elf64_Sym>(section);
      names = bytes.data() + sections[section.sh_link].sh_offset;
    }
    offsets.resize(sections.size());
  }

  const char* name(const Elf64_Sym& symbol) const { return names + symbol.st_name; }
};

class Linker {
 public:
  Linker(const std::vector<std::vector<char>>& parts, const std::set<std::string>& exported) : exported_(exported) {
    for (const std::vector<char>& bytes : parts) parts_.emplace_back(bytes);
  }

  std::vector<char> run() {
    place_sections(SHF_ALLOC | SHF_EXECINSTR);
    place_sections(SHF_ALLOC);
    for (const Part& part : parts_) define_symbols(part);
    for (const Part& part : parts_) relocate(part);
    std::ranges::sort(object_.symbols, {},
                      [](const ObjectSymbol& symbol) { return std::pair(symbol.exported, symbol.offset); });
    return write_object_file(object_);
  }

 private:
  void place_sections(Elf64_Xword kind) {
    for (Part& part : parts_) {
      for (size_t s = 0; s < part.sections.size(); ++s) {
        const Elf64_Shdr& section = part.sections[s];
        if ((section.sh_flags & (SHF_ALLOC | SHF_EXECINSTR | SHF_WRITE)) != kind || section.sh_size == 0) continue;
        SMELT_CHECK(section.sh_type == SHT_PROGBITS && section.sh_addralign <= object_.alignment,
                    "a part has a section of an unknown kind");
        object_.code.resize((object_.code.size() + section.sh_addralign - 1) / section.sh_addralign *
                            section.sh_addralign);
        part.offsets[s] = object_.code.size();
        const char* begin = part.bytes.data() + section.sh_offset;
        object_.code.insert(object_.code.end(), begin, begin + section.sh_size);
      }
    }
  }

  void define_symbols(const Part& part) {
    for (const Elf64_Sym& symbol : part.symbols) {
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
      const std::string name = part.name(symbol);
      const uint64_t at = part.offsets[symbol.st_shndx] + symbol.st_value;
      SMELT_CHECK(functions_.emplace(name, at).second, "two parts define `{}`", name);
      object_.symbols.push_back({name, at, symbol.st_size, exported_.contains(name)});
    }
  }

  uint64_t address_of(const Part& part, const Elf64_Sym& symbol) const {
    if (symbol.st_shndx != SHN_UNDEF) return part.offsets[symbol.st_shndx] + symbol.st_value;
    const auto found = functions_.find(part.name(symbol));
    SMELT_CHECK(found != functions_.end(), "no part defines `{}`", part.name(symbol));
    return found->second;
  }

  void relocate(const Part& part) {
    for (const Elf64_Shdr& table : part.sections) {
      if (table.sh_type != SHT_RELA) continue;
      for (const Elf64_Rela& entry : part.table<Elf64_Rela>(table)) {
        const auto type = ELF64_R_TYPE(entry.r_info);
        SMELT_CHECK(type == R_X86_64_PC32 || type == R_X86_64_PLT32, "a part has a relocation of type {}", type);
        const uint64_t place = part.offsets[table.sh_info] + entry.r_offset;
        const uint64_t target = address_of(part, part.symbols[ELF64_R_SYM(entry.r_info)]);
        const int64_t distance = static_cast<int64_t>(target) + entry.r_addend - static_cast<int64_t>(place);
        SMELT_CHECK(distance == static_cast<int32_t>(distance), "a program of over 2 GiB of code");
        const auto field = static_cast<int32_t>(distance);
        std::memcpy(object_.code.data() + place, &field, sizeof(field));
      }
    }
  }

  const std::set<std::string>& exported_;
  std::vector<Part> parts_;
  ObjectFile object_;
  std::map<std::string, uint64_t> functions_;
};

}  // namespace

std::vector<char> link_objects(const std::vector<std::vector<char>>& parts, const std::set<std::string>& exported) {
  return Linker(parts, exported).run();
}

}  // namespace smelt
