#include "compiler/loops/scalar_names.h"

#include <map>

#include "ir/support/check.h"

namespace smelt {

std::string_view name_of(ScalarBody body) {
  static const std::map<ScalarBody, std::string_view> names = [] {
    std::map<ScalarBody, std::string_view> found;
    for (const OpDef& op : all_ops()) {
      if (op.body != nullptr) found.try_emplace(op.body, op.name);
    }
    return found;
  }();
  const auto known = names.find(body);
  SMELT_CHECK(known != names.end(), "a scalar body that no op has");
  return known->second;
}

const OpDef* op_with_body(std::string_view name) {
  const OpDef* op = find_op(name);
  return op == nullptr || op->body == nullptr ? nullptr : op;
}

}  // namespace smelt
