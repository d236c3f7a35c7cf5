// What a caller can ask of the compiler. Results depend on `cpu`, and by roundings on the passes that are left out; a
// memory budget costs time, and everything else is for looking inside.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace smelt {

enum class VerifyLevel : uint8_t {
  Off,
  Ends,     // what comes in and what goes out
  EachPass  // after each pass as well
};

#ifdef NDEBUG
inline constexpr VerifyLevel kDefaultVerify = VerifyLevel::Ends;
#else
inline constexpr VerifyLevel kDefaultVerify = VerifyLevel::EachPass;
#endif

enum class Fusion : uint8_t {
  Full,
  Recompute,  // nothing is stored that can be computed again where it is read: for comparing
  None        // each node with operands has a kernel and a buffer of its own: for comparing
};

struct CompileOptions {
  std::string cpu = "native";  // as LLVM names it, or x86-64-v3 and the like
  VerifyLevel verify = kDefaultVerify;
  std::vector<std::string> dump_after;  // names of passes, or "all"
  std::vector<std::string> skip;        // names of graph passes that are left out
  Fusion fusion = Fusion::Full;
  std::string stop_after;     // name of a pass: the first run of it is the last pass
  int64_t memory_budget = 0;  // bytes of the arena, variables included; 0: as much as the fastest plan takes
  bool profile = false;       // functions note the time after each kernel (LoopFunction::stamps_offset)
};

}  // namespace smelt
