// Object bytes -> function pointers. The one part of the runtime that uses LLVM (its ORC JIT linker); it loads exactly
// the bytes that `smelt build` writes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "runtime/abi.h"

namespace smelt {

class LoadedObject {
 public:
  /// Errors (Input): the bytes are no object for this machine; (Limit): no memory for code.
  static Result<LoadedObject> load(const std::vector<char>& object);
  LoadedObject(LoadedObject&&) noexcept;
  LoadedObject& operator=(LoadedObject&&) noexcept;
  ~LoadedObject();

  /// Null when the object has no such symbol. Valid while this object lives.
  smelt_entry find(const std::string& symbol) const;

 private:
  struct Impl;
  explicit LoadedObject(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace smelt
