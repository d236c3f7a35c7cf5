// Tells profilers and debuggers what loaded code is: kernels with the lines of the model file that they come from.
//
// gdb learns of it through its JIT interface
// (https://sourceware.org/gdb/current/onlinedocs/gdb.html/JIT-Interface.html): back traces and break points have the
// names. perf reads /tmp/perf-PID.map, which is written when SMELT_PERF_MAP is set.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "runtime/object_file.h"

// gdb's: it looks for the descriptor by name and stops in the function.
extern "C" {
struct jit_code_entry {
  jit_code_entry *next_entry, *prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};
struct jit_descriptor {
  uint32_t version, action_flag;
  jit_code_entry *relevant_entry, *first_entry;
};
extern jit_descriptor __jit_debug_descriptor;
void __jit_debug_register_code();
}

namespace smelt {

/// Symbol -> `vae.smelt:14:33`.
using KernelPlaces = std::map<std::string, std::string>;

/// What gdb knows of one piece of loaded code, until this is destroyed.
class DebugNames {
 public:
  static std::unique_ptr<DebugNames> announce(ObjectFile object, const void* code, const KernelPlaces& places);
  ~DebugNames();
  DebugNames(const DebugNames&) = delete;
  DebugNames& operator=(const DebugNames&) = delete;

 private:
  struct Entry;
  explicit DebugNames(std::unique_ptr<Entry> entry);
  std::unique_ptr<Entry> entry_;
};

}  // namespace smelt
