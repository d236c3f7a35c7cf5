#include "compiler/loops/arithmetic.h"

#include <utility>

#include "compiler/loops/scalar_names.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

ScalarBody body_of(std::string_view name) {
  const OpDef* op = op_with_body(name);
  SMELT_CHECK(op != nullptr, "no op has a scalar body `{}`", name);
  return op->body;
}

}  // namespace

bool computes(const Stmt& stmt, std::string_view op) {
  return stmt.kind == StmtKind::Compute && stmt.body == body_of(op);
}

Stmt compute(std::string_view op, std::vector<int32_t> operands, DType dtype, Span span) {
  return {
      .kind = StmtKind::Compute, .dtype = dtype, .operands = std::move(operands), .body = body_of(op), .span = span};
}

}  // namespace smelt
