// Names that are in reach where the evaluation is: locals of the body, then declarations of its file, then the library.
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "frontend/frame.h"
#include "frontend/library.h"

namespace smelt {

namespace frontend {

struct FileScope;
class Library;

/// Holds the frame at hand. Nothing is evaluated here.
class Scopes {
 public:
  Scopes(const FileScope& file, const Library& library) : file_(file), library_(library) {}

  Frame& frame() const { return *frame_; }
  /// The frame at hand is `next` while the result lives.
  [[nodiscard]] Entered<Frame> enter(Frame& next) { return Entered<Frame>(frame_, next); }

  const ast::Ast& ast() const { return frame_->scope->ast; }
  Span span_of(ast::ExprId id) const { return ast()[id].span; }
  bool in_field() const { return frame_->around.field != nullptr; }
  /// The function of the language whose body is being evaluated, for messages.
  std::string_view running_function() const;

  Binding* find_local(std::string_view name);
  void bind(const ast::Ident& name, Value value, int32_t variable = -1, bool writable = false);
  /// Is told of each name that is bound from now on.
  void observe(std::function<void(const ast::Ident&, const Value&)> observer) { observer_ = std::move(observer); }
  /// A declaration of `from`, or of the library; its layers have to be imported.
  std::pair<const FileScope*, Decl> find_decl(const FileScope& from, std::string_view name) const;

 private:
  const FileScope& file_;
  const Library& library_;
  Frame top_{file_, nullptr};
  Frame* frame_ = &top_;
  std::function<void(const ast::Ident&, const Value&)> observer_;
};

}  // namespace frontend
}  // namespace smelt
