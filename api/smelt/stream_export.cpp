#include "api/smelt/stream_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "compiler/codegen/make_target.h"
#include "compiler/functions_alone.h"
#include "compiler/graph/stage_loops.h"
#include "compiler/run_passes.h"
#include "ir/support/check.h"
#include "runtime/bounds_layout.h"
#include "runtime/run_inputs.h"
#include "runtime/sequence_rows.h"

namespace smelt {

struct StreamedExport::Parts {
  StagedFunction staged;
  const Entry* entry = nullptr;  // of the export in the program of `from`
  Session* from = nullptr;
  std::unique_ptr<CompiledModel> compiled;
  std::unique_ptr<Session> session;
  size_t num_variables = 0;  // that both programs have
};

namespace {

/// The experiment with the pieces of an export as its only functions.
Experiment experiment_of(const Experiment& whole, const StagedFunction& staged, const std::string& name, Span span) {
  Experiment pieces = functions_alone(whole, {});
  pieces.functions.clear();
  std::vector<bool> in_loop(staged.pieces.size(), false);
  for (const StagedLoop& loop : staged.loops) {
    for (const StagedItem& item : loop.turn)
      if (item.piece >= 0) in_loop[static_cast<size_t>(item.piece)] = true;
  }
  for (size_t k = 0; k < staged.pieces.size(); ++k) {
    const std::string piece = fmt::format("{}.{}", name, k);
    Graph graph = staged.pieces[k];
    graph.name = piece;
    const int32_t first = staged.stages[0].piece;  // packs for the others
    Function function{piece, FunctionKind::Export, std::move(graph), std::cmp_equal(first, k) ? -1 : first, span};
    function.rounds = false;
    function.is_step = in_loop[k];
    pieces.functions.push_back(std::move(function));
  }
  for (size_t k = 0; k < staged.states.size(); ++k) {
    TensorType type = staged.states[k];  // laid out by bounds
    for (Extent& extent : type.shape) extent = Extent(extent.bound);
    pieces.variables.push_back({fmt::format("{}/{}", name, k), VariableKind::Slot, type, span});
  }
  return pieces;
}

/// One run: frames of all pieces, and what is known of the result.
class StreamedRun {
 public:
  StreamedRun(const StagedFunction& staged, Session& session, size_t num_variables, const RunInputs& inputs,
              const Entry& entry, const StreamedExport::OnMade& on_made)
      : staged_(staged), session_(session), num_variables_(num_variables), inputs_(inputs), on_made_(on_made) {
    const TensorType& type = entry.outputs[0].type;
    values_.resize(staged.made.size());
    for (size_t e = 0; e < staged.made.size(); ++e) due_.push_back(e);
    std::ranges::stable_sort(due_, {}, [&](size_t e) { return staged.made[e].after; });
    is_made_.resize(staged.made.size());
    const int32_t rows = row_axis(type, session.program().train.batch_symbol);
    const size_t along = rows < 0 ? 0 : static_cast<size_t>(1 - rows);
    const Extent& extent = type.shape[along];
    length_ = static_cast<size_t>(extent.is_static() ? extent.bound : inputs.sizes[static_cast<size_t>(extent.symbol)]);
    stride_ = static_cast<size_t>(row_major_strides(type.shape)[along]);
  }

  Result<void> run() {
    for (const Entry& entry : session_.program().entries) {
      frames_.push_back(session_.frame(entry));
      CallFrame& frame = frames_.back();
      SMELT_TRY_VOID(frame.own_outputs());
      for (size_t symbol = 0; symbol < inputs_.sizes.size(); ++symbol)
        frame.set_extent(static_cast<int32_t>(symbol), inputs_.sizes[symbol]);
      session_.set_runs(entry, 0);
    }
    return run_stages(staged_.stages);
  }

  /// The result, dense. The last piece has it.
  Result<HostTensor> result() const {
    return dense_output(frames_[static_cast<size_t>(staged_.stages.back().piece)], 0);
  }

  void bind(size_t piece, size_t input, const void* data) { inputs_of_[piece].push_back({input, data}); }

 private:
  Result<void> run_stages(const std::vector<StagedItem>& stages) {
    for (const StagedItem& stage : stages) {
      if (stage.loop < 0) {
        SMELT_TRY_VOID(run_piece(static_cast<size_t>(stage.piece)));
        continue;
      }
      const StagedLoop& loop = staged_.loops[static_cast<size_t>(stage.loop)];
      int64_t turn = 0;
      for (; turn < loop.steps && !is_over(loop); ++turn) SMELT_TRY_VOID(run_stages(loop.turn));
      clock_ += (loop.steps - turn) * num_pieces(loop.turn);  // as if they had run, and changed nothing
      SMELT_TRY_VOID(take());
    }
    return {};
  }

  bool is_over(const StagedLoop& loop) const {
    if (loop.until < 0) return false;
    int32_t number = 0;
    std::memcpy(&number, session_.bytes(variable_of(loop.until)).data(), sizeof number);
    return number != 0;
  }
  int64_t num_pieces(const std::vector<StagedItem>& stages) const {
    int64_t count = 0;
    for (const StagedItem& stage : stages) {
      const StagedLoop* loop = stage.loop < 0 ? nullptr : &staged_.loops[static_cast<size_t>(stage.loop)];
      count += loop == nullptr ? 1 : loop->steps * num_pieces(loop->turn);
    }
    return count;
  }
  const StoredVariable& variable_of(int32_t state) const {
    return session_.program().variables[num_variables_ + static_cast<size_t>(state)];
  }

  Result<void> run_piece(size_t piece) {
    CallFrame& frame = frames_[piece];
    for (const auto& [input, data] : inputs_of_[piece]) frame.set_input(input, data);
    SMELT_TRY_VOID(frame.check_sizes());
    SMELT_TRY_VOID(check_status(session_.call(frame), frame.entry()));
    ++clock_;
    return take();
  }

  /// What the piece has made.
  Result<void> take() {
    for (; next_ < due_.size() && staged_.made[due_[next_]].after <= clock_; ++next_) {
      const size_t element = due_[next_];
      const MadeElement& made = staged_.made[element];
      is_made_[element] = true;
      if (made.variable < 0) continue;  // 0
      std::memcpy(&values_[element], session_.bytes(variable_of(made.variable)).data() + made.element * 4, 4);
    }
    const size_t before = row_.size();
    while (row_.size() < length_ && is_made_[row_.size() * stride_]) row_.push_back(values_[row_.size() * stride_]);
    return row_.size() > before ? on_made_(row_) : Result<void>();
  }

  const StagedFunction& staged_;
  Session& session_;
  size_t num_variables_;
  const RunInputs& inputs_;
  const StreamedExport::OnMade& on_made_;
  std::vector<CallFrame> frames_;  // by piece
  std::map<size_t, std::vector<std::pair<size_t, const void*>>> inputs_of_;
  std::vector<size_t> due_;  // elements of the result, in the order in which they are made
  std::vector<bool> is_made_;
  std::vector<int32_t> values_, row_;
  size_t length_ = 0, stride_ = 1, next_ = 0;
  int64_t clock_ = 0;
};

}  // namespace

StreamedExport::StreamedExport(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
StreamedExport::~StreamedExport() = default;

Result<std::unique_ptr<StreamedExport>> StreamedExport::create(const CheckedModel& model, const ModelOptions& options,
                                                               const Entry& entry, Session& session) {
  const Experiment& experiment = *model.experiment;
  const bool is_row = entry.outputs.size() == 1 && entry.outputs[0].type.dtype == DType::I32 &&
                      (entry.outputs[0].type.rank() == 1 || entry.outputs[0].type.rank() == 2);
  const Function* function = experiment.find(FunctionKind::Export, entry.name);
  if (!is_row || function == nullptr) return nullptr;
  SMELT_TRY(const Target target, make_target(options.cpu));
  PassContext context = context_of(experiment, target, options.passes);
  context.memory_budget = 0;  // what is computed again for it has the same bits
  // What kernels of the whole leave for others is rounded, so the pieces round just that.
  const bool rounds = experiment.precision == DType::BF16;
  const Stage last = rounds ? Stage::Isolated : Stage::Primitive;
  SMELT_TRY(PassRun run, run_passes(function->graph, context, options.passes, {}, last));
  auto parts = std::make_unique<Parts>();
  parts->num_variables = experiment.variables.size();
  std::optional<StagedFunction> staged = stage_loops(run.unit.source.graph, static_cast<int32_t>(parts->num_variables));
  if (!staged) return nullptr;
  parts->staged = std::move(*staged);
  parts->entry = &entry;
  parts->from = &session;
  CheckedModel pieces{.path = model.path, .text = model.text, .sources = std::make_unique<SourceMap>(*model.sources)};
  pieces.experiment = experiment_of(experiment, parts->staged, entry.name, function->span);
  SMELT_TRY(parts->compiled, compile(pieces, options));
  SMELT_TRY(parts->session, Session::create(parts->compiled->program, parts->compiled->functions(),
                                            {.seed = session.header().seed,
                                             .horizon = 0,
                                             .threads = session.header().threads,
                                             .limits = session.limits()}));
  for (size_t v = 0; v < parts->num_variables; ++v) {
    const std::span<const std::byte> from = session.bytes(session.program().variables[v]);
    std::ranges::copy(from, parts->session->bytes(parts->compiled->program.variables[v]).begin());
  }
  return std::unique_ptr<StreamedExport>(new StreamedExport(std::move(parts)));
}

Result<std::vector<NamedTensor>> StreamedExport::run(std::span<const NamedTensor> inputs, const OnMade& on_made) {
  const Entry& entry = *parts_->entry;
  SMELT_TRY(const RunInputs prepared, prepare_inputs(*parts_->from, entry, inputs, {}));
  if (!prepared.fits) return parts_->from->run(entry, inputs);
  StreamedRun run(parts_->staged, *parts_->session, parts_->num_variables, prepared, entry, on_made);
  const std::vector<Entry>& pieces = parts_->compiled->program.entries;
  for (size_t piece = 0; piece < pieces.size(); ++piece) {
    for (size_t i = 0; i < pieces[piece].inputs.size(); ++i) {
      const auto feed = std::ranges::find(entry.inputs, pieces[piece].inputs[i].name, &Binding::name);
      SMELT_CHECK(feed != entry.inputs.end(), "a piece of `{}` reads `{}`", entry.name, pieces[piece].inputs[i].name);
      run.bind(piece, i, prepared.tensors[static_cast<size_t>(feed - entry.inputs.begin())].data());
    }
  }
  SMELT_TRY_VOID(run.run());
  SMELT_TRY(HostTensor result, run.result());
  std::vector<NamedTensor> results;
  results.push_back({entry.outputs[0].name, std::move(result)});
  return results;
}

}  // namespace smelt
