// The functions of an experiment while they are built, each with the graph that it writes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt {

namespace frontend {

struct FileScope;
class Scopes;
class GraphWriter;

class FunctionBuilder {
 public:
  FunctionBuilder(const FileScope& file, Scopes& scopes, GraphWriter& graph)
      : file_(file), scopes_(scopes), graph_(graph) {}

  /// Evaluates `body` in a fresh graph and keeps it as a function; returns its index.
  template <typename F>
  int32_t build_function(FunctionKind kind, const std::string& name, bool training, Span span, F body) {
    const int32_t index = begin(kind, name, training, span);
    FunctionContext& context = at(index);
    Frame frame(file_, &scopes_.frame());
    frame.site = context.site;
    const auto in_frame = scopes_.enter(frame);
    const auto in_function = graph_.enter(context);
    body();
    return index;
  }
  /// A function that is made without a body to evaluate.
  void add(Function function);
  FunctionContext& at(int32_t index) { return *contexts_[static_cast<size_t>(index)]; }

  /// All that are built so far, in order.
  std::vector<const FunctionContext*> all() const;

  /// The function that computes the start value of every variable; `end_init` makes it the last one.
  FunctionContext& init() { return *init_; }
  void end_init();

  /// Functions between these two are built to find all parameters, and thrown away.
  void begin_trial() { trial_ = true; }
  void end_trial();
  bool trial() const { return trial_; }

  /// All of them, in order, with the symbols of the experiment.
  std::vector<Function> take(const std::vector<DimSymbol>& symbols);

 private:
  std::unique_ptr<FunctionContext> new_init();
  int32_t begin(FunctionKind kind, const std::string& name, bool training, Span span);

  const FileScope& file_;
  Scopes& scopes_;
  GraphWriter& graph_;
  uint32_t next_graph_ = 1;
  std::vector<std::unique_ptr<FunctionContext>> contexts_;
  std::unique_ptr<FunctionContext> init_ = new_init();
  bool trial_ = false;
};

}  // namespace frontend
}  // namespace smelt
