#include "runtime/program.h"

namespace smelt {

const Entry* CompiledProgram::find(FunctionKind kind, std::string_view wanted) const {
  for (const Entry& entry : entries) {
    if (entry.kind == kind && entry.name == wanted) return &entry;
  }
  return nullptr;
}

}  // namespace smelt
