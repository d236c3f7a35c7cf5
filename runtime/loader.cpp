#include "runtime/loader.h"

#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>

namespace smelt {

struct LoadedObject::Impl {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

LoadedObject::LoadedObject(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LoadedObject::LoadedObject(LoadedObject&&) noexcept = default;
LoadedObject& LoadedObject::operator=(LoadedObject&&) noexcept = default;
LoadedObject::~LoadedObject() = default;

Result<LoadedObject> LoadedObject::load(const std::vector<char>& object) {
  static const bool initialized = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  (void)initialized;
  const auto failed = [](llvm::Error error) {
    return fail(ErrorKind::Input, "cannot load compiled code: " + llvm::toString(std::move(error)));
  };
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) return failed(jit.takeError());
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(object.data(), object.size()), "smelt.o");
  if (auto error = (*jit)->addObjectFile(std::move(buffer))) return failed(std::move(error));
  auto impl = std::make_unique<Impl>();
  impl->jit = std::move(*jit);
  return LoadedObject(std::move(impl));
}

smelt_entry LoadedObject::find(const std::string& symbol) const {
  auto address = impl_->jit->lookup(symbol);
  if (!address) {
    llvm::consumeError(address.takeError());
    return nullptr;
  }
  return address->toPtr<smelt_entry>();
}

}  // namespace smelt
