#include "compiler/graph/reshape_blocks.h"

#include <cstddef>

namespace smelt {

std::optional<std::vector<ReshapeBlock>> reshape_blocks(const Shape& from, const Shape& to) {
  const auto skip = [](const Shape& shape, size_t& i) {
    while (i < shape.size() && shape[i] == Extent(1)) ++i;
    return i < shape.size();
  };
  std::vector<ReshapeBlock> blocks;
  size_t i = 0, j = 0;
  for (;;) {
    const bool more_from = skip(from, i), more_to = skip(to, j);
    if (!more_from && !more_to) return blocks;
    if (!more_from || !more_to) return std::nullopt;
    ReshapeBlock& block = blocks.emplace_back();
    if (!from[i].is_static() || !to[j].is_static()) {
      if (from[i] != to[j]) return std::nullopt;
      block = {{static_cast<int64_t>(i++)}, {static_cast<int64_t>(j++)}};
      continue;
    }
    int64_t p = from[i].bound, q = to[j].bound;
    block = {{static_cast<int64_t>(i++)}, {static_cast<int64_t>(j++)}};
    while (p != q) {
      const bool takes = p < q;
      if (!(takes ? skip(from, i) : skip(to, j))) return std::nullopt;
      const Extent extent = takes ? from[i] : to[j];
      if (!extent.is_static()) return std::nullopt;
      (takes ? p : q) *= extent.bound;
      (takes ? block.before : block.after).push_back(static_cast<int64_t>(takes ? i++ : j++));
    }
  }
}

}  // namespace smelt
