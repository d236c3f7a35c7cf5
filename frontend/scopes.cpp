#include "frontend/scopes.h"

#include <algorithm>

namespace smelt::frontend {

std::string_view Scopes::running_function() const {
  for (const Frame* frame = frame_; frame != nullptr; frame = frame->caller)
    if (frame->function != nullptr) return frame->function->name.text;
  return "same_axes";
}

/// Whether an axis of the body of `frame` is of a rest, `...S`, in the head of it.
static bool is_of_rest(const Frame& frame, const Axis& axis) {
  return std::ranges::any_of(frame.rests, [&](const auto& rest) {
    return std::ranges::find(rest.second, axis.dim, &Axis::dim) != rest.second.end();
  });
}

std::pair<Axis, bool> Scopes::in_frame_of_field(Axis axis) const {
  bool named = false;
  for (const Frame* frame = frame_; frame != nullptr; frame = frame->caller) {
    const auto outside = frame->outside.find(axis.dim);
    if (outside == frame->outside.end()) continue;
    named = named || !is_of_rest(*frame, axis);
    axis = outside->second;
  }
  return {axis, named};
}

bool Scopes::counts_rows(const Axis& axis) const {
  return in_field() && in_frame_of_field(axis).first == frame_->around.field->batch;
}

bool Scopes::implies_rows(const Axes& axes) const {
  return !axes.empty() && counts_rows(axes[0]) && !in_frame_of_field(axes[0]).second;
}

Binding* Scopes::find_local(std::string_view name) {
  for (size_t i = frame_->blocks.size(); i-- > 0;) {
    const auto found = frame_->blocks[i].find(name);
    if (found != frame_->blocks[i].end()) return &found->second;
  }
  return nullptr;
}

void Scopes::bind(const ast::Ident& name, Value value, int32_t variable, bool writable) {
  if (observer_) observer_(name, value);
  frame_->blocks.back().insert_or_assign(name.text, Binding{std::move(value), name.span, variable, writable});
}

std::pair<const FileScope*, Decl> Scopes::find_decl(const FileScope& from, std::string_view name) const {
  if (const auto own = from.names.find(name); own != from.names.end()) return {&from, own->second};
  const auto [scope, decl] = library_.find(name);
  if (scope == nullptr) return {nullptr, {}};
  if (from.library || !std::holds_alternative<const ast::LayerDecl*>(decl)) return {scope, decl};
  for (const ast::ImportDecl& import : from.ast.imports) {
    for (const ast::Ident& imported : import.names)
      if (imported.text == name) return {scope, decl};
  }
  return {nullptr, {}};
}

}  // namespace smelt::frontend
