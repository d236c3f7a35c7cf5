// Result types of ops. A rule sees operand types and attributes; it returns the result type, or an Error
// whose message names the op and everything that decided it: `add` needs operands of one type, got `f32[2]`
// and `f32[3]`.
//
// Assumes:  the operand count and the attributes' names and types are those of the record (Builder checks
// them). Ensures:  the result's shape follows from bounds and symbols alone; no rule looks at values.
#pragma once

#include "ir/op.h"

namespace smelt::shape_rules {

/// The type in attribute `type`.
Result<TensorType> as_stated(const InferArgs& args);
Result<TensorType> index(const InferArgs& args);   // `type` is i32 or i64 and has axis `axis`
Result<TensorType> extent(const InferArgs& args);  // `type` is a scalar number

/// Operands of one type; the traits tell which dtypes, and whether the result is bool of that shape.
Result<TensorType> elementwise(const InferArgs& args);
Result<TensorType> select(const InferArgs& args);  // bool[S], T[S], T[S] -> T[S]
Result<TensorType> cast(const InferArgs& args);

/// `axes`, strictly increasing, are removed.
Result<TensorType> reduce(const InferArgs& args);
Result<TensorType> contract(const InferArgs& args);
Result<TensorType> read(const InferArgs& args);

Result<TensorType> broadcast(const InferArgs& args);
Result<TensorType> transpose(const InferArgs& args);
Result<TensorType> reshape(const InferArgs& args);
Result<TensorType> slice(const InferArgs& args);
Result<TensorType> pad(const InferArgs& args);

Result<TensorType> scan(const InferArgs& args);         // `type` is i32[T]; operands: see ir/scan.h
Result<TensorType> gather(const InferArgs& args);       // T[N, rest], int[index] -> T[index, rest]
Result<TensorType> scatter_add(const InferArgs& args);  // int[index], T[index, rest] -> T[N, rest]
Result<TensorType> put_rows(const InferArgs& args);     // int[index], T[index, rest], T[N, rest] -> T[N, rest]
Result<TensorType> random(const InferArgs& args);

Result<TensorType> arg_reduce(const InferArgs& args);  // `axis` is removed, i32
Result<TensorType> softmax(const InferArgs& args);     // floats, `axes` are kept
Result<TensorType> concat(const InferArgs& args);
Result<TensorType> grad(const InferArgs& args);     // scalar y, x -> type of x
Result<TensorType> jvp(const InferArgs& args);      // y, x, v like x -> type of y
Result<TensorType> adjoint(const InferArgs& args);  // y, x, ct like y, g like x -> type of y

/// True when a reshape keeps each run-time extent with the same number of elements before and after it, so
/// that row-major order by bounds and by actual sizes agree.
bool reshape_keeps_extents(const Shape& from, const Shape& to);

}  // namespace smelt::shape_rules
