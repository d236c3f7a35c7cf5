// Walks over kernels: the statements they have, the buffers they touch, the kernels among which a buffer lives.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// Calls `visit` for each list of statements of a kernel, in the order in which they run.
template <typename KernelType, typename Visit>
void for_each_body(KernelType& kernel, const Visit& visit) {
  visit(kernel.setup);
  for (auto& sweep : kernel.sweeps) {
    visit(sweep.setup);
    visit(sweep.body);
  }
}

/// Calls `visit` for each function of the loops in a kernel's statements.
template <typename Visit>
void for_each_affine(Kernel& kernel, const Visit& visit) {
  for_each_body(kernel, [&](std::vector<Stmt>& body) {
    for (Stmt& stmt : body) {
      visit(stmt.access.offset);
      visit(stmt.index);
    }
  });
}

/// Calls `visit` for each buffer that a kernel touches, once an access.
template <typename Visit>
void for_each_buffer(const Kernel& kernel, const Visit& visit) {
  const auto touch = [&](int32_t buffer) {
    if (buffer >= 0) visit(buffer);
  };
  for_each_body(kernel, [&](const std::vector<Stmt>& body) {
    for (const Stmt& stmt : body) touch(stmt.access.buffer);
  });
  if (kernel.kind() == KernelKind::Product) {
    const Product& product = kernel.product();
    if (product.schedule && product.schedule->blocks) touch(product.schedule->blocks->sums);
    for (const ProductOperands& pair : product.pairs) {
      touch(pair.a);
      touch(pair.b);
    }
  }
  if (kernel.kind() == KernelKind::Pack) {
    touch(kernel.pack().from);
    touch(kernel.pack().to);
  }
  for (const int32_t guarded : kernel.guarded) touch(guarded);
}

/// The buffer that a slice is a part of, through slices of slices; another buffer is its own.
int32_t whole_of(const LoopFunction& function, int32_t buffer);

/// First and last kernel that touch a buffer; first > last when none does.
struct Lifetime {
  int32_t first = INT32_MAX;
  int32_t last = -1;
};
std::vector<Lifetime> lifetimes(const LoopFunction& function);

/// The innermost repetition around kernel `kernel` that changes what `buffer` holds or where it lies; -1: none.
int32_t changed_in(const LoopFunction& function, int32_t buffer, size_t kernel);

/// The kernel's loops become those of `loops`, in that order. Nothing may use the others.
void keep_loops(Kernel& kernel, const std::vector<int32_t>& loops);
/// The loops of a kernel that are shared among threads.
std::vector<int32_t> outer_loops(const Kernel& kernel);
/// How often a kernel runs in one call, usually: the steps of the repetitions around it.
double usual_times(const LoopFunction& function, size_t kernel);

}  // namespace smelt
