#include "frontend/function_builder.h"

#include <utility>

#include "ir/scan.h"

namespace smelt::frontend {

namespace {

/// What stands in front of the sites of draws, so that two functions of one name draw different numbers. A step has
/// nothing there.
std::string_view site_prefix(FunctionKind kind) {
  constexpr std::pair<FunctionKind, std::string_view> kPrefixes[] = {
      {FunctionKind::Loss, "eval/"},     {FunctionKind::Metric, "eval/"}, {FunctionKind::Export, "export/"},
      {FunctionKind::Sample, "sample/"}, {FunctionKind::Image, "image/"}, {FunctionKind::Text, "text/"},
      {FunctionKind::Audio, "audio/"},   {FunctionKind::Stop, "stop/"}};
  for (const auto& [of, prefix] : kPrefixes)
    if (of == kind) return prefix;
  return {};
}

}  // namespace

std::unique_ptr<FunctionContext> FunctionBuilder::new_init() {
  auto context = std::make_unique<FunctionContext>(next_graph_++);
  context->function.name = context->function.graph.name = "init";
  context->function.kind = FunctionKind::Init;
  context->training = true;
  context->is_init = true;
  return context;
}

int32_t FunctionBuilder::begin(FunctionKind kind, const std::string& name, bool training, Span span) {
  contexts_.push_back(std::make_unique<FunctionContext>(next_graph_++));
  FunctionContext& context = *contexts_.back();
  context.function.name = context.function.graph.name = name;
  context.function.kind = kind;
  context.function.span = span;
  context.training = training;
  context.trial = trial_;
  context.site = std::string(site_prefix(kind)) + name;
  return static_cast<int32_t>(contexts_.size() - 1);
}

void FunctionBuilder::add(Function function) {
  contexts_.push_back(std::make_unique<FunctionContext>(next_graph_++));
  contexts_.back()->function = std::move(function);
}

std::vector<const FunctionContext*> FunctionBuilder::all() const {
  std::vector<const FunctionContext*> list;
  for (const auto& context : contexts_) list.push_back(context.get());
  if (init_ != nullptr) list.push_back(init_.get());
  return list;
}

void FunctionBuilder::end_init() { contexts_.push_back(std::move(init_)); }

void FunctionBuilder::end_trial() {
  contexts_.clear();
  trial_ = false;
}

std::vector<Function> FunctionBuilder::take(const std::vector<DimSymbol>& symbols) {
  std::vector<Function> functions;
  for (const auto& context : contexts_) {
    Graph& graph = context->function.graph;
    graph = change_bodies(std::move(graph), [&](Graph body) {
      body.symbols = symbols;
      return body;
    });
    graph.symbols = symbols;
    functions.push_back(std::move(context->function));
  }
  return functions;
}

}  // namespace smelt::frontend
