// Object bytes -> function pointers. Maps exactly the bytes that `smelt build` writes; there is nothing to relocate.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "runtime/abi.h"
#include "runtime/debug_names.h"

namespace smelt {

class LoadedObject {
 public:
  /// Errors (Input): the bytes are no object file of Smelt; (Limit): no memory for code.
  /// `places`: lines of the model file, for profilers and debuggers.
  static Result<LoadedObject> load(const std::vector<char>& object, const KernelPlaces& places = {});
  LoadedObject(LoadedObject&&) noexcept;
  LoadedObject& operator=(LoadedObject&&) noexcept;
  ~LoadedObject();

  /// Null when the object exports no such symbol. Valid while this object lives.
  smelt_entry find(const std::string& symbol) const;

 private:
  LoadedObject() = default;
  void swap(LoadedObject& other) noexcept;

  void* code_ = nullptr;  // mapped, read and execute
  size_t size_ = 0;
  std::map<std::string, size_t> entries_;  // offset into the code
  std::unique_ptr<DebugNames> names_;
};

}  // namespace smelt
