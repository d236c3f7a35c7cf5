// The rows of a batch of strings are as long as its longest one. A loss that reads what lies behind the others learns
// from padding, and is another one where other rows met.
#include <fmt/format.h>

#include "frontend/lints/lint.h"
#include "ir/experiment.h"
#include "ir/padding_flow.h"

namespace smelt::frontend {

void padding_in_a_loss(const LintInput& input) {
  if (!input.experiment.data) return;
  const std::vector<int32_t> lengths = input.experiment.data->length_symbols();
  if (lengths.empty()) return;
  for (size_t i = 0; i < input.experiment.objectives.size(); ++i) {
    const FunctionContext* loss = input.loss_of(i);
    if (loss == nullptr || silenced(input.experiment.objectives[i].name)) continue;
    const PaddingRead read = find_padding_read(loss->function.graph, loss->function.graph.results, lengths);
    if (read.node == nullptr) continue;
    const std::string dim = input.experiment.symbols[static_cast<size_t>(read.symbol)].name;
    input.diagnostics
        .report(
            Diag::W0017, read.node->place(),
            fmt::format("`{}` reads what lies behind the ends of rows: {} is as long as the longest one of the batch",
                        input.experiment.objectives[i].name, dim))
        .with_help(
            fmt::format("leave it out by `mask_of(lengths, over={})`: layers over sequences take it or the lengths, "
                        "and `masked_mean` is the mean over what rows have",
                        dim));
  }
}

}  // namespace smelt::frontend
