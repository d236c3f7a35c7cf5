#include "cli/synthetic_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/synthetic.h"
#include "ir/index_formula.h"
#include "ir/support/printable.h"

namespace smelt::cli {

Result<void> SyntheticRun::prepare_iteration(Session& session) {
  const CompiledProgram& program = session.program();
  const int64_t batch = std::max<int64_t>(program.train.batch, 1);
  if (program.data) {
    SMELT_TRY(columns, synthetic_columns(*program.data, 2 * batch));
  }
  for (int64_t r = 0; r < batch; ++r) rows.push_back(static_cast<int32_t>((r * 7) % (2 * batch)));
  for (const int32_t step : program.iteration_calls) {
    const Entry& entry = program.entries[static_cast<size_t>(program.steps[static_cast<size_t>(step)].step_entry)];
    frames.push_back(session.frame(entry));
    CallFrame& frame = frames.back();
    SMELT_TRY_VOID(frame.own_outputs());
    for (size_t i = 0; i < entry.inputs.size(); ++i) {
      if (entry.inputs[i].kind == BindingKind::Column)
        frame.set_input(i, columns[static_cast<size_t>(entry.inputs[i].ref)].data.data());
    }
    if (frame.takes_rows()) frame.set_rows(rows);
  }
  for (const CallFrame& frame : frames) calls.push_back(frame.call());
  return {};
}

Result<void> SyntheticRun::prepare_export(Session& session, const Entry& entry) {
  frames.push_back(session.frame(entry));
  CallFrame& frame = frames.back();
  SMELT_TRY_VOID(frame.own_outputs());
  for (size_t i = 0; i < entry.inputs.size(); ++i) {
    const Binding& input = entry.inputs[i];
    const int64_t below = input.limit.below > 0 ? input.limit.below : 256;
    SMELT_TRY(HostTensor tensor,
              synthetic_tensor(input.type.dtype, bounds_of(input.type.shape), below, static_cast<uint32_t>(i)));
    columns.push_back(std::move(tensor));
    frame.set_input(i, columns.back().data.data());
  }
  frame.set_batch(std::max<int64_t>(session.program().train.batch, 1));
  calls.push_back(frame.call());
  return {};
}

Result<void> SyntheticRun::prepare(Session& session, const std::string& name) {
  if (name.empty()) return prepare_iteration(session);
  const Entry* entry = session.program().find(FunctionKind::Export, name);
  if (entry == nullptr) {
    std::vector<std::string> names;
    for (const Entry& each : session.program().entries)
      if (each.kind == FunctionKind::Export) names.push_back(fmt::format("`{}`", each.name));
    return fail(ErrorKind::Usage, fmt::format("the file has no export `{}`", printable(name)),
                names.empty() ? "" : fmt::format("it has {}", fmt::join(names, ", ")));
  }
  return prepare_export(session, *entry);
}

}  // namespace smelt::cli
