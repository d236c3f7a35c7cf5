// Which of LLVM's passes run: a few of our choice on its IR, and those of its code generator that have something to do
// here.
#pragma once

#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/PassManager.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Target/TargetMachine.h>

namespace smelt {

/// The code is emitted in its final form; these clean up after the emitter's stack slots and repeated addresses. LLVM's
/// default pipelines cost ten times as much and vectorise nothing that is not vectors already.
class IrPasses {
 public:
  /// Once. The constructor allocates nothing: what it had made so far would be destroyed if memory ran out in it, half
  /// changed as it is (llvm_pointer.h).
  void run(llvm::Module& module, llvm::TargetMachine& machine);

 private:
  void choose_passes(llvm::TargetMachine& machine);

  llvm::LoopAnalysisManager loops_;
  llvm::FunctionAnalysisManager functions_;
  llvm::CGSCCAnalysisManager components_;
  llvm::ModuleAnalysisManager modules_;
  llvm::FunctionPassManager passes_, addresses_;
};

/// Says that the loops of a function do so much at each turn that the addresses of the turn do not count.
void leave_addresses(llvm::Function& function);

/// Leaves out passes of the code generator that look for what our code never has.
class CodePasses : public llvm::legacy::PassManager {
 public:
  void add(llvm::Pass* pass) override;
};

}  // namespace smelt
