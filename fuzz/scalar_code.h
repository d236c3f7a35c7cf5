// The elementary functions as compiled vector code, and what they promise: one row a function.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "ir/op.h"
#include "ir/support/result.h"
#include "runtime/loader.h"

namespace smelt::fuzz {

/// A function of one argument, or of two: then `exact_*` take both.
struct ScalarFunction {
  OpKind op;
  double (*exact_f32)(double, double);                 // for f32 arguments: relative error far below 2^-24
  long double (*exact_f64)(long double, long double);  // for f64 arguments
  double bound_f32, bound_f64;                         // ulp
  bool rises = false;                                  // never falls from one argument to the next
  bool binary = false;
  ResultRange range = {};  // of the record

  std::string_view name() const { return op_def(op).name; }
};

/// What docs/numerics.md promises on machines with fused multiply-add.
std::span<const ScalarFunction> scalar_functions();

/// Every row as a function on kBlock elements of `dtype`, F32 or F64.
class ScalarCode {
 public:
  static constexpr size_t kBlock = 4096;

  /// Errors (Usage): an unknown cpu, or one whose code this machine cannot run.
  static Result<ScalarCode> compile(DType dtype, const std::string& cpu);
  /// results[i] = function(a[i], b[i]) for kBlock elements; b is not read by functions of one argument.
  void run(const ScalarFunction& function, const void* a, const void* b, void* results) const;

 private:
  explicit ScalarCode(LoadedObject object) : object_(std::move(object)) {}
  LoadedObject object_;
  size_t arena_bytes_ = 0;
};

}  // namespace smelt::fuzz
