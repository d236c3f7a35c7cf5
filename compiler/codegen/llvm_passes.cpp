#include "compiler/codegen/llvm_passes.h"

#include <llvm/IR/Module.h>
#include <llvm/Pass.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/DCE.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/LoopStrengthReduce.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include <algorithm>
#include <string_view>

#include "compiler/codegen/llvm_pointer.h"

namespace smelt {
namespace {

constexpr const char* kLeaveAddresses = "smelt-leave-addresses";

// By the names that LLVM 19 gives them. Objects of the examples are the same to the byte without all but the last two,
// and a cold compile of inception_v3 takes 5 % less processor time (November 2026; `smelt build` with these lines and
// without, in turns).
constexpr std::string_view kLeftOut[] = {
    // Calls that unwind, debuggers, collectors of garbage, sanitizers and tracers:
    "Exception handling preparation", "Contiguously Lay Out Funclets", "Live DEBUG_VALUE analysis",
    "Remove Redundant DEBUG_VALUE analysis", "Pseudo Probe Inserter", "Lower Garbage Collection Instructions",
    "Shadow Stack GC Lowering", "Analyze Machine Code For Garbage Collection", "Fixup Statepoint Caller Saved",
    "StackMap Liveness Analysis", "Machine Sanitizer Binary Metadata", "Insert fentry calls", "Insert XRay ops",
    "Instrument function entry/exit with calls to e.g. mcount() (post inlining)",
    "Implement the 'patchable-function' attribute", "Stack Frame Layout Analysis", "Register Allocation Pass Scoring",
    // Guards against attackers, and jumps to places that are computed:
    "Safe Stack instrumentation pass", "Insert stack protectors", "X86 speculative load hardening",
    "X86 Load Value Injection (LVI) Load Hardening", "X86 Load Value Injection (LVI) Ret-Hardening",
    "X86 Speculative Execution Side Effect Suppression", "X86 Indirect Thunks", "X86 Return Thunks",
    "X86 Indirect Branch Tracking", "Insert KCFI indirect call checks", "Expand indirectbr instructions",
    "Prepare callbr",
    // Other machines, and units of this one that nothing is emitted for:
    "X86 Windows Fixup Buffer Security Check", "X86 Atom pad short functions", "Lower AMX intrinsics",
    "Lower AMX type for load/store", "Tile Register Pre-configure", "Tile Register Configure", "X86 Lower Tile Copy",
    "X86 insert wait instruction", "X86 Insert Cache Prefetches", "X86 Discriminate Memory Operands",
    // Variables of threads, comparisons and calls of the C library, and intrinsics that are not emitted:
    "TLS Variable Hoist", "Local Dynamic TLS Access Clean-up", "Argument Stack Rebase",
    "Merge contiguous icmps into a memcmp", "Expand memcmp() to load/stores",
    "Replace intrinsics with calls to vector library", "Partially inline calls to library functions",
    "Expand vector predication intrinsics", "Interleaved Access Pass", "X86 Partial Reduction",
    "X86 Domain Reassignment Pass",
    // The order of instructions, once more after registers are chosen. Processors have an order of their own: 5 % of a
    // cold compile, and mlp, vae, gan, charlm_lstm, conv, gpt, dcgan, wavenet, transformer 0.99 to 1.01 (`smelt bench`)
    "Post RA top-down list latency scheduler",
    // Runs in IrPasses, where addresses count:
    "Loop Strength Reduction"};

}  // namespace

void leave_addresses(llvm::Function& function) { function.addFnAttr(kLeaveAddresses); }

void IrPasses::choose_passes(llvm::TargetMachine& machine) {
  const auto builder = make_llvm<llvm::PassBuilder>(&machine);
  builder->registerModuleAnalyses(modules_);
  builder->registerCGSCCAnalyses(components_);
  builder->registerFunctionAnalyses(functions_);
  builder->registerLoopAnalyses(loops_);
  builder->crossRegisterProxies(loops_, functions_, components_, modules_);
  passes_.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
  passes_.addPass(llvm::EarlyCSEPass(true));
  passes_.addPass(llvm::InstCombinePass());
  passes_.addPass(llvm::SimplifyCFGPass());
  passes_.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()), /*UseMemorySSA=*/true));
  passes_.addPass(llvm::DCEPass());
  addresses_.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LoopStrengthReducePass()));
}

void IrPasses::run(llvm::Module& module, llvm::TargetMachine& machine) {
  choose_passes(machine);
  for (llvm::Function& function : module) {
    if (function.isDeclaration()) continue;
    passes_.run(function, functions_);
    if (!function.hasFnAttribute(kLeaveAddresses)) addresses_.run(function, functions_);
  }
}

void CodePasses::add(llvm::Pass* pass) {
  const llvm::StringRef name = pass->getPassName();
  const bool left_out = std::ranges::find(kLeftOut, std::string_view(name.data(), name.size())) != std::end(kLeftOut);
  if (left_out)
    delete pass;
  else
    llvm::legacy::PassManager::add(pass);
}

}  // namespace smelt
