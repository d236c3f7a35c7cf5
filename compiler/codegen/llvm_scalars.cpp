#include "compiler/codegen/llvm_scalars.h"

#include <llvm/IR/Intrinsics.h>

#include <cmath>
#include <utility>

#include "ir/half_bits.h"
#include "ir/support/check.h"

namespace smelt {

namespace {

/// The identity of an integer minimum is written as infinity: it means the largest number of the type.
int64_t saturated(DType dtype, double number) {
  const int bits = static_cast<int>(8 * size_of(dtype)) - (dtype == DType::U8 ? 0 : 1);
  const double high = std::ldexp(1.0, bits), low = dtype == DType::U8 ? 0 : -high;
  if (number >= high) return bits == 63 ? INT64_MAX : (int64_t{1} << bits) - 1;
  return number <= low ? static_cast<int64_t>(low) : static_cast<int64_t>(number);
}

}  // namespace

llvm::Type* LlvmScalars::element_type(DType dtype) const {
  switch (dtype) {
    case DType::Bool: return ir_.getInt1Ty();
    case DType::U8:
    case DType::I8: return ir_.getInt8Ty();
    case DType::I16: return ir_.getInt16Ty();
    case DType::I32: return ir_.getInt32Ty();
    case DType::I64: return ir_.getInt64Ty();
    case DType::F16:
    case DType::BF16: return ir_.getInt16Ty();  // their bits: nothing is computed in them
    case DType::F32: return ir_.getFloatTy();
    case DType::F64: return ir_.getDoubleTy();
  }
  return nullptr;
}

llvm::Value* LlvmScalars::splat(llvm::Value* element, int64_t lanes) {
  if (element->getType()->isVectorTy()) return element;
  return ir_.CreateVectorSplat(static_cast<unsigned>(lanes), element);
}

llvm::Type* LlvmScalars::type_like(DType dtype, llvm::Value* shape) const {
  llvm::Type* element = element_type(dtype);
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(shape->getType());
  return vector == nullptr ? element : llvm::FixedVectorType::get(element, vector->getNumElements());
}

void LlvmScalars::unify(Scalar& a, Scalar& b) {
  const auto widen = [&](Scalar& narrow, const Scalar& wide) {
    const auto* type = llvm::cast<llvm::FixedVectorType>(value(wide)->getType());
    narrow.handle = splat(value(narrow), type->getNumElements());
  };
  if (is_vector(a) && !is_vector(b)) widen(b, a);
  if (is_vector(b) && !is_vector(a)) widen(a, b);
}

Scalar LlvmScalars::constant(DType dtype, double number) {
  if (is_half(dtype)) {
    llvm::APFloat value(number);
    bool loses = false;
    value.convert(dtype == DType::F16 ? llvm::APFloat::IEEEhalf() : llvm::APFloat::BFloat(),
                  llvm::APFloat::rmNearestTiesToEven, &loses);
    return wrap(llvm::ConstantInt::get(ir_.getContext(), value.bitcastToAPInt()), dtype);
  }
  if (!is_float(dtype)) return integer(dtype, saturated(dtype, number));
  return wrap(llvm::ConstantFP::get(element_type(dtype), number), dtype);
}
Scalar LlvmScalars::integer(DType dtype, int64_t number) {
  if (is_float(dtype)) return constant(dtype, static_cast<double>(number));
  if (dtype == DType::Bool) return wrap(ir_.getInt1(number != 0), dtype);
  return wrap(llvm::ConstantInt::getSigned(element_type(dtype), number), dtype);
}

Scalar LlvmScalars::add(Scalar a, Scalar b) {
  unify(a, b);
  return wrap(is_float(a.dtype) ? ir_.CreateFAdd(value(a), value(b)) : ir_.CreateAdd(value(a), value(b)), a.dtype);
}
Scalar LlvmScalars::sub(Scalar a, Scalar b) {
  unify(a, b);
  return wrap(is_float(a.dtype) ? ir_.CreateFSub(value(a), value(b)) : ir_.CreateSub(value(a), value(b)), a.dtype);
}
Scalar LlvmScalars::mul(Scalar a, Scalar b) {
  unify(a, b);
  return wrap(is_float(a.dtype) ? ir_.CreateFMul(value(a), value(b)) : ir_.CreateMul(value(a), value(b)), a.dtype);
}
Scalar LlvmScalars::div(Scalar a, Scalar b) {
  unify(a, b);
  if (is_float(a.dtype)) return wrap(ir_.CreateFDiv(value(a), value(b)), a.dtype);
  return wrap(a.dtype == DType::U8 ? ir_.CreateUDiv(value(a), value(b)) : ir_.CreateSDiv(value(a), value(b)), a.dtype);
}
Scalar LlvmScalars::fma(Scalar a, Scalar b, Scalar c) {
  // Without the instruction a fused multiply-add would be a library call a lane; that ISA level rounds twice instead.
  if (!has_fma_) return add(mul(a, b), c);
  unify(a, b);
  unify(a, c);
  unify(b, c);
  return wrap(ir_.CreateIntrinsic(llvm::Intrinsic::fma, {value(a)->getType()}, {value(a), value(b), value(c)}),
              a.dtype);
}
Scalar LlvmScalars::fma_exact(Scalar a, Scalar b, Scalar c) {
  if (has_fma_) return fma(a, b, c);
  // The product in two words from halves of its factors: Dekker 1971, A floating-point technique for extending the
  // available precision.
  const Scalar splitter = constant(a.dtype, a.dtype == DType::F32 ? 0x1p12 + 1 : 0x1p27 + 1);
  const auto high_half = [&](Scalar x) {
    const Scalar scaled = mul(x, splitter);
    return sub(scaled, sub(scaled, x));
  };
  const Scalar a_high = high_half(a), a_low = sub(a, a_high), b_high = high_half(b), b_low = sub(b, b_high);
  const Scalar product = mul(a, b);
  const Scalar first = add(sub(mul(a_high, b_high), product), mul(a_high, b_low));
  return add(add(c, product), add(add(first, mul(a_low, b_high)), mul(a_low, b_low)));
}
Scalar LlvmScalars::neg(Scalar a) {
  return wrap(is_float(a.dtype) ? ir_.CreateFNeg(value(a)) : ir_.CreateNeg(value(a)), a.dtype);
}
Scalar LlvmScalars::intrinsic(unsigned id, Scalar a) { return wrap(ir_.CreateUnaryIntrinsic(id, value(a)), a.dtype); }
Scalar LlvmScalars::abs(Scalar a) {
  if (is_float(a.dtype)) return intrinsic(llvm::Intrinsic::fabs, a);
  return wrap(ir_.CreateBinaryIntrinsic(llvm::Intrinsic::abs, value(a), ir_.getFalse()), a.dtype);
}
Scalar LlvmScalars::sqrt(Scalar a) { return intrinsic(llvm::Intrinsic::sqrt, a); }
Scalar LlvmScalars::floor(Scalar a) { return intrinsic(llvm::Intrinsic::floor, a); }
Scalar LlvmScalars::round_even(Scalar a) { return intrinsic(llvm::Intrinsic::roundeven, a); }

Scalar LlvmScalars::extreme(Scalar a, Scalar b, bool maximum) {
  unify(a, b);
  if (!is_float(a.dtype)) {
    const auto predicate = a.dtype == DType::U8 ? (maximum ? llvm::CmpInst::ICMP_UGT : llvm::CmpInst::ICMP_ULT)
                                                : (maximum ? llvm::CmpInst::ICMP_SGT : llvm::CmpInst::ICMP_SLT);
    return wrap(ir_.CreateSelect(ir_.CreateICmp(predicate, value(a), value(b)), value(a), value(b)), a.dtype);
  }
  // The machine's max gives b when either is NaN, so only a NaN in a needs a second look. It asks for what is ordered,
  // since LLVM 19 makes `fcmp ugt x, 0` of an unordered |x| or one above 0, and loses the sign's removal.
  llvm::Value* picks_a = maximum ? ir_.CreateFCmpOGT(value(a), value(b)) : ir_.CreateFCmpOLT(value(a), value(b));
  llvm::Value* either = ir_.CreateSelect(picks_a, value(a), value(b));
  return wrap(ir_.CreateSelect(ir_.CreateFCmpORD(value(a), value(a)), either, value(a)), a.dtype);
}
Scalar LlvmScalars::min(Scalar a, Scalar b) { return extreme(a, b, false); }
Scalar LlvmScalars::max(Scalar a, Scalar b) { return extreme(a, b, true); }

Scalar LlvmScalars::compare(Compare predicate, Scalar a, Scalar b) {
  using Predicate = llvm::CmpInst::Predicate;
  struct Row {
    Predicate of_float, of_signed, of_unsigned;
  };
  static constexpr Row kRows[] = {
      {Predicate::FCMP_OEQ, Predicate::ICMP_EQ, Predicate::ICMP_EQ},
      {Predicate::FCMP_UNE, Predicate::ICMP_NE, Predicate::ICMP_NE},
      {Predicate::FCMP_OLT, Predicate::ICMP_SLT, Predicate::ICMP_ULT},
      {Predicate::FCMP_OLE, Predicate::ICMP_SLE, Predicate::ICMP_ULE},
      {Predicate::FCMP_OGT, Predicate::ICMP_SGT, Predicate::ICMP_UGT},
      {Predicate::FCMP_OGE, Predicate::ICMP_SGE, Predicate::ICMP_UGE},
  };
  unify(a, b);
  const Row& row = kRows[static_cast<size_t>(predicate)];
  const bool is_unsigned = a.dtype == DType::U8 || a.dtype == DType::Bool;
  llvm::Value* result = is_float(a.dtype)
                            ? ir_.CreateFCmp(row.of_float, value(a), value(b))
                            : ir_.CreateICmp(is_unsigned ? row.of_unsigned : row.of_signed, value(a), value(b));
  return wrap(result, DType::Bool);
}
Scalar LlvmScalars::select(Scalar condition, Scalar a, Scalar b) {
  unify(a, b);
  if (is_vector(condition)) unify(condition, a);
  unify(a, b);
  return wrap(ir_.CreateSelect(value(condition), value(a), value(b)), a.dtype);
}
Scalar LlvmScalars::logical_and(Scalar a, Scalar b) {
  unify(a, b);
  return wrap(ir_.CreateAnd(value(a), value(b)), DType::Bool);
}
Scalar LlvmScalars::logical_or(Scalar a, Scalar b) {
  unify(a, b);
  return wrap(ir_.CreateOr(value(a), value(b)), DType::Bool);
}
Scalar LlvmScalars::logical_not(Scalar a) { return wrap(ir_.CreateNot(value(a)), DType::Bool); }

/// Integers and F64 are rounded once: what F32 cannot hold goes there by rounding to odd.
Scalar LlvmScalars::cast_half(DType dtype, Scalar a) {
  const auto resized = [&](Scalar bits, DType to) {
    return wrap(ir_.CreateIntCast(value(bits), type_like(to, value(bits)), false), to);
  };
  if (is_half(a.dtype)) return cast(dtype, widen_half(*this, a.dtype, resized(a, DType::I32)));
  if (a.dtype == DType::I32 || a.dtype == DType::I64) a = cast(DType::F64, a);
  const Scalar narrow = a.dtype == DType::F64 ? round_to_odd_f32(*this, a) : cast(DType::F32, a);
  return resized(narrow_to_half(*this, dtype, narrow), dtype);
}

Scalar LlvmScalars::cast(DType dtype, Scalar a) {
  if (dtype == a.dtype) return a;
  if (is_half(dtype) || is_half(a.dtype)) return cast_half(dtype, a);
  llvm::Type* type = type_like(dtype, value(a));
  const bool from_unsigned = a.dtype == DType::Bool || a.dtype == DType::U8;
  if (dtype == DType::Bool) return compare(Compare::Ne, a, integer(a.dtype, 0));
  if (is_float(dtype)) {
    if (is_float(a.dtype)) return wrap(ir_.CreateFPCast(value(a), type), dtype);
    return wrap(from_unsigned ? ir_.CreateUIToFP(value(a), type) : ir_.CreateSIToFP(value(a), type), dtype);
  }
  if (is_float(a.dtype)) {
    const auto id = dtype == DType::U8 ? llvm::Intrinsic::fptoui_sat : llvm::Intrinsic::fptosi_sat;
    return wrap(ir_.CreateIntrinsic(id, {type, value(a)->getType()}, {value(a)}), dtype);
  }
  return wrap(ir_.CreateIntCast(value(a), type, !from_unsigned), dtype);
}
Scalar LlvmScalars::bit_cast(DType dtype, Scalar a) {
  return wrap(ir_.CreateBitCast(value(a), type_like(dtype, value(a))), dtype);
}
Scalar LlvmScalars::bit_and(Scalar a, Scalar b) {
  unify(a, b);
  return wrap(ir_.CreateAnd(value(a), value(b)), a.dtype);
}
Scalar LlvmScalars::shift_left(Scalar a, int bits) {
  return wrap(ir_.CreateShl(value(a), static_cast<uint64_t>(bits)), a.dtype);
}
Scalar LlvmScalars::shift_right_logical(Scalar a, int bits) {
  return wrap(ir_.CreateLShr(value(a), static_cast<uint64_t>(bits)), a.dtype);
}
Scalar LlvmScalars::shift_right_arithmetic(Scalar a, int bits) {
  return wrap(ir_.CreateAShr(value(a), static_cast<uint64_t>(bits)), a.dtype);
}

}  // namespace smelt
