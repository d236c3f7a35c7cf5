#include "compiler/codegen/emit_drivers.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <cstddef>
#include <functional>

#include "compiler/codegen/kernel_emitter.h"
#include "ir/support/check.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

class DriverEmitter {
 public:
  DriverEmitter(llvm::Module& module, const LoopProgram& program, const Target& target)
      : module_(module), program_(program), target_(target), ir_(module.getContext()) {}

  void run(const std::vector<std::vector<KernelUse>>& uses) {
    for (size_t f = 0; f < uses.size(); ++f) drivers_.push_back(emit_driver(program_.functions[f], uses[f]));
    for (size_t f = 0; f < drivers_.size(); ++f) emit_entry(program_.functions[f].name, drivers_[f]);
    if (!program_.iteration_symbol.empty()) emit_entry(program_.iteration_symbol, emit_iteration());
  }

 private:
  /// void driver(ptr call, ptr status, i32 thread, i32 count)
  llvm::Function* new_driver(const std::string& name) {
    llvm::Type* i32 = ir_.getInt32Ty();
    auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), ir_.getPtrTy(), i32, i32}, false);
    llvm::Function* function = new_function(module_, name, type);
    // Calls and stores of pointers, in blocks as long as the model is deep: optimising them takes time that grows
    // faster than they do.
    function->addFnAttr(llvm::Attribute::OptimizeNone);
    function->addFnAttr(llvm::Attribute::NoInline);
    ir_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), "entry", function));
    return function;
  }

  llvm::Value* at_offset(llvm::Value* base, int64_t offset) {
    return ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), base, static_cast<uint64_t>(offset));
  }
  llvm::Value* load_pointer(llvm::Value* base, int64_t offset) {
    return ir_.CreateLoad(ir_.getPtrTy(), at_offset(base, offset));
  }
  void count_up(llvm::Value* arena, int64_t offset) {
    llvm::Value* at = at_offset(arena, offset);
    ir_.CreateStore(ir_.CreateAdd(ir_.CreateLoad(ir_.getInt64Ty(), at), ir_.getInt64(1)), at);
  }

  void on_first_thread(llvm::Function* function, const std::function<void()>& body) {
    auto* work = llvm::BasicBlock::Create(module_.getContext(), "first", function);
    auto* after = llvm::BasicBlock::Create(module_.getContext(), "all", function);
    ir_.CreateCondBr(ir_.CreateICmpEQ(function->getArg(2), ir_.getInt32(0)), work, after);
    ir_.SetInsertPoint(work);
    body();
    ir_.CreateBr(after);
    ir_.SetInsertPoint(after);
  }

  void barrier(llvm::Function* function, llvm::Value* arena) {
    auto* wait = llvm::BasicBlock::Create(module_.getContext(), "wait", function);
    auto* after = llvm::BasicBlock::Create(module_.getContext(), "released", function);
    ir_.CreateCondBr(ir_.CreateICmpSGT(function->getArg(3), ir_.getInt32(1)), wait, after);
    ir_.SetInsertPoint(wait);
    llvm::Value* threads = load_pointer(arena, offsetof(smelt_arena, threads));
    auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), ir_.getInt32Ty()}, false);
    ir_.CreateCall(type, load_pointer(threads, offsetof(smelt_threads, barrier)),
                   {load_pointer(threads, offsetof(smelt_threads, context)), function->getArg(2)});
    ir_.CreateBr(after);
    ir_.SetInsertPoint(after);
  }

  /// All threads read the same scalar after a barrier, so all leave or none.
  void leave_if_nonfinite(llvm::Function* driver, const LoopBuffer& loss) {
    llvm::Value* table = load_pointer(driver->getArg(0), offsetof(smelt_call, outputs));
    SMELT_CHECK(loss.storage == Storage::Output, "`{}` is an output", loss.name);
    llvm::Value* at = load_pointer(table, static_cast<int64_t>(sizeof(void*)) * loss.ref);
    LlvmScalars scalars(ir_, target_.has_fma);
    llvm::Value* value = ir_.CreateLoad(scalars.element_type(loss.type.dtype), at);
    llvm::Value* difference = ir_.CreateFSub(value, value);
    auto* stop = llvm::BasicBlock::Create(module_.getContext(), "nonfinite", driver);
    auto* go_on = llvm::BasicBlock::Create(module_.getContext(), "finite", driver);
    ir_.CreateCondBr(ir_.CreateFCmpUNO(difference, difference), stop, go_on);
    ir_.SetInsertPoint(stop);
    ir_.CreateStore(ir_.getInt32(SMELT_CALL_NONFINITE), driver->getArg(1));  // every thread stores the same
    ir_.CreateRetVoid();
    ir_.SetInsertPoint(go_on);
  }

  llvm::Function* emit_driver(const LoopFunction& function, const std::vector<KernelUse>& uses) {
    llvm::Function* driver = new_driver(function.name + ".threads");
    llvm::Value* call = driver->getArg(0);
    llvm::Value* arena = load_pointer(call, offsetof(smelt_call, arena));
    size_t slots = 0;
    for (const KernelUse& use : uses) slots = std::max(slots, use.buffers.size() + use.draws.size());
    llvm::Value* frame = ir_.CreateAlloca(ir_.getPtrTy(), ir_.getInt64(kFrameBuffers + slots), "frame");
    ir_.CreateStore(arena, frame);
    ir_.CreateStore(load_pointer(call, offsetof(smelt_call, extents)), frame_slot(frame, kFrameExtents));
    stamp(function, driver, arena, 0);
    for (size_t k = 0; k < uses.size(); ++k) {
      const Kernel& kernel = function.kernels[k];
      fill_frame(frame, function, uses[k], call, arena);
      ir_.CreateCall(kernel_function(uses[k].symbol), {frame, driver->getArg(2), driver->getArg(3)});
      // One thread runs a serial kernel, and the next one too: it need not wait for itself.
      const bool last = k + 1 == uses.size();
      const bool next_is_same = !last && kernel.serial && function.kernels[k + 1].serial;
      if (!next_is_same || !kernel.guarded.empty()) barrier(driver, arena);
      stamp(function, driver, arena, k + 1);
      for (const int32_t guarded : kernel.guarded)
        leave_if_nonfinite(driver, function.buffers[static_cast<size_t>(guarded)]);
    }
    if (function.advances) on_first_thread(driver, [&] { commit(function, driver, arena); });
    ir_.CreateRetVoid();
    return driver;
  }

  /// Profiling: the first thread's cycle counter, after the others have caught up.
  void stamp(const LoopFunction& function, llvm::Function* driver, llvm::Value* arena, size_t index) {
    if (function.stamps_offset < 0) return;
    on_first_thread(driver, [&] {
      llvm::Value* at = at_offset(arena, function.stamps_offset + static_cast<int64_t>(sizeof(uint64_t) * index));
      ir_.CreateStore(ir_.CreateIntrinsic(llvm::Intrinsic::readcyclecounter, {}, {}), at);
    });
  }

  void fill_frame(llvm::Value* frame, const LoopFunction& function, const KernelUse& use, llvm::Value* call,
                  llvm::Value* arena) {
    uint64_t slot = kFrameBuffers;
    for (const int32_t b : use.buffers) {
      const LoopBuffer& buffer = function.buffers[static_cast<size_t>(b)];
      ir_.CreateStore(buffer_pointer(function, buffer, call, arena), frame_slot(frame, slot++));
    }
    for (const DrawSite& draw : use.draws) {
      ir_.CreateStore(ir_.getInt64(uint64_t{draw.loop} << 32 | draw.site), frame_slot(frame, slot++));
    }
  }

  llvm::Value* frame_slot(llvm::Value* frame, uint64_t slot) {
    return ir_.CreateConstInBoundsGEP1_64(ir_.getPtrTy(), frame, slot);
  }

  llvm::Function* kernel_function(const std::string& name) {
    llvm::Type* i32 = ir_.getInt32Ty();
    return new_function(module_, name, llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), i32, i32}, false));
  }

  llvm::Value* buffer_pointer(const LoopFunction& function, const LoopBuffer& buffer, llvm::Value* call,
                              llvm::Value* arena) {
    switch (buffer.storage) {
      case Storage::Variable:
      case Storage::Temporary: return at_offset(arena, buffer.offset);
      case Storage::Scalar: return at_offset(arena, slot_offset(function, buffer));
      case Storage::Input: return table_entry(call, offsetof(smelt_call, inputs), buffer.ref);
      case Storage::Output: return table_entry(call, offsetof(smelt_call, outputs), buffer.ref);
    }
    return nullptr;
  }
  llvm::Value* table_entry(llvm::Value* call, int64_t table, int32_t index) {
    return load_pointer(load_pointer(call, table), static_cast<int64_t>(sizeof(void*)) * index);
  }

  static int64_t slot_offset(const LoopFunction& function, const LoopBuffer& buffer) {
    switch (buffer.slot) {
      case ScalarSlot::Seed: return offsetof(smelt_arena, seed);
      case ScalarSlot::Iteration: return offsetof(smelt_arena, iteration);
      case ScalarSlot::Horizon: return offsetof(smelt_arena, horizon);
      case ScalarSlot::Run:
      case ScalarSlot::Update: return function.runs_offset;
      case ScalarSlot::Stored: return buffer.offset;
    }
    return 0;
  }

  void commit(const LoopFunction& function, llvm::Function* driver, llvm::Value* arena) {
    count_up(arena, function.runs_offset);
    llvm::Value* flag = ir_.CreateLoad(ir_.getInt64Ty(), at_offset(arena, offsetof(smelt_arena, reserved)));
    llvm::Value* status = ir_.CreateSelect(ir_.CreateICmpNE(flag, ir_.getInt64(0)),
                                           ir_.getInt32(SMELT_CALL_NONFINITE_UPDATE), ir_.getInt32(SMELT_CALL_OK));
    ir_.CreateStore(status, driver->getArg(1));
  }

  llvm::Function* emit_iteration() {
    llvm::Function* driver = new_driver(program_.iteration_symbol + ".threads");
    llvm::Value* calls = driver->getArg(0);
    llvm::Value* arena = load_pointer(calls, offsetof(smelt_call, arena));
    for (size_t i = 0; i < program_.iteration.size(); ++i) {
      llvm::Value* call = at_offset(calls, static_cast<int64_t>(i * sizeof(smelt_call)));
      llvm::Function* function = drivers_[static_cast<size_t>(program_.iteration[i])];
      ir_.CreateCall(function, {call, driver->getArg(1), driver->getArg(2), driver->getArg(3)});
      barrier(driver, arena);
      llvm::Value* status = ir_.CreateLoad(ir_.getInt32Ty(), driver->getArg(1));
      auto* stop = llvm::BasicBlock::Create(module_.getContext(), "stop", driver);
      auto* go_on = llvm::BasicBlock::Create(module_.getContext(), "next", driver);
      ir_.CreateCondBr(ir_.CreateICmpNE(status, ir_.getInt32(SMELT_CALL_OK)), stop, go_on);
      ir_.SetInsertPoint(stop);
      ir_.CreateRetVoid();
      ir_.SetInsertPoint(go_on);
    }
    on_first_thread(driver, [&] { count_up(arena, offsetof(smelt_arena, iteration)); });
    ir_.CreateRetVoid();
    return driver;
  }

  /// i32 entry(ptr call): the driver on all threads of the arena's header.
  void emit_entry(const std::string& name, llvm::Function* driver) {
    llvm::LLVMContext& context = module_.getContext();
    llvm::Type* i32 = ir_.getInt32Ty();
    llvm::Type* pointer = ir_.getPtrTy();
    auto* arguments_type = llvm::StructType::get(context, {pointer, pointer});
    auto* task_type = llvm::FunctionType::get(ir_.getVoidTy(), {pointer, i32, i32}, false);
    llvm::Function* task = new_function(module_, name + ".task", task_type);
    ir_.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", task));
    ir_.CreateCall(driver, {load_pointer(task->getArg(0), 0), load_pointer(task->getArg(0), sizeof(void*)),
                            task->getArg(1), task->getArg(2)});
    ir_.CreateRetVoid();

    auto* entry = llvm::Function::Create(llvm::FunctionType::get(i32, {pointer}, false),
                                         llvm::Function::ExternalLinkage, name, module_);
    entry->addFnAttr("frame-pointer", "all");
    ir_.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", entry));
    llvm::Value* arguments = ir_.CreateAlloca(arguments_type);
    llvm::Value* status = ir_.CreateAlloca(i32);
    ir_.CreateStore(ir_.getInt32(SMELT_CALL_OK), status);
    ir_.CreateStore(entry->getArg(0), arguments);
    ir_.CreateStore(status, at_offset(arguments, sizeof(void*)));
    llvm::Value* arena = load_pointer(entry->getArg(0), offsetof(smelt_call, arena));
    count_up(arena, offsetof(smelt_arena, entered));
    llvm::Value* threads = load_pointer(arena, offsetof(smelt_arena, threads));
    auto* alone = llvm::BasicBlock::Create(context, "alone", entry);
    auto* shared = llvm::BasicBlock::Create(context, "shared", entry);
    auto* done = llvm::BasicBlock::Create(context, "done", entry);
    ir_.CreateCondBr(ir_.CreateIsNull(threads), alone, shared);
    ir_.SetInsertPoint(alone);
    ir_.CreateCall(task, {arguments, ir_.getInt32(0), ir_.getInt32(1)});
    ir_.CreateBr(done);
    ir_.SetInsertPoint(shared);
    auto* parallel_type = llvm::FunctionType::get(ir_.getVoidTy(), {pointer, pointer, pointer}, false);
    ir_.CreateCall(parallel_type, load_pointer(threads, offsetof(smelt_threads, parallel)),
                   {load_pointer(threads, offsetof(smelt_threads, context)), task, arguments});
    ir_.CreateBr(done);
    ir_.SetInsertPoint(done);
    ir_.CreateRet(ir_.CreateLoad(i32, status));
  }

  llvm::Module& module_;
  const LoopProgram& program_;
  const Target& target_;
  llvm::IRBuilder<> ir_;
  std::vector<llvm::Function*> drivers_;
};

}  // namespace

void emit_drivers(llvm::Module& module, const LoopProgram& program, const Target& target,
                  const std::vector<std::vector<KernelUse>>& uses) {
  DriverEmitter(module, program, target).run(uses);
}

}  // namespace smelt
