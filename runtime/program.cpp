#include "runtime/program.h"

namespace smelt {

const Entry* CompiledProgram::find(FunctionKind kind, std::string_view name) const {
  for (const Entry& entry : entries) {
    if (entry.kind == kind && entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace smelt
