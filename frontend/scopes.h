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
  /// Whether `axis` counts the rows of a batch where a field is evaluated, whatever functions call it.
  bool counts_rows(const Axis& axis) const;
  /// Whether a value of a field begins with rows that its text does not mention: a field is written for one row. The
  /// head of a function may name them, `x: f32[N, C, H, W]`; its body is written for all of them then.
  bool implies_rows(const Axes& axes) const;
  /// The function of the language whose body is being evaluated, for messages.
  std::string_view running_function() const;

  Binding* find_local(std::string_view name);
  void bind(const ast::Ident& name, Value value, int32_t variable = -1, bool writable = false);
  /// Is told of each name that is bound from now on.
  void observe(std::function<void(const ast::Ident&, const Value&)> observer) { observer_ = std::move(observer); }
  /// A declaration of `from`, or of the library; its layers have to be imported.
  std::pair<const FileScope*, Decl> find_decl(const FileScope& from, std::string_view name) const;

 private:
  /// What `axis` of the frame at hand is in the frame of the field, and whether a head between them names it.
  std::pair<Axis, bool> in_frame_of_field(Axis axis) const;

  const FileScope& file_;
  const Library& library_;
  Frame top_{file_, nullptr};
  Frame* frame_ = &top_;
  std::function<void(const ast::Ident&, const Value&)> observer_;
};

}  // namespace frontend
}  // namespace smelt
