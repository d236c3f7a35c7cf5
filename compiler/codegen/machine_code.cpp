#include "compiler/codegen/machine_code.h"

#include <llvm/Config/llvm-config.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/ErrorHandling.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>

#include <algorithm>
#include <map>
#include <new>
#include <string>
#include <utility>

#include "compiler/codegen/llvm_passes.h"
#include "ir/support/check.h"
#include "ir/support/start_thread.h"

namespace smelt {
namespace {

constexpr const char* kTriple = "x86_64-pc-linux-gnu";
// Division by a number of threads or rows, a few times a kernel: LLVM would ask before each whether 32 bits are enough,
// with blocks of its own. Cold compile of inception_v3: 0.91 of the processor time without (November 2026, in turns).
constexpr const char* kPlainDivision = "-idivq-to-divl,-idivl-to-divb";
constexpr unsigned kMaxThreads = 8;  // more parts than this are rare

LlvmPointer<llvm::TargetMachine> make_machine(const Target& target, Effort effort) {
  static const bool initialized = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    // LLVM would abort. Its own `new` throws as well: see llvm_pointer.h.
    llvm::install_bad_alloc_error_handler([](void*, const char*, bool) { throw std::bad_alloc(); });
    return true;
  }();
  (void)initialized;
  std::string error;
  const llvm::Target* x86 = llvm::TargetRegistry::lookupTarget(kTriple, error);
  SMELT_CHECK(x86 != nullptr, "LLVM has no x86 target: {}", error);
  llvm::TargetOptions options;
  // A multiply and an add stay two roundings unless the IR says fma: one meaning on every path.
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return LlvmPointer<llvm::TargetMachine>(
      x86->createTargetMachine(kTriple, target.cpu, target.features, options, llvm::Reloc::PIC_, std::nullopt,
                               effort == Effort::Full ? llvm::CodeGenOptLevel::Default : llvm::CodeGenOptLevel::None));
}

void set_attributes(llvm::Module& module, const Target& target) {
  const std::string width = std::to_string(target.vector_bytes * 8);
  const std::string features = target.features + (target.features.empty() ? "" : ",") + kPlainDivision;
  for (llvm::Function& function : module) {
    if (function.isDeclaration()) continue;
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    function.addFnAttr(llvm::Attribute::NoUnwind);
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("target-features", features);
  }
}

// FastISel of LLVM 19, which selects instructions where nothing is optimised, makes `vblendvps` of a select by a
// comparison of floats on AVX2 and folds the load of a scalar into it. That reads 16 bytes, so that a scalar at the end
// of a page faults (tests/files/graphs/select_at_the_end_of_a_page.txt). It makes a branch when it does not see the
// comparison.
void hide_comparisons(llvm::Module& module) {
  for (llvm::Function& function : module) {
    for (llvm::BasicBlock& block : function) {
      for (llvm::Instruction& instruction : block) {
        auto* select = llvm::dyn_cast<llvm::SelectInst>(&instruction);
        if (select == nullptr || !select->getType()->isFloatingPointTy()) continue;
        select->setCondition(new llvm::FreezeInst(select->getCondition(), "", select->getIterator()));
      }
    }
  }
}

std::vector<char> compile(llvm::Module& module, llvm::TargetMachine& machine, const Target& target, CodeKind kind,
                          Effort effort) {
  set_attributes(module, target);
  std::string problems;
  llvm::raw_string_ostream problem_stream(problems);
  SMELT_CHECK(!llvm::verifyModule(module, &problem_stream), "generated code is malformed: {}", problems);
  if (effort == Effort::Full)
    make_llvm<IrPasses>()->run(module, machine);
  else
    hide_comparisons(module);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  if (kind == CodeKind::LlvmIr) {
    module.print(out, nullptr);
  } else {
    const auto emission = make_llvm<CodePasses>();
    const auto file_type =
        kind == CodeKind::Object ? llvm::CodeGenFileType::ObjectFile : llvm::CodeGenFileType::AssemblyFile;
    SMELT_CHECK(!machine.addPassesToEmitFile(*emission, out, nullptr, file_type), "the target cannot emit files");
    emission->run(module);
  }
  return std::vector<char>(bytes.begin(), bytes.end());
}

}  // namespace

const char* code_generator() { return "LLVM " LLVM_VERSION_STRING; }

CodeQueue::CodeQueue(const Target& target, CodeKind kind, const CodegenOptions& options)
    : target_(target),
      kind_(kind),
      options_(options),
      data_layout_(make_machine(target, Effort::Full)->createDataLayout().getStringRepresentation()) {
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMaxThreads);
  for (unsigned t = 1; t < threads; ++t) {
    if (!start_thread(workers_, [this] { work(); })) break;  // `finish` works as well
  }
}

CodeQueue::~CodeQueue() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

CodePart CodeQueue::new_part(Effort effort) const {
  CodePart part{make_llvm<llvm::LLVMContext>(), nullptr, effort};
  part.module = make_llvm<llvm::Module>("smelt", *part.context);
  part.module->setTargetTriple(kTriple);
  part.module->setDataLayout(data_layout_);
  return part;
}

void CodeQueue::push(CodePart part) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(part));
    results_.emplace_back();
  }
  changed_.notify_one();
}

std::optional<std::pair<CodePart, size_t>> CodeQueue::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
  if (waiting_.empty() || failure_) return std::nullopt;
  std::pair<CodePart, size_t> taken{std::move(waiting_.front()), taken_++};
  waiting_.pop_front();
  return taken;
}

void CodeQueue::work() {
  try {
    std::map<Effort, LlvmPointer<llvm::TargetMachine>> machines;
    while (const auto taken = take()) {
      check_time(options_.clock);
      const auto& [part, index] = *taken;
      const Effort effort = options_.optimize ? part.effort : Effort::Least;
      LlvmPointer<llvm::TargetMachine>& machine = machines[effort];
      if (!machine) machine = make_machine(target_, effort);
      std::vector<char> code = compile(*part.module, *machine, target_, kind_, effort);
      const std::lock_guard lock(mutex_);
      results_[index] = std::move(code);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
}

std::vector<std::vector<char>> CodeQueue::finish() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  work();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  if (failure_) std::rethrow_exception(failure_);
  return {std::make_move_iterator(results_.begin()), std::make_move_iterator(results_.end())};
}

}  // namespace smelt
