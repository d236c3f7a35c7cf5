#include "compiler/lower/drop_unread_stores.h"

#include <vector>

#include "compiler/loops/walk.h"

namespace smelt {
namespace {

/// By buffer: whether anything reads it. Who reads a slice reads what it is a slice of.
std::vector<bool> read_buffers(const LoopFunction& function) {
  std::vector<bool> read(function.buffers.size(), false);
  const auto note = [&](int32_t buffer) {
    for (; buffer >= 0; buffer = function.buffers[static_cast<size_t>(buffer)].ref) {
      read[static_cast<size_t>(buffer)] = true;
      if (function.buffers[static_cast<size_t>(buffer)].storage != Storage::Slice) return;
    }
  };
  for (const Repeat& repeat : function.repeats) note(repeat.until);
  for (const Kernel& kernel : function.kernels) {
    if (kernel.kind() == KernelKind::Product) {
      for (const ProductOperands& pair : kernel.product().pairs) {
        note(pair.a);
        note(pair.b);
      }
    }
    for_each_body(kernel, [&](const std::vector<Stmt>& body) {
      for (const Stmt& stmt : body) {
        if (stmt.kind == StmtKind::Load) note(stmt.access.buffer);
      }
    });
  }
  return read;
}

}  // namespace

LoopFunction drop_unread_stores(LoopFunction function) {
  const std::vector<bool> read = read_buffers(function);
  for (Kernel& kernel : function.kernels) {
    for_each_body(kernel, [&](std::vector<Stmt>& body) {
      std::erase_if(body, [&](const Stmt& stmt) {
        return stmt.kind == StmtKind::Store && !read[static_cast<size_t>(stmt.access.buffer)] &&
               function.buffers[static_cast<size_t>(stmt.access.buffer)].storage == Storage::Temporary;
      });
    });
    std::erase_if(kernel.sweeps, [&](const Sweep& sweep) {
      return kernel.kind() == KernelKind::Nest && sweep.setup.empty() && sweep.loops.empty();
    });
  }
  return function;
}

}  // namespace smelt
