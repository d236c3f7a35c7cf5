#include "compiler/schedule/plan_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "compiler/loops/walk.h"
#include "ir/support/check.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

int64_t align_up(int64_t bytes) {
  constexpr int64_t kAlignment = SMELT_ARENA_ALIGNMENT;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

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

enum class Overwriting : uint8_t { Allowed, Never };

std::vector<Slot> make_slots(const LoopFunction& function, Overwriting overwriting) {
  const std::vector<Lifetime> alive = lifetimes(function);
  std::vector<Slot> slots;
  std::vector<size_t> slot_of(function.buffers.size());
  // A buffer is touched first where the one that it takes over is touched last.
  std::vector<size_t> order(function.buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t b) { return alive[b].first; });
  for (const size_t b : order) {
    if (function.buffers[b].storage != Storage::Temporary || alive[b].last < 0) continue;
    const int32_t over = overwriting == Overwriting::Allowed ? function.buffers[b].over : -1;
    if (over < 0) slots.emplace_back();
    slot_of[b] = over < 0 ? slots.size() - 1 : slot_of[static_cast<size_t>(over)];
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

LoopFunction plan_memory(LoopFunction function, const Target&) {
  const int64_t begin = align_up(function.temporaries.begin);
  std::vector<Slot> slots = make_slots(function, Overwriting::Allowed),
                    alternative = make_slots(function, Overwriting::Never);
  int64_t end = place(slots, begin);
  // A place that is taken over is busy for longer, which now and then leaves others no room.
  if (const int64_t end_apart = place(alternative, begin); end_apart < end) {
    slots = std::move(alternative);
    end = end_apart;
  }
  for (const Slot& slot : slots) {
    for (const size_t b : slot.buffers) function.buffers[b].offset = slot.offset;
  }
  function.temporaries.end = end;
  return function;
}

std::string print_memory(const LoopFunction& function) {
  const std::vector<Lifetime> alive = lifetimes(function);
  std::string out = fmt::format("func @{}\n", function.name);
  for (size_t i = 0; i < function.buffers.size(); ++i) {
    const LoopBuffer& buffer = function.buffers[i];
    if (alive[i].last < 0 || (buffer.storage != Storage::Temporary && buffer.storage != Storage::Variable)) continue;
    const LoopBuffer* below = buffer.over < 0 ? nullptr : &function.buffers[static_cast<size_t>(buffer.over)];
    out += fmt::format("  {:24} {:28} {:>12} bytes at {:>10}  kernels {}..{}{}\n", buffer.name,
                       to_string(buffer.type, function.symbols), byte_size(buffer.type).value_or(0), buffer.offset,
                       alive[i].first, alive[i].last,
                       below != nullptr && below->offset == buffer.offset ? fmt::format("  over {}", below->name) : "");
  }
  return out;
}

}  // namespace smelt
