// The packing of an operand of a product into panels, mostly of its right one in the width of the register tile.
#pragma once

#include "compiler/codegen/kernel_emitter.h"

namespace smelt {

class PackEmitter : public KernelEmitter {
 public:
  using KernelEmitter::KernelEmitter;

 private:
  /// Outer axes of the pack that a vector of the source holds side by side.
  struct Taps {
    int64_t low = 0, span = 1;                        // of the vector, in elements from the one at index 0
    std::vector<std::pair<int64_t, int64_t>> places;  // of each tap in the source, in the panels; none: no axis is
    std::vector<PackAxis> others;
  };

  void emit_work() override;
  PanelCopy panel_copy(llvm::Value* from, llvm::Value* to);
  void emit_panel(const PanelCopy& p);
  void emit_panel_elements(const PanelCopy& p);
  Taps taps_of(const Pack& pack) const;
  void emit_taps(const PanelCopy& p, const Taps& taps);
  void emit_pair_panel(const PanelCopy& p);
  void emit_pair_step(const PanelCopy& p, llvm::Value* pair);
  void emit_pair_squares(const PanelCopy& p);
  void emit_pair_elements(const PanelCopy& p);
  llvm::Value* pair_source(const PanelCopy& p, llvm::Value* k, llvm::Value* c);
  llvm::Value* pair_place(const PanelCopy& p, llvm::Value* pair, llvm::Value* c);
  llvm::Value* rounded_to_bf16(llvm::Value* loaded, DType from);
  llvm::Value* interleaved_pair(llvm::Value* first, llvm::Value* second);
  void emit_depth_panel(const PanelCopy& p, int64_t padded_depth);
  llvm::Function* pack_transposed(const PanelCopy& p);
};

}  // namespace smelt
