#include "runtime/loader.h"

#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "runtime/object_file.h"

namespace smelt {

LoadedObject::LoadedObject(LoadedObject&& other) noexcept { swap(other); }
LoadedObject& LoadedObject::operator=(LoadedObject&& other) noexcept {
  swap(other);
  return *this;
}
LoadedObject::~LoadedObject() {
  names_.reset();  // before the code that they name
  if (code_ != nullptr) munmap(code_, size_);
}
void LoadedObject::swap(LoadedObject& other) noexcept {
  std::swap(code_, other.code_);
  std::swap(size_, other.size_);
  std::swap(entries_, other.entries_);
  std::swap(names_, other.names_);
}

Result<LoadedObject> LoadedObject::load(const std::vector<char>& bytes, const KernelPlaces& places) {
  SMELT_TRY(ObjectFile object, read_object_file(bytes));
  if (object.code.empty()) return fail(ErrorKind::Input, "cannot load compiled code: it has none");
  LoadedObject loaded;
  // Written first, executable after: never both.
  void* code = mmap(nullptr, object.code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return fail(ErrorKind::Limit, "cannot load compiled code: no memory for it");
  loaded.code_ = code;
  loaded.size_ = object.code.size();
  std::memcpy(code, object.code.data(), object.code.size());
  if (mprotect(code, loaded.size_, PROT_READ | PROT_EXEC) != 0) {
    return fail(ErrorKind::Limit, "cannot load compiled code: this system does not let memory be executed");
  }
  for (const ObjectSymbol& symbol : object.symbols) {
    if (symbol.exported) loaded.entries_[symbol.name] = symbol.offset;
  }
  loaded.names_ = DebugNames::announce(std::move(object), code, places);
  return loaded;
}

smelt_entry LoadedObject::find(const std::string& symbol) const {
  const auto found = entries_.find(symbol);
  if (found == entries_.end()) return nullptr;
  return reinterpret_cast<smelt_entry>(static_cast<char*>(code_) + found->second);
}

}  // namespace smelt
