// The object files that Smelt writes: x86-64 ELF, one section of code and constants with nothing left to relocate, and
// a table of symbols. A linker takes them like any other; the runtime maps them by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

struct ObjectSymbol {
  std::string name;
  uint64_t offset = 0;  // into the code
  uint64_t size = 0;    // bytes
  bool exported = false;
};

/// The contents of an object file.
struct ObjectFile {
  std::vector<char> code;             // instructions, then constants
  uint64_t alignment = 64;            // bytes, of its start
  std::vector<ObjectSymbol> symbols;  // functions; exported ones last
};

std::vector<char> write_object_file(const ObjectFile& object);

/// Where an object's code and symbols are in its bytes. Errors (Input): the bytes are not an object file of this kind.
Result<ObjectFile> read_object_file(const std::vector<char>& bytes);

}  // namespace smelt
