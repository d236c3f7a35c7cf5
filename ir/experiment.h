// What the frontend hands over: pure functions with roles, the variables they read and write, and the plans.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/plan.h"
#include "ir/support/source.h"

namespace smelt {

/// A tensor that lives between steps.
struct Variable {
  std::string path;
  VariableKind kind = VariableKind::Param;
  TensorType type;  // static
  Span span;
  Span layer = {};              // in the user's file: the innermost layer that it belongs to, else `span`
  std::string average_of = {};  // an average (`ema`): the path of the parameter that it follows
};

struct Function {
  std::string name;  // unique among its kind
  FunctionKind kind = FunctionKind::Export;
  Graph graph;
  int32_t ref = -1;
  Span span;
  std::vector<RowCoupling> couplings = {};  // of its results, at most one a run-time dim
  bool rounds = true;                       // with precision BF16; a piece of a function has its roundings in its graph
  bool is_step = false;                     // of a loop, run again and again by whoever calls it
};

struct Objective {
  std::string name;
  int32_t step = -1;             // index into functions; -1 when no `step` line runs it
  int32_t loss = -1;             // index into functions
  std::vector<int32_t> updates;  // variables
  bool takes_data = false;
  Span span;
  int64_t accumulates = 1;  // runs of its step whose gradients make one update
  Span accumulates_at;      // the option; empty without one
};

/// A `config` entry after `--set`.
struct ConfigValue {
  std::string name;
  std::string value;  // as text
};

/// `model f = Net from "f.safetensors"`: what its parameters and states begin as.
struct Pretrained {
  std::string model, path;
  Span span;  // of the path
};

struct Experiment {
  std::string name;  // the file's stem
  /// F32, or F64: what `f32` of the file stands for. BF16: f32, stored as bf16 where a kernel leaves values for another
  /// one.
  DType precision = DType::F32;
  std::vector<DimSymbol> symbols;
  std::vector<Variable> variables;
  std::vector<ScalarInput> scalars;
  std::vector<Function> functions;
  std::vector<Objective> objectives;
  std::vector<Pretrained> pretrained;
  std::vector<ConfigValue> config;
  std::optional<DataPlan> data;
  TrainPlan train;

  const Function* find(FunctionKind kind, std::string_view wanted) const;
  int32_t init_function() const;  // index
};

}  // namespace smelt
