// Abstract scalar arithmetic: the language in which an op's `body` is written. Code generation implements it on
// LLVM vectors, the host on doubles and floats, so that a body has one meaning everywhere.
#pragma once

#include <cstdint>
#include <span>

#include "ir/type.h"

namespace smelt {

/// An opaque value of the builder that made it; `dtype` is its element type.
struct Scalar {
  void* handle = nullptr;  // an llvm::Value*, or unused
  double host = 0;         // the host builder's float
  DType dtype = DType::F32;
  int64_t host_integer = 0;  // the host builder's integer or bool
};

enum class Compare : uint8_t { Eq, Ne, Lt, Le, Gt, Ge };

/// Operands of one call have one dtype unless stated. Floats follow IEEE 754 with round-to-nearest and no
/// reassociation; `fma` is fused wherever the target can.
class ScalarBuilder {
 public:
  virtual ~ScalarBuilder() = default;

  virtual Scalar constant(DType dtype, double value) = 0;
  virtual Scalar integer(DType dtype, int64_t value) = 0;

  virtual Scalar add(Scalar a, Scalar b) = 0;
  virtual Scalar sub(Scalar a, Scalar b) = 0;
  virtual Scalar mul(Scalar a, Scalar b) = 0;
  virtual Scalar div(Scalar a, Scalar b) = 0;  // integers: truncating, by a non-zero divisor
  virtual Scalar fma(Scalar a, Scalar b, Scalar c) = 0;
  /// a * b + c for floats where c takes away what a * b rounds to, or nearly: exact on every target.
  virtual Scalar fma_exact(Scalar a, Scalar b, Scalar c) { return fma(a, b, c); }
  virtual Scalar neg(Scalar a) = 0;
  virtual Scalar abs(Scalar a) = 0;
  virtual Scalar sqrt(Scalar a) = 0;
  virtual Scalar floor(Scalar a) = 0;
  virtual Scalar round_even(Scalar a) = 0;
  virtual Scalar min(Scalar a, Scalar b) = 0;  // a NaN in either operand is the result
  virtual Scalar max(Scalar a, Scalar b) = 0;

  virtual Scalar compare(Compare predicate, Scalar a, Scalar b) = 0;  // Bool; ordered, Ne unordered
  virtual Scalar select(Scalar condition, Scalar a, Scalar b) = 0;
  virtual Scalar logical_and(Scalar a, Scalar b) = 0;  // Bool
  virtual Scalar logical_or(Scalar a, Scalar b) = 0;
  virtual Scalar logical_not(Scalar a) = 0;
  virtual Scalar cast(DType dtype, Scalar a) = 0;  // float -> int truncates and saturates, NaN -> 0

  // Bits: I32 with F32, I64 with F64.
  virtual Scalar bit_cast(DType dtype, Scalar a) = 0;
  virtual Scalar bit_and(Scalar a, Scalar b) = 0;
  virtual Scalar shift_left(Scalar a, int bits) = 0;
  virtual Scalar shift_right_logical(Scalar a, int bits) = 0;
  virtual Scalar shift_right_arithmetic(Scalar a, int bits) = 0;
};

using Scalars = std::span<const Scalar>;

}  // namespace smelt
