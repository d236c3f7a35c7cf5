// Elaborator::build_function, a template over the body.
#pragma once

#include <fmt/format.h>

#include "frontend/elaborator.h"

namespace smelt::frontend {

/// Evaluates `body` in a fresh graph and keeps it as a function; returns its index.
template <typename F>
int32_t Elaborator::build_function(FunctionKind kind, const std::string& name, bool training, Span span, F body) {
  contexts_.push_back(std::make_unique<FunctionContext>(next_graph_++));
  FunctionContext& context = *contexts_.back();
  context.function.name = name;
  context.function.graph.name = name;
  context.function.kind = kind;
  context.function.span = span;
  context.training = training;
  context.trial = trial_;
  constexpr std::pair<FunctionKind, std::string_view> kPrefixes[] = {
      {FunctionKind::Loss, "eval/"},     {FunctionKind::Metric, "eval/"}, {FunctionKind::Export, "export/"},
      {FunctionKind::Sample, "sample/"}, {FunctionKind::Image, "image/"}, {FunctionKind::Stop, "stop/"}};
  for (const auto& [of, prefix] : kPrefixes)
    if (of == kind) context.site = prefix;
  context.site += name;
  Frame frame(file_, frame_);
  frame.site = context.site;
  const Entered in_frame(frame_, frame);
  const Entered in_function(context_, context);
  const auto index = static_cast<int32_t>(contexts_.size() - 1);
  body();
  return index;
}

}  // namespace smelt::frontend
