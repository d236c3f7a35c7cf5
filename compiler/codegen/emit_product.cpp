// Products: register tiles over packed or in-place columns, epilogues, and the packing of panels.
//
// A tile of tile_rows x tile_vectors vectors of sums lives in registers over the whole depth K; each step of K loads
// the columns' vectors, broadcasts one left element a row and multiplies and adds. The finished tile goes to a small
// buffer in L1 from which the epilogue, a body like any other, reads it.
#include <llvm/IR/Intrinsics.h>

#include <fmt/format.h>

#include <algorithm>

#include "compiler/codegen/kernel_emitter.h"
#include "compiler/loops/lower_product.h"

namespace smelt {

constexpr int64_t kUnrollDepth = 4;  // steps of K in one turn of the micro-kernel's loop

struct KernelEmitter::Tile {
  llvm::Value* sums = nullptr;  // [tile_rows, tile_columns] in L1
  llvm::Value *row = nullptr, *rows = nullptr;        // first row, number of rows
  llvm::Value *column = nullptr, *columns = nullptr;  // first column, number of columns
  llvm::Value* panel = nullptr;
  std::vector<llvm::Value*> outer;
};

void KernelEmitter::emit_product() {
  const Product& product = kernel_->product;
  const int64_t tile_rows = target_.tile_rows;
  const auto tiles_of = [&](llvm::Value* size, int64_t tile) {
    return ir_.CreateSDiv(ir_.CreateAdd(size, i64(tile - 1)), i64(tile));
  };
  llvm::Value* rows = extent(product.row.extent);
  llvm::Value* columns = extent(product.column.extent);
  std::vector<llvm::Value*> extents;
  for (const ProductAxis& axis : product.outer) extents.push_back(extent(axis.extent));
  // Rows run fastest: a panel of columns stays in cache while all rows pass over it.
  extents.push_back(tiles_of(columns, tile_columns()));
  extents.push_back(tiles_of(rows, tile_rows));
  llvm::Value* total = i64(1);
  for (llvm::Value* size : extents) total = ir_.CreateMul(total, size);

  Tile tile;
  tile.sums = stack(scalars_.element_type(product.dtype), tile_rows * tile_columns(), "tile");
  const auto at_most = [&](int64_t limit, llvm::Value* left) {
    return ir_.CreateSelect(ir_.CreateICmpSLT(left, i64(limit)), left, i64(limit));
  };
  const auto [begin, end] = my_share(total);
  for_range(begin, end, 1, [&](llvm::Value* unit) {
    tile.outer = decompose(unit, extents);
    tile.row = ir_.CreateMul(tile.outer.back(), i64(tile_rows));
    tile.outer.pop_back();
    tile.panel = tile.outer.back();
    tile.column = ir_.CreateMul(tile.panel, i64(tile_columns()));
    tile.outer.pop_back();
    tile.rows = at_most(tile_rows, ir_.CreateSub(rows, tile.row));
    tile.columns = at_most(tile_columns(), ir_.CreateSub(columns, tile.column));
    emit_tile_sums(tile);
    emit_epilogue(tile);
  });
}

void KernelEmitter::emit_tile_sums(const Tile& tile) {
  const Product& product = kernel_->product;
  const bool packed = product.packed >= 0;
  const PanelLayout layout = panel_layout(product, tile_columns());
  llvm::Value* a_at = ir_.CreateMul(tile.row, i64(product.row.a_stride));
  llvm::Value* b_at = packed ? ir_.CreateMul(tile.panel, i64(layout.panel_elements))
                             : ir_.CreateMul(tile.column, i64(product.column.b_stride));
  const auto advance = [&](llvm::Value* at, llvm::Value* position, int64_t stride) {
    return stride == 0 ? at : ir_.CreateAdd(at, ir_.CreateMul(position, i64(stride)));
  };
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    a_at = advance(a_at, tile.outer[axis], product.outer[axis].a_stride);
    b_at = advance(b_at, tile.outer[axis], packed ? layout.outer_strides[axis] : product.outer[axis].b_stride);
  }
  if (product.inner.size() > 1) {
    const int64_t bytes = target_.tile_rows * tile_columns() * size_of(product.dtype);
    ir_.CreateMemSet(tile.sums, ir_.getInt8(0), static_cast<uint64_t>(bytes), llvm::Align(64));
  }
  const std::function<void(size_t, llvm::Value*, llvm::Value*)> inner = [&](size_t axis, llvm::Value* a, llvm::Value* b) {
    if (axis + 1 < product.inner.size()) {
      for_range(i64(0), extent(product.inner[axis].extent), 1, [&](llvm::Value* i) {
        inner(axis + 1, advance(a, i, product.inner[axis].a_stride),
              advance(b, i, packed ? layout.inner_strides[axis] : product.inner[axis].b_stride));
      });
      return;
    }
    llvm::Value* a_pointer = element_pointer(buffer_pointer(product.a), product.dtype, a);
    llvm::Value* b_pointer = element_pointer(buffer_pointer(packed ? product.packed : product.b), product.dtype, b);
    const Extent rows = product.row.extent;
    const int64_t rest = rows.is_static() ? rows.bound % target_.tile_rows : 1;
    const auto whole = [&] { call_micro_kernel(tile, target_.tile_rows, a_pointer, b_pointer, tile.sums); };
    const auto partial = [&] {
      if (rows.is_static()) {
        call_micro_kernel(tile, rest, a_pointer, b_pointer, tile.sums);
        return;
      }
      for_range(i64(0), tile.rows, 1, [&](llvm::Value* r) {
        call_micro_kernel(tile, 1, element_pointer(a_pointer, product.dtype, ir_.CreateMul(r, i64(product.row.a_stride))),
                          b_pointer,
                          element_pointer(tile.sums, product.dtype, ir_.CreateMul(r, i64(tile_columns()))));
      });
    };
    if (rows.is_static() && rest == 0) {
      whole();
    } else if (rows.is_static() && rows.bound < target_.tile_rows) {
      partial();
    } else {
      if_else(ir_.CreateICmpEQ(tile.rows, i64(target_.tile_rows)), whole, partial);
    }
  };
  inner(0, a_at, b_at);
}

void KernelEmitter::call_micro_kernel(const Tile& tile, int64_t rows, llvm::Value* a, llvm::Value* b, llvm::Value* sums) {
  const Product& product = kernel_->product;
  const bool packed = product.packed >= 0, accumulate = product.inner.size() > 1;
  llvm::Value* depth = extent(product.inner.back().extent);
  const auto call = [&](int64_t vectors, Columns columns) {
    ir_.CreateCall(micro_kernel(rows, vectors, columns, accumulate), {a, b, sums, depth, tile.columns});
  };
  const auto whole = [&] { call(target_.tile_vectors, Columns::Whole); };
  const Extent size = product.column.extent;
  const int64_t rest = size.is_static() ? size.bound % tile_columns() : 0;
  const auto partial = [&] {
    if (!size.is_static()) {
      call(target_.tile_vectors, Columns::AllMasked);
    } else {
      const bool whole_vectors = packed || rest % lanes_ == 0;  // panels are padded with zeros
      call((rest + lanes_ - 1) / lanes_, whole_vectors ? Columns::Whole : Columns::LastMasked);
    }
  };
  if ((size.is_static() && rest == 0) || (!size.is_static() && packed)) {
    whole();
  } else if (size.is_static() && size.bound < tile_columns()) {
    partial();
  } else {
    if_else(ir_.CreateICmpEQ(tile.columns, i64(tile_columns())), whole, partial);
  }
}

/// void micro(ptr a, ptr b, ptr sums, i64 depth, i64 columns): sums[r, c] (+)= sum over k of a[r, k] * b[k, c], strides
/// fixed, so that addresses fold into the instructions.
llvm::Function* KernelEmitter::micro_kernel(int64_t rows, int64_t vectors, Columns columns, bool accumulate) {
  const Product& product = kernel_->product;
  const int64_t row_stride = product.row.a_stride, a_step = product.inner.back().a_stride;
  const int64_t b_step = product.packed >= 0 ? tile_columns() : product.inner.back().b_stride;
  const std::string name = fmt::format("micro_{}x{}_{}_a{}_{}_b{}{}{}", rows, vectors, to_string(product.dtype), row_stride,
                                       a_step, b_step, columns == Columns::Whole ? "" : columns == Columns::LastMasked ? "_last" : "_masked",
                                       accumulate ? "_add" : "");
  if (const auto known = shared_.find(name); known != shared_.end()) return known->second;
  llvm::Type* pointer = ir_.getPtrTy();
  llvm::Type* i64_type = ir_.getInt64Ty();
  auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {pointer, pointer, pointer, i64_type, i64_type}, false);
  auto* function = llvm::Function::Create(type, llvm::Function::InternalLinkage, name, module_);
  function->addFnAttr(llvm::Attribute::NoInline);
  for (unsigned i = 0; i < 3; ++i) function->addParamAttr(i, llvm::Attribute::NoAlias);
  shared_[name] = function;

  const llvm::IRBuilder<>::InsertPointGuard guard(ir_);
  auto* entry = llvm::BasicBlock::Create(context_, "entry", function);
  auto* head = llvm::BasicBlock::Create(context_, "unrolled", function);
  auto* turn = llvm::BasicBlock::Create(context_, "turn", function);
  auto* rest_head = llvm::BasicBlock::Create(context_, "rest", function);
  auto* rest_turn = llvm::BasicBlock::Create(context_, "step", function);
  auto* done = llvm::BasicBlock::Create(context_, "done", function);
  llvm::Value *a = function->getArg(0), *b = function->getArg(1), *sums = function->getArg(2);
  llvm::Value *depth = function->getArg(3), *width = function->getArg(4);
  llvm::Type* element = scalars_.element_type(product.dtype);
  llvm::Type* vector = llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes_));
  const llvm::Align align(static_cast<uint64_t>(size_of(product.dtype)));
  const size_t num_sums = static_cast<size_t>(rows * vectors);

  ir_.SetInsertPoint(entry);
  std::vector<llvm::Value*> masks(static_cast<size_t>(vectors), nullptr);
  for (int64_t v = 0; v < vectors; ++v) {
    if (columns == Columns::AllMasked || (columns == Columns::LastMasked && v + 1 == vectors)) {
      masks[static_cast<size_t>(v)] = mask_below(ir_.CreateSub(width, i64(v * lanes_)));
    }
  }
  const auto sum_pointer = [&](size_t s) {
    const int64_t at = static_cast<int64_t>(s) / vectors * tile_columns() + static_cast<int64_t>(s) % vectors * lanes_;
    return ir_.CreateConstInBoundsGEP1_64(element, sums, static_cast<uint64_t>(at));
  };
  std::vector<llvm::Value*> start(num_sums, llvm::Constant::getNullValue(vector));
  if (accumulate) {
    for (size_t s = 0; s < num_sums; ++s) start[s] = ir_.CreateAlignedLoad(vector, sum_pointer(s), llvm::Align(64));
  }
  llvm::Value* unrolled_end = ir_.CreateAnd(depth, i64(-kUnrollDepth));
  ir_.CreateBr(head);

  struct State {
    llvm::PHINode *k, *a, *b;
    std::vector<llvm::PHINode*> sums;
  };
  const auto begin_state = [&](llvm::BasicBlock* from, llvm::Value* k, llvm::Value* a_from, llvm::Value* b_from,
                               const std::vector<llvm::Value*>& values) {
    State state{ir_.CreatePHI(i64_type, 2), ir_.CreatePHI(pointer, 2), ir_.CreatePHI(pointer, 2), {}};
    state.k->addIncoming(k, from);
    state.a->addIncoming(a_from, from);
    state.b->addIncoming(b_from, from);
    for (llvm::Value* value : values) {
      state.sums.push_back(ir_.CreatePHI(vector, 2));
      state.sums.back()->addIncoming(value, from);
    }
    return state;
  };
  // `steps` values of K, then back to `to`.
  const auto emit_turn = [&](State& state, int64_t steps, llvm::BasicBlock* to) {
    std::vector<llvm::Value*> next(state.sums.begin(), state.sums.end());
    for (int64_t step = 0; step < steps; ++step) {
      std::vector<llvm::Value*> right;
      for (int64_t v = 0; v < vectors; ++v) {
        llvm::Value* at = ir_.CreateConstInBoundsGEP1_64(element, state.b, static_cast<uint64_t>(step * b_step + v * lanes_));
        llvm::Value* mask = masks[static_cast<size_t>(v)];
        right.push_back(mask == nullptr ? static_cast<llvm::Value*>(ir_.CreateAlignedLoad(vector, at, align))
                                        : ir_.CreateMaskedLoad(vector, at, align, mask, llvm::Constant::getNullValue(vector)));
      }
      for (int64_t r = 0; r < rows; ++r) {
        llvm::Value* at = ir_.CreateConstInBoundsGEP1_64(element, state.a, static_cast<uint64_t>(r * row_stride + step * a_step));
        llvm::Value* left = scalars_.splat(ir_.CreateAlignedLoad(element, at, align), lanes_);
        for (int64_t v = 0; v < vectors; ++v) {
          llvm::Value*& sum = next[static_cast<size_t>(r * vectors + v)];
          sum = LlvmScalars::value(scalars_.fma(LlvmScalars::wrap(left, product.dtype),
                                                LlvmScalars::wrap(right[static_cast<size_t>(v)], product.dtype),
                                                LlvmScalars::wrap(sum, product.dtype)));
        }
      }
    }
    llvm::BasicBlock* here = ir_.GetInsertBlock();
    state.k->addIncoming(ir_.CreateAdd(state.k, i64(steps), "", true, true), here);
    state.a->addIncoming(ir_.CreateConstInBoundsGEP1_64(element, state.a, static_cast<uint64_t>(steps * a_step)), here);
    state.b->addIncoming(ir_.CreateConstInBoundsGEP1_64(element, state.b, static_cast<uint64_t>(steps * b_step)), here);
    for (size_t s = 0; s < num_sums; ++s) state.sums[s]->addIncoming(next[s], here);
    ir_.CreateBr(to);
  };

  ir_.SetInsertPoint(head);
  State state = begin_state(entry, i64(0), a, b, start);
  ir_.CreateCondBr(ir_.CreateICmpSLT(state.k, unrolled_end), turn, rest_head);
  ir_.SetInsertPoint(turn);
  emit_turn(state, kUnrollDepth, head);

  ir_.SetInsertPoint(rest_head);
  State rest = begin_state(head, state.k, state.a, state.b, {state.sums.begin(), state.sums.end()});
  ir_.CreateCondBr(ir_.CreateICmpSLT(rest.k, depth), rest_turn, done);
  ir_.SetInsertPoint(rest_turn);
  emit_turn(rest, 1, rest_head);

  ir_.SetInsertPoint(done);
  for (size_t s = 0; s < num_sums; ++s) ir_.CreateAlignedStore(rest.sums[s], sum_pointer(s), llvm::Align(64));
  ir_.CreateRetVoid();
  return function;
}

void KernelEmitter::emit_epilogue(const Tile& tile) {
  const Product& product = kernel_->product;
  const Sweep& sweep = kernel_->sweeps[0];
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    loop_values_[static_cast<size_t>(product.outer[axis].loop)] = tile.outer[axis];
  }
  for_range(i64(0), tile.rows, 1, [&](llvm::Value* r) {
    if (product.row.loop >= 0) loop_values_[static_cast<size_t>(product.row.loop)] = ir_.CreateAdd(tile.row, r);
    tile_row_ = element_pointer(tile.sums, product.dtype, ir_.CreateMul(r, i64(tile_columns())));
    if (product.column.loop < 0) {
      tile_column_ = i64(0);
      emit_statements(sweep.body);
      return;
    }
    vector_loop_ = product.column.loop;
    const auto at_column = [&](llvm::Value* c) {
      tile_column_ = c;
      loop_values_[static_cast<size_t>(product.column.loop)] = ir_.CreateAdd(tile.column, c);
      emit_statements(sweep.body);
    };
    llvm::Value* whole = ir_.CreateAnd(tile.columns, i64(-lanes_));
    for_range(i64(0), whole, lanes_, at_column);
    const Extent size = product.column.extent;
    if (!size.is_static() || size.bound % lanes_ != 0) {
      if_then(ir_.CreateICmpSLT(whole, tile.columns), [&] {
        mask_ = mask_below(ir_.CreateSub(tile.columns, whole));
        at_column(whole);
        mask_ = nullptr;
      });
    }
    vector_loop_ = -1;
  });
}

void KernelEmitter::emit_pack() {
  const Product& product = kernel_->product;
  const PanelLayout layout = panel_layout(product, tile_columns());
  llvm::Value* columns = extent(product.column.extent);
  std::vector<llvm::Value*> extents;
  std::vector<std::pair<int64_t, int64_t>> strides;  // of b, of the panels
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    if (product.outer[axis].b_stride == 0) continue;
    extents.push_back(extent(product.outer[axis].extent));
    strides.emplace_back(product.outer[axis].b_stride, layout.outer_strides[axis]);
  }
  for (size_t axis = 0; axis + 1 < product.inner.size(); ++axis) {
    extents.push_back(extent(product.inner[axis].extent));
    strides.emplace_back(product.inner[axis].b_stride, layout.inner_strides[axis]);
  }
  extents.push_back(ir_.CreateSDiv(ir_.CreateAdd(columns, i64(tile_columns() - 1)), i64(tile_columns())));
  strides.emplace_back(tile_columns() * product.column.b_stride, layout.panel_elements);
  llvm::Value* total = i64(1);
  for (llvm::Value* size : extents) total = ir_.CreateMul(total, size);
  const auto [begin, end] = my_share(total);
  for_range(begin, end, 1, [&](llvm::Value* unit) {
    const std::vector<llvm::Value*> position = decompose(unit, extents);
    llvm::Value *from = i64(0), *to = i64(0);
    for (size_t axis = 0; axis < position.size(); ++axis) {
      from = ir_.CreateAdd(from, ir_.CreateMul(position[axis], i64(strides[axis].first)));
      to = ir_.CreateAdd(to, ir_.CreateMul(position[axis], i64(strides[axis].second)));
    }
    llvm::Value* left = ir_.CreateSub(columns, ir_.CreateMul(position.back(), i64(tile_columns())));
    llvm::Value* here = ir_.CreateSelect(ir_.CreateICmpSLT(left, i64(tile_columns())), left, i64(tile_columns()));
    emit_panel(element_pointer(buffer_pointer(product.b), product.dtype, from),
               element_pointer(buffer_pointer(product.packed), product.dtype, to), extent(product.inner.back().extent), here);
  });
}

/// panel[k, c] = source[c * column_stride + k * depth_stride], 0 from `columns` on. A column that is contiguous along k
/// goes through registers, lanes x lanes at a time.
void KernelEmitter::emit_panel(llvm::Value* source, llvm::Value* panel, llvm::Value* depth, llvm::Value* columns) {
  const Product& product = kernel_->product;
  const DType dtype = product.dtype;
  llvm::Type* element = scalars_.element_type(dtype);
  const int64_t column_stride = product.column.b_stride, depth_stride = product.inner.back().b_stride;
  if (depth_stride != 1) {
    for_range(i64(0), depth, 1, [&](llvm::Value* k) {
      for_range(i64(0), i64(tile_columns()), 1, [&](llvm::Value* c) {
        llvm::Value* exists = ir_.CreateICmpSLT(c, columns);
        llvm::Value* safe = ir_.CreateSelect(exists, c, i64(0));
        llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(safe, i64(column_stride)), ir_.CreateMul(k, i64(depth_stride)));
        llvm::Value* value = ir_.CreateLoad(element, element_pointer(source, dtype, at));
        value = ir_.CreateSelect(exists, value, llvm::Constant::getNullValue(element));
        ir_.CreateStore(value, element_pointer(panel, dtype, ir_.CreateAdd(ir_.CreateMul(k, i64(tile_columns())), c)));
      });
    });
    return;
  }
  llvm::Type* vector = llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes_));
  llvm::Value* zero = llvm::Constant::getNullValue(vector);
  const llvm::Align align(static_cast<uint64_t>(size_of(dtype)));
  const auto block = [&](llvm::Value* first_column, llvm::Value* k, llvm::Value* mask, llvm::Value* steps) {
    std::vector<llvm::Value*> rows;
    for (int64_t i = 0; i < lanes_; ++i) {
      llvm::Value* c = ir_.CreateAdd(first_column, i64(i));
      llvm::Value* exists = ir_.CreateICmpSLT(c, columns);
      llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(ir_.CreateSelect(exists, c, i64(0)), i64(column_stride)), k);
      llvm::Value* pointer = element_pointer(source, dtype, at);
      llvm::Value* row = mask == nullptr ? static_cast<llvm::Value*>(ir_.CreateAlignedLoad(vector, pointer, align))
                                         : ir_.CreateMaskedLoad(vector, pointer, align, mask, zero);
      rows.push_back(ir_.CreateSelect(exists, row, zero));
    }
    rows = transposed(std::move(rows));
    for (int64_t i = 0; i < lanes_; ++i) {
      const auto store = [&] {
        llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(ir_.CreateAdd(k, i64(i)), i64(tile_columns())), first_column);
        ir_.CreateAlignedStore(rows[static_cast<size_t>(i)], element_pointer(panel, dtype, at), align);
      };
      if (steps == nullptr) {
        store();
      } else {
        if_then(ir_.CreateICmpSLT(i64(i), steps), store);
      }
    }
  };
  llvm::Value* whole = ir_.CreateAnd(depth, i64(-lanes_));
  for_range(i64(0), i64(tile_columns()), lanes_, [&](llvm::Value* c) {
    for_range(i64(0), whole, lanes_, [&](llvm::Value* k) { block(c, k, nullptr, nullptr); });
    const Extent size = product.inner.back().extent;
    if (size.is_static() && size.bound % lanes_ == 0) return;
    if_then(ir_.CreateICmpSLT(whole, depth), [&] {
      llvm::Value* left = ir_.CreateSub(depth, whole);
      block(c, whole, mask_below(left), left);
    });
  });
}

/// A square of lanes x lanes by interleaving rows i and i + lanes/2, log2(lanes) times: each turn moves the top bit of
/// the row number to the bottom of the column number and the top bit of the column number to the bottom of the row's.
std::vector<llvm::Value*> KernelEmitter::transposed(std::vector<llvm::Value*> rows) {
  const auto n = static_cast<size_t>(lanes_);
  std::vector<int> low, high;
  for (size_t i = 0; i < n / 2; ++i) {
    for (const size_t from : {i, i + n}) low.push_back(static_cast<int>(from));
    for (const size_t from : {i + n / 2, i + n + n / 2}) high.push_back(static_cast<int>(from));
  }
  for (size_t bits = n; bits > 1; bits /= 2) {
    std::vector<llvm::Value*> next(n);
    for (size_t i = 0; i < n / 2; ++i) {
      next[2 * i] = ir_.CreateShuffleVector(rows[i], rows[i + n / 2], low);
      next[2 * i + 1] = ir_.CreateShuffleVector(rows[i], rows[i + n / 2], high);
    }
    rows = std::move(next);
  }
  return rows;
}

}  // namespace smelt
