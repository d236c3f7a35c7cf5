#include "compiler/codegen/emit_drivers.h"

#include <fmt/format.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <cstddef>
#include <map>

#include "compiler/codegen/driver_code.h"
#include "compiler/codegen/kernel_emitter.h"
#include "ir/support/check.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

// Register allocation of one function takes time that grows with the square of its calls. A step of 1000 Dense layers,
// 5,000 calls, took 9.6 s to compile in one function and takes 2.3 s in parts of 64; a call of a part costs some 20
// instructions. Measured with `smelt bench` on a `repeat i < 1000 { Dense{8, act=tanh} }`, nothing cached, in November
// 2026.
constexpr size_t kKernelsAPart = 64;

std::string driver_name(const std::string& function) { return function + ".threads"; }
std::string part_name(const LoopFunction& function, size_t begin) {
  return fmt::format("{}.kernels{}", function.name, begin);
}

/// The repetition inside of `parent` that begins with kernel k, or -1.
int32_t repeat_at(const LoopFunction& function, size_t k, int32_t parent) {
  for (size_t r = 0; r < function.repeats.size(); ++r) {
    const Repeat& repeat = function.repeats[r];
    if (repeat.first == static_cast<int32_t>(k) && repeat.last > repeat.first && repeat.parent == parent)
      return static_cast<int32_t>(r);
  }
  return -1;
}

/// Where the parts of a driver begin, and the end of the last one. A repetition stays whole.
std::vector<size_t> part_bounds(const LoopFunction& function) {
  std::vector<size_t> bounds{0};
  for (size_t k = 0; k < function.kernels.size();) {
    if (k - bounds.back() >= kKernelsAPart) bounds.push_back(k);
    const int32_t repeat = repeat_at(function, k, -1);
    k = repeat < 0 ? k + 1 : static_cast<size_t>(function.repeats[static_cast<size_t>(repeat)].last);
  }
  bounds.push_back(function.kernels.size());
  return bounds;
}

/// Into one module.
class DriverEmitter : DriverCode {
 public:
  DriverEmitter(llvm::Module& module, const Target& target, SharedFunctions& shared)
      : DriverCode(module, shared), target_(target) {}

  /// A driver in parts calls them; another one has its kernels.
  void emit_driver(const LoopFunction& function, const std::vector<KernelUse>& uses) {
    const std::vector<size_t> bounds = part_bounds(function);
    llvm::Function* driver = new_driver(driver_name(function.name), ir_.getVoidTy());
    llvm::Value* arena = load_pointer(driver->getArg(0), offsetof(smelt_call, arena));
    begin_stamps(function, driver, arena);
    if (bounds.size() == 2) emit_range(function, uses, 0, uses.size(), driver, arena);
    for (size_t i = 0; i + 1 < bounds.size() && bounds.size() > 2; ++i)
      call_part(driver, declare_driver(part_name(function, bounds[i]), ir_.getInt1Ty()));
    if (function.advances) on_first_thread(driver, [&] { commit(function, driver, arena); });
    ir_.CreateRetVoid();
    emit_entry(function.name, driver);
  }

  void emit_part(const LoopFunction& function, const std::vector<KernelUse>& uses, size_t begin, size_t end) {
    llvm::Function* part = new_driver(part_name(function, begin), ir_.getInt1Ty());
    llvm::Value* arena = load_pointer(part->getArg(0), offsetof(smelt_call, arena));
    emit_range(function, uses, begin, end, part, arena);
    ir_.CreateRet(ir_.getFalse());
  }

  /// The functions of an iteration, one after the other.
  void emit_iteration(const LoopProgram& program) {
    llvm::Function* driver = new_driver(driver_name(program.iteration_symbol), ir_.getVoidTy());
    llvm::Value* calls = driver->getArg(0);
    llvm::Value* arena = load_pointer(calls, offsetof(smelt_call, arena));
    for (size_t i = 0; i < program.iteration.size(); ++i) {
      llvm::Value* call = at_offset(calls, static_cast<int64_t>(i * sizeof(smelt_call)));
      const std::string& name = program.functions[static_cast<size_t>(program.iteration[i])].name;
      ir_.CreateCall(declare_driver(driver_name(name), ir_.getVoidTy()),
                     {call, driver->getArg(1), driver->getArg(2), driver->getArg(3)});
      barrier(driver, arena);
      llvm::Value* status = ir_.CreateLoad(ir_.getInt32Ty(), driver->getArg(1));
      llvm::BasicBlock* stop = new_block(driver, "stop");
      llvm::BasicBlock* go_on = new_block(driver, "next");
      ir_.CreateCondBr(ir_.CreateICmpNE(status, ir_.getInt32(SMELT_CALL_OK)), stop, go_on);
      ir_.SetInsertPoint(stop);
      ir_.CreateRetVoid();
      ir_.SetInsertPoint(go_on);
    }
    on_first_thread(driver, [&] { count_up(arena, offsetof(smelt_arena, iteration)); });
    ir_.CreateRetVoid();
    emit_entry(program.iteration_symbol, driver);
  }

 private:
  /// All threads read the same scalar after a barrier, so all leave or none.
  void leave_if_nonfinite(llvm::Function* driver, const LoopBuffer& loss) {
    llvm::Value* table = load_pointer(driver->getArg(0), offsetof(smelt_call, outputs));
    SMELT_CHECK(loss.storage == Storage::Output, "`{}` is an output", loss.name);
    llvm::Value* at = load_pointer(table, static_cast<int64_t>(sizeof(void*)) * loss.ref);
    LlvmScalars scalars(ir_, target_.has_fma);
    llvm::Value* value = ir_.CreateLoad(scalars.element_type(loss.type.dtype), at);
    llvm::Value* difference = ir_.CreateFSub(value, value);
    llvm::BasicBlock* stop = new_block(driver, "nonfinite");
    llvm::BasicBlock* go_on = new_block(driver, "finite");
    ir_.CreateCondBr(ir_.CreateFCmpUNO(difference, difference), stop, go_on);
    ir_.SetInsertPoint(stop);
    ir_.CreateStore(ir_.getInt32(SMELT_CALL_NONFINITE), driver->getArg(1));  // every thread stores the same
    if (driver->getReturnType()->isVoidTy())
      ir_.CreateRetVoid();
    else
      ir_.CreateRet(ir_.getTrue());
    ir_.SetInsertPoint(go_on);
  }

  void call_part(llvm::Function* driver, llvm::Function* part) {
    llvm::Value* stops =
        ir_.CreateCall(part, {driver->getArg(0), driver->getArg(1), driver->getArg(2), driver->getArg(3)});
    llvm::BasicBlock* stop = new_block(driver, "stop");
    llvm::BasicBlock* go_on = new_block(driver, "next");
    ir_.CreateCondBr(stops, stop, go_on);
    ir_.SetInsertPoint(stop);
    ir_.CreateRetVoid();
    ir_.SetInsertPoint(go_on);
  }

  /// Kernels `begin` to `end` - 1, which cut no repetition, in a driver or a part of one.
  void emit_range(const LoopFunction& function, const std::vector<KernelUse>& uses, size_t begin, size_t end,
                  llvm::Function* driver, llvm::Value* arena) {
    llvm::Value* call = driver->getArg(0);
    size_t slots = 0;
    for (size_t k = begin; k < end; ++k) slots = std::max(slots, uses[k].buffers.size() + uses[k].draws.size());
    llvm::Value* frame = ir_.CreateAlloca(ir_.getPtrTy(), ir_.getInt64(kFrameBuffers + slots), "frame");
    ir_.CreateStore(arena, frame);
    ir_.CreateStore(load_pointer(call, offsetof(smelt_call, extents)), frame_slot(frame, kFrameExtents));
    emit_steps({function, uses, driver, frame, call, arena, {}}, begin, end, -1);
  }

  /// What the code of one driver is made from.
  struct Scene {
    const LoopFunction& function;
    const std::vector<KernelUse>& uses;
    llvm::Function* driver;
    llvm::Value *frame, *call, *arena;
    std::map<int32_t, llvm::Value*> steps;  // the step that each open repetition is at
  };

  /// Kernels `begin` .. `end` - 1 of repetition `parent`.
  void emit_steps(const Scene& scene, size_t begin, size_t end, int32_t parent) {
    for (size_t k = begin; k < end;) {
      const int32_t repeat = repeat_at(scene.function, k, parent);
      if (repeat < 0) {
        emit_kernel(scene, k++);
        continue;
      }
      emit_repeat(scene, repeat);
      k = static_cast<size_t>(scene.function.repeats[static_cast<size_t>(repeat)].last);
    }
  }

  void emit_repeat(Scene scene, int32_t index) {
    const Repeat& repeat = scene.function.repeats[static_cast<size_t>(index)];
    // In the entry block: a repetition inside of another would take more of the stack each time.
    llvm::BasicBlock& entry = scene.driver->getEntryBlock();
    llvm::Value* turn = llvm::IRBuilder<>(&entry, entry.begin()).CreateAlloca(ir_.getInt64Ty(), nullptr, "turn");
    llvm::Value* steps = ir_.getInt64(static_cast<uint64_t>(repeat.steps.bound));
    if (!repeat.steps.is_static()) {
      llvm::Value* extents = load_pointer(scene.call, offsetof(smelt_call, extents));
      steps = ir_.CreateLoad(ir_.getInt64Ty(), at_offset(extents, repeat.steps.symbol * int64_t{sizeof(int64_t)}));
    }
    ir_.CreateStore(ir_.getInt64(0), turn);
    llvm::BasicBlock* head = new_block(scene.driver, "steps");
    llvm::BasicBlock* body = new_block(scene.driver, "step");
    llvm::BasicBlock* after = new_block(scene.driver, "stepped");
    ir_.CreateBr(head);
    ir_.SetInsertPoint(head);
    llvm::Value* now = ir_.CreateLoad(ir_.getInt64Ty(), turn);
    llvm::Value* has_step = ir_.CreateICmpSLT(now, steps);
    if (repeat.until < 0) {
      ir_.CreateCondBr(has_step, body, after);
    } else {
      llvm::BasicBlock* ask = new_block(scene.driver, "ask");
      ir_.CreateCondBr(has_step, ask, after);
      ir_.SetInsertPoint(ask);
      ir_.CreateCondBr(is_over(scene, repeat.until), after, body);
    }
    ir_.SetInsertPoint(body);
    scene.steps[index] = repeat.reverse ? ir_.CreateSub(ir_.CreateSub(steps, ir_.getInt64(1)), now) : now;
    emit_steps(scene, static_cast<size_t>(repeat.first), static_cast<size_t>(repeat.last), index);
    ir_.CreateStore(ir_.CreateAdd(now, ir_.getInt64(1)), turn);
    ir_.CreateBr(head);
    ir_.SetInsertPoint(after);
  }

  /// All threads find the same, because the number is there when they ask, and no step changes it before all have.
  llvm::Value* is_over(const Scene& scene, int32_t until) {
    barrier(scene.driver, scene.arena);
    const LoopBuffer& buffer = scene.function.buffers[static_cast<size_t>(until)];
    llvm::Value* number = ir_.CreateLoad(ir_.getInt32Ty(), buffer_pointer(scene, buffer));
    barrier(scene.driver, scene.arena);
    return ir_.CreateICmpNE(number, ir_.getInt32(0));
  }

  void emit_kernel(const Scene& scene, size_t k) {
    const LoopFunction& function = scene.function;
    const Kernel& kernel = function.kernels[k];
    fill_frame(scene, scene.uses[k]);
    ir_.CreateCall(kernel_function(scene.uses[k].symbol),
                   {scene.frame, scene.driver->getArg(2), scene.driver->getArg(3)});
    // One thread runs a serial kernel, and whatever comes next too: it need not wait for itself.
    const bool next_is_same = kernel.serial && next_is_serial(function, k);
    if (!next_is_same || !kernel.guarded.empty()) barrier(scene.driver, scene.arena);
    stamp(function, scene.driver, scene.arena, k);
    for (const int32_t guarded : kernel.guarded)
      leave_if_nonfinite(scene.driver, function.buffers[static_cast<size_t>(guarded)]);
  }

  /// Whether each kernel that may run after kernel k is serial: the next one, the first of a repetition that ends here,
  /// and what follows a repetition of no steps.
  static bool next_is_serial(const LoopFunction& function, size_t k) {
    const auto next = static_cast<int32_t>(k) + 1;
    for (const Repeat& repeat : function.repeats) {
      if (repeat.last == next && !function.kernels[static_cast<size_t>(repeat.first)].serial) return false;
    }
    return begins_serially(function, next);
  }

  static bool begins_serially(const LoopFunction& function, int32_t at) {
    if (at >= static_cast<int32_t>(function.kernels.size())) return false;
    if (!function.kernels[static_cast<size_t>(at)].serial) return false;
    return std::ranges::all_of(function.repeats, [&](const Repeat& repeat) {
      return repeat.first != at || repeat.last == at || begins_serially(function, repeat.last);
    });
  }

  llvm::Value* read_cycles() { return ir_.CreateIntrinsic(llvm::Intrinsic::readcyclecounter, {}, {}); }
  llvm::Value* stamp_place(const LoopFunction& function, llvm::Value* arena, size_t index) {
    return at_offset(arena, function.stamps_offset + static_cast<int64_t>(sizeof(uint64_t) * index));
  }

  /// Profiling: see LoopFunction::stamps_offset.
  void begin_stamps(const LoopFunction& function, llvm::Function* driver, llvm::Value* arena) {
    if (function.stamps_offset < 0) return;
    on_first_thread(driver, [&] {
      const size_t count = function.kernels.size();
      for (size_t k = 0; k < count; ++k) ir_.CreateStore(ir_.getInt64(0), stamp_place(function, arena, k));
      llvm::Value* now = read_cycles();
      ir_.CreateStore(now, stamp_place(function, arena, count));
      ir_.CreateStore(now, stamp_place(function, arena, count + 1));
    });
  }

  /// The first thread's cycles since the stamp before, after the others have caught up, count for kernel k.
  void stamp(const LoopFunction& function, llvm::Function* driver, llvm::Value* arena, size_t k) {
    if (function.stamps_offset < 0) return;
    on_first_thread(driver, [&] {
      llvm::Value* now = read_cycles();
      llvm::Value *sum = stamp_place(function, arena, k),
                  *last = stamp_place(function, arena, function.kernels.size() + 1);
      llvm::Value* taken = ir_.CreateSub(now, ir_.CreateLoad(ir_.getInt64Ty(), last));
      ir_.CreateStore(ir_.CreateAdd(ir_.CreateLoad(ir_.getInt64Ty(), sum), taken), sum);
      ir_.CreateStore(now, last);
    });
  }

  void fill_frame(const Scene& scene, const KernelUse& use) {
    uint64_t slot = kFrameBuffers;
    for (const int32_t b : use.buffers) {
      const LoopBuffer& buffer = scene.function.buffers[static_cast<size_t>(b)];
      ir_.CreateStore(buffer_pointer(scene, buffer), frame_slot(scene.frame, slot++));
    }
    for (const DrawSite& draw : use.draws) {
      ir_.CreateStore(ir_.getInt64(uint64_t{draw.loop} << 32 | draw.site), frame_slot(scene.frame, slot++));
    }
  }

  llvm::Value* frame_slot(llvm::Value* frame, uint64_t slot) {
    return ir_.CreateConstInBoundsGEP1_64(ir_.getPtrTy(), frame, slot);
  }

  llvm::Function* kernel_function(const std::string& name) {
    llvm::Type* i32 = ir_.getInt32Ty();
    return new_function(module_, name, llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), i32, i32}, false));
  }

  llvm::Value* buffer_pointer(const Scene& scene, const LoopBuffer& buffer) {
    switch (buffer.storage) {
      case Storage::Variable:
      case Storage::Temporary: return at_offset(scene.arena, buffer.offset);
      case Storage::Scalar: return at_offset(scene.arena, slot_offset(scene.function, buffer));
      case Storage::Input: return table_entry(scene.call, offsetof(smelt_call, inputs), buffer.ref);
      case Storage::Output: return table_entry(scene.call, offsetof(smelt_call, outputs), buffer.ref);
      case Storage::Slice: {
        llvm::Value* whole = buffer_pointer(scene, scene.function.buffers[static_cast<size_t>(buffer.ref)]);
        const auto bytes = static_cast<uint64_t>(byte_size(buffer.type).value());
        llvm::Value* distance = ir_.CreateMul(scene.steps.at(buffer.repeat), ir_.getInt64(bytes));
        return ir_.CreateInBoundsGEP(ir_.getInt8Ty(), whole, distance);
      }
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
    llvm::Value* flag = ir_.CreateLoad(ir_.getInt64Ty(), at_offset(arena, offsetof(smelt_arena, nonfinite)));
    llvm::Value* status = ir_.CreateSelect(ir_.CreateICmpNE(flag, ir_.getInt64(0)),
                                           ir_.getInt32(SMELT_CALL_NONFINITE_UPDATE), ir_.getInt32(SMELT_CALL_OK));
    ir_.CreateStore(status, driver->getArg(1));
  }

  const Target& target_;
};

}  // namespace

/// Kernels that run once a call are not worth good code around them, which is some 20 instructions a kernel. Cold
/// compile of inception_v3: 0.975 of the time (November 2026, `smelt build` in turns).
static Effort effort_of_part(const LoopFunction& function, size_t begin, size_t end) {
  const bool repeats = std::ranges::any_of(function.repeats, [&](const Repeat& repeat) {
    return static_cast<size_t>(repeat.first) >= begin && static_cast<size_t>(repeat.first) < end;
  });
  return repeats ? Effort::Full : Effort::Least;
}

void emit_driver(const DriverModules& modules, const LoopFunction& function, const std::vector<KernelUse>& uses) {
  const std::vector<size_t> bounds = part_bounds(function);
  for (size_t i = 0; i + 1 < bounds.size() && bounds.size() > 2; ++i) {
    llvm::Module& module = modules.next(effort_of_part(function, bounds[i], bounds[i + 1]));
    DriverEmitter(module, modules.target, modules.shared).emit_part(function, uses, bounds[i], bounds[i + 1]);
  }
  DriverEmitter(modules.next(Effort::Full), modules.target, modules.shared).emit_driver(function, uses);
}

void emit_iteration(const DriverModules& modules, const LoopProgram& program) {
  if (!program.iteration_symbol.empty())
    DriverEmitter(modules.next(Effort::Full), modules.target, modules.shared).emit_iteration(program);
}

}  // namespace smelt
