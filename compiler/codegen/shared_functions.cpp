#include "compiler/codegen/shared_functions.h"

#include <utility>

namespace smelt {

llvm::Function* new_function(llvm::Module& module, const std::string& name, llvm::FunctionType* type) {
  if (llvm::Function* declared = module.getFunction(name)) return declared;
  auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  function->setDSOLocal(true);
  function->addFnAttr(llvm::Attribute::NoInline);
  function->addFnAttr("frame-pointer",
                      "non-leaf");  // back traces without unwind tables; the inner kernels need the register
  return function;
}

llvm::Function* SharedFunctions::declare(llvm::Module& module, const std::string& name, llvm::FunctionType* type,
                                         Define define) {
  wanted_.emplace(name, std::move(define));
  return new_function(module, name, type);
}

}  // namespace smelt
