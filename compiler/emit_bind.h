// The part of a C header that takes a call's arguments: what their sizes, rows and labels may be, and where they go.
#pragma once

#include <string>
#include <vector>

#include "runtime/program.h"

namespace smelt {

/// An input or output as a member of a struct; sizes are members too.
struct CallMember {
  std::string name;
  const Binding* binding = nullptr;
  int32_t symbol = -1;  // of a size
};

/// One function of the header: a typed wrapper around an entry of the object.
struct CallWrapper {
  const Entry* entry = nullptr;
  std::string name;
  std::vector<CallMember> inputs, sizes, outputs;
  std::string run;  // member with the number of the run; empty for a step, which counts itself
};

bool is_scalar(const CallMember& output);
/// What a call's size has to be at least.
int64_t least_of(const CallWrapper& wrapper, const CallMember& size);
/// The symbol that counts the rows of a data section's whole columns; -1 when the entry reads none.
int32_t row_symbol(const CompiledProgram& program, const Entry& entry, int32_t section);

/// `<name>_bind`: refuses what would read or write outside of memory, and fills the arrays of a `smelt_call`.
std::string emit_bind(const CompiledProgram& program, const CallWrapper& wrapper);

}  // namespace smelt
