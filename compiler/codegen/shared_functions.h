// Functions across the modules of one program.
#pragma once

#include <llvm/IR/Module.h>

#include <functional>
#include <map>
#include <string>

namespace smelt {

/// Functions that kernels of several modules call: declared where they are called, defined once in a module of their
/// own. The name says all that the code depends on: of two definitions under one name, the first serves both.
class SharedFunctions {
 public:
  using Define = std::function<void(llvm::Module&)>;
  llvm::Function* declare(llvm::Module& module, const std::string& name, llvm::FunctionType* type, Define define);
  const std::map<std::string, Define>& wanted() const { return wanted_; }

 private:
  std::map<std::string, Define> wanted_;
};

/// The function `name` of the module, as yet without a body. Hidden, so that calls between modules are direct and the
/// linker makes it local.
llvm::Function* new_function(llvm::Module& module, const std::string& name, llvm::FunctionType* type);

}  // namespace smelt
