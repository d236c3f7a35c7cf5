// What drivers are written with: the records of runtime/abi.h, barriers, and the entry that a caller sees.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <functional>
#include <string>

#include "compiler/codegen/shared_functions.h"

namespace smelt {

/// A driver is void name(ptr call, ptr status, i32 thread, i32 count): each thread runs it, `call` is a smelt_call and
/// `status` one of SMELT_CALL_*. A part of a driver returns whether the whole of it stops.
class DriverCode {
 public:
  explicit DriverCode(llvm::Module& module, SharedFunctions& shared)
      : module_(module), shared_(shared), ir_(module.getContext()) {}

 protected:
  llvm::Function* declare_driver(const std::string& name, llvm::Type* result);
  /// Declares it, and writes into its first block from now on.
  llvm::Function* new_driver(const std::string& name, llvm::Type* result);
  llvm::BasicBlock* new_block(llvm::Function* function, const char* name);

  llvm::Value* at_offset(llvm::Value* base, int64_t bytes);
  llvm::Value* load_pointer(llvm::Value* base, int64_t bytes);
  /// The i64 at `base + bytes` is one more.
  void count_up(llvm::Value* base, int64_t bytes);

  void on_first_thread(llvm::Function* driver, const std::function<void()>& body);
  /// All threads have come here before one goes on.
  void barrier(llvm::Function* driver, llvm::Value* arena);

  /// i32 name(ptr call): the driver on all threads of the arena's header.
  void emit_entry(const std::string& name, llvm::Function* driver);

  llvm::Module& module_;
  SharedFunctions& shared_;
  llvm::IRBuilder<> ir_;

 private:
  llvm::FunctionType* barrier_type();
  void define_barrier();
  llvm::Function* emit_task(const std::string& name, llvm::Function* driver);
};

}  // namespace smelt
