#include "compiler/codegen/emit_program.h"

#include <llvm/Analysis/CGSCCPassManager.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/DCE.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include <cstddef>
#include <memory>

#include "compiler/codegen/kernel_emitter.h"
#include "ir/support/check.h"
#include "ir/support/fault.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

/// Emits one module: kernels, one driver a function that runs them on one thread of many, and the entries.
class ProgramEmitter {
 public:
  ProgramEmitter(llvm::Module& module, const LoopProgram& program, const Target& target)
      : module_(module), program_(program), target_(target), ir_(module.getContext()) {}

  void run() {
    for (const LoopFunction& function : program_.functions) drivers_.push_back(emit_driver(function));
    for (size_t f = 0; f < drivers_.size(); ++f) emit_entry(program_.functions[f].name, drivers_[f]);
    if (!program_.iteration_symbol.empty()) emit_entry(program_.iteration_symbol, emit_iteration());
  }

 private:
  /// void driver(ptr call, ptr status, i32 thread, i32 count)
  llvm::Function* new_driver(const std::string& name) {
    llvm::Type* i32 = ir_.getInt32Ty();
    auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), ir_.getPtrTy(), i32, i32}, false);
    auto* function = llvm::Function::Create(type, llvm::Function::InternalLinkage, name, module_);
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

  /// All threads read the same loss after a barrier, so all leave or none.
  void leave_if_nonfinite(llvm::Function* driver, const LoopFunction& function, const Kernel& kernel) {
    const LoopBuffer& loss = function.buffers[static_cast<size_t>(kernel.guarded)];
    llvm::Value* table = load_pointer(driver->getArg(0), offsetof(smelt_call, outputs));
    SMELT_CHECK(loss.storage == Storage::Output, "the loss is an output");
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

  llvm::Function* emit_driver(const LoopFunction& function) {
    KernelEmitter kernels(module_, target_, function, program_.vector_dtype, shared_);
    std::vector<llvm::Function*> emitted;
    for (const Kernel& kernel : function.kernels) emitted.push_back(kernels.emit(kernel));
    llvm::Function* driver = new_driver(function.name + ".threads");
    llvm::Value* call = driver->getArg(0);
    llvm::Value* arena = load_pointer(call, offsetof(smelt_call, arena));
    for (size_t k = 0; k < emitted.size(); ++k) {
      ir_.CreateCall(emitted[k], {call, driver->getArg(2), driver->getArg(3)});
      const bool last = k + 1 == emitted.size();
      // One thread runs a serial kernel, and the next one too: it need not wait for itself.
      const bool next_is_same = !last && function.kernels[k].serial && SMELT_FAULT(60, function.kernels[k + 1].serial, true);
      if ((!next_is_same || function.kernels[k].returns_if_nonfinite) && SMELT_FAULT(59, true, last)) barrier(driver, arena);
      if (function.kernels[k].returns_if_nonfinite) leave_if_nonfinite(driver, function, function.kernels[k]);
    }
    if (function.advances && SMELT_FAULT(61, true, false)) on_first_thread(driver, [&] { commit(function, driver, arena); });
    ir_.CreateRetVoid();
    return driver;
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
    auto* task = llvm::Function::Create(task_type, llvm::Function::InternalLinkage, name + ".task", module_);
    ir_.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", task));
    ir_.CreateCall(driver, {load_pointer(task->getArg(0), 0), load_pointer(task->getArg(0), sizeof(void*)), task->getArg(1),
                            task->getArg(2)});
    ir_.CreateRetVoid();

    auto* entry = llvm::Function::Create(llvm::FunctionType::get(i32, {pointer}, false), llvm::Function::ExternalLinkage,
                                         name, module_);
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
  SharedFunctions shared_;
  std::vector<llvm::Function*> drivers_;
};

// The code is emitted in its final form; these clean up after the emitter's stack slots and repeated addresses. The
// default pipelines cost ten times as much and vectorise nothing that is not vectors already.
void optimize(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
  passes.addPass(llvm::EarlyCSEPass(true));
  passes.addPass(llvm::InstCombinePass());
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()), /*UseMemorySSA=*/true));
  passes.addPass(llvm::DCEPass());
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) passes.run(function, functions);
  }
}

const llvm::Target* x86_target(std::string& error) {
  static const bool initialized = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  (void)initialized;
  return llvm::TargetRegistry::lookupTarget("x86_64-pc-linux-gnu", error);
}

}  // namespace

Result<std::vector<char>> emit_program(const LoopProgram& program, const Target& target, CodeKind kind,
                                       const CodegenOptions& options) {
  std::string error;
  const llvm::Target* llvm_target = x86_target(error);
  if (llvm_target == nullptr) return fail(ErrorKind::Unsupported, error);
  llvm::TargetOptions target_options;
  // A multiply and an add stay two roundings unless the IR says fma: one meaning on every path.
  target_options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  const std::unique_ptr<llvm::TargetMachine> machine(llvm_target->createTargetMachine(
      "x86_64-pc-linux-gnu", target.cpu, target.features, target_options, llvm::Reloc::PIC_, std::nullopt,
      options.optimize ? llvm::CodeGenOptLevel::Default : llvm::CodeGenOptLevel::None));

  llvm::LLVMContext context;
  llvm::Module module("smelt", context);
  module.setTargetTriple("x86_64-pc-linux-gnu");
  module.setDataLayout(machine->createDataLayout());
  ProgramEmitter(module, program, target).run();
  const std::string width = std::to_string(target.vector_bytes * 8);
  for (llvm::Function& function : module) {
    if (function.isDeclaration()) continue;
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    function.addFnAttr(llvm::Attribute::NoUnwind);
    function.addFnAttr("target-cpu", target.cpu);
    if (!target.features.empty()) function.addFnAttr("target-features", target.features);
  }
  std::string problems;
  llvm::raw_string_ostream problem_stream(problems);
  SMELT_CHECK(!llvm::verifyModule(module, &problem_stream), "generated code is malformed: {}", problems);
  if (options.optimize) optimize(module, *machine);

  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  if (kind == CodeKind::LlvmIr) {
    module.print(out, nullptr);
  } else {
    llvm::legacy::PassManager emission;
    const auto file_type = kind == CodeKind::Object ? llvm::CodeGenFileType::ObjectFile : llvm::CodeGenFileType::AssemblyFile;
    SMELT_CHECK(!machine->addPassesToEmitFile(emission, out, nullptr, file_type), "the target cannot emit files");
    emission.run(module);
  }
  return std::vector<char>(bytes.begin(), bytes.end());
}

}  // namespace smelt
