#include "fuzz/draw_attributes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>

#include "ir/half_bits.h"

namespace smelt::fuzz {
namespace {

struct Context {
  NodePool& pool;
  const OpDef& def;
  std::span<const NodeId> operands;

  Numbers& numbers() const { return pool.numbers(); }
  const TensorType& x() const { return pool.type(operands[0]); }
  int64_t rank() const { return static_cast<int64_t>(x().rank()); }
};

using Draw = std::optional<Attributes> (*)(const Context&);

/// Attributes that belong together, and how to draw them. The first row whose names are the record's counts.
struct Row {
  std::string_view names;  // in the record's order, with a space between
  Draw draw;
};

std::optional<Attributes> draw_none(const Context&) { return Attributes{}; }

std::optional<Attributes> draw_dtype(const Context& c) {
  constexpr std::array kTypes = {DType::I32, DType::I64, DType::Bool, DType::U8, DType::I8, DType::I16};
  const bool half = is_half(c.x().dtype);
  const bool to_float = !is_float(c.x().dtype) || c.numbers().chance(half ? 0.7 : 0.3);
  // In a graph that does not compute with halves a cast of another float to one needs a `stop`: see NodePool::to_half.
  const bool may_halve =
      c.pool.halves() == Halves::Computed || (c.pool.halves() == Halves::Stored && (half || !is_float(c.x().dtype)));
  const DType floating = may_halve && c.numbers().chance(0.3) ? c.pool.draw_half_dtype() : c.pool.dtype();
  const DType dtype = to_float ? floating : c.numbers().pick(kTypes);
  return Attributes{{"dtype", std::string(to_string(dtype))}};
}

std::optional<Attributes> draw_axes(const Context& c) {
  if (c.rank() == 0) return std::nullopt;
  std::vector<int64_t> axes;
  for (int64_t axis = 0; axis < c.rank(); ++axis) {
    if (c.numbers().chance(0.5)) axes.push_back(axis);
  }
  if (axes.empty()) axes.push_back(c.numbers().integer(0, c.rank() - 1));
  return Attributes{{"axes", axes}};
}

std::optional<Attributes> draw_axis(const Context& c) {
  if (c.rank() == 0) return std::nullopt;
  return Attributes{{"axis", c.numbers().integer(0, c.rank() - 1)}};
}

std::optional<Attributes> draw_permutation(const Context& c) {
  std::vector<int64_t> permutation(static_cast<size_t>(c.rank()));
  std::iota(permutation.begin(), permutation.end(), 0);
  for (size_t i = permutation.size(); i > 1; --i) {
    std::swap(permutation[i - 1],
              permutation[static_cast<size_t>(c.numbers().integer(0, static_cast<int64_t>(i) - 1))]);
  }
  return Attributes{{"permutation", permutation}};
}

/// The operand's axes among up to two new ones, rarely in another order.
std::optional<Attributes> draw_broadcast(const Context& c) {
  std::vector<int64_t> source(static_cast<size_t>(c.rank()));
  std::iota(source.begin(), source.end(), 0);
  for (int64_t added = c.numbers().integer(0, 2); added > 0; --added) {
    source.insert(source.begin() + c.numbers().integer(0, static_cast<int64_t>(source.size())), -1);
  }
  if (c.numbers().chance(0.15)) std::ranges::reverse(source);
  if (source.size() > 4) return std::nullopt;
  Shape shape;
  std::vector<int64_t> axes(static_cast<size_t>(c.rank()));
  for (size_t at = 0; at < source.size(); ++at) {
    if (source[at] >= 0) axes[static_cast<size_t>(source[at])] = static_cast<int64_t>(at);
    shape.push_back(source[at] >= 0 ? c.x().shape[static_cast<size_t>(source[at])] : c.pool.draw_extent());
  }
  return Attributes{{"axes", axes}, {"type", TensorType{c.x().dtype, shape}}};
}

/// Splits or joins static axes, or adds or drops one of size 1.
std::optional<Attributes> draw_reshape(const Context& c) {
  TensorType type = c.x();
  Shape& shape = type.shape;
  const auto at = static_cast<size_t>(c.numbers().integer(0, std::max<int64_t>(c.rank() - 1, 0)));
  const auto place = [&](size_t i) { return shape.begin() + static_cast<ptrdiff_t>(i); };
  const bool here = at < shape.size() && shape[at].is_static();
  if (here && at + 1 < shape.size() && shape[at + 1].is_static() && c.numbers().chance(0.6)) {
    shape[at] = Extent(shape[at].bound * shape[at + 1].bound);
    shape.erase(place(at + 1));
    return Attributes{{"type", type}};
  }
  if (here && shape[at].bound == 1 && c.numbers().chance(0.5)) {
    shape.erase(place(at));
    return Attributes{{"type", type}};
  }
  if (shape.size() >= 4) return std::nullopt;
  const int64_t factor = c.numbers().integer(2, 4);
  if (here && shape[at].bound % factor == 0 && c.numbers().chance(0.7)) {
    shape[at] = Extent(shape[at].bound / factor);
    shape.insert(place(at + static_cast<size_t>(c.numbers().integer(0, 1))), Extent(factor));
    return Attributes{{"type", type}};
  }
  shape.insert(place(at), Extent(1));
  return Attributes{{"type", type}};
}

/// At least one axis is shared, and one is left for what the index numbers.
std::optional<Attributes> draw_batch(const Context& c) {
  if (c.rank() < 2) return std::nullopt;
  return Attributes{{"batch", c.numbers().integer(1, c.rank() - 1)}};
}

/// Of updates [b.., i.., r..] a result [b.., n, r..], with one axis i or none.
std::optional<Attributes> draw_batch_sum(const Context& c) {
  if (c.rank() < 2) return std::nullopt;
  const int64_t batch = c.numbers().integer(1, c.rank() - 1), labels = c.numbers().chance(0.8) ? 1 : 0;
  TensorType type = c.x();
  const auto at = type.shape.begin() + batch;
  type.shape.erase(at, at + labels);
  type.shape.insert(type.shape.begin() + batch, c.pool.draw_extent());
  return Attributes{{"batch", batch}, {"type", type}};
}

std::optional<Attributes> draw_slice(const Context& c) {
  std::vector<int64_t> starts, limits;
  for (const Extent& extent : c.x().shape) {
    const bool part = extent.is_static() && extent.bound > 0 && c.numbers().chance(0.6);
    starts.push_back(part ? c.numbers().integer(0, extent.bound - 1) : 0);
    limits.push_back(part ? c.numbers().integer(starts.back() + 1, extent.bound) : extent.bound);
  }
  return Attributes{{"starts", starts}, {"limits", limits}};
}

std::optional<Attributes> draw_pad(const Context& c) {
  std::vector<int64_t> low, high;
  for (const Extent& extent : c.x().shape) {
    const bool grows = extent.is_static() && c.numbers().chance(0.6);
    low.push_back(grows ? c.numbers().integer(0, 2) : 0);
    high.push_back(grows ? c.numbers().integer(0, 3) : 0);
  }
  return Attributes{{"low", low}, {"high", high}};
}

/// A formula while it grows: result indices are numbered as they are made, summed ones are moved behind them.
class FormulaDraft {
 public:
  int32_t new_index(Extent extent, bool summed) {
    extents_.push_back(extent);
    summed_.push_back(summed);
    return static_cast<int32_t>(extents_.size()) - 1;
  }
  const Extent& extent(int32_t index) const { return extents_[static_cast<size_t>(index)]; }
  size_t rank() const { return static_cast<size_t>(std::ranges::count(summed_, false)); }

  /// The result's axes in a random order now and then.
  IndexFormula finish(std::vector<IndexMap> operands, Numbers& numbers) const {
    std::vector<size_t> order;
    for (size_t k = 0; k < summed_.size(); ++k) {
      if (!summed_[k]) order.push_back(k);
    }
    IndexFormula formula{static_cast<int32_t>(order.size()), std::move(operands), {}};
    if (order.size() > 1 && numbers.chance(0.3)) std::swap(order.front(), order.back());
    for (size_t k = 0; k < summed_.size(); ++k) {
      if (summed_[k]) order.push_back(k);
    }
    std::vector<Affine> places(order.size());
    for (size_t k = 0; k < order.size(); ++k) {
      places[order[k]] = Affine::of(static_cast<int32_t>(k));
      formula.extents.push_back(extents_[order[k]]);
    }
    for (IndexMap& map : formula.operands) {
      for (Affine& axis : map.axes) axis = substitute(axis, places);
    }
    return formula;
  }

 private:
  Shape extents_;
  std::vector<bool> summed_;
};

/// stride * i + dilation * tap + constant over an axis of `size` positions, i a new index of the result. With `bounded`
/// some positions may lie outside. nullopt: the window does not fit.
std::optional<Affine> draw_window(FormulaDraft& draft, int64_t size, int32_t tap, bool bounded, Numbers& numbers) {
  const int64_t stride = numbers.integer(1, 3) * (numbers.chance(0.15) ? -1 : 1);
  const int64_t dilation = numbers.integer(1, 2) * (numbers.chance(0.3) ? -1 : 1);
  const int64_t reach = std::abs(dilation) * (draft.extent(tap).bound - 1);
  const int64_t before = bounded ? numbers.integer(0, 2) : 0, after = bounded ? numbers.integer(0, 2) : 0;
  const int64_t room = size + before + after - 1 - reach;
  if (room < 0) return std::nullopt;
  const int64_t most = room / std::abs(stride) + 1;
  const int64_t count = numbers.chance(0.7) ? most : numbers.integer(1, most);
  const int32_t index = draft.new_index(Extent(count), false);
  const int64_t start = (dilation < 0 ? reach : 0) + (stride < 0 ? -stride * (count - 1) : 0) - before;
  return Affine::of(index, stride) + Affine::of(tap, dilation) + start;
}

/// Now and then an index runs over the first positions of an axis only.
Extent all_or_part(const Extent& extent, Numbers& numbers) {
  const bool part = extent.is_static() && extent.bound > 1 && numbers.chance(0.1);
  return part ? Extent(numbers.integer(1, extent.bound - 1)) : extent;
}

/// Equal extents are sometimes one index: summed, or kept as a batch index. An axis of the left operand's own may slide
/// over one of the right operand's own.
std::optional<Attributes> draw_contraction(const Context& c) {
  const Shape &a = c.pool.type(c.operands[0]).shape, &b = c.pool.type(c.operands[1]).shape;
  FormulaDraft draft;
  std::vector<IndexMap> maps(2);
  maps[0].bounded = c.numbers().chance(0.3);
  std::vector<int> partner(a.size(), -1);  // the axis of b with which an axis of a has an index, or slides over
  std::vector<bool> taken(b.size(), false);
  const auto pair_up = [&](double chance, const auto& fits) {
    for (size_t i = 0; i < a.size(); ++i) {
      for (size_t j = 0; j < b.size() && partner[i] < 0; ++j) {
        if (taken[j] || !fits(a[i], b[j]) || !c.numbers().chance(chance)) continue;
        partner[i] = static_cast<int>(j);
        taken[j] = true;
      }
    }
  };
  pair_up(0.75, [](const Extent& x, const Extent& y) { return x == y; });
  const std::vector<int> equal = partner;
  pair_up(0.4, [](const Extent& x, const Extent& y) { return x.is_static() && y.is_static() && y.bound <= x.bound; });
  maps[1].axes.resize(b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    Affine axis;
    if (partner[i] < 0) {
      axis = Affine::of(draft.new_index(all_or_part(a[i], c.numbers()), false));
    } else {
      const auto j = static_cast<size_t>(partner[i]);
      const bool window = equal[i] < 0;
      const Extent extent = window ? b[j] : all_or_part(b[j], c.numbers());
      const int32_t shared = draft.new_index(extent, window || c.numbers().chance(0.7));
      maps[1].axes[j] = axis = Affine::of(shared);
      if (window) {
        const std::optional<Affine> slid = draw_window(draft, a[i].bound, shared, maps[0].bounded, c.numbers());
        if (!slid) return std::nullopt;
        axis = *slid;
      }
    }
    maps[0].axes.push_back(std::move(axis));
  }
  for (size_t j = 0; j < b.size(); ++j) {
    if (!taken[j]) maps[1].axes[j] = Affine::of(draft.new_index(all_or_part(b[j], c.numbers()), false));
  }
  if (draft.rank() > 4) return std::nullopt;
  return Attributes{{"formula", draft.finish(std::move(maps), c.numbers())}};
}

/// A part of a run-time axis: a few elements that are there, or an index of the same dimension, or of one that is
/// shorter by a number. With `bounded` some positions may lie outside.
std::optional<Affine> draw_run_time_part(const Context& c, FormulaDraft& draft, const Extent& extent, bool bounded) {
  const std::vector<DimSymbol>& symbols = c.pool.graph().symbols;
  Numbers& numbers = c.numbers();
  if (numbers.chance(0.4)) {
    const int64_t size = c.pool.extents()[static_cast<size_t>(extent.symbol)];
    const int64_t count = numbers.integer(1, std::min<int64_t>(size, 4));
    const int64_t start = bounded ? numbers.integer(-1, size) : numbers.integer(0, size - count);
    return Affine::of(draft.new_index(Extent(count), false)) + start;
  }
  const int64_t symbol = numbers.integer(0, static_cast<int64_t>(symbols.size()) - 1);
  const DimSymbol& part = symbols[static_cast<size_t>(symbol)];
  const Size rest = size_of_symbol(symbols, extent.symbol) - size_of_symbol(symbols, static_cast<int32_t>(symbol));
  const int64_t room = least_of(rest).value_or(-1);
  if (room < 0 && !bounded) return std::nullopt;
  const int64_t start = bounded ? numbers.integer(-2, 2) : numbers.integer(0, room);
  return Affine::of(draft.new_index(Extent(part.bound, static_cast<int32_t>(symbol)), false)) + start;
}

/// Positions of a fixed axis, one for each element of a run-time dimension.
std::optional<Affine> draw_run_time_index(const Context& c, FormulaDraft& draft, const Extent& extent) {
  const int64_t symbol = c.numbers().integer(0, static_cast<int64_t>(c.pool.graph().symbols.size()) - 1);
  const int64_t bound = c.pool.graph().symbols[static_cast<size_t>(symbol)].bound;
  if (bound > extent.bound) return std::nullopt;
  const int64_t start = c.numbers().integer(0, extent.bound - bound);
  return Affine::of(draft.new_index(Extent(bound, static_cast<int32_t>(symbol)), false)) + start;
}

/// Of each axis the whole, every other element, a window beside each element, or one element; parts where a size shows
/// at run time.
std::optional<Attributes> draw_read(const Context& c) {
  FormulaDraft draft;
  IndexMap map{{}, c.numbers().chance(0.5)};
  for (const Extent& extent : c.x().shape) {
    const bool whole = extent.bound == 0 || c.numbers().chance(extent.is_static() ? 0.3 : 0.5);
    if (!whole && (!extent.is_static() || c.numbers().chance(0.1))) {
      const std::optional<Affine> part = extent.is_static() ? draw_run_time_index(c, draft, extent)
                                                            : draw_run_time_part(c, draft, extent, map.bounded);
      if (!part) return std::nullopt;
      map.axes.push_back(*part);
    } else if (whole) {
      map.axes.push_back(Affine::of(draft.new_index(extent, false)));
    } else if (draft.rank() + 1 >= 4 || c.numbers().chance(0.15)) {
      map.axes.push_back(Affine{c.numbers().integer(0, extent.bound - 1), {}});
    } else {
      const int64_t taps = c.numbers().chance(0.4) ? 1 : c.numbers().integer(1, std::min<int64_t>(4, extent.bound));
      const int32_t tap = draft.new_index(Extent(taps), false);
      const std::optional<Affine> slid = draw_window(draft, extent.bound, tap, map.bounded, c.numbers());
      if (!slid) return std::nullopt;
      map.axes.push_back(*slid);
    }
  }
  if (draft.rank() < 4 && c.numbers().chance(0.2)) draft.new_index(c.pool.draw_extent(), false);  // repeated
  const double outside = map.bounded && c.numbers().chance(0.2) ? 1 : 0;
  return Attributes{{"formula", draft.finish({std::move(map)}, c.numbers())}, {"outside", outside}};
}

std::optional<Attributes> draw_site(const Context& c) {
  const int64_t site = c.numbers().integer(0, 0xFFFFFFFF), loop = c.numbers().integer(0, 3);
  return Attributes{{"site", site}, {"loop", loop}, {"type", TensorType{c.pool.dtype(), c.pool.draw_shape(3)}}};
}

std::optional<Attributes> draw_value(const Context& c) {
  return Attributes{{"value", c.numbers().uniform(-2, 2)}, {"type", TensorType{c.pool.dtype(), c.pool.draw_shape(2)}}};
}

std::optional<Attributes> draw_position(const Context& c) {
  Shape shape = c.pool.draw_shape(2);
  if (shape.empty()) shape.push_back(c.pool.draw_extent());
  const auto axis = c.numbers().integer(0, static_cast<int64_t>(shape.size()) - 1);
  return Attributes{{"axis", axis}, {"type", TensorType{c.numbers().chance(0.7) ? DType::I32 : DType::I64, shape}}};
}

std::optional<Attributes> draw_symbol(const Context& c) {
  return Attributes{
      {"symbol", int64_t{0}}, {"bound", c.pool.graph().symbols[0].bound}, {"type", TensorType{c.pool.dtype(), {}}}};
}

constexpr std::array kRows = {
    Row{"", draw_none},
    Row{"dtype", draw_dtype},
    Row{"axes", draw_axes},
    Row{"axis", draw_axis},
    Row{"permutation", draw_permutation},
    Row{"axes type", draw_broadcast},
    Row{"batch", draw_batch},
    Row{"batch type", draw_batch_sum},
    Row{"type", draw_reshape},
    Row{"starts limits", draw_slice},
    Row{"low high", draw_pad},
    Row{"formula", draw_contraction},
    Row{"formula outside", draw_read},
    Row{"site loop type", draw_site},
    Row{"value type", draw_value},
    Row{"axis type", draw_position},
    Row{"symbol bound type", draw_symbol},
};

const Row* row_of(const OpDef& def) {
  std::string names;
  for (const AttrDef& attr : def.attributes) names += fmt::format("{}{}", names.empty() ? "" : " ", attr.name);
  const auto row = std::ranges::find(kRows, names, &Row::names);
  return row == kRows.end() ? nullptr : &*row;
}

}  // namespace

bool knows_attributes(const OpDef& def) { return row_of(def) != nullptr; }

std::optional<Attributes> draw_attributes(NodePool& pool, const OpDef& def, std::span<const NodeId> operands) {
  const Row* row = row_of(def);
  return row == nullptr ? std::nullopt : row->draw({pool, def, operands});
}

}  // namespace smelt::fuzz
