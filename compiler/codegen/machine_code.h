// LLVM modules -> machine code. A program is compiled in parts, each a module with a context of its own, on all cores.
#pragma once

#include <llvm/IR/Module.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/llvm_pointer.h"

namespace smelt {

/// What is done for the code of a part. `Least`: instructions are selected one by one and nothing is optimised, in less
/// than half of the time.
enum class Effort : uint8_t { Full, Least };

/// A module and what it becomes. Parts share nothing, so that threads may compile them side by side.
struct CodePart {
  LlvmPointer<llvm::LLVMContext> context;
  LlvmPointer<llvm::Module> module;
  Effort effort = Effort::Full;
};

/// Compiles parts while the caller makes more of them. What comes out does not depend on the number of threads.
class CodeQueue {
 public:
  CodeQueue(const Target& target, CodeKind kind, const CodegenOptions& options);
  ~CodeQueue();
  CodeQueue(const CodeQueue&) = delete;
  CodeQueue& operator=(const CodeQueue&) = delete;

  CodePart new_part(Effort effort = Effort::Full) const;
  void push(CodePart part);
  /// Works with the other threads until all is done; the code of each part, in the order of push. Called once.
  std::vector<std::vector<char>> finish();

 private:
  void work();
  std::optional<std::pair<CodePart, size_t>> take();

  const Target target_;
  const CodeKind kind_;
  const CodegenOptions options_;
  const std::string data_layout_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<CodePart> waiting_;           // guarded by mutex_, as all below
  std::deque<std::vector<char>> results_;  // of parts 0, 1, ..
  size_t taken_ = 0;
  bool closed_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

}  // namespace smelt
