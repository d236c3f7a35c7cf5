#include "ir/experiment.h"

#include "ir/support/check.h"

namespace smelt {

const Function* Experiment::find(FunctionKind kind, std::string_view wanted) const {
  for (const Function& function : functions) {
    if (function.kind == kind && function.name == wanted) return &function;
  }
  return nullptr;
}

int32_t Experiment::init_function() const {
  for (size_t i = 0; i < functions.size(); ++i) {
    if (functions[i].kind == FunctionKind::Init) return static_cast<int32_t>(i);
  }
  SMELT_CHECK(false, "an experiment has exactly one init function");
}

}  // namespace smelt
