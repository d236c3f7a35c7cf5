// One body that is being evaluated: its names, its layer, and what it takes over from its caller.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/formula.h"
#include "frontend/value.h"

namespace smelt::frontend {

/// The field of the data that is being evaluated.
struct FieldRead {
  Axis batch;  // in front of every value, and never reduced
  Axes row;    // as declared
  DType dtype = DType::F32;
  int32_t section = 0;  // of DataPlan
  bool label = false;   // ix<..>
};

/// What holds for a body and for everything that it calls.
struct Surroundings {
  const FieldRead* field = nullptr;       // inside a field of the data
  std::map<std::string, Value> defaults;  // parameters that calls may leave out: i, n of schedules; fan_in, fan_out
  std::string setting;                    // inside an option of a step line: its name, such as `loss.lr`
  bool dim_size = false;   // inside the size of a dim or a position, where whole numbers are meant to divide
  bool attribute = false;  // inside the braces of a layer, where a quotient may be a size
  const std::map<int32_t, int32_t>* averages = nullptr;  // inside an average: by parameter, the variable in its place
  std::map<std::string, Value> starts;  // by option of `with`: instead of what random parameters start with
};

/// What the place of an expression says of the name of a layer in it.
struct Naming {
  std::string_view bound;      // of the statement `f = Dense{..}`
  std::string_view label;      // of the pipe stage
  bool repeat_result = false;  // the layer that a `repeat` yields
};

/// Options of `with`: of random parameters with several axes, and with one.
constexpr std::string_view kStartOptions[] = {"init.weight", "init.bias"};

struct Frame {
  /// `caller` is null for the first frame. A frame may not outlive its caller.
  Frame(const FileScope& file, const Frame* from) : scope(&file), caller(from), blocks(1) {
    if (from != nullptr) around = from->around;
  }

  const FileScope* scope;
  const Frame* caller;
  Surroundings around;
  std::vector<std::map<std::string, Binding, std::less<>>> blocks;
  const ast::FnDecl* function = nullptr;  // whose body this is
  LayerInstance* instance = nullptr;
  std::string site;
  int64_t loop = 0;                                          // flattened index of the repeats around
  std::map<DimId, Axis> outside;                             // dims of this body -> what they are for the caller
  std::map<std::string, Axes, std::less<>> rests;            // `...` and `...S`
  std::map<std::string, DimId, std::less<>> attribute_dims;  // the axes that integer attributes of the layer are
  struct Repeat {
    std::string label;
    int64_t index = 0;
  };
  std::vector<Repeat> repeats;
  std::vector<FormulaIndex> indices;      // of the index formulas around, outermost first
  OpenScan* scan = nullptr;               // whose body this is
  std::vector<Tensor>* inside = nullptr;  // where the `?[..]` of the `max[..]` at hand are inside
  std::string slots;                      // of an optimiser's body: in front of the paths of its states
  bool allows_layers = false;             // layer bodies and `model` lines
};

/// Names that are bound while it lives are forgotten afterwards.
class BlockScope {
 public:
  explicit BlockScope(Frame& frame) : frame_(frame) { frame_.blocks.emplace_back(); }
  BlockScope(const BlockScope&) = delete;
  BlockScope& operator=(const BlockScope&) = delete;
  ~BlockScope() { frame_.blocks.pop_back(); }

 private:
  Frame& frame_;
};

/// While it lives, `current` is another frame or another function.
template <typename T>
class Entered {
 public:
  Entered(T*& current, T& next) : current_(current), outer_(current) { current_ = &next; }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() { current_ = outer_; }

 private:
  T*& current_;
  T* outer_;
};

}  // namespace smelt::frontend
