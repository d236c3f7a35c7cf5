// Emits a kernel: an LLVM function (frame, thread, count) that runs the thread's share.
//
// Shares are static: of n units thread t of c runs [n*t/c, n*(t+1)/c). A unit's result does not depend on who runs it,
// so neither does any bit.
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "compiler/codegen/lane_builder.h"
#include "compiler/codegen/shared_functions.h"
#include "compiler/loops/kernel_identity.h"
#include "compiler/loops/loop_ir.h"

namespace smelt {

/// Where a kernel finds its operands: a table of pointers that its caller fills.
/// Buffers and then draws (loop << 32 | site) follow in the order of KernelIdentity.
enum FrameSlot : unsigned { kFrameArena, kFrameExtents, kFrameBuffers };

/// What kernels are emitted into, and for.
struct EmitContext {
  llvm::Module& module;
  const Target& target;
  const LoopFunction& function;
  SharedFunctions& shared;
};

/// void name(ptr frame, i32 thread, i32 count)
void emit_kernel(const EmitContext& context, const Kernel& kernel, const KernelIdentity& identity,
                 const std::string& name);

/// What kernels of all kinds have: the frame, the thread's share, statements. One object emits one kernel.
class KernelEmitter : protected LaneBuilder {
 public:
  KernelEmitter(const EmitContext& context, const Kernel& kernel);
  virtual ~KernelEmitter() = default;
  void emit(const KernelIdentity& identity, const std::string& name);

 protected:
  virtual void emit_work() = 0;
  /// A finished sum of the kernel's product at the point at hand.
  virtual llvm::Value* load_sum(const Stmt& stmt);

  // emit_statements.cpp
  void emit_statements(const std::vector<Stmt>& statements);
  void emit_statement(const Stmt& stmt);
  llvm::Value* emit_load(const Stmt& stmt);
  void emit_store(const Stmt& stmt);
  void note_nonfinite(llvm::Value* stored, DType dtype);
  void begin_finite_check();
  void end_finite_check();
  llvm::Value* emit_scalar_slot(ScalarSlot slot, llvm::Value* at);
  llvm::Value* emit_random(const Stmt& stmt);
  bool draws_in_a_row(const Affine& index) const;
  std::array<llvm::Value*, 2> draw_in_a_row(llvm::Value* first, llvm::Value* seed, llvm::Value* run, llvm::Value* site);
  llvm::Value* affine(const Affine& index);                     // i64, at lane 0 of the vector loop
  llvm::Value* affine_lanes(const Affine& index, DType dtype);  // per lane where the vector loop is in it
  llvm::Value* clamp_row(const Access& access, llvm::Value* row);
  /// Where the lanes of an access are: one element for all, one each side by side, or anywhere.
  struct Address {
    llvm::Value* base = nullptr;   // i64 element number
    llvm::Value* lanes = nullptr;  // <lanes x i64> element numbers, for gathers
    bool contiguous = false;       // one element a lane, next to each other
  };
  Address address(const Access& access);
  Scalar operand(const Stmt& stmt, size_t i) const { return values_[static_cast<size_t>(stmt.operands[i])]; }

  llvm::Value* extent(const Extent& extent);
  llvm::Value* buffer_pointer(int32_t buffer) { return pointers_.at(buffer); }
  DType operand_dtype(int32_t buffer) const { return dtype_of(function_, buffer); }
  void load_frame(const KernelIdentity& identity);
  llvm::Value* frame_slot(unsigned slot, const std::string& name, llvm::Type* type);
  std::pair<llvm::Value*, llvm::Value*> my_share(llvm::Value* total);

  const Target& target_;
  const LoopFunction& function_;
  SharedFunctions& shared_;
  const Kernel& kernel_;
  llvm::Value *frame_ = nullptr, *thread_ = nullptr, *count_ = nullptr;
  llvm::AllocaInst* nonfinite_ = nullptr;  // sticky: NaN once a checked store was not finite
  std::vector<Scalar> values_;
  std::vector<llvm::Value*> loop_values_;
  std::map<int32_t, llvm::Value*> pointers_;
  std::map<int32_t, llvm::Value*> extents_;
  std::map<int32_t, unsigned> draw_slots_;  // frame slot of each Random statement, by its value
  int32_t vector_loop_ = -1;                // the loop that lanes run over, -1 outside
  llvm::Value* mask_ = nullptr;             // lanes that exist; null: all
};

}  // namespace smelt
