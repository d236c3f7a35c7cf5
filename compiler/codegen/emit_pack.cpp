#include <llvm/IR/Intrinsics.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "compiler/codegen/pack_emitter.h"

namespace smelt {
namespace {

/// A panel from columns that lie along the depth, a square of lanes x lanes at a time through registers. The panel's
/// depth is rounded up to whole squares.
class TransposedPack : LaneBuilder {
 public:
  TransposedPack(llvm::Module& module, const Target& target, int64_t lanes) : LaneBuilder(module, target, lanes) {}

  void define(const std::string& name, DType from, DType dtype, int64_t width) {
    llvm::Type *pointer = ir_.getPtrTy(), *i64_type = ir_.getInt64Ty();
    auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {pointer, pointer, i64_type, i64_type, i64_type}, false);
    begin_function(name, type);
    const llvm::Function* function = llvm_function_;
    llvm::Value *source = function->getArg(0), *panel = function->getArg(1), *depth = function->getArg(2);
    llvm::Value *columns = function->getArg(3), *column_stride = function->getArg(4);
    const llvm::Align align(static_cast<uint64_t>(size_of(dtype)));
    for_range(i64(0), i64(width), lanes_, [&](llvm::Value* first_column) {
      for_range(i64(0), depth, lanes_, [&](llvm::Value* k) {
        const auto line = [&](llvm::Value* c) {
          return element_pointer(source, from, ir_.CreateAdd(ir_.CreateMul(c, column_stride), k));
        };
        llvm::Value* mask = mask_below(ir_.CreateSub(depth, k));
        const std::vector<llvm::Value*> rows = load_square({from, dtype, columns, mask, line}, first_column);
        for (int64_t i = 0; i < lanes_; ++i) {
          llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(ir_.CreateAdd(k, i64(i)), i64(width)), first_column);
          ir_.CreateAlignedStore(rows[static_cast<size_t>(i)], element_pointer(panel, dtype, at), align);
        }
      });
    });
    ir_.CreateRetVoid();
  }
};

}  // namespace

void PackEmitter::emit_work() {
  const Pack& pack = kernel_.pack();
  llvm::Value* columns = extent(pack.column.extent);
  const bool by_steps = pack.units == PackUnits::Steps;
  const Taps taps = by_steps ? Taps{.others = pack.outer} : taps_of(pack);
  llvm::Value* units = by_steps ? ir_.CreateLShr(ir_.CreateAdd(extent(pack.depth.extent), i64(1)), i64(1))
                                : ir_.CreateSDiv(ir_.CreateAdd(columns, i64(pack.width - 1)), i64(pack.width));
  std::vector<llvm::Value*> extents = {units};
  // Strides of the operand, of the panels; one panel has all columns in the form Depth.
  std::vector<std::pair<int64_t, int64_t>> strides = {{pack.width * pack.column.from, pack.column.to}};
  if (by_steps) strides = {{0, 0}};  // of one panel, each step of which finds its own place
  for (const PackAxis& axis : taps.others) {
    extents.push_back(extent(axis.extent));
    strides.emplace_back(axis.from, axis.to);
  }
  llvm::Value* total = i64(1);
  for (llvm::Value* size : extents) total = ir_.CreateMul(total, size);
  const auto [begin, end] = my_share(total);
  for_range(begin, end, 1, [&](llvm::Value* unit) {
    const std::vector<llvm::Value*> position = decompose(unit, extents);
    llvm::Value *from = i64(pack.start), *to = i64(0);
    for (size_t axis = 0; axis < position.size(); ++axis) {
      from = ir_.CreateAdd(from, ir_.CreateMul(position[axis], i64(strides[axis].first)));
      to = ir_.CreateAdd(to, ir_.CreateMul(position[axis], i64(strides[axis].second)));
    }
    PanelCopy copy = panel_copy(from, to);
    if (by_steps) {
      copy.columns = columns;
      return emit_pair_step(copy, position.front());
    }
    llvm::Value* left = ir_.CreateSub(columns, ir_.CreateMul(position.front(), i64(pack.width)));
    copy.columns = ir_.CreateSelect(ir_.CreateICmpSLT(left, i64(pack.width)), left, i64(pack.width));
    if (taps.places.empty())
      emit_panel(copy);
    else
      emit_taps(copy, taps);
  });
}

/// Where neither columns nor steps of the depth lie side by side, the taps of a filter do: `[filter, channel, tap]` is
/// packed as [tap, channel, filter]. Those that lie within a vector are taken from it at once; one element at a time,
/// each line is read as often as it has taps, and the filters of examples/dcgan_color.smelt took 4.6 times as long as
/// their bytes (`smelt profile`, kernels `pack`).
PackEmitter::Taps PackEmitter::taps_of(const Pack& pack) const {
  Taps taps{.others = pack.outer};
  if (pack.form != PanelForm::Columns || pack.depth.from == 1 || pack.column.from == 1) return taps;
  std::vector<PackAxis> axes = pack.outer;
  std::ranges::stable_sort(axes, {}, [](const PackAxis& axis) { return std::abs(axis.from); });
  int64_t high = 0;
  taps.places = {{0, 0}};
  taps.others.clear();
  for (const PackAxis& axis : axes) {
    const int64_t reach = axis.from * (axis.extent.bound - 1);
    const int64_t low = taps.low + std::min<int64_t>(reach, 0), top = high + std::max<int64_t>(reach, 0);
    if (!axis.extent.is_static() || axis.extent.bound < 1 || top - low >= lanes_) {
      taps.others.push_back(axis);
      continue;
    }
    taps.low = low;
    high = top;
    std::vector<std::pair<int64_t, int64_t>> places;
    for (const auto& [from, to] : taps.places) {
      for (int64_t i = 0; i < axis.extent.bound; ++i) places.emplace_back(from + i * axis.from, to + i * axis.to);
    }
    taps.places = std::move(places);
  }
  taps.span = high - taps.low + 1;
  if (taps.places.size() == 1) taps = {.others = pack.outer};
  return taps;
}

/// A square at a time: a vector of taps of so many columns becomes a vector of columns of each tap.
void PackEmitter::emit_taps(const PanelCopy& p, const Taps& taps) {
  llvm::Value* mask = mask_below(i64(taps.span));
  const llvm::Align align(static_cast<uint64_t>(size_of(p.to)));
  for_range(i64(0), p.depth, 1, [&](llvm::Value* k) {
    llvm::Value* step = ir_.CreateAdd(ir_.CreateMul(k, i64(p.depth_stride)), i64(taps.low));
    for_range(i64(0), i64(p.width), lanes_, [&](llvm::Value* first_column) {
      const auto line = [&](llvm::Value* c) {
        return element_pointer(p.source, p.from, ir_.CreateAdd(ir_.CreateMul(c, i64(p.column_stride)), step));
      };
      const std::vector<llvm::Value*> square = load_square({p.from, p.to, p.columns, mask, line}, first_column);
      llvm::Value* row = ir_.CreateAdd(ir_.CreateMul(k, i64(p.width)), first_column);
      for (const auto& [from, to] : taps.places) {
        llvm::Value* at = element_pointer(p.panel, p.to, ir_.CreateAdd(row, i64(to)));
        ir_.CreateAlignedStore(square[static_cast<size_t>(from - taps.low)], at, align);
      }
    });
  });
}

/// The copy that begins at these elements of the operand and of the panels; `columns` is not set.
PackEmitter::PanelCopy PackEmitter::panel_copy(llvm::Value* from, llvm::Value* to) {
  const Pack& pack = kernel_.pack();
  PanelCopy copy{.from = operand_dtype(pack.from),
                 .to = operand_dtype(pack.to),
                 .column_stride = pack.column.from,
                 .depth_stride = pack.depth.from,
                 .width = pack.width};
  copy.source = element_pointer(buffer_pointer(pack.from), copy.from, from);
  copy.panel = element_pointer(buffer_pointer(pack.to), copy.to, to);
  copy.depth = extent(pack.depth.extent);
  return copy;
}

void PackEmitter::emit_panel(const PanelCopy& p) {
  switch (kernel_.pack().form) {
    case PanelForm::Depth: return emit_depth_panel(p, kernel_.pack().column.to);
    case PanelForm::Pairs: return emit_pair_panel(p);
    case PanelForm::Columns: break;
  }
  if (p.depth_stride == 1) {
    ir_.CreateCall(pack_transposed(p), {p.source, p.panel, p.depth, p.columns, i64(p.column_stride)});
  } else if (p.column_stride == 1) {
    copy_columns_side_by_side(p);
  } else {
    emit_panel_elements(p);
  }
}

/// Any strides, one element at a time.
void PackEmitter::emit_panel_elements(const PanelCopy& p) {
  llvm::Type* element = scalars_.element_type(p.from);
  for_range(i64(0), p.depth, 1, [&](llvm::Value* k) {
    for_range(i64(0), i64(p.width), 1, [&](llvm::Value* c) {
      llvm::Value* exists = ir_.CreateICmpSLT(c, p.columns);
      llvm::Value* safe = ir_.CreateSelect(exists, c, i64(0));
      llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(safe, i64(p.column_stride)), ir_.CreateMul(k, i64(p.depth_stride)));
      llvm::Value* value = ir_.CreateLoad(element, element_pointer(p.source, p.from, at));
      value = ir_.CreateSelect(exists, value, llvm::Constant::getNullValue(element));
      ir_.CreateStore(converted(value, p.from, p.to),
                      element_pointer(p.panel, p.to, ir_.CreateAdd(ir_.CreateMul(k, i64(p.width)), c)));
    });
  });
}

/// panel[c, k] = source[c * column_stride + k * depth_stride], a square of lanes x lanes at a time where columns lie
/// side by side.
void PackEmitter::emit_depth_panel(const PanelCopy& p, int64_t padded_depth) {
  const auto from = [&](llvm::Value* k, int64_t c) {
    return element_pointer(p.source, p.from,
                           ir_.CreateAdd(ir_.CreateMul(k, i64(p.depth_stride)), i64(c * p.column_stride)));
  };
  const auto to = [&](int64_t c, llvm::Value* k) {
    return element_pointer(p.panel, p.to, ir_.CreateAdd(k, i64(c * padded_depth)));
  };
  llvm::Type* element = scalars_.element_type(p.from);
  if (p.column_stride != 1) {
    for_range(i64(0), p.depth, 1, [&](llvm::Value* k) {
      for (int64_t c = 0; c < p.width; ++c)
        ir_.CreateStore(converted(ir_.CreateLoad(element, from(k, c)), p.from, p.to), to(c, k));
    });
    return;
  }
  const llvm::Align align(static_cast<uint64_t>(size_of(p.to)));
  llvm::Value* mask = mask_below(i64(p.width));
  const auto line = [&](llvm::Value* step) { return from(step, 0); };
  for_range(i64(0), p.depth, lanes_, [&](llvm::Value* k) {
    const std::vector<llvm::Value*> square = load_square({p.from, p.to, p.depth, mask, line}, k);
    for (int64_t c = 0; c < p.width; ++c) ir_.CreateAlignedStore(square[static_cast<size_t>(c)], to(c, k), align);
  });
}

/// void pack(ptr source, ptr panel, i64 depth, i64 columns, i64 column_stride): a panel from columns that lie along k,
/// a square of lanes x lanes at a time through registers. The panel's depth is rounded up to whole squares.
llvm::Function* PackEmitter::pack_transposed(const PanelCopy& p) {
  const std::string name = fmt::format("pack_{}x_{}{}", p.width, to_string(p.to),
                                       p.from == p.to ? "" : fmt::format("_{}", to_string(p.from)));
  llvm::Type *pointer = ir_.getPtrTy(), *i64_type = ir_.getInt64Ty();
  auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {pointer, pointer, i64_type, i64_type, i64_type}, false);
  const auto define = [&target = target_, lanes = lanes_, name, from = p.from, to = p.to,
                       width = p.width](llvm::Module& module) {
    TransposedPack(module, target, lanes).define(name, from, to, width);
  };
  return shared_.declare(module_, name, type, define);
}

}  // namespace smelt
