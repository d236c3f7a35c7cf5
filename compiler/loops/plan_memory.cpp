#include "compiler/loops/plan_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "compiler/loops/in_place.h"
#include "ir/support/check.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

int64_t align_up(int64_t bytes) {
  constexpr int64_t kAlignment = SMELT_ARENA_ALIGNMENT;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
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
  const auto extend = [&](int32_t buffer, int32_t first, int32_t last) {
    Lifetime& lifetime = result[static_cast<size_t>(buffer)];
    lifetime.first = std::min(lifetime.first, first);
    lifetime.last = std::max(lifetime.last, last);
  };
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    const int32_t innermost = repeat_of(function, k);
    for_each_buffer(function.kernels[k], [&](int32_t buffer) {
      extend(buffer, static_cast<int32_t>(k), static_cast<int32_t>(k));
      while (function.buffers[static_cast<size_t>(buffer)].storage == Storage::Slice)
        buffer = function.buffers[static_cast<size_t>(buffer)].ref;
      extend(buffer, static_cast<int32_t>(k), static_cast<int32_t>(k));
      // What comes from outside of a repetition has to be there in each of its steps.
      const int32_t home = function.buffers[static_cast<size_t>(buffer)].repeat;
      for (int32_t r = innermost; r != home && r >= 0; r = function.repeats[static_cast<size_t>(r)].parent)
        extend(buffer, function.repeats[static_cast<size_t>(r)].first,
               function.repeats[static_cast<size_t>(r)].last - 1);
    });
  }
  return result;
}

namespace {

/// Temporaries that lie at one place, one after the other.
struct Slot {
  std::vector<size_t> buffers;
  Lifetime alive;
  int64_t bytes = 0;
  int64_t offset = 0;
};

int64_t bytes_of(const LoopBuffer& buffer) {
  const auto bytes = byte_size(buffer.type);
  SMELT_CHECK(bytes.has_value(), "size of `{}` leaves 64 bits", buffer.name);
  return align_up(*bytes);
}

/// `over`: for each buffer the one whose place it takes, or -1.
std::vector<Slot> make_slots(const LoopFunction& function, const std::vector<int32_t>& over) {
  const std::vector<Lifetime> alive = lifetimes(function);
  std::vector<Slot> slots;
  std::vector<size_t> slot_of(function.buffers.size());
  // A buffer is touched first where the one that it takes over is touched last.
  std::vector<size_t> order(function.buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t b) { return alive[b].first; });
  for (const size_t b : order) {
    if (function.buffers[b].storage != Storage::Temporary || alive[b].last < 0) continue;
    if (over[b] < 0) slots.emplace_back();
    slot_of[b] = over[b] < 0 ? slots.size() - 1 : slot_of[static_cast<size_t>(over[b])];
    Slot& slot = slots[slot_of[b]];
    slot.buffers.push_back(b);
    slot.alive = {std::min(slot.alive.first, alive[b].first), std::max(slot.alive.last, alive[b].last)};
    slot.bytes = std::max(slot.bytes, bytes_of(function.buffers[b]));
  }
  return slots;
}

/// Largest first, each at the lowest place that is free for its whole life; returns the end of the last one.
int64_t place(std::vector<Slot>& slots, int64_t begin) {
  std::ranges::sort(slots, {}, [](const Slot& slot) { return std::pair(-slot.bytes, slot.buffers.front()); });
  int64_t end = begin;
  struct Placed {
    int64_t offset, end;
    Lifetime alive;
  };
  std::vector<Placed> by_offset;  // the slots that have a place: small, because all of them are looked through for each
  for (Slot& slot : slots) {
    slot.offset = begin;
    for (const Placed& placed : by_offset) {
      if (slot.offset + slot.bytes <= placed.offset) break;
      if (placed.alive.first > slot.alive.last || placed.alive.last < slot.alive.first) continue;
      slot.offset = std::max(slot.offset, placed.end);
    }
    const auto at = std::ranges::upper_bound(by_offset, slot.offset, {}, &Placed::offset);
    by_offset.insert(at, {slot.offset, slot.offset + slot.bytes, slot.alive});
    end = std::max(end, slot.offset + slot.bytes);
  }
  return end;
}

}  // namespace

int64_t plan_memory(LoopFunction& function, int64_t begin) {
  begin = align_up(begin);
  const std::vector<int32_t> apart(function.buffers.size(), -1);
  std::vector<Slot> slots = make_slots(function, find_in_place(function)), alternative = make_slots(function, apart);
  int64_t end = place(slots, begin);
  // A place that is taken over is busy for longer, which now and then leaves others no room.
  if (const int64_t end_apart = place(alternative, begin); end_apart < end) {
    slots = std::move(alternative);
    end = end_apart;
  }
  for (const Slot& slot : slots) {
    for (const size_t b : slot.buffers) function.buffers[b].offset = slot.offset;
  }
  return end;
}

std::string print_memory(const LoopFunction& function) {
  const std::vector<Lifetime> alive = lifetimes(function);
  const std::vector<int32_t> over = find_in_place(function);
  std::string out = fmt::format("func @{}\n", function.name);
  for (size_t i = 0; i < function.buffers.size(); ++i) {
    const LoopBuffer& buffer = function.buffers[i];
    if (alive[i].last < 0 || (buffer.storage != Storage::Temporary && buffer.storage != Storage::Variable)) continue;
    const LoopBuffer* below = over[i] < 0 ? nullptr : &function.buffers[static_cast<size_t>(over[i])];
    out += fmt::format("  {:24} {:28} {:>12} bytes at {:>10}  kernels {}..{}{}\n", buffer.name,
                       to_string(buffer.type, function.symbols), byte_size(buffer.type).value_or(0), buffer.offset,
                       alive[i].first, alive[i].last,
                       below != nullptr && below->offset == buffer.offset ? fmt::format("  over {}", below->name) : "");
  }
  return out;
}

}  // namespace smelt
