#include "compiler/graph/needed_copies.h"

#include <utility>

#include "ir/support/check.h"

namespace smelt {

NodeId NeededCopies::of(NodeId wanted) {
  std::vector<bool> needed(wanted.index + 1);
  needed[wanted.index] = true;
  for (uint32_t i = wanted.index + 1; i-- > 0;) {
    if (!needed[i] || copies_[i].valid()) continue;
    for (const NodeId input : from_.nodes[i].inputs) needed[input.index] = true;
  }
  for (uint32_t i = 0; i <= wanted.index; ++i) {
    if (!needed[i] || copies_[i].valid()) continue;
    const Node& node = from_.nodes[i];
    SMELT_CHECK(node.op != OpKind::Argument, "argument %{} of `{}` is needed, and nothing stands for it", i,
                from_.name);
    std::vector<NodeId> inputs;
    for (const NodeId input : node.inputs) inputs.push_back(copies_[input.index]);
    copies_[i] = to_.copy(node, std::move(inputs));
  }
  return copies_[wanted.index];
}

}  // namespace smelt
