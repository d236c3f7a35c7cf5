#include "api/smelt/call_values.h"

#include <algorithm>
#include <cstring>

#include "ir/support/check.h"

namespace smelt {
namespace {

class CallReader {
 public:
  CallReader(const Experiment& experiment, const Graph& graph, const FailedCall& call)
      : experiment_(experiment), graph_(graph), call_(call) {
    for (size_t s = 0; s < graph.symbols.size(); ++s)
      values_.extents.push_back(call.frame.extent(static_cast<int32_t>(s)));
  }

  CallValues read() {
    const std::vector<const void*> inputs = inputs_of_arguments();
    for (size_t a = 0; a < graph_.arguments.size(); ++a) {
      if (graph_.arguments[a].role == ArgRole::Rows) read_rows(graph_.arguments[a], inputs[a]);
    }
    for (size_t a = 0; a < graph_.arguments.size(); ++a) {
      const Argument& argument = graph_.arguments[a];
      if (argument.role == ArgRole::Column) shorten(argument);
    }
    for (size_t a = 0; a < graph_.arguments.size(); ++a)
      values_.arguments.push_back(read_argument(graph_.arguments[a], inputs[a]));
    return std::move(values_);
  }

 private:
  /// The call's inputs count columns, rows and feeds alone.
  std::vector<const void*> inputs_of_arguments() const {
    std::vector<const void*> inputs;
    size_t next = 0;
    for (const Argument& argument : graph_.arguments) {
      inputs.push_back(is_input(argument.role) ? call_.frame.input(next++) : nullptr);
    }
    return inputs;
  }

  void read_rows(const Argument& argument, const void* input) {
    const std::vector<int64_t> sizes = actual_sizes(graph_.type(argument.node).shape, values_.extents);
    const auto section = static_cast<size_t>(std::max(argument.ref, 0));
    if (section >= values_.rows.size()) values_.rows.resize(section + 1);
    std::vector<int32_t>& numbers = values_.rows[section];
    numbers.resize(static_cast<size_t>(sizes.at(0)));
    std::memcpy(numbers.data(), input, numbers.size() * sizeof(int32_t));
  }

  /// Columns have a dimension of their own for their rows.
  void shorten(const Argument& argument) {
    const Extent& rows = graph_.type(argument.node).shape[0];
    SMELT_CHECK(!rows.is_static(), "column `{}` has a fixed number of rows", argument.name);
    values_.extents[static_cast<size_t>(rows.symbol)] = static_cast<int64_t>(rows_of(argument).size());
  }

  const std::vector<int32_t>& rows_of(const Argument& column) const {
    const int32_t section = experiment_.data->columns[static_cast<size_t>(column.ref)].section;
    return values_.rows.at(static_cast<size_t>(section));
  }

  RefTensor read_argument(const Argument& argument, const void* input) const {
    RefTensor tensor{graph_.type(argument.node), actual_sizes(graph_.type(argument.node).shape, values_.extents), {}};
    tensor.values.resize(static_cast<size_t>(tensor.count()));
    switch (argument.role) {
      case ArgRole::Variable: read_dense(tensor, variable(argument.ref)); break;
      case ArgRole::Column: read_column(tensor, input, rows_of(argument)); break;
      case ArgRole::Rows:
        for (size_t i = 0; i < tensor.values.size(); ++i) tensor.values[i] = static_cast<double>(i);
        break;
      case ArgRole::Feed: read_by_bounds(tensor, static_cast<const std::byte*>(input)); break;
      case ArgRole::Scalar: tensor.values[0] = scalar(experiment_.scalars[static_cast<size_t>(argument.ref)]); break;
      case ArgRole::Seed:
        tensor.values[0] = static_cast<double>(static_cast<int64_t>(call_.session.header().seed));
        break;
      case ArgRole::Run: tensor.values[0] = static_cast<double>(call_.session.runs(call_.frame.entry())); break;
      case ArgRole::Carry:
      case ArgRole::Slice:
      case ArgRole::Whole: SMELT_CHECK(false, "`{}` is an argument of a body", argument.name);
    }
    return tensor;
  }

  const std::byte* variable(int32_t ref) const {
    return call_.session.bytes(call_.session.program().variables[static_cast<size_t>(ref)]).data();
  }

  double scalar(const ScalarInput& scalar) const {
    switch (scalar.kind) {
      case ScalarKind::Setting:
      case ScalarKind::Loss: return call_.session.scalar(scalar.name).value_or(scalar.initial);
      case ScalarKind::Iteration: return static_cast<double>(call_.session.header().iteration);
      case ScalarKind::Horizon: return static_cast<double>(call_.session.header().horizon);
      case ScalarKind::Update: return static_cast<double>(call_.session.runs(call_.frame.entry()) + 1);
    }
    return 0;
  }

  static void read_dense(RefTensor& tensor, const std::byte* from) {
    const auto width = static_cast<size_t>(size_of(tensor.type.dtype));
    for (size_t i = 0; i < tensor.values.size(); ++i)
      tensor.values[i] = load_element(tensor.type.dtype, from + i * width);
  }

  static void read_column(RefTensor& tensor, const void* input, std::span<const int32_t> rows) {
    const auto width = static_cast<size_t>(size_of(tensor.type.dtype));
    const size_t row_elements = rows.empty() ? 0 : tensor.values.size() / rows.size();
    // A row lies as long as it can be; of strings of a run-time dim, which have one axis, the batch may have less.
    size_t stored = 1;
    for (size_t axis = 1; axis < tensor.type.shape.size(); ++axis)
      stored *= static_cast<size_t>(tensor.type.shape[axis].bound);
    for (size_t b = 0; b < rows.size(); ++b) {
      const std::byte* row = static_cast<const std::byte*>(input) + static_cast<size_t>(rows[b]) * stored * width;
      for (size_t i = 0; i < row_elements; ++i)
        tensor.values[b * row_elements + i] = load_element(tensor.type.dtype, row + i * width);
    }
  }

  static void read_by_bounds(RefTensor& tensor, const std::byte* from) {
    const std::vector<int64_t> strides = row_major_strides(tensor.type.shape);
    const int64_t width = size_of(tensor.type.dtype);
    for (size_t i = 0; i < tensor.values.size(); ++i) {
      auto rest = static_cast<int64_t>(i);
      int64_t offset = 0;
      for (size_t axis = tensor.sizes.size(); axis-- > 0;) {
        offset += rest % tensor.sizes[axis] * strides[axis];
        rest /= tensor.sizes[axis];
      }
      tensor.values[i] = load_element(tensor.type.dtype, from + offset * width);
    }
  }

  const Experiment& experiment_;
  const Graph& graph_;
  const FailedCall& call_;
  CallValues values_;
};

}  // namespace

CallValues read_call(const Experiment& experiment, const Graph& graph, const FailedCall& call) {
  return CallReader(experiment, graph, call).read();
}

}  // namespace smelt
