#include "compiler/pack_once.h"

#include <algorithm>
#include <utility>

#include "compiler/loops/walk.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

/// Whether a buffer is a variable with one buffer in the function: one that is also written has another for its new
/// value.
bool is_constant(const LoopFunction& function, int32_t index) {
  const LoopBuffer& buffer = function.buffers[static_cast<size_t>(index)];
  return buffer.storage == Storage::Variable && std::ranges::count_if(function.buffers, [&](const LoopBuffer& other) {
                                                  return other.storage == Storage::Variable && other.ref == buffer.ref;
                                                }) == 1;
}

/// Whether the kernel is the only one that writes what it packs.
bool packs_alone(const LoopFunction& function, size_t kernel) {
  const int32_t to = function.kernels[kernel].pack().to;
  return std::ranges::none_of(function.kernels, [&](const Kernel& other) {
    return &other != &function.kernels[kernel] && other.kind() == KernelKind::Pack && other.pack().to == to;
  });
}

}  // namespace

int64_t pack_once(LoopFunction& step, LoopFunction& reset, int64_t end,
                  const std::function<bool(int32_t ref)>& written_elsewhere) {
  for (size_t k = step.kernels.size(); k-- > 0;) {
    if (step.kernels[k].kind() != KernelKind::Pack || !packs_alone(step, k) || repeat_of(step, k) >= 0) continue;
    const Pack pack = step.kernels[k].pack();
    const LoopBuffer& from = step.buffers[static_cast<size_t>(pack.from)];
    if (!is_constant(step, pack.from) || written_elsewhere(from.ref)) continue;
    end = (end + SMELT_ARENA_ALIGNMENT - 1) / SMELT_ARENA_ALIGNMENT * SMELT_ARENA_ALIGNMENT;
    LoopBuffer& panels = step.buffers[static_cast<size_t>(pack.to)];
    panels.storage = Storage::Variable;
    panels.offset = end;
    panels.over = -1;
    panels.ref = -2 - pack.to;  // its own: buffers of one number are one place
    end += byte_size(panels.type).value_or(0);
    Kernel kernel = take_kernel(step, k);
    Pack& moved = std::get<Pack>(kernel.work);
    moved.from = static_cast<int32_t>(reset.buffers.size());
    moved.to = moved.from + 1;
    reset.buffers.push_back(step.buffers[static_cast<size_t>(pack.from)]);
    reset.buffers.push_back(panels);
    reset.kernels.push_back(std::move(kernel));
  }
  return end;
}

}  // namespace smelt
