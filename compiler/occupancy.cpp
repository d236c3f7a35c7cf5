#include "compiler/occupancy.h"

#include "compiler/lower/build_loops.h"
#include "runtime/abi.h"

namespace smelt {

Occupancy::Occupancy(const FunctionUnit& plan) : touched_(plan.loops.buffers.size()) {
  const LoopFunction& loops = plan.loops;
  lifetimes_ = lifetimes(loops);
  live_.assign(loops.kernels.size(), 0);
  for (size_t b = 0; b < loops.buffers.size(); ++b) {
    if (loops.buffers[b].storage != Storage::Temporary) continue;
    // Where it takes over an operand's bytes, they count for the operand.
    const int32_t first = lifetimes_[b].first + (loops.buffers[b].over >= 0 ? 1 : 0);
    for (int32_t k = first; k <= lifetimes_[b].last; ++k) live_[static_cast<size_t>(k)] += bytes(loops, b);
  }
  for (size_t k = 0; k < loops.kernels.size(); ++k) {
    for_each_buffer(loops.kernels[k], [&](int32_t b) { touch(loops, k, whole_of(loops, b)); });
    planned_.push_back(loops.kernels[k].group);
  }
  buffer_of_.assign(plan.source.graph.size(), -1);
  const std::vector<NodeId> nodes = nodes_of_buffers(plan.source.graph, plan.plan, loops);
  for (size_t b = nodes.size(); b-- > 0;) {
    if (nodes[b].valid()) buffer_of_[nodes[b].index] = static_cast<int32_t>(b);  // a product's panels come after it
  }
}

int64_t Occupancy::bytes(const LoopFunction& loops, size_t buffer) {
  constexpr int64_t kAlignment = SMELT_ARENA_ALIGNMENT;
  return (byte_size(loops.buffers[buffer].type).value_or(0) + kAlignment - 1) / kAlignment * kAlignment;
}

double Occupancy::excess(int64_t target) const {
  double sum = 0;
  for (size_t k = 0; k < live_.size(); ++k) sum += static_cast<double>(over(static_cast<int32_t>(k), target));
  return sum;
}

/// Kernel k of the loops reads or writes it: in a repetition that it outlives, with all kernels of that.
void Occupancy::touch(const LoopFunction& loops, size_t k, int32_t b) {
  int32_t first = static_cast<int32_t>(k), last = first;
  for (int32_t r = repeat_of(loops, k); r >= 0 && r != loops.buffers[static_cast<size_t>(b)].repeat;
       r = loops.repeats[static_cast<size_t>(r)].parent) {
    first = loops.repeats[static_cast<size_t>(r)].first;
    last = loops.repeats[static_cast<size_t>(r)].last - 1;
  }
  std::vector<int32_t>& kernels = touched_[static_cast<size_t>(b)];
  for (int32_t at = first; at <= last; ++at)
    if (kernels.empty() || kernels.back() < at) kernels.push_back(at);
}

}  // namespace smelt
