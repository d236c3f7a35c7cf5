// The table of lints.
#include "frontend/lints/lint.h"

#include "ir/experiment.h"

namespace smelt::frontend {

namespace {

constexpr Lint kLints[] = {
    {"a net that a loss reads and nothing updates", nets_never_updated},
    {"a net that is updated by a loss which ignores it", nets_without_influence},
    {"a critic that its opponent's loss updates as well", critics_updated_by_their_opponent},
    {"BatchNorm under a derivative by the input", batch_norm_under_a_penalty},
    {"probabilities where logits are meant", probabilities_for_logits},
    {"values outside of the support of a density or loss", values_outside_the_support},
    {"a net that is given made values of one range and data of another", nets_of_two_ranges},
    {"the operands of a loss in the wrong order", operands_swapped},
    {"a standard deviation for a log variance, or the other way round", deviation_or_log_variance},
    {"a standard deviation of 0", deviation_of_zero},
    {"terms of a bound that are averaged differently", terms_averaged_differently},
    {"what lies behind rows, in a loss", padding_in_a_loss},
    {"a condition of `stop when` that never holds", stop_never_holds},
    {"a patience that outlasts the run, of `stop` and `slow` lines", patience_without_end},
    {"gradients that add up for longer than the run", updates_beyond_the_run},
};

}  // namespace

const FunctionContext* LintInput::loss_of(size_t objective) const {
  const int32_t index = experiment.objectives[objective].loss;
  return index < 0 ? nullptr : functions[static_cast<size_t>(index)];
}

void run_lints(const LintInput& input) {
  for (const Lint& lint : kLints) lint.run(input);
}

}  // namespace smelt::frontend
