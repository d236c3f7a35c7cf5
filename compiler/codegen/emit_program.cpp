#include "compiler/codegen/emit_program.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "compiler/codegen/emit_drivers.h"
#include "compiler/codegen/kernel_emitter.h"
#include "compiler/codegen/link_objects.h"
#include "compiler/codegen/machine_code.h"
#include "compiler/loops/kernel_identity.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

// Instructions of LLVM IR from which on a part is handed over: enough to pay for its pass managers, few enough that
// the last one does not keep the other cores waiting. Cold `smelt build` of examples/inception_v3 with 500, 1500 and
// 4000: 2.61 to 2.73, 2.52 to 2.58 and 2.56 s; of gpt 0.59 to 0.61, 0.58 to 0.59 and 0.59 (medians of five, twice, two
// cores).
constexpr unsigned kPartInstructions = 1500;
constexpr unsigned kPlainInstructions = 6000;  // of code that is not optimised, in a third of the time

class ProgramEmitter {
 public:
  /// `in_parts`: they are handed over when they are large enough.
  ProgramEmitter(const LoopProgram& program, const Target& target, CodeQueue& queue, bool in_parts)
      : program_(program), target_(target), queue_(queue), in_parts_(in_parts), part_(queue.new_part()) {}

  void run() {
    const DriverModules modules{target_, shared_, [&](Effort effort) -> llvm::Module& {
                                  hand_over_if_full();
                                  return effort == Effort::Least && in_parts_ ? next_plain() : *part_.module;
                                }};
    for (const LoopFunction& function : program_.functions) {
      std::vector<KernelUse> uses;
      for (size_t k = 0; k < function.kernels.size(); ++k) uses.push_back(use_of(function, k));
      emit_driver(modules, function, uses);
    }
    emit_iteration(modules, program_);
    for (const auto& [name, define] : shared_.wanted()) {
      hand_over_if_full();
      define(*part_.module);
    }
    if (plain_.module) queue_.push(std::move(plain_));
    queue_.push(std::move(part_));
  }

 private:
  KernelUse use_of(const LoopFunction& function, size_t k) {
    const Kernel& kernel = function.kernels[k];
    KernelIdentity identity = identify(function, kernel);
    const auto [known, fresh] = kernels_.try_emplace(identity.key, function.name + "." + name_of(function, k));
    if (fresh) {
      emit_kernel({*part_.module, target_, function, shared_}, kernel, identity, known->second);
      hand_over_if_full();
    }
    return {known->second, std::move(identity.buffers), std::move(identity.draws)};
  }

  void hand_over_if_full() {
    if (is_full(part_, kPartInstructions)) queue_.push(std::exchange(part_, queue_.new_part()));
  }

  /// Of code that is not optimised.
  llvm::Module& next_plain() {
    if (plain_.module && is_full(plain_, kPlainInstructions)) queue_.push(std::move(plain_));
    if (!plain_.module) plain_ = queue_.new_part(Effort::Least);
    return *plain_.module;
  }

  bool is_full(const CodePart& part, unsigned limit) const {
    return in_parts_ && part.module->getInstructionCount() >= limit;
  }

  const LoopProgram& program_;
  const Target& target_;
  CodeQueue& queue_;
  const bool in_parts_;
  CodePart part_, plain_;
  SharedFunctions shared_;
  std::map<std::string, std::string> kernels_;  // identity -> symbol
};

}  // namespace

/// Kernels of a program share functions, and tiles were made for the lanes of its target.
static void check_lanes(const LoopProgram& program, const Target& target) {
  for (const LoopFunction& function : program.functions) {
    const bool fits = function.lanes && function.lanes == program.functions[0].lanes &&
                      function.lanes->count == target.lanes(function.lanes->dtype);
    SMELT_CHECK(fits, "`{}` was not scheduled for the vectors of `{}` and of its program", function.name, target.name);
  }
}

std::vector<char> emit_program(const LoopProgram& program, const Target& target, CodeKind kind,
                               const CodegenOptions& options) {
  CodeQueue queue(target, kind, options);
  check_lanes(program, target);
  // A text is one module, because tools read no more of a file.
  const bool is_text = kind != CodeKind::Object;
  ProgramEmitter(program, target, queue, !is_text).run();
  std::vector<std::vector<char>> parts = queue.finish();
  if (!is_text) {
    std::set<std::string> exported = {program.iteration_symbol};
    for (const LoopFunction& function : program.functions) exported.insert(function.name);
    return link_objects(parts, exported);
  }
  SMELT_CHECK(parts.size() == 1, "a text of {} modules", parts.size());
  return std::move(parts[0]);
}

}  // namespace smelt
