// A compiled experiment: object bytes and everything that a host must know to run them. A plain value; no graphs, no
// LLVM.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/type.h"
#include "runtime/abi.h"
#include "runtime/debug_names.h"

namespace smelt {

/// Where a variable lives in the arena, row-major, dense (variables are static).
struct StoredVariable {
  std::string path;
  VariableKind kind = VariableKind::Param;
  TensorType type;
  uint64_t offset = 0;
  std::string average_of = {};  // an average: the path of the parameter that it follows
};

/// A scalar in the arena, f64. Only Setting and Loss scalars are stored; the others are derived from counters.
struct StoredScalar {
  ScalarInput scalar;
  uint64_t offset = 0;
};

enum class BindingKind : uint8_t { Column, Rows, Feed, Loss, Report, Value, Sum, Largest, Smallest };
struct Binding {
  std::string name;
  BindingKind kind = BindingKind::Feed;
  TensorType type;
  int32_t ref = -1;       // Column: index into DataPlan::columns. Rows: of a data section after the first, its number
  LabelLimit limit = {};  // Feed of labels: checked before every call. Value: what labels of an export are below
  KnownRange range = {};  // Value
  bool guards = false;    // a step commits nothing unless this scalar is finite: Loss, and the Report of a clip's norm
};

/// The data section in which the numbers of a Rows input count.
inline int32_t section_of_rows(const Binding& rows) { return rows.ref < 0 ? 0 : rows.ref; }

/// What a run-time dimension has to have, and the line that says so.
struct LeastDim {
  int32_t symbol = -1;
  int64_t size = 1;
  std::string place;
};

struct Entry {
  std::string name;
  FunctionKind kind = FunctionKind::Export;
  std::string symbol;  // in the object; a smelt_entry
  int32_t ref = -1;    // Sample: index of its export among `entries`; Totals, Result: of the loss or metric
  std::vector<Binding> inputs;
  std::vector<Binding> outputs;
  std::vector<int32_t> symbols;  // run-time dimensions it reads
  uint64_t runs_offset = 0;      // i64 in the arena: executions so far. A step advances it; evaluation sets it before
  double flops = 0;              // at the batch that the train section names
  double bytes = 0;              // memory traffic of its kernels, likewise
  std::vector<RowCoupling> couplings = {};
  std::vector<LeastDim> least = {};  // run-time dimensions that have to be larger than 1
  bool has_horizon = false;          // it reads how many iterations there are in all, as schedules do
};

struct StepInfo {
  std::string objective;
  int32_t step_entry = -1;
  bool takes_data = false;
};

/// Indices of functions in its plans (Action::function, TrainPlan::stop_function) count `entries`; indices of
/// objectives (LoopItem::objectives, ScalarInput::ref) count `steps`.
struct CompiledProgram {
  std::string name;
  std::string cpu;
  uint64_t hash = 0;
  std::vector<char> object;
  KernelPlaces places;                   // lines of the model file that its kernels come from
  std::string iteration_symbol;          // empty when the file does not train
  std::vector<int32_t> iteration_calls;  // index into `steps`, one for each call of an iteration, in order
  uint64_t arena_bytes = 0;
  uint64_t variables_end = 0;        // header, counters, scalars and variables end here; temporaries follow
  std::vector<std::string> largest;  // of the function that takes most memory, when that is much: for messages
  std::vector<DimSymbol> symbols;
  std::vector<StoredVariable> variables;
  std::vector<StoredScalar> scalars;
  std::vector<Entry> entries;
  std::vector<StepInfo> steps;  // one an objective
  std::optional<DataPlan> data;
  TrainPlan train;

  const Entry* find(FunctionKind kind, std::string_view name) const;
};

/// Bounds that memory is planned for and nobody needs: a clause for a message that names them, and what to write.
struct LooseBounds {
  std::string text, help;
};
/// None where no bound is large by itself or beside the batch.
std::optional<LooseBounds> loose_bounds(const std::vector<DimSymbol>& symbols, const TrainPlan& train);

/// The program's functions, ready to be called: `entries[i]` is that of CompiledProgram::entries[i]. Whoever loaded
/// the object keeps it loaded as long as this is used.
struct LoadedProgram {
  std::vector<smelt_entry> entries;
  smelt_entry iteration = nullptr;  // null when the file does not train
};

}  // namespace smelt
