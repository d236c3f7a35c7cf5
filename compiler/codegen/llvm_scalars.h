// ScalarBuilder on LLVM's IRBuilder: a Scalar is an LLVM value, one element or a vector of lanes. An operand that is
// the same in all lanes stays a single element until it meets a vector.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include "ir/scalar_builder.h"

namespace smelt {

class LlvmScalars final : public ScalarBuilder {
 public:
  LlvmScalars(llvm::IRBuilder<>& builder, bool has_fma) : ir_(builder), has_fma_(has_fma) {}

  /// Register type of an element: i1 for bool.
  llvm::Type* element_type(DType dtype) const;
  static Scalar wrap(llvm::Value* value, DType dtype) { return {.handle = value, .dtype = dtype}; }
  static llvm::Value* value(Scalar a) { return static_cast<llvm::Value*>(a.handle); }
  static bool is_vector(Scalar a) { return value(a)->getType()->isVectorTy(); }
  llvm::Value* splat(llvm::Value* element, int64_t lanes);

  Scalar constant(DType dtype, double value) override;
  Scalar integer(DType dtype, int64_t value) override;
  Scalar add(Scalar a, Scalar b) override;
  Scalar sub(Scalar a, Scalar b) override;
  Scalar mul(Scalar a, Scalar b) override;
  Scalar div(Scalar a, Scalar b) override;
  Scalar fma(Scalar a, Scalar b, Scalar c) override;
  Scalar fma_exact(Scalar a, Scalar b, Scalar c) override;
  Scalar neg(Scalar a) override;
  Scalar abs(Scalar a) override;
  Scalar sqrt(Scalar a) override;
  Scalar floor(Scalar a) override;
  Scalar round_even(Scalar a) override;
  Scalar min(Scalar a, Scalar b) override;
  Scalar max(Scalar a, Scalar b) override;
  Scalar compare(Compare predicate, Scalar a, Scalar b) override;
  Scalar select(Scalar condition, Scalar a, Scalar b) override;
  Scalar logical_and(Scalar a, Scalar b) override;
  Scalar logical_or(Scalar a, Scalar b) override;
  Scalar logical_not(Scalar a) override;
  Scalar cast(DType dtype, Scalar a) override;
  Scalar bit_cast(DType dtype, Scalar a) override;
  Scalar bit_and(Scalar a, Scalar b) override;
  Scalar shift_left(Scalar a, int bits) override;
  Scalar shift_right_logical(Scalar a, int bits) override;
  Scalar shift_right_arithmetic(Scalar a, int bits) override;

 private:
  void unify(Scalar& a, Scalar& b);
  Scalar intrinsic(unsigned id, Scalar a);
  Scalar extreme(Scalar a, Scalar b, bool maximum);
  Scalar cast_half(DType dtype, Scalar a);
  llvm::Type* type_like(DType dtype, llvm::Value* shape) const;

  llvm::IRBuilder<>& ir_;
  bool has_fma_;
};

}  // namespace smelt
