#include "compiler/plan/explain_fusion.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "ir/op.h"

namespace smelt {
namespace {

constexpr std::array<const char*, 10> kWhyStored = {
    "in registers",
    "stored: a result",
    "stored: a sum is complete only after its pass",
    "stored: a product or gather reads it in an order of its own",
    "stored: it is read under another shape",
    "stored: it has several readers, and computing it again would cost more than reading it",
    "stored: a broadcast reads it many times",
    "stored: a loop reads it, or gives it",
    "stored: it ends a chain of values in registers that is as long as one may be",
    "stored: fusion is disabled"};

constexpr std::array<const char*, 8> kWhySplit = {
    "",
    "begins a kernel: products have tiles of their own",
    "not in the product's epilogue",
    "not in the product's epilogue: a sum needs whole rows or columns, and a tile has a part of them",
    "not in its operand's kernel: that runs over another shape",
    "not in its operand's kernel: it reads elements that another turn computes",
    "not in the product's epilogue: that is full",
    "not with others: a loop runs by itself"};

class Explainer {
 public:
  Explainer(const Graph& graph, const FusionPlan& plan, const SourceMap& sources)
      : graph_(graph), plan_(plan), sources_(sources) {}

  std::string run() {
    for (size_t k = 0; k < plan_.kernels.size(); ++k) explain_kernel(k);
    explain_registers();
    explain_again();
    return std::move(out_);
  }

 private:
  std::string name_of(NodeId id) const {
    const Node& node = graph_[id];
    std::string name(op_def(node).name);
    for (const Output& result : graph_.results) {
      if (result.node == id) name += fmt::format(" -> {}", result.name);
    }
    return name;
  }

  void line(NodeId id, std::string_view text) {
    const Node& node = graph_[id];
    out_ += fmt::format("    {:28} {:22} {:26} {}\n", name_of(id), to_string(node.type, graph_.symbols),
                        sources_.describe(node.place()), text);
  }

  std::string reasons(NodeId id) const {
    const SplitReason split = plan_.why_split[id.index];
    std::string text;
    if (split != SplitReason::Fused) text = kWhySplit[static_cast<size_t>(split)];
    if (const NodeId other = plan_.waits_for[id.index]; split == SplitReason::WaitsForOther) {
      text += fmt::format(": it also needs `{}` of {}, which is known only after kernel {}", op_def(graph_[other]).name,
                          sources_.describe(graph_[other].place()), plan_.kernel_of[other.index]);
    }
    if (split != SplitReason::OwnTiles)
      text +=
          fmt::format("{}{}", text.empty() ? "" : "; ", kWhyStored[static_cast<size_t>(plan_.why_stored[id.index])]);
    return text;
  }

  /// The kernels of a step, further in.
  void explain_loop(size_t k) {
    const KernelPlan& kernel = plan_.kernels[k];
    const size_t count = kernel.body->plan.kernels.size();
    const std::string steps = to_string(graph_[kernel.scan].type.shape, graph_.symbols);
    out_ += fmt::format("  kernel {}: a loop of {} steps, each of {} kernel{}\n", k,
                        std::string_view(steps).substr(1, steps.size() - 2), count, count == 1 ? "" : "s");
    line(kernel.scan, reasons(kernel.scan));
    const std::string body = Explainer(kernel.body->graph, kernel.body->plan, sources_).run();
    for (size_t at = 0; at < body.size();) {
      const size_t end = body.find('\n', at) + 1;
      out_ += "    " + body.substr(at, end - at);
      at = end;
    }
  }

  void explain_kernel(size_t k) {
    const KernelPlan& kernel = plan_.kernels[k];
    if (kernel.scan.valid()) return explain_loop(k);
    const bool product = kernel.is_product();
    out_ += fmt::format("  kernel {}: {} over {}\n", k,
                        product             ? "product"
                        : kernel.by_columns ? "columns"
                                            : "rows",
                        to_string(kernel.outer, graph_.symbols));
    if (product) line(kernel.product, reasons(kernel.product));
    for (const SweepPlan& sweep : kernel.sweeps) {
      for (const NodeId id : sweep.nodes) {
        const std::string why = reasons(id);
        line(id, product ? fmt::format("in the epilogue; {}", why) : why);
      }
    }
  }

  /// Values without memory, and the kernels that compute them on the way.
  void explain_registers() {
    std::vector<std::vector<int32_t>> kernels(graph_.size());
    for (uint32_t i = static_cast<uint32_t>(graph_.size()); i-- > 0;) {
      if (plan_.stored[i]) kernels[i] = {plan_.kernel_of[i]};
      for (const NodeId input : graph_.nodes[i].inputs) {
        if (plan_.stored[input.index]) continue;
        std::vector<int32_t>& known = kernels[input.index];
        known.insert(known.end(), kernels[i].begin(), kernels[i].end());
        std::ranges::sort(known);
        known.erase(std::ranges::unique(known).begin(), known.end());
      }
    }
    out_ += "  in registers\n";
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const Kind kind = op_def(graph_.nodes[i]).kind;
      if (plan_.stored[i] || kind == Kind::Argument || graph_.nodes[i].inputs.empty() || kernels[i].empty()) continue;
      line({i}, fmt::format("{} kernel{} {}", kernels[i].size() > 1 ? "computed again in each of" : "computed in",
                            kernels[i].size() > 1 ? "s" : "", fmt::join(kernels[i], ", ")));
    }
  }

  /// Values that a memory budget has computed a second time instead of keeping them.
  void explain_again() {
    if (plan_.again.empty()) return;
    out_ += "  computed again, to fit the memory budget\n";
    for (const NodeId id : plan_.again) {
      const int64_t bytes = byte_size(graph_.type(id)).value_or(0);
      const std::string where =
          plan_.stored[id.index] ? fmt::format("in kernel {}", plan_.kernel_of[id.index]) : "where it is read";
      line(id, fmt::format("{}, instead of keeping {} bytes", where, bytes));
    }
  }

  const Graph& graph_;
  const FusionPlan& plan_;
  const SourceMap& sources_;
  std::string out_;
};

}  // namespace

std::string explain_fusion(const Graph& graph, const FusionPlan& plan, const SourceMap& sources) {
  return fmt::format("func @{}: {} kernels\n", graph.name, plan.kernels.size()) + Explainer(graph, plan, sources).run();
}

}  // namespace smelt
