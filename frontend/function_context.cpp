#include "frontend/function_context.h"

namespace smelt::frontend {

LibraryCall::LibraryCall(FunctionContext& context, Diagnostics& diagnostics, const FileScope& caller,
                         const FileScope& callee, Span span) {
  if (caller.library == callee.library) return;
  const Span call = callee.library ? span : Span{};
  diagnostics_ = &diagnostics;
  outer_message_ = diagnostics.set_call(call);
  builder_ = &context.builder;
  outer_node_ = builder_->call();
  builder_->set_call(call);
}

LibraryCall::~LibraryCall() {
  if (diagnostics_ != nullptr) diagnostics_->set_call(outer_message_);
  if (builder_ != nullptr) builder_->set_call(outer_node_);
}

}  // namespace smelt::frontend
