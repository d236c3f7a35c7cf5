#include "compiler/loops/walk.h"

#include <algorithm>
#include <numeric>

namespace smelt {

int32_t whole_of(const LoopFunction& function, int32_t buffer) {
  const auto at = [&](int32_t b) -> const LoopBuffer& { return function.buffers[static_cast<size_t>(b)]; };
  while (at(buffer).storage == Storage::Slice) buffer = at(buffer).ref;
  return buffer;
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
      buffer = whole_of(function, buffer);
      extend(buffer, static_cast<int32_t>(k), static_cast<int32_t>(k));
      // What comes from outside of a repetition has to be there in each of its steps.
      const int32_t home = function.buffers[static_cast<size_t>(buffer)].repeat;
      for (int32_t r = innermost; r != home && r >= 0; r = function.repeats[static_cast<size_t>(r)].parent)
        extend(buffer, function.repeats[static_cast<size_t>(r)].first,
               function.repeats[static_cast<size_t>(r)].last - 1);
    });
  }
  // Asked before each step, and once behind the last one.
  for (const Repeat& repeat : function.repeats)
    if (repeat.until >= 0 && repeat.first < repeat.last) extend(repeat.until, repeat.first, repeat.last - 1);
  return result;
}

namespace {

bool is_written_in(const LoopFunction& function, int32_t whole, const Repeat& repeat) {
  bool written = false;
  for (int32_t k = repeat.first; k < repeat.last; ++k) {
    for_each_body(function.kernels[static_cast<size_t>(k)], [&](const std::vector<Stmt>& body) {
      for (const Stmt& stmt : body)
        written |= stmt.kind == StmtKind::Store && whole_of(function, stmt.access.buffer) == whole;
    });
  }
  return written;
}

}  // namespace

int32_t changed_in(const LoopFunction& function, int32_t buffer, size_t kernel) {
  const auto at = [&](int32_t b) -> const LoopBuffer& { return function.buffers[static_cast<size_t>(b)]; };
  const int32_t whole = whole_of(function, buffer);
  const auto moves_in = [&](int32_t r) {
    for (int32_t b = buffer; at(b).storage == Storage::Slice; b = at(b).ref) {
      if (at(b).repeat == r) return true;
    }
    return at(whole).repeat == r;
  };
  int32_t r = repeat_of(function, kernel);
  while (r >= 0 && !moves_in(r) && !is_written_in(function, whole, function.repeats[static_cast<size_t>(r)]))
    r = function.repeats[static_cast<size_t>(r)].parent;
  return r;
}

void keep_loops(Kernel& kernel, const std::vector<int32_t>& loops) {
  std::vector<Affine> places(kernel.loops.size());
  std::vector<int32_t> numbers(kernel.loops.size(), -1);
  std::vector<Loop> kept;
  for (const int32_t loop : loops) {
    numbers[static_cast<size_t>(loop)] = static_cast<int32_t>(kept.size());
    places[static_cast<size_t>(loop)] = Affine::of(static_cast<int32_t>(kept.size()));
    kept.push_back(kernel.loops[static_cast<size_t>(loop)]);
  }
  for_each_affine(kernel, [&](Affine& affine) { affine = substitute(affine, places); });
  for (Sweep& sweep : kernel.sweeps) {
    for (int32_t& loop : sweep.loops) loop = numbers[static_cast<size_t>(loop)];
  }
  kernel.loops = std::move(kept);
}

std::vector<int32_t> outer_loops(const Kernel& kernel) {
  std::vector<int32_t> outer(static_cast<size_t>(kernel.num_outer));
  std::iota(outer.begin(), outer.end(), 0);
  return outer;
}

double usual_times(const LoopFunction& function, size_t kernel) {
  double times = 1;
  for (int32_t r = repeat_of(function, kernel); r >= 0; r = function.repeats[static_cast<size_t>(r)].parent)
    times *= static_cast<double>(usual_size(function, function.repeats[static_cast<size_t>(r)].steps));
  return times;
}

}  // namespace smelt
