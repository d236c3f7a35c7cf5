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

namespace smelt {
namespace {

// Instructions of LLVM IR from which on a part is handed over: enough to pay for its pass managers, few enough that
// the last one does not keep the other cores waiting.
constexpr unsigned kPartInstructions = 500;

class ProgramEmitter {
 public:
  ProgramEmitter(const LoopProgram& program, const Target& target, CodeQueue& queue)
      : program_(program), target_(target), queue_(queue), part_(queue.new_part()) {}

  void run() {
    for (const LoopFunction& function : program_.functions) {
      std::vector<KernelUse>& uses = uses_.emplace_back();
      for (const Kernel& kernel : function.kernels) uses.push_back(use_of(function, kernel));
    }
    for (const auto& [name, define] : shared_.wanted()) {
      define(*part_.module);
      hand_over_if_full();
    }
    emit_drivers(*part_.module, program_, target_, uses_);
    queue_.push(std::move(part_));
  }

 private:
  KernelUse use_of(const LoopFunction& function, const Kernel& kernel) {
    KernelIdentity identity = identify(function, kernel);
    const auto [known, fresh] = kernels_.try_emplace(identity.key, function.name + "." + kernel.name);
    if (fresh) {
      KernelEmitter emitter(*part_.module, target_, function, program_.vector_dtype, shared_);
      emitter.emit(kernel, identity, known->second);
      hand_over_if_full();
    }
    return {known->second, std::move(identity.buffers), std::move(identity.draws)};
  }

  void hand_over_if_full() {
    if (part_.module->getInstructionCount() >= kPartInstructions) queue_.push(std::exchange(part_, queue_.new_part()));
  }

  const LoopProgram& program_;
  const Target& target_;
  CodeQueue& queue_;
  CodePart part_;
  SharedFunctions shared_;
  std::map<std::string, std::string> kernels_;  // identity -> symbol
  std::vector<std::vector<KernelUse>> uses_;
};

}  // namespace

std::vector<char> emit_program(const LoopProgram& program, const Target& target, CodeKind kind,
                               const CodegenOptions& options) {
  CodeQueue queue(target, kind, options);
  ProgramEmitter(program, target, queue).run();
  const std::vector<std::vector<char>> parts = queue.finish();
  if (kind == CodeKind::Object) {
    std::set<std::string> exported = {program.iteration_symbol};
    for (const LoopFunction& function : program.functions) exported.insert(function.name);
    return link_objects(parts, exported);
  }
  std::vector<char> text;
  for (const std::vector<char>& part : parts) text.insert(text.end(), part.begin(), part.end());
  return text;
}

}  // namespace smelt
