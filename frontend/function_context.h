// The function that is being built: its graph and what it has read and written so far.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "frontend/value.h"
#include "ir/builder.h"
#include "ir/example_axis.h"
#include "ir/experiment.h"
#include "ir/support/diagnostics.h"

namespace smelt::frontend {

struct FunctionContext {
  explicit FunctionContext(uint32_t number) : id(number), builder(function.graph) {}

  Function function;
  uint32_t id;
  Builder builder;
  std::string site;  // objective's or export's name, prefixed with eval/ where training is false
  bool training = false;
  bool is_init = false;  // computes start values: its run is 0, and `variables` has the start values so far
  bool trial = false;    // thrown away: it is built to find all parameters
  NodeId seed, run;
  std::map<int32_t, NodeId> rows;  // by data section
  Axis batch;                      // of `rows`
  std::set<NodeId> guards;         // reports that have to be finite: the norm of a clip, the loss of another objective
  std::map<int32_t, NodeId> variables;  // current value of each variable that was read or written
  std::set<int32_t> written;
  std::map<int32_t, NodeId> scalars, columns;
  std::map<std::string, Tensor> fields;
  std::map<std::string, int> calls;  // layer or function called so far, by call path
  std::map<std::string, int> draws;
  std::vector<std::pair<std::string, NodeId>> reports;
  int64_t cotangents = 0;           // placeholders so far
  std::map<NodeId, NodeId> slices;  // of open scans: placeholders, and what they are slices of
  std::map<NodeId, int64_t> steps;  // of open scans: the number of the step, and how many there are at most
  ExampleSums example_sums;         // whose gradient is one per example
  struct LayerCall {
    uint32_t begin, end;  // the nodes that it made
    std::string layer, path;
    Span span;
  };
  std::vector<LayerCall> layer_calls;  // an inner one comes before the one around it
  /// What the model file itself applies, for the lints: functions of the library, reductions, distributions, nets.
  struct Use {
    struct Operand {
      NodeId node;  // not valid: no tensor
      Axes axes;
      std::optional<Range> range;
      std::optional<double> number;
    };
    std::string name;  // such as `bernoulli_log_prob`, `mean`, `Normal`; `net D` of a net D
    Span span;
    std::vector<Operand> operands;  // by parameter
    Operand result;
    bool by_logvar = false;  // of a Normal
  };
  std::vector<Use> uses;
};

/// What the uses of nets begin with.
inline constexpr std::string_view kNetUse = "net ";

/// While it lives, nodes of the builder belong to `call`.
class BuilderCall {
 public:
  BuilderCall(Builder& builder, Span call) : builder_(builder), outer_(builder.call()) { builder_.set_call(call); }
  BuilderCall(const BuilderCall&) = delete;
  BuilderCall& operator=(const BuilderCall&) = delete;
  ~BuilderCall() { builder_.set_call(outer_); }

 private:
  Builder& builder_;
  Span outer_;
};

/// While it lives, nodes and diagnostics carry the place where the model file calls into the library. Where the library
/// calls a function of the model file, they carry none.
class LibraryCall {
 public:
  LibraryCall(FunctionContext& context, Diagnostics& diagnostics, const FileScope& caller, const FileScope& callee,
              Span span);
  LibraryCall(const LibraryCall&) = delete;
  LibraryCall& operator=(const LibraryCall&) = delete;
  ~LibraryCall();

 private:
  Builder* builder_ = nullptr;  // these are null when this is no such call
  Diagnostics* diagnostics_ = nullptr;
  Span outer_node_, outer_message_;
};

}  // namespace smelt::frontend
