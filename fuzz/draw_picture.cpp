#include "fuzz/draw_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace smelt::fuzz {
namespace {

constexpr std::array<int64_t, 9> kChannels = {1, 2, 3, 4, 6, 8, 15, 16, 18};  // beside and across the widths of vectors
constexpr std::array kActivations = {OpKind::Relu, OpKind::Tanh, OpKind::Sigmoid, OpKind::Softplus};

class PictureDraw {
 public:
  explicit PictureDraw(NodePool& pool) : pool_(pool), numbers_(pool.numbers()) {}

  std::optional<NodeId> run() {
    const std::optional<NodeId> x = picture();
    if (!x) return std::nullopt;
    switch (numbers_.integer(0, 7)) {
      case 0:
      case 1:
      case 2: return convolution(*x, channels_for(*x));
      case 3: return depthwise(*x);
      case 4:
      case 5: return pool(*x);
      case 6: return branches(*x);
      default: return normalised(*x);
    }
  }

 private:
  const Shape& shape(NodeId x) const { return pool_.type(x).shape; }

  static bool is_picture(const Shape& shape) {
    return shape.size() == 4 &&
           std::all_of(shape.begin() + 1, shape.end(), [](const Extent& e) { return e.is_static(); });
  }

  /// Live ones half of the time.
  std::optional<NodeId> picture() {
    const auto live = pool_.draw_live(DTypeClass::Float, 4, 4);
    if (live && is_picture(shape(*live)) && numbers_.chance(0.8)) return live;
    const Extent batch =
        numbers_.chance(0.4) ? Extent(pool_.graph().symbols[0].bound, 0) : Extent(numbers_.integer(1, 3));
    const int64_t channels = numbers_.pick(kChannels), height = numbers_.integer(3, 9), width = numbers_.integer(3, 9);
    if (batch.bound * channels * height * width > kMaxElements) return std::nullopt;
    return pool_.argument({pool_.dtype(), {batch, Extent(channels), Extent(height), Extent(width)}});
  }

  int64_t channels_for(NodeId x) {
    const int64_t most = kMaxElements / (shape(x)[0].bound * shape(x)[2].bound * shape(x)[3].bound);
    return std::max<int64_t>(1, std::min(numbers_.pick(kChannels), most));
  }

  /// One side of a picture under a window of `taps`: the places of result index `at` and tap index `tap`.
  struct Side {
    Affine places;
    int64_t size = 0;  // of the result; 0: the window does not fit
  };
  Side side(int64_t size, int64_t taps, int32_t at, int32_t tap, bool margins) {
    const int64_t stride = numbers_.integer(1, 3), dilation = numbers_.chance(0.75) ? 1 : 2;
    const int64_t reach = dilation * (taps - 1);
    const int64_t before = margins ? numbers_.integer(0, 2) : 0, after = margins ? numbers_.integer(0, 2) : 0;
    const int64_t room = size + before + after - 1 - reach;
    return {Affine::of(at, stride) + Affine::of(tap, dilation) + -before, room < 0 ? 0 : room / stride + 1};
  }

  /// A new argument, damped so that a sum of `terms` stays as large as one of them.
  std::optional<NodeId> weight(Shape sizes, int64_t terms) {
    const NodeId w = pool_.argument({pool_.dtype(), std::move(sizes)});
    return pool_.add(OpKind::Mul, {w, pool_.constant(0.6 / std::sqrt(static_cast<double>(terms)), pool_.type(w))});
  }

  /// y[n, o, i, j] = sum[c, u, v] x?[n, c, places of i and u, places of j and v] * w[o, c, u, v]
  std::optional<NodeId> convolution(NodeId x, int64_t out) {
    const Shape in = shape(x);
    const int64_t high = numbers_.integer(1, 4), wide = numbers_.chance(0.7) ? high : numbers_.integer(1, 4);
    const bool margins = numbers_.chance(0.7);
    const Side rows = side(in[2].bound, high, 2, 5, margins), columns = side(in[3].bound, wide, 3, 6, margins);
    if (rows.size == 0 || columns.size == 0) return std::nullopt;
    const auto w = weight({Extent(out), in[1], Extent(high), Extent(wide)}, in[1].bound * high * wide);
    if (!w) return std::nullopt;
    IndexFormula formula{
        4,
        {{{Affine::of(0), Affine::of(4), rows.places, columns.places}, margins},
         {{Affine::of(1), Affine::of(4), Affine::of(5), Affine::of(6)}}},
        {in[0], Extent(out), Extent(rows.size), Extent(columns.size), in[1], Extent(high), Extent(wide)}};
    return pool_.add(OpKind::Contract, {x, *w}, {{"formula", std::move(formula)}});
  }

  /// y[n, c, i, j] = sum[u, v] x?[n, c, ..] * w[c, u, v]
  std::optional<NodeId> depthwise(NodeId x) {
    const Shape in = shape(x);
    const int64_t taps = numbers_.integer(2, 3);
    const bool margins = numbers_.chance(0.7);
    const Side rows = side(in[2].bound, taps, 2, 4, margins), columns = side(in[3].bound, taps, 3, 5, margins);
    if (rows.size == 0 || columns.size == 0) return std::nullopt;
    const auto w = weight({in[1], Extent(taps), Extent(taps)}, taps * taps);
    if (!w) return std::nullopt;
    IndexFormula formula{4,
                         {{{Affine::of(0), Affine::of(1), rows.places, columns.places}, margins},
                          {{Affine::of(1), Affine::of(4), Affine::of(5)}}},
                         {in[0], in[1], Extent(rows.size), Extent(columns.size), Extent(taps), Extent(taps)}};
    return pool_.add(OpKind::Contract, {x, *w}, {{"formula", std::move(formula)}});
  }

  /// The largest, the least or the mean of windows. What is outside is less, or more, than any value, or 0 for the
  /// mean.
  std::optional<NodeId> pool(NodeId x) {
    constexpr std::array kKinds = {OpKind::ReduceMax, OpKind::ReduceMin, OpKind::ReduceSum};
    const OpKind kind = numbers_.pick(kKinds);
    const Shape in = shape(x);
    const int64_t taps = numbers_.integer(2, 3);
    const bool margins = numbers_.chance(0.4);
    const Side rows = side(in[2].bound, taps, 2, 4, margins), columns = side(in[3].bound, taps, 3, 5, margins);
    if (rows.size == 0 || columns.size == 0) return std::nullopt;
    const double outside = kind == OpKind::ReduceSum ? 0 : kind == OpKind::ReduceMax ? -kOutside : kOutside;
    IndexFormula formula{4 + 2,
                         {{{Affine::of(0), Affine::of(1), rows.places, columns.places}, margins}},
                         {in[0], in[1], Extent(rows.size), Extent(columns.size), Extent(taps), Extent(taps)}};
    const auto windows = pool_.add(OpKind::Read, {x}, {{"formula", std::move(formula)}, {"outside", outside}});
    if (!windows) return std::nullopt;
    const auto reduced = pool_.add(kind, {*windows}, {{"axes", std::vector<int64_t>{4, 5}}});
    if (!reduced || kind != OpKind::ReduceSum) return reduced;
    const double share = 1.0 / static_cast<double>(taps * taps);
    return pool_.add(OpKind::Mul, {*reduced, pool_.constant(share, pool_.type(*reduced))});
  }

  /// Two to three branches over the same picture, side by side along the channels: 1 x 1, and others of its size.
  std::optional<NodeId> branches(NodeId x) {
    const Shape in = shape(x);
    const int64_t most = kMaxElements / (in[0].bound * in[2].bound * in[3].bound);
    std::vector<NodeId> parts;
    int64_t channels = 0;
    for (int64_t k = numbers_.integer(2, 3); k > 0; --k) {
      const int64_t out = numbers_.pick(kChannels), margin = numbers_.integer(0, 1), taps = 2 * margin + 1;
      if (channels + out > most) continue;
      const auto w = weight({Extent(out), in[1], Extent(taps), Extent(taps)}, in[1].bound * taps * taps);
      if (!w) return std::nullopt;
      IndexFormula formula{4,
                           {{{Affine::of(0), Affine::of(4), Affine::of(2) + Affine::of(5) + -margin,
                              Affine::of(3) + Affine::of(6) + -margin},
                             margin > 0},
                            {{Affine::of(1), Affine::of(4), Affine::of(5), Affine::of(6)}}},
                           {in[0], Extent(out), in[2], in[3], in[1], Extent(taps), Extent(taps)}};
      const auto made = pool_.add(OpKind::Contract, {x, *w}, {{"formula", std::move(formula)}});
      const auto bent = made && numbers_.chance(0.6) ? pool_.add(numbers_.pick(kActivations), {*made}) : made;
      if (!bent) continue;
      parts.push_back(*bent);
      channels += out;
    }
    if (parts.size() < 2) return std::nullopt;
    return pool_.add(OpKind::Concat, Operands(parts.begin(), parts.end()), {{"axis", int64_t{1}}});
  }

  /// Less its mean over pictures and places, by channel, then bent.
  std::optional<NodeId> normalised(NodeId x) {
    const Shape in = shape(x);
    const auto sum = pool_.add(OpKind::ReduceSum, {x}, {{"axes", std::vector<int64_t>{0, 2, 3}}});
    if (!sum) return std::nullopt;
    const double share = 1.0 / static_cast<double>(in[0].bound * in[2].bound * in[3].bound);
    const auto mean = pool_.add(OpKind::Mul, {*sum, pool_.constant(share, pool_.type(*sum))});
    if (!mean) return std::nullopt;
    const auto back =
        pool_.add(OpKind::Broadcast, {*mean}, {{"axes", std::vector<int64_t>{1}}, {"type", pool_.type(x)}});
    if (!back) return std::nullopt;
    const auto rest = pool_.add(OpKind::Sub, {x, *back});
    return rest ? pool_.add(numbers_.pick(kActivations), {*rest}) : std::nullopt;
  }

  static constexpr double kOutside = 39;  // beyond what most values reach, and still kept

  NodePool& pool_;
  Numbers& numbers_;
};

}  // namespace

std::optional<NodeId> draw_picture(NodePool& pool) { return PictureDraw(pool).run(); }

}  // namespace smelt::fuzz
