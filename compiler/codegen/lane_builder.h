// What all emitters write code with: one LLVM function, vectors of so many lanes, masks, addresses, loops.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compiler/codegen/llvm_scalars.h"
#include "compiler/schedule/target.h"

namespace smelt {

class LaneBuilder {
 protected:
  using Body = std::function<void()>;

  LaneBuilder(llvm::Module& module, const Target& target, int64_t lanes);
  /// Makes the function; the builder stands in its first block.
  void begin_function(const std::string& name, llvm::FunctionType* type);

  llvm::Value* i64(int64_t value) { return ir_.getInt64(static_cast<uint64_t>(value)); }
  llvm::Value* smaller(llvm::Value* a, llvm::Value* b);
  llvm::Value* at_most(int64_t limit, llvm::Value* left);

  // lanes
  llvm::Value* lane_numbers(llvm::Type* element);
  llvm::Value* mask_below(llvm::Value* limit);  // lane < limit
  std::vector<llvm::Value*> transposed(std::vector<llvm::Value*> rows);
  /// Where elements come from, and what they become.
  struct SquareSource {
    DType from, to;
    llvm::Value* end;                              // lines from here on are 0
    llvm::Value* mask;                             // elements outside of it are 0
    std::function<llvm::Value*(llvm::Value*)> at;  // where a line begins
  };
  /// A square of lanes x lanes through registers: lane i of value j is element j of line `first` + i.
  std::vector<llvm::Value*> load_square(const SquareSource& source, llvm::Value* first);

  // memory
  llvm::Type* memory_type(DType dtype);
  llvm::Value* element_pointer(llvm::Value* base, DType dtype, llvm::Value* element);
  llvm::Value* from_memory(llvm::Value* loaded, DType dtype);
  llvm::Value* to_memory(llvm::Value* value, DType dtype);
  llvm::Value* converted(llvm::Value* loaded, DType from, DType to);
  /// Asks for a line of a cache that is read soon. Into the second level: in the first one it would drive out what is
  /// read now.
  enum class Prefetch : uint8_t { ForReading, ForWriting };
  /// Into the second level.
  void prefetch(llvm::Value* at, Prefetch why = Prefetch::ForReading);
  llvm::AllocaInst* stack(llvm::Type* type, int64_t count, const char* name);

  // control
  void for_range(llvm::Value* begin, llvm::Value* end, int64_t step, const std::function<void(llvm::Value*)>& body);
  void if_then(llvm::Value* condition, const Body& body);
  void if_else(llvm::Value* condition, const Body& yes, const Body& no);
  std::vector<llvm::Value*> decompose(llvm::Value* unit, const std::vector<llvm::Value*>& extents);

  /// One panel, of the columns that exist: panel[k, c] = source[c * column_stride + k * depth_stride] in the layout of
  /// its form, 0 from `columns` and, of pairs, from `depth` on.
  struct PanelCopy {
    llvm::Value *source = nullptr, *panel = nullptr;
    DType from = DType::F32, to = DType::F32;
    int64_t column_stride = 0, depth_stride = 0;
    int64_t width = 0;  // of the panel
    llvm::Value *depth = nullptr, *columns = nullptr;
  };
  /// Packs do it once, products whose columns are copied by stretches in their kernel.
  void copy_columns_side_by_side(const PanelCopy& p);

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  const int64_t lanes_;
  llvm::IRBuilder<> ir_;
  LlvmScalars scalars_;
  llvm::Function* llvm_function_ = nullptr;
};

}  // namespace smelt
