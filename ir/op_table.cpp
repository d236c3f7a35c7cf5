// The table of all ops, made from op_list.def. A record that misses a part does not compile.
#include <algorithm>

#include "ir/op.h"
#include "ir/ops/choice.h"
#include "ir/ops/composite.h"
#include "ir/ops/contraction.h"
#include "ir/ops/elementwise.h"
#include "ir/ops/indexing.h"
#include "ir/ops/meta.h"
#include "ir/ops/movement.h"
#include "ir/ops/random.h"
#include "ir/ops/reduction.h"
#include "ir/ops/scan.h"
#include "ir/ops/source.h"
#include "ir/ops/unary.h"
#include "ir/support/check.h"

namespace smelt {

// With sanitizers g++ does not take `&function == nullptr` for a constant; every other build checks the records here.
#if defined(__clang__) || !defined(__SANITIZE_ADDRESS__)
#define OP(enumerator, record) \
  static_assert(is_complete(ops::record), #enumerator " is neither a complete primitive nor a complete composite");
#include "ir/op_list.def"
#undef OP
#endif

namespace {

constexpr OpDef kOps[] = {
#define OP(enumerator, record) ops::record,
#include "ir/op_list.def"
#undef OP
};

constexpr bool names_are_unique() {
  for (const OpDef& a : kOps) {
    for (const OpDef& b : kOps) {
      if (&a != &b && a.name == b.name) return false;
    }
  }
  return true;
}
static_assert(names_are_unique(), "two ops share a name");

}  // namespace

const OpDef& op_def(OpKind op) { return kOps[static_cast<size_t>(op)]; }

std::span<const OpDef> all_ops() { return kOps; }

const OpDef* find_op(std::string_view name) {
  const OpDef* found = std::ranges::find(kOps, name, &OpDef::name);
  return found == std::end(kOps) ? nullptr : found;
}

OpKind op_kind(const OpDef& def) {
  SMELT_CHECK(&def >= std::begin(kOps) && &def < std::end(kOps), "a record outside the table");
  return static_cast<OpKind>(&def - std::begin(kOps));
}

bool reads_outside(const Graph& graph, const Node& node) {
  const OpDef& def = op_def(node);
  if (def.access == nullptr) return false;
  const std::optional<IndexMap> map = def.access(graph.type(node.inputs[0]), node.type, node.attrs);
  return map && map->bounded;
}

}  // namespace smelt
