#include "runtime/debug_names.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

extern "C" {
__attribute__((weak, visibility("default"))) jit_descriptor __jit_debug_descriptor = {1, 0, nullptr, nullptr};
__attribute__((weak, visibility("default"), noinline)) void __jit_debug_register_code() {
  asm volatile("" ::: "memory");
}
}

namespace smelt {
namespace {

enum DebuggerAction : uint32_t { kNothing, kRegister, kUnregister };

std::mutex& descriptor_mutex() {
  static std::mutex mutex;
  return mutex;
}

void tell_debugger(DebuggerAction action, jit_code_entry& entry) {
  __jit_debug_descriptor.action_flag = action;
  __jit_debug_descriptor.relevant_entry = &entry;
  __jit_debug_register_code();
}

void add_places(ObjectFile& object, const KernelPlaces& places) {
  for (ObjectSymbol& symbol : object.symbols) {
    const auto place = places.find(symbol.name);
    if (place != places.end()) symbol.name += "@" + place->second;
  }
}

/// The object as a debugger wants it: its code section is where the code was loaded.
std::vector<char> symbol_file(const ObjectFile& object, const void* code) {
  std::vector<char> bytes = write_object_file(object);
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  for (size_t s = 0; s < header.e_shnum; ++s) {
    char* at = bytes.data() + header.e_shoff + s * sizeof(Elf64_Shdr);
    Elf64_Shdr section;
    std::memcpy(&section, at, sizeof(section));
    if ((section.sh_flags & SHF_EXECINSTR) == 0) continue;
    section.sh_addr = reinterpret_cast<uint64_t>(code);
    std::memcpy(at, &section, sizeof(section));
  }
  return bytes;
}

/// A line a symbol: start and size in hexadecimal, and the name. That the file cannot be written is no reason to stop.
void write_perf_map(const ObjectFile& object, const void* code) {
  if (std::getenv("SMELT_PERF_MAP") == nullptr) return;
  std::string lines;
  for (const ObjectSymbol& symbol : object.symbols) {
    lines += fmt::format("{:x} {:x} {}\n", reinterpret_cast<uint64_t>(code) + symbol.offset, symbol.size, symbol.name);
  }
  const int file = open(fmt::format("/tmp/perf-{}.map", getpid()).c_str(),
                        O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = write(file, lines.data(), lines.size());
  close(file);
}

}  // namespace

struct DebugNames::Entry {
  std::vector<char> symbols;
  jit_code_entry link{};
};

DebugNames::DebugNames(std::unique_ptr<Entry> entry) : entry_(std::move(entry)) {
  const std::lock_guard lock(descriptor_mutex());
  jit_code_entry& link = entry_->link;
  link = {__jit_debug_descriptor.first_entry, nullptr, entry_->symbols.data(), entry_->symbols.size()};
  if (link.next_entry != nullptr) link.next_entry->prev_entry = &link;
  __jit_debug_descriptor.first_entry = &link;
  tell_debugger(kRegister, link);
}

DebugNames::~DebugNames() {
  const std::lock_guard lock(descriptor_mutex());
  jit_code_entry& link = entry_->link;
  (link.prev_entry != nullptr ? link.prev_entry->next_entry : __jit_debug_descriptor.first_entry) = link.next_entry;
  if (link.next_entry != nullptr) link.next_entry->prev_entry = link.prev_entry;
  tell_debugger(kUnregister, link);
}

std::unique_ptr<DebugNames> DebugNames::announce(ObjectFile object, const void* code, const KernelPlaces& places) {
  add_places(object, places);
  write_perf_map(object, code);
  object.alignment = 64;  // it is loaded, and a damaged file may ask for any
  auto entry = std::make_unique<Entry>();
  entry->symbols = symbol_file(object, code);
  return std::unique_ptr<DebugNames>(new DebugNames(std::move(entry)));
}

}  // namespace smelt
