// What the elementary functions of scalar_math.h share: the two formats, sums and products in two words, reductions,
// and the polynomials.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "ir/scalar_builder.h"
#include "ir/support/check.h"

namespace smelt::scalar_math {

// Polynomials, lowest degree first: interpolation at Chebyshev nodes, so close to the best of their degree.
// With them the functions are off by less than 2^-27 (F32) and 2^-57 (F64) before rounding.
//
// (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2
inline constexpr double kExpF32[] = {0.5,
                                     0.16666666666666666,
                                     0.041666554498413701,
                                     0.0083333208739766601,
                                     0.0013926203361634337,
                                     0.00019882720297582384};
inline constexpr double kExpF64[] = {0.5,
                                     0.1666666666666666745,
                                     0.04166666666662412787,
                                     0.008333333333330061833,
                                     0.00138888889172137169,
                                     0.0001984126986305361688,
                                     0.00002480152129595437513,
                                     2.755726845999706477e-6,
                                     2.762008844540974816e-7,
                                     2.510038549551031908e-8};
// (2 atanh(s) / s - 2) / z in z = s^2 for |s| <= 3 - sqrt(8)
inline constexpr double kLogF32[] = {0.6666666655445164633, 0.4000012187697200149, 0.2855081659971154867,
                                     0.2333058193824189382};
inline constexpr double kLogF64[] = {0.6666666666666669688, 0.3999999999989944323, 0.2857142862600326874,
                                     0.2222221113025987703, 0.1818288945567494604, 0.1533171061821077157,
                                     0.1461658542488862199};
// (2 atanh(s) / s - 2 - 2 z / 3) / z^2, off by less than 2^-63 of the whole
inline constexpr double kLogTailF64[] = {0.3999999999999999982, 0.2857142857142936623, 0.2222222222165588570,
                                         0.1818181833539280163, 0.1538459496251843152, 0.1333480469384731030,
                                         0.1170623633949120656, 0.1172317862387651729};
// (tanh(x) / x - 1) / z in z = x^2 for |x| <= 0.55
inline constexpr double kTanhF32[] = {-0.3333333200797697968, 0.1333311372902087191, -0.05390942882746054544,
                                      0.02130938866444347381, -0.006610227831114734514};
inline constexpr double kTanhF64[] = {-0.3333333333333333256,    0.1333333333333271483,     -0.05396825396743401450,
                                      0.02186948849366694190,    -0.008863234397814354838,  0.003592110378689023877,
                                      -0.001455661830100716034,  0.0005889360520074057770,  -0.0002346347410887237144,
                                      0.00008511313685577671516, -0.00002060276537636634160};
// erf(x) / x - 1 in z = x^2 for |x| <= 0.9
inline constexpr double kErfF32[] = {0.12837916678922237,  -0.37612635193967825, 0.11283718049593898,
                                     -0.02686066479113085, 0.005204226693752301, -0.0008179632180888265,
                                     8.529401322836862e-05};
inline constexpr double kErfF64[] = {0.1283791670955126,     -0.37612638903183754,    0.112837916709551,
                                     -0.026866170645124077,  0.005223977625340751,    -0.000854832701490715,
                                     0.00012055332519432235, -1.4925633568608262e-05, 1.646169615878246e-06,
                                     -1.635866756067073e-07, 1.4723494823392752e-08,  -1.1652473945294949e-09,
                                     6.495025610302581e-11};
// e^(t^2 / 2) (1 + t) times the normal distribution's tail above t, in q = (t - 3.5) / (t + 3.5), up to the t at which
// the tail is 0. Shepherd, Laframboise 1981, Chebyshev approximation of (1 + 2x) exp(x^2) erfc x.
inline constexpr double kTailF32[] = {0.47855319108763167,    -0.09771257030300408,   0.000786863008643779,
                                      0.03804765462390146,    -0.0302565890252537,    0.010379684225098449,
                                      0.00026663704218797893, -0.0014205160620785128, 0.0001367809958752364,
                                      0.00019910797627143087, -1.35270206876522e-05,  -2.000469160939444e-05};
inline constexpr double kTailF64[] = {
    0.4785531913516745,     -0.09771256909316572,    0.0007868320516199958,   0.03804760650093181,
    -0.03025601072515283,   0.010380366663542884,    0.0002627989407166026,   -0.001425044414342449,
    0.00014748922012165425, 0.00021332747639617216,  -2.4649645781041625e-05, -3.9073122236591654e-05,
    6.865230635596343e-07,  7.74293864253803e-06,    1.2705199476828655e-06,  -1.3669876155931955e-06,
    -6.223634589841313e-07, 1.3785202387204894e-07,  1.8771575501600362e-07,  2.5633791037237738e-08,
    -3.675872360577738e-08, -1.6418703580879804e-08, 3.1523345637567583e-09,  3.3418581340556145e-09,
    2.194566585497553e-10,  -1.6954872377310928e-10};
// (sin(r) / r - 1) / z in z = r^2 for |r| <= 0.842: the quotient of 1e15 is that far from the nearest whole number
inline constexpr double kSinF32[] = {-0.16666666661766802, 0.0083333311214021117, -0.00019839708667845275,
                                     2.7204309266435472e-06};
inline constexpr double kSinF64[] = {-0.16666666666666666,   0.0083333333333333297,   -0.0001984126984126027,
                                     2.7557319215884963e-06, -2.5052105119505399e-08, 1.6058367731987731e-10,
                                     -7.5777074074517458e-13};
// (cos(r) - 1 + z / 2) / z^2
inline constexpr double kCosF32[] = {0.04166666362254557, -0.0013888115781006084, 0.000024510293828859878};
inline constexpr double kCosF64[] = {0.041666666666666664,    -0.0013888888888885899, 2.4801587296668104e-05,
                                     -2.7557316262507438e-07, 2.0875950855503684e-09, -1.1369531635082179e-11};

/// What differs between the two formats.
struct Format {
  DType dtype;
  DType bits;          // the integer of equal width
  int mantissa_bits;   // without the implicit one
  int64_t bias;        // of the exponent
  double round_magic;  // 1.5 * 2^mantissa_bits: adding it rounds to an integer, found in the low bits
  int64_t magic_bits;
  int64_t sign_bit;
  int64_t sqrt_half_bits;
  double min_normal;
  int subnormal_shift;              // 2^shift times a subnormal number is normal
  double ln2_short, ln2_short_low;  // k * ln2_short is exact: it ends in zeros
  double exp_low, exp_high;         // e^x is 0 below and infinite above
  double expm1_low;                 // e^x - 1 rounds to -1 below
  double tanh_high;                 // tanh rounds to 1 above
  double tiny;                      // expm1(x), log1p(x) and sin(x) round to x below
  std::span<const double> exp_terms;
  std::span<const double> log_terms;
  std::span<const double> tanh_terms;
  std::span<const double> erf_terms;
  std::span<const double> tail_terms;
  double tail_end;  // above, the normal distribution's tail rounds to 0
  std::span<const double> sin_terms;
  std::span<const double> cos_terms;
};

inline constexpr Format kF32 = {
    .dtype = DType::F32,
    .bits = DType::I32,
    .mantissa_bits = 23,
    .bias = 127,
    .round_magic = 0x1.8p23,
    .magic_bits = 0x4B400000,
    .sign_bit = std::numeric_limits<int32_t>::min(),
    .sqrt_half_bits = 0x3F3504F3,
    .min_normal = 0x1p-126,
    .subnormal_shift = 24,
    .ln2_short = 0x1.62e4p-1,
    .ln2_short_low = 0x1.7f7d1cp-20,
    .exp_low = -104,
    .exp_high = 89,
    .expm1_low = -18,
    .tanh_high = 10,
    .tiny = 0x1p-25,
    .exp_terms = kExpF32,
    .log_terms = kLogF32,
    .tanh_terms = kTanhF32,
    .erf_terms = kErfF32,
    .tail_terms = kTailF32,
    .tail_end = 15,
    .sin_terms = kSinF32,
    .cos_terms = kCosF32,
};

inline constexpr Format kF64 = {
    .dtype = DType::F64,
    .bits = DType::I64,
    .mantissa_bits = 52,
    .bias = 1023,
    .round_magic = 0x1.8p52,
    .magic_bits = 0x4338000000000000,
    .sign_bit = std::numeric_limits<int64_t>::min(),
    .sqrt_half_bits = 0x3FE6A09E667F3BCD,
    .min_normal = 0x1p-1022,
    .subnormal_shift = 54,
    .ln2_short = 0x1.62e42fefa3p-1,
    .ln2_short_low = 0x1.3de6af278ece6p-42,
    .exp_low = -746,
    .exp_high = 710,
    .expm1_low = -38,
    .tanh_high = 20,
    .tiny = 0x1p-54,
    .exp_terms = kExpF64,
    .log_terms = kLogF64,
    .tanh_terms = kTanhF64,
    .erf_terms = kErfF64,
    .tail_terms = kTailF64,
    .tail_end = 39,
    .sin_terms = kSinF64,
    .cos_terms = kCosF64,
};

inline constexpr double kLog2E = 0x1.71547652b82fep+0;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Short names for one builder and one format.
class Math {
 public:
  Math(ScalarBuilder& builder, DType dtype) : s(builder), format(dtype == DType::F32 ? kF32 : kF64) {
    SMELT_CHECK(dtype == DType::F32 || dtype == DType::F64, "no elementary functions for {}", to_string(dtype));
  }

  ScalarBuilder& s;
  const Format& format;

  Scalar number(double value) { return s.constant(format.dtype, value); }
  Scalar integer(int64_t value) { return s.integer(format.bits, value); }
  Scalar bits(Scalar x) { return s.bit_cast(format.bits, x); }
  Scalar from_bits(Scalar i) { return s.bit_cast(format.dtype, i); }
  Scalar less(Scalar a, Scalar b) { return s.compare(Compare::Lt, a, b); }
  Scalar less(Scalar a, double b) { return less(a, number(b)); }
  Scalar equal(Scalar a, double b) { return s.compare(Compare::Eq, a, number(b)); }
  Scalar times(Scalar a, double b) { return s.mul(a, number(b)); }
  Scalar plus(Scalar a, double b) { return s.add(a, number(b)); }

  /// A NaN fails both comparisons and stays.
  Scalar at_least(Scalar x, double low) { return s.select(less(x, low), number(low), x); }
  Scalar at_most(Scalar x, double high) { return s.select(less(number(high), x), number(high), x); }

  /// magnitude >= 0 with the sign of x.
  Scalar with_sign_of(Scalar magnitude, Scalar x) {
    return from_bits(s.add(bits(magnitude), s.bit_and(bits(x), integer(format.sign_bit))));
  }
  /// 2^n for an integer n of a normal number.
  Scalar power_of_two(Scalar n) {
    return from_bits(s.shift_left(s.add(n, integer(format.bias)), format.mantissa_bits));
  }
  Scalar polynomial(Scalar x, std::span<const double> terms) {
    Scalar sum = number(terms.back());
    for (size_t i = terms.size() - 1; i-- > 0;) sum = s.fma(sum, x, number(terms[i]));
    return sum;
  }

  struct TwoWords {
    Scalar high, low;
  };
  /// a + b exactly, for |a| >= |b| or a = 0. Dekker 1971.
  TwoWords fast_two_sum(Scalar a, Scalar b) {
    const Scalar high = s.add(a, b);
    return {high, s.sub(b, s.sub(high, a))};
  }
  /// a + b exactly. Knuth, The Art of Computer Programming, volume 2, 4.2.2.
  TwoWords two_sum(Scalar a, Scalar b) {
    const Scalar high = s.add(a, b), b_part = s.sub(high, a);
    return {high, s.add(s.sub(a, s.sub(high, b_part)), s.sub(b, b_part))};
  }
  TwoWords product(Scalar a, Scalar b) {
    const Scalar high = s.mul(a, b);
    return {high, s.fma_exact(a, b, s.neg(high))};
  }

  /// x + low = n ln 2 + r + (what r lacks) with |r| <= ln(2) / 2. Cody, Waite 1980: n ln 2 is taken off in two steps,
  /// the first of them exact, and the rounding of the second is kept.
  struct ExpParts {
    Scalar n;  // integer of the format's width
    Scalar r, lacks;
    Scalar rest;  // e^r - 1 - r, and what r lacks: much smaller than r
  };
  ExpParts exp_parts(Scalar x, const Scalar* low = nullptr) {
    const Scalar shifted = s.fma(x, number(kLog2E), number(format.round_magic));
    const Scalar n = s.sub(shifted, number(format.round_magic));
    TwoWords high{s.fma(n, number(-format.ln2_short), x), {}};
    if (low != nullptr) high = fast_two_sum(high.high, *low);
    const Scalar r = s.fma(n, number(-format.ln2_short_low), high.high);
    Scalar lacks = s.fma(n, number(-format.ln2_short_low), s.sub(high.high, r));
    if (low != nullptr) lacks = s.add(lacks, high.low);
    const Scalar rest = s.fma(s.mul(r, r), polynomial(r, format.exp_terms), lacks);
    return {s.sub(bits(shifted), integer(format.magic_bits)), r, lacks, rest};
  }

  /// e^(x + low). Two factors of 2^(n/2), so that the first product is exact and only the last one rounds.
  Scalar exp(Scalar x, const Scalar* low = nullptr) {
    const ExpParts e = exp_parts(at_most(at_least(x, format.exp_low), format.exp_high), low);
    const Scalar half = s.shift_right_arithmetic(e.n, 1);
    const Scalar first = power_of_two(half), second = power_of_two(s.sub(e.n, half));
    return s.mul(s.fma(s.add(e.r, e.rest), first, first), second);
  }

  /// The normal distribution above t, for t >= 0: e^(-t^2 / 2) in two words of t^2, times its scaled tail.
  Scalar normal_tail(Scalar t) {
    const Scalar inside = at_most(t, format.tail_end);
    const TwoWords square = product(inside, inside);
    const Scalar low = times(square.low, -0.5);
    const Scalar density = exp(times(square.high, -0.5), &low);
    const Scalar q = s.div(plus(inside, -3.5), plus(inside, 3.5)), dividend = polynomial(q, format.tail_terms);
    // The quotient of it and 1 + t, corrected by what remains.
    const TwoWords divisor = two_sum(number(1), inside);
    const Scalar reciprocal = s.div(number(1), divisor.high), y = s.mul(dividend, reciprocal);
    const Scalar rest = s.fma(s.neg(y), divisor.low, s.fma_exact(s.neg(y), divisor.high, dividend));
    return s.mul(density, s.fma(rest, reciprocal, y));
  }

  /// e^x for |x| <= 64.
  Scalar exp_in_range(Scalar x) {
    const ExpParts e = exp_parts(x);
    const Scalar scale = power_of_two(e.n);
    return s.fma(s.add(e.r, e.rest), scale, scale);
  }

  /// x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), for a positive normal x.
  struct LogParts {
    Scalar exponent;  // integer
    Scalar k;
    Scalar f;
  };
  LogParts log_parts(Scalar x) {
    const Scalar exponent =
        s.shift_right_arithmetic(s.sub(bits(x), integer(format.sqrt_half_bits)), format.mantissa_bits);
    const Scalar mantissa = from_bits(s.sub(bits(x), s.shift_left(exponent, format.mantissa_bits)));
    return {exponent, s.cast(format.dtype, exponent), plus(mantissa, -1)};
  }

  /// The same for any positive finite x.
  LogParts log_parts_of_any(Scalar x) {
    const Scalar subnormal = less(x, format.min_normal);
    const double scale = static_cast<double>(uint64_t{1} << format.subnormal_shift);
    LogParts parts = log_parts(s.select(subnormal, times(x, scale), x));
    parts.k = s.sub(parts.k, s.select(subnormal, number(format.subnormal_shift), number(0)));
    return parts;
  }

  /// k ln 2 + log(1 + f) = k ln 2 + f - (f^2 / 2 - t (f^2 / 2 + R)), t = f / (2 + f), R = z L(z), z = t^2.
  /// With `lacks`, far smaller than f: log(1 + f + lacks); 1 / (1 + f) = 1 - 2t + 2t^2 - .. weighs it.
  Scalar log_sum(Scalar k, Scalar f, const Scalar* lacks = nullptr) {
    const Scalar t = s.div(f, plus(f, 2));
    const Scalar z = s.mul(t, t);
    const Scalar half_square = s.mul(times(f, 0.5), f);
    const Scalar inner = s.fma(z, polynomial(z, format.log_terms), half_square);
    Scalar small = times(k, format.ln2_short_low);
    if (lacks != nullptr) {
      const Scalar weight = s.fma(t, s.fma(t, number(2), number(-2)), number(1));
      small = s.fma(*lacks, weight, small);
    }
    const Scalar correction = s.fma(t, inner, small);
    return s.fma(k, number(format.ln2_short), s.sub(f, s.sub(half_square, correction)));
  }

  /// The values of log at the edges: y for 0 < x < infinity, x at infinity and NaN, -infinity at 0, NaN
  /// below.
  Scalar log_edges(Scalar x, Scalar y) {
    const Scalar finite = s.select(less(x, kInfinity), y, x);
    const Scalar not_positive = s.select(equal(x, 0), number(-kInfinity), number(kNaN));
    return s.select(less(number(0), x), finite, not_positive);
  }

  /// log x to about 11 more bits than F64 has, for a positive finite x. With t as in log_sum: k ln 2 + 2t + t z (2/3 +
  /// z T(z)), where all but z T(z) takes two words.
  TwoWords log_two_words(Scalar x) {
    constexpr double kTwoThirds = 0x1.5555555555555p-1, kTwoThirdsLow = 0x1.5555555555555p-55;
    const LogParts parts = log_parts_of_any(x);
    const Scalar den = plus(parts.f, 2);
    const Scalar den_low = s.sub(parts.f, plus(den, -2));
    const Scalar t = s.div(parts.f, den);
    const Scalar t_low = s.div(s.fma(s.neg(t), den_low, s.fma_exact(s.neg(t), den, parts.f)), den);

    const TwoWords square = product(t, t);
    const Scalar z = square.high, z_low = s.fma(times(t, 2), t_low, square.low);
    const TwoWords factor =
        fast_two_sum(number(kTwoThirds), s.fma(z, polynomial(z, kLogTailF64), number(kTwoThirdsLow)));
    const TwoWords inner = product(z, factor.high);
    const Scalar inner_low = s.fma(z_low, factor.high, s.fma(z, factor.low, inner.low));
    const TwoWords series = product(t, inner.high);
    const Scalar series_low = s.fma(t, inner_low, s.fma(t_low, inner.high, series.low));

    const TwoWords start = fast_two_sum(times(parts.k, format.ln2_short), times(t, 2));  // the product is exact
    const TwoWords sum = fast_two_sum(start.high, series.high);
    const Scalar small = s.fma(t_low, number(2), s.fma(parts.k, number(format.ln2_short_low), series_low));
    return fast_two_sum(sum.high, s.add(s.add(start.low, sum.low), small));
  }

  /// |x|^b where that is regular, x being a magnitude: e^(b log x), in F64 for F32.
  Scalar regular_power(Scalar x, Scalar b) {
    if (format.dtype == DType::F32) {
      Math wide(s, DType::F64);
      const LogParts parts = wide.log_parts(s.cast(DType::F64, x));
      return s.cast(DType::F32, wide.exp(s.mul(s.cast(DType::F64, b), wide.log_sum(parts.k, parts.f))));
    }
    const TwoWords log = log_two_words(x);
    // The low word of an infinite or huge product is not defined, and not needed.
    const TwoWords exponent = product(b, log.high);
    const Scalar in_range = less(s.abs(exponent.high), 2 * format.exp_high);
    const Scalar low = s.select(in_range, s.fma(b, log.low, exponent.low), number(0));
    return exp(exponent.high, &low);
  }

  /// `lacks`: what r lacks of the exact argument, below half of its last place.
  Scalar sin_polynomial(Scalar r, const Scalar* lacks) {
    const Scalar z = s.mul(r, r), cube = s.mul(r, z), terms = polynomial(z, format.sin_terms);
    return lacks == nullptr ? s.fma(cube, terms, r) : s.add(r, s.fma(cube, terms, *lacks));
  }
  Scalar cos_polynomial(Scalar r, const Scalar* lacks) {
    const Scalar z = s.mul(r, r);
    const Scalar tail = s.fma(polynomial(z, format.cos_terms), z, number(-0.5));
    if (lacks == nullptr) return s.fma(tail, z, number(1));
    // 1 - r^2 / 2 in two words, as in fdlibm, with what z lacks of r^2.
    const Scalar half = times(z, 0.5), z_low = s.fma_exact(r, r, s.neg(z));
    const TwoWords start = fast_two_sum(number(1), s.neg(half));
    const Scalar small = s.fma(*lacks, s.neg(r), s.fma(z_low, number(-0.5), start.low));
    return s.add(start.high, s.fma(s.mul(z, z), polynomial(z, format.cos_terms), small));
  }

  /// sin(r + quadrant pi/2) for a whole number `quadrant`.
  Scalar sin_in_quadrant(Scalar r, Scalar quadrant, const Scalar* lacks = nullptr) {
    const Scalar q = s.fma(s.floor(times(quadrant, 0.25)), number(-4), quadrant);  // 0, 1, 2 or 3
    const Scalar is_odd = s.logical_or(equal(q, 1), equal(q, 3));
    const Scalar y = s.select(is_odd, cos_polynomial(r, lacks), sin_polynomial(r, lacks));
    return s.select(less(q, 2), y, s.neg(y));
  }

  /// x - n pi/2 in two words of F64, pi/2 in three: the first product cancels all but low bits of x, exactly.
  TwoWords minus_quarter_turns(Scalar x, Scalar n) {
    constexpr double kHalfPi[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
    const auto wide = [&](double value) { return s.constant(DType::F64, value); };
    const Scalar first = s.fma_exact(n, wide(-kHalfPi[0]), x);
    const TwoWords second = product(n, wide(-kHalfPi[1]));
    const TwoWords sum = two_sum(first, second.high);
    return {sum.high, s.add(sum.low, s.fma(n, wide(-kHalfPi[2]), second.low))};
  }

  /// sin(x + shift pi/2). The reduction runs in F64 for both formats; |x| < 1e15 as an f32.
  Scalar sin_shifted(Scalar x, double shift) {
    constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1, kLimit = 0x1.c6bf52p+49;  // 1e15 as an f32
    const bool is_wide = format.dtype == DType::F64;
    const auto wide = [&](double value) { return s.constant(DType::F64, value); };
    const auto narrow = [&](Scalar a) { return is_wide ? a : s.cast(DType::F32, a); };
    const Scalar wide_x = is_wide ? x : s.cast(DType::F64, x);
    const Scalar magic = wide(kF64.round_magic);
    const Scalar n = s.sub(s.fma(wide_x, wide(kTwoOverPi), magic), magic);
    const TwoWords reduced = minus_quarter_turns(wide_x, n);
    // Quarter turns modulo 4 in F64: n may be too large for F32.
    const Scalar turns = s.floor(s.mul(n, wide(0.25)));
    const Scalar quadrant = s.add(s.fma(turns, wide(-4), n), wide(shift));
    const Scalar r = narrow(reduced.high);
    const Scalar lacks = is_wide ? reduced.low : narrow(s.sub(reduced.high, s.cast(DType::F64, r)));
    const Scalar y = sin_in_quadrant(r, narrow(quadrant), &lacks);
    return s.select(less(s.abs(x), kLimit), y, number(kNaN));
  }
};

}  // namespace smelt::scalar_math
