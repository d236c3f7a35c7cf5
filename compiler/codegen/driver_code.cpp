#include "compiler/codegen/driver_code.h"

#include <cstddef>

#include "runtime/abi.h"

namespace smelt {
namespace {

constexpr const char* kBarrier = "barrier";

}  // namespace

llvm::Function* DriverCode::declare_driver(const std::string& name, llvm::Type* result) {
  llvm::Type* i32 = ir_.getInt32Ty();
  auto* type = llvm::FunctionType::get(result, {ir_.getPtrTy(), ir_.getPtrTy(), i32, i32}, false);
  return new_function(module_, name, type);
}

llvm::Function* DriverCode::new_driver(const std::string& name, llvm::Type* result) {
  llvm::Function* function = declare_driver(name, result);
  // Calls and stores of pointers, in blocks as long as the model is deep: optimising them takes time that grows faster
  // than they do.
  function->addFnAttr(llvm::Attribute::OptimizeNone);
  function->addFnAttr(llvm::Attribute::NoInline);
  ir_.SetInsertPoint(new_block(function, "entry"));
  return function;
}

llvm::BasicBlock* DriverCode::new_block(llvm::Function* function, const char* name) {
  return llvm::BasicBlock::Create(module_.getContext(), name, function);
}

llvm::Value* DriverCode::at_offset(llvm::Value* base, int64_t bytes) {
  return ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), base, static_cast<uint64_t>(bytes));
}

llvm::Value* DriverCode::load_pointer(llvm::Value* base, int64_t bytes) {
  return ir_.CreateLoad(ir_.getPtrTy(), at_offset(base, bytes));
}

void DriverCode::count_up(llvm::Value* base, int64_t bytes) {
  llvm::Value* at = at_offset(base, bytes);
  ir_.CreateStore(ir_.CreateAdd(ir_.CreateLoad(ir_.getInt64Ty(), at), ir_.getInt64(1)), at);
}

void DriverCode::on_first_thread(llvm::Function* driver, const std::function<void()>& body) {
  llvm::BasicBlock *work = new_block(driver, "first"), *after = new_block(driver, "all");
  ir_.CreateCondBr(ir_.CreateICmpEQ(driver->getArg(2), ir_.getInt32(0)), work, after);
  ir_.SetInsertPoint(work);
  body();
  ir_.CreateBr(after);
  ir_.SetInsertPoint(after);
}

/// A call of one function: there is a barrier behind nearly every kernel, and its code would be half of a driver's.
void DriverCode::barrier(llvm::Function* driver, llvm::Value* arena) {
  const auto define = [&shared = shared_](llvm::Module& module) { DriverCode(module, shared).define_barrier(); };
  ir_.CreateCall(shared_.declare(module_, kBarrier, barrier_type(), define),
                 {arena, driver->getArg(2), driver->getArg(3)});
}

/// void barrier(ptr arena, i32 thread, i32 count)
llvm::FunctionType* DriverCode::barrier_type() {
  llvm::Type* i32 = ir_.getInt32Ty();
  return llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), i32, i32}, false);
}

void DriverCode::define_barrier() {
  llvm::Function* function = new_function(module_, kBarrier, barrier_type());
  llvm::BasicBlock* entry = new_block(function, "entry");
  llvm::BasicBlock *wait = new_block(function, "wait"), *released = new_block(function, "released");
  ir_.SetInsertPoint(entry);
  ir_.CreateCondBr(ir_.CreateICmpSGT(function->getArg(2), ir_.getInt32(1)), wait, released);
  ir_.SetInsertPoint(wait);
  llvm::Value* threads = load_pointer(function->getArg(0), offsetof(smelt_arena, threads));
  auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), ir_.getInt32Ty()}, false);
  llvm::Value* wait_of_threads = load_pointer(threads, offsetof(smelt_threads, barrier));
  ir_.CreateCall(type, wait_of_threads, {load_pointer(threads, offsetof(smelt_threads, context)), function->getArg(1)});
  ir_.CreateBr(released);
  ir_.SetInsertPoint(released);
  ir_.CreateRetVoid();
}

/// void name.task(ptr {call, status}, i32 thread, i32 count)
llvm::Function* DriverCode::emit_task(const std::string& name, llvm::Function* driver) {
  llvm::Type* i32 = ir_.getInt32Ty();
  auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), i32, i32}, false);
  llvm::Function* task = new_function(module_, name + ".task", type);
  ir_.SetInsertPoint(new_block(task, "entry"));
  llvm::Value* call = load_pointer(task->getArg(0), 0);
  llvm::Value* status = load_pointer(task->getArg(0), sizeof(void*));
  ir_.CreateCall(driver, {call, status, task->getArg(1), task->getArg(2)});
  ir_.CreateRetVoid();
  return task;
}

void DriverCode::emit_entry(const std::string& name, llvm::Function* driver) {
  llvm::Type *i32 = ir_.getInt32Ty(), *pointer = ir_.getPtrTy();
  llvm::Function* task = emit_task(name, driver);
  auto* entry = llvm::Function::Create(llvm::FunctionType::get(i32, {pointer}, false), llvm::Function::ExternalLinkage,
                                       name, module_);
  entry->addFnAttr("frame-pointer", "all");
  ir_.SetInsertPoint(new_block(entry, "entry"));
  llvm::Value* arguments = ir_.CreateAlloca(llvm::StructType::get(module_.getContext(), {pointer, pointer}));
  llvm::Value* status = ir_.CreateAlloca(i32);
  ir_.CreateStore(ir_.getInt32(SMELT_CALL_OK), status);
  ir_.CreateStore(entry->getArg(0), arguments);
  ir_.CreateStore(status, at_offset(arguments, sizeof(void*)));
  llvm::Value* arena = load_pointer(entry->getArg(0), offsetof(smelt_call, arena));
  count_up(arena, offsetof(smelt_arena, entered));
  llvm::Value* threads = load_pointer(arena, offsetof(smelt_arena, threads));
  llvm::BasicBlock *alone = new_block(entry, "alone"), *shared = new_block(entry, "shared"),
                   *done = new_block(entry, "done");
  ir_.CreateCondBr(ir_.CreateIsNull(threads), alone, shared);
  ir_.SetInsertPoint(alone);
  ir_.CreateCall(task, {arguments, ir_.getInt32(0), ir_.getInt32(1)});
  ir_.CreateBr(done);
  ir_.SetInsertPoint(shared);
  auto* parallel_type = llvm::FunctionType::get(ir_.getVoidTy(), {pointer, pointer, pointer}, false);
  llvm::Value* parallel = load_pointer(threads, offsetof(smelt_threads, parallel));
  ir_.CreateCall(parallel_type, parallel, {load_pointer(threads, offsetof(smelt_threads, context)), task, arguments});
  ir_.CreateBr(done);
  ir_.SetInsertPoint(done);
  ir_.CreateRet(ir_.CreateLoad(i32, status));
}

}  // namespace smelt
