#include "compiler/loops/plan_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/support/check.h"
#include "ir/support/fault.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

int64_t align_up(int64_t bytes) {
  constexpr int64_t kAlignment = SMELT_ARENA_ALIGNMENT;
  return SMELT_FAULT(53, bytes + kAlignment - 1, bytes) / kAlignment * kAlignment;
}

}  // namespace

void for_each_buffer(const Kernel& kernel, const std::function<void(int32_t buffer)>& visit) {
  const auto touch = [&](int32_t buffer) {
    if (buffer >= 0) visit(buffer);
  };
  const auto touch_all = [&](const std::vector<Stmt>& body) {
    for (const Stmt& stmt : body) touch(stmt.access.buffer);
  };
  touch_all(kernel.setup);
  for (const Sweep& sweep : kernel.sweeps) {
    touch_all(sweep.setup);
    touch_all(sweep.body);
  }
  if (kernel.kind == KernelKind::Product) touch(kernel.product.partials);
  if (kernel.kind != KernelKind::Nest) {
    for (const ProductOperands& pair : operand_pairs(kernel.product)) {
      if (kernel.kind == KernelKind::Product) touch(pair.a);
      // The pack kernel has read b when there are panels.
      if (kernel.kind == KernelKind::Pack || pair.packed < 0) touch(pair.b);
      touch(pair.packed);
    }
  }
  std::ranges::for_each(kernel.guarded, touch);
}

std::vector<Lifetime> lifetimes(const LoopFunction& function) {
  std::vector<Lifetime> result(function.buffers.size());
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    for_each_buffer(function.kernels[k], [&](int32_t buffer) {
      Lifetime& lifetime = result[static_cast<size_t>(buffer)];
      lifetime.first = std::min(lifetime.first, static_cast<int32_t>(k));
      lifetime.last = std::max(lifetime.last, static_cast<int32_t>(k));
    });
  }
  return result;
}

int64_t plan_memory(LoopFunction& function, int64_t begin) {
  const std::vector<Lifetime> alive = lifetimes(function);
  std::vector<size_t> order;
  for (size_t i = 0; i < function.buffers.size(); ++i) {
    if (function.buffers[i].storage == Storage::Temporary && alive[i].last >= 0) order.push_back(i);
  }
  const auto bytes_of = [&](size_t i) {
    const auto bytes = byte_size(function.buffers[i].type);
    SMELT_CHECK(bytes.has_value(), "size of `{}` leaves 64 bits", function.buffers[i].name);
    return align_up(*bytes);
  };
  // Largest first, each at the lowest place that is free for its whole life.
  std::ranges::sort(order, {}, [&](size_t i) { return std::pair(-bytes_of(i), i); });
  std::vector<size_t> placed;
  int64_t end = align_up(begin);
  for (const size_t i : order) {
    std::vector<std::pair<int64_t, int64_t>> busy;
    for (const size_t other : placed) {
      if (alive[other].first > alive[i].last || alive[other].last < alive[i].first + SMELT_FAULT(52, 0, 1)) continue;
      busy.emplace_back(function.buffers[other].offset, function.buffers[other].offset + bytes_of(other));
    }
    std::ranges::sort(busy);
    int64_t offset = align_up(begin);
    for (const auto& [from, to] : busy) {
      if (offset + bytes_of(i) <= from) break;
      offset = std::max(offset, to);
    }
    function.buffers[i].offset = offset;
    end = std::max(end, offset + bytes_of(i));
    placed.push_back(i);
  }
  return end;
}

std::string print_memory(const LoopFunction& function) {
  const std::vector<Lifetime> alive = lifetimes(function);
  std::string out = fmt::format("func @{}\n", function.name);
  for (size_t i = 0; i < function.buffers.size(); ++i) {
    const LoopBuffer& buffer = function.buffers[i];
    if (alive[i].last < 0 || (buffer.storage != Storage::Temporary && buffer.storage != Storage::Variable)) continue;
    out += fmt::format("  {:24} {:28} {:>12} bytes at {:>10}  kernels {}..{}\n", buffer.name,
                       to_string(buffer.type, function.symbols), byte_size(buffer.type).value_or(0), buffer.offset,
                       alive[i].first, alive[i].last);
  }
  return out;
}

}  // namespace smelt
