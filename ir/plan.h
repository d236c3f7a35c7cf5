// What a model file says about data and training, as plain structs: no graphs, no files, no threads.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/source.h"
#include "ir/type.h"

namespace smelt {

/// A tensor that lives between steps. Its path is its name in checkpoints: `net.fc1.W`, `opt/loss/net.fc1.W/m`.
enum class VariableKind : uint8_t { Param, State, Slot, Const };
std::string_view to_string(VariableKind kind);

/// A scalar that a step reads at run time. Settings are the numbers of a `step` line, such as `loss.lr`.
enum class ScalarKind : uint8_t {
  Setting,    // `initial` until the host sets it
  Iteration,  // iterations done before this one, i of a schedule
  Horizon,    // total number of iterations, n of a schedule
  Update,     // the number of this update of objective `ref`, from 1: t of an optimiser
  Loss        // the last loss of objective `ref`, for `stop when`
};
struct ScalarInput {
  std::string name;
  ScalarKind kind = ScalarKind::Setting;
  double initial = 0;
  int32_t ref = -1;
};

enum class FunctionKind : uint8_t {
  Init,      // seed -> every variable; exactly one
  Step,      // one execution of an objective: loss, reports, new variables
  Loss,      // the objective with `training` false: loss and reports (run by `eval`)
  Metric,    // one value
  Export,    // feeds -> values
  Totals,    // sums and the like over the rows of a batch, for the values of function `ref` that are no means by rows
  Result,    // those values, from the totals of all batches; `ref` likewise
  Sample,    // draws the feeds of export `ref` that have a distribution, named as its arguments
  Image,     // the picture of an action
  Text,      // the text of an action
  Audio,     // the sound of an action
  Stop,      // bool scalar, from Loss scalars
  Gradients  // the loss of the objective of this name, and its derivatives by parameters (api/smelt/gradients.h)
};
std::string_view to_string(FunctionKind kind);

/// Where a value of one row depends on others, on their number or on its place: rows cannot be cut into pieces.
struct RowCoupling {
  int32_t symbol = -1;  // the run-time dim that counts the rows
  std::string what;     // "`softmax`"
  Span span;
  std::string place = {};  // "net.smelt:7:3", once the sources are known
};

/// How a picture of another size or shape becomes `height` x `width`: scaled until it covers that and cut in the
/// middle, scaled until it lies within and padded, or scaled by a factor an axis.
enum class Fit : uint8_t { Crop, Pad, Stretch };
/// Where the class of a picture is: nowhere, in the name of its folder, or in the second column of a list.
enum class PictureLabel : uint8_t { None, Folder, Column };

/// The options of `images`.
struct PictureOptions {
  int64_t height = 0, width = 0;
  int64_t channels = 3;  // 1 grey, 3 red, green, blue
  Fit fit = Fit::Crop;
  PictureLabel label = PictureLabel::None;
  std::array<uint8_t, 3> over = {255, 255, 255};  // the colour behind what is transparent, and of the padding
};

/// One call of a reader: `idx("a", "b")`, `csv("points.csv")`, `images("pets/**/*.png", size = 64)`.
struct SourceCall {
  std::string reader;
  std::vector<std::string> paths;
  Span span;
  PictureOptions pictures = {};         // of `images`
  int64_t window = 0;                   // of `bytes` and `audio`: the bytes or samples of a row
  int64_t rate = 0;                     // of `audio`: samples a second
  std::array<int64_t, 2> lengths = {};  // of `lines` (the first) and `pairs`: bytes of a row's strings, or subwords
  std::array<int32_t, 2> length_symbols = {-1, -1};  // of run-time dims: as long as the longest string of a batch
  std::array<int64_t, 2> ends = {};                  // zeros behind each string that belong to it
  std::string tokens = {};                           // of texts: the file of a model of subwords; empty: rows are bytes
};

/// A part of the rows of a source, from a share to another: `split(0.9)` makes 0..0.9 and 0.9..1 of it.
struct Share {
  double from = 0, to = 1;
  bool whole() const { return from <= 0 && to >= 1; }
};

struct Split {
  std::string name;  // train, valid, ...
  SourceCall source;
  Share share = {};
  int32_t section = 0;  // of DataPlan: 0 is the first
};

/// Columns side by side, from `begin` up to `end`.
struct ColumnSpan {
  int64_t begin = 0, end = 0;
};

/// One raw column that field expressions read: `field(k)` of idx and npy is the k-th file, of csv the k-th column;
/// `row()` is all columns of a csv. ReaderRecord::fields says what those of other readers
/// are.
struct Column {
  static constexpr int32_t kWholeRow = -1;
  int32_t field = 0;
  DType dtype = DType::U8;
  std::vector<int64_t> row_shape;  // without the leading rows
  Span span;
  int32_t section = 0;
  int32_t length_symbol = -1;  // the run-time dim of its only axis: as long as the longest row of a batch
  bool as_number = false;  // a field reads it, or all of a whole row, as something else than labels: it has no words
  std::vector<ColumnSpan> parts = {};  // of a whole row that is not read `as_number`: what fields read; none: all
};

/// What labels `ix<Dim>` that come from outside must respect: 0 .. below-1, or less where the dim's size is known at
/// run time. No limit when `below` is 0.
struct LabelLimit {
  int64_t below = 0;
  int32_t symbol = -1;  // of a run-time dim
  std::string dim = {};
};

/// Bounds of all elements that the compiler knows; none are known unless low is below high.
struct KnownRange {
  double low = 0, high = 0;
  bool known() const { return low < high; }
};

/// What a field's `in low..high` says of a column: `raw * scale + offset` lies in it, for every raw value, or those of
/// some elements of each row. Checked when the data are read.
struct ColumnRange {
  int32_t column = 0;
  double scale = 1, offset = 0;
  int64_t begin = 0, end = 0;  // elements of a row; no end: all of them
  KnownRange range;
  std::string field;
  Span span;  // of the range
};

/// A field of whole numbers or truths whose column has other numbers too: `raw * scale + offset` converts to `dtype`
/// exactly, for every raw value, or those of some elements of each row. Checked when the data are read.
struct ColumnExact {
  int32_t column = 0;
  DType dtype = DType::I32;
  double scale = 1, offset = 0;
  int64_t begin = 0, end = 0;  // elements of a row; no end: all of them
  std::string field;
  Span span;

  bool is_bare() const { return scale == 1 && offset == 0; }
};

/// A value every row of a column must respect, checked before training: labels are below the dim's size.
struct ColumnLimit {
  int32_t column = 0;
  int64_t below = 0;
  std::string dim;
  Span span;
};

/// The words that labels are numbers of, by dim: word k is label k. They are sorted by their bytes.
using WordsByDim = std::map<std::string, std::vector<std::string>>;
/// Words that are kept elsewhere than in the data: in a checkpoint, where labels of other dims are numbers.
struct KnownWords {
  std::string where;
  WordsByDim words;
};

/// What a train section reads: a data section, or several whose rows have nothing to do with each other. Columns count
/// through all of them.
struct DataPlan {
  std::string name;               // of the first section, which counts the epochs
  std::vector<std::string> more;  // names of the others
  std::vector<Split> splits;
  std::vector<Column> columns;
  std::vector<ColumnLimit> limits;
  std::vector<ColumnRange> ranges;
  std::vector<ColumnExact> exact;
  std::vector<ColumnExact> narrowed;  // fields of floats: their columns have larger ones, which may not become inf
  uint64_t seed = 0;                  // what the shares of splits are drawn by: that of the run
  std::optional<KnownWords> known_words = {};  // none: the words are those of the first splits
  Span span;

  int32_t num_sections() const { return static_cast<int32_t>(more.size()) + 1; }
  const std::string& section_name(int32_t section) const {
    return section == 0 ? name : more.at(static_cast<size_t>(section) - 1);
  }
  /// Symbols of run-time dims that are as long as the longest row of a batch.
  std::vector<int32_t> length_symbols() const;
};

/// The columns of a reader whose options say what they are (ReaderRecord::typed), whatever its files hold.
std::vector<Column> typed_columns(const SourceCall& source);

/// One line of a loop: these objectives, together (same point) or one alone, `times` times.
struct LoopItem {
  int32_t times = 1;
  std::vector<int32_t> objectives;  // indices into Experiment::objectives
};

/// How often an iteration of the loop runs an objective's step.
inline int64_t runs_an_iteration(const std::vector<LoopItem>& loop, int32_t objective) {
  int64_t runs = 0;
  for (const LoopItem& item : loop) {
    for (const int32_t one : item.objectives) runs += one == objective ? item.times : 0;
  }
  return runs;
}

enum class ActionKind : uint8_t { Eval, Image, Text, Audio, Checkpoint };

struct Action {
  ActionKind kind = ActionKind::Eval;
  std::string split;               // Eval
  std::vector<std::string> names;  // Eval: objectives and metrics
  int32_t function = -1;  // Image, Text, Audio: a function of the experiment with one result. A picture is [N,H,W] or
                          // [N,C,H,W], a text or sound has one axis, or two of which one counts the rows
  int32_t grid_columns = 0;              // Image
  double range_low = 0, range_high = 1;  // Image: the values that map to 0 and 255
  int64_t rate = 0;                      // Audio: samples a second
  std::string path;                      // Image, Text, Audio: template with {step} and {epoch}
  int32_t keep = -1;                     // Checkpoint: the newest n; -1: all
  std::string best_metric;               // Checkpoint: the one with the best value of this
  bool best_is_max = false;
  Span span;
};

enum class Unit : uint8_t { Step, Epoch };

struct Every {
  int64_t count = 1;
  Unit unit = Unit::Epoch;
  std::vector<Action> actions;
  Span span;
};

/// `stop when no better(min loss, 5)`: training ends after so many evaluations without a better value.
struct Patience {
  std::string metric, split;
  bool is_max = false;
  int64_t evaluations = 0;  // 0: there is no such rule
};

/// `slow loss by 0.5 when no better(min loss, 5)`: a scalar of the step is multiplied each time that the patience ends.
struct SlowRule {
  std::string scalar;  // `loss.lr.slow`
  double factor = 1;
  Patience patience;
};

struct TrainPlan {
  bool present = false;
  bool has_data = false;
  int64_t batch = 0;
  int32_t batch_symbol = -1;  // the dim that `batch B = n` names; -1 when that dim is fixed with `=`
  bool shuffle = false;
  int64_t bucket = 0;   // batches whose rows are sorted by length together; 0: rows are not sorted
  int64_t epochs = -1;  // one of epochs and steps is set
  int64_t steps = -1;
  uint64_t seed = 0;
  std::vector<LoopItem> loop;
  std::vector<Every> every;
  int32_t stop_function = -1;
  Patience patience;
  std::vector<SlowRule> slow;
  Span span;
};

}  // namespace smelt
