// ScalarBuilder on plain C++ numbers: what the bodies compute, bit for bit, without a compiler.
#pragma once

#include "ir/scalar_builder.h"

namespace smelt {

/// Evaluates eagerly: floats in float or double with std::fma, integers modulo their width. Half precision is
/// for memory only: arithmetic on it is our mistake (InternalError).
class HostScalarBuilder final : public ScalarBuilder {
 public:
  /// A value of any dtype but f16 and bf16, converted as `cast` does.
  static Scalar value(DType dtype, double number);
  static double to_double(Scalar a);

  Scalar constant(DType dtype, double value) override;
  Scalar integer(DType dtype, int64_t value) override;
  Scalar add(Scalar a, Scalar b) override;
  Scalar sub(Scalar a, Scalar b) override;
  Scalar mul(Scalar a, Scalar b) override;
  Scalar div(Scalar a, Scalar b) override;
  Scalar fma(Scalar a, Scalar b, Scalar c) override;
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
};

}  // namespace smelt
