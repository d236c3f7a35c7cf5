// Dims and axes: which there are, whether two are the same, how they are written; and values that have to be numbers or
// axes, which are in values.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/value.h"

namespace smelt {

struct Experiment;
class Diagnostics;

namespace frontend {

/// What a dim may be.
constexpr int64_t kMaxDim = 2147483647;

/// Whether operands are compared, as labels are with `index(Class)`.
enum class Meeting : uint8_t { Plain, Compared };

/// Whether it matters which of two alike axes a name of `over=` means: not to a sum over both, but to what pairs it
/// with an axis of another value.
enum class NamedAxes : uint8_t { AsASet, InPairs };

/// An `expect_*` reports a value that is something else.
class Shapes {
 public:
  Shapes(Experiment& experiment, Diagnostics& diagnostics) : experiment_(experiment), diagnostics_(diagnostics) {}

  DimId new_dim(std::string name, Extent extent, Span span, bool runtime = false);
  const Dim& dim_of(DimId id) const { return dims_[static_cast<size_t>(id)]; }
  void set_of_file(DimId id) { dims_[static_cast<size_t>(id)].of_file = true; }
  /// Axes as they are outside of the layer that has them: dims of the file, and others without a name.
  Axes outside_of_layer(Axes axes) const;
  Axis axis_of(DimId id) const { return {id, dim_of(id).extent}; }
  /// The extent of as many elements, which have to be 1 to `kMaxDim` at the bounds of the dims.
  Extent extent_of(const Size& size);
  Size size_of_extent(const Extent& extent) const;
  /// What it is when each run-time dim is as large as it may be; a number above `kMaxDim` stands for all above.
  int64_t largest(const Size& size) const;
  /// As it is written: `2*T+U-1`.
  std::string size_text(const Size& size) const;
  bool unify(const Axis& a, const Axis& b) const;
  bool check_size(DType dtype, const Axes& axes, Span span);
  /// Where the axes that `over=` names are in x. One that x has twice is named twice.
  std::optional<std::vector<int64_t>> find_axes(const Tensor& x, const Axes& over, Span span,
                                                NamedAxes named = NamedAxes::AsASet);

  std::string describe(const Value& value) const;
  /// What to write where a value is needed and `value` is none, such as a tuple or a shape. Empty for those that are.
  std::string help_for_no_value(const Value& value) const;
  std::string type_text(DType dtype, const Axes& axes, DimId label = kAnonymous) const;
  std::string type_text(const Tensor& t) const { return type_text(t.dtype, t.axes, t.label); }
  std::string axes_text(const Axes& axes) const;
  std::string axis_text(const Axis& axis) const;
  std::string sized_text(const Axis& axis) const;  // `Pixel (784)`, `784`
  /// What to do with a float tensor that meets labels: where it has a number for each label, the argmax was forgotten.
  /// Empty for other tensors.
  std::string label_help(const Tensor& a, const Tensor& b, Meeting meeting) const;

  std::optional<double> number_of(const Value& value) const;  // compile-time; static dims included
  std::optional<int64_t> expect_integer(const Value& value, Span span, std::string_view what);
  std::optional<bool> expect_bool(const Value& value, Span span, std::string_view what);
  std::optional<Axes> expect_axes(const Value& value, Span span);   // `over=`
  std::optional<Axes> expect_shape(const Value& value, Span span);  // `[64, 28]`

 private:
  std::vector<int64_t> axes_that_are(const Tensor& x, const Axis& wanted) const;
  std::string several_axes_help(const Tensor& x, const std::vector<int64_t>& found, const Axis& wanted) const;
  std::string no_axis_help(const Tensor& x, const Axis& wanted) const;

  Experiment& experiment_;
  Diagnostics& diagnostics_;
  std::vector<Dim> dims_;
};

}  // namespace frontend
}  // namespace smelt
