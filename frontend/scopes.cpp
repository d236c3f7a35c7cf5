#include "frontend/scopes.h"

namespace smelt::frontend {

std::string_view Scopes::running_function() const {
  for (const Frame* frame = frame_; frame != nullptr; frame = frame->caller)
    if (frame->function != nullptr) return frame->function->name.text;
  return "same_axes";
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
