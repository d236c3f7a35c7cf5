// The loop IR: what stands between fused groups and machine code. A LoopProgram is a list of functions, each a sequence
// of kernels over buffers. A kernel is a nest of loops with straight-line bodies, or a product with such a body as its
// epilogue. Loops have names and extents; accesses are affine in the loop variables.
//
// Lowering says what is computed, the passes of compiler/schedule how. No CPU feature and no op name is in what
// lowering makes: a statement points at its scalar body. What a pass of the schedule fills in is marked `how`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ir/affine.h"
#include "ir/attributes.h"
#include "ir/scalar_builder.h"
#include "ir/support/source.h"
#include "ir/type.h"

namespace smelt {

using ScalarBody = Scalar (*)(ScalarBuilder&, Scalars, const Attributes&);

enum class Storage : uint8_t {
  Variable,   // in the arena, at a fixed offset: ref = index into the experiment's variables
  Temporary,  // in the arena, where the memory plan puts it
  Input,      // ref = position among the call's inputs
  Output,     // ref = position among the call's outputs
  Scalar,     // a f64 of the arena or a counter: ref = see ScalarSlot
  Slice       // the element of buffer `ref` that belongs to the step of `repeat`: it moves by its own size
};

/// Counters and scalars that live in the arena's header part; `offset` is filled in by the memory plan.
enum class ScalarSlot : int32_t { Seed, Run, Iteration, Horizon, Update /* runs + 1 */, Stored };

struct LoopBuffer {
  std::string name;
  Storage storage = Storage::Temporary;
  int32_t ref = -1;
  ScalarSlot slot = ScalarSlot::Stored;
  TensorType type;
  int64_t offset = 0;         // bytes into the arena, once planned
  int32_t over = -1;          // how: the temporary whose bytes it takes over, or -1
  bool check_finite = false;  // a store of a non-finite value raises the call's flag (new parameters)
  int32_t repeat = -1;        // of a Slice: the repetition that moves it; else the one that the value lives in, or -1
  Span span;
};

/// Element `offset + row * row_stride` of a buffer; `row` is an integer value of the kernel, or -1.
struct Access {
  int32_t buffer = -1;
  Affine offset;
  int32_t row = -1;
  int64_t row_stride = 0;
  Extent row_extent;       // rows are clamped into it, as long as it is at run time
  int32_t predicate = -1;  // a Bool value: where it is false the load gives 0
};

enum class StmtKind : uint8_t {
  Load,      // value = buffer[access]
  Store,     // buffer[access] = operands[0]
  Compute,   // value = body(operands)
  Constant,  // value = constant
  Index,     // value = index (an integer)
  Extent,    // value = the actual size of run-time dimension `symbol`
  Random,    // value = body(words drawn at element `index`): operands = seed, run
  Product    // value = the finished sum of the kernel's product at (row, column)
};

/// The part of a draw's counter that tells one random site of the experiment from another.
struct DrawSite {
  uint32_t loop = 0, site = 0;
};

struct Stmt {
  StmtKind kind = StmtKind::Compute;
  int32_t value = -1;  // ids are kernel-wide; a Store defines none
  DType dtype = DType::F32;
  std::vector<int32_t> operands;
  ScalarBody body = nullptr;
  Attributes attrs;  // what the body reads
  DrawSite draw;     // of a Random
  double constant = 0;
  int32_t symbol = -1;
  Affine index;
  Access access;
  Span span;
};

/// An accumulator of a sweep: starts at `identity`, takes body(accumulator, input) at each point; `result` is the
/// value after the sweep's loops.
struct Fold {
  int32_t input = -1;
  int32_t result = -1;
  double identity = 0;
  DType dtype = DType::F32;
  ScalarBody body = nullptr;
  Attributes attrs;
};

/// A value that turns of a sweep hand on: `value` is `start` in the first one, and in each later one the `next` of the
/// turn before. `last` is the `next` of the last turn, `start` when there is none.
struct Carry {
  int32_t value = -1, start = -1, next = -1, last = -1;
};

struct Loop {
  std::string name;
  Extent extent;
  bool reverse = false;  // from the last turn to the first; of a sweep in order
  int32_t only = -1;     // a whole number of the kernel's setup: the one turn that runs, none when it is no turn
};

/// Runs at each point of the kernel's outer loops: `setup`, then `body` over the sweep's own loops (none: no body),
/// then folds are finished. Later sweeps see folds, last values of carries, and setup values of earlier ones.
struct Sweep {
  std::vector<Stmt> setup;
  std::vector<int32_t> loops;  // outermost first
  bool ordered = false;        // turns may touch one element: one after the other
  bool vectorize = false;      // how: the innermost of `loops` runs in vectors
  std::vector<Stmt> body;
  std::vector<Fold> folds;
  std::vector<Carry> carries;  // of a sweep in order
};

/// One axis of a product's iteration space, with the operands' strides in elements.
struct ProductAxis {
  Extent extent;
  int64_t a_stride = 0, b_stride = 0;
  int32_t loop = -1;        // of the kernel, for rows, columns and outer axes
  int32_t outer_loop = -1;  // of rows that are two loops in one, `inner` turns of `loop` in each of this one
  int64_t inner = 1;
};

/// Sums that stay in registers over a product's whole depth, in elements.
struct TileShape {
  int64_t rows = 8;
  int64_t columns = 48;
};

/// How a register tile is computed. Narrow products, of fewer columns than a vector has lanes, have forms of their own.
enum class ProductForm : uint8_t {
  Broadcast,   // vectors of columns times one element of each row
  Transposed,  // the same with rows and columns exchanged: `row` is the result's innermost axis
  Dot,  // vectors along the depth, added up across lanes at the end; b has its columns along the depth, or is packed so
  Streamed  // of few rows: b passes by once, line after line, and the sums of a line of columns lie in a cache
};

inline constexpr size_t kMicroKernelAxes = 2;  // of the depth, with the sums in registers: turns, and steps in each

/// What one step of the depth multiplies.
enum class Multiply : uint8_t {
  Elements,
  Bf16Pairs  // two steps of the depth at once: both operands are bf16, b in panels of pairs
};

/// Where a product finds its left operand.
enum class LeftOperand : uint8_t {
  InPlace,    // in the buffer as the graph has it; pairs lie along the depth
  PairPanel,  // in one panel [depth / 2, rows, 2] that a Pack kernel has filled
  InStrips    // a strip of the depth at a time, copied as its columns are where its steps lie far apart
};

/// Where a product finds the columns of its right operand: in place, side by side in memory ..
struct ColumnsInPlace {};
/// .. or copied for `steps` of the depth at a time, while tiles of rows pass over them ..
struct CopiedColumns {
  int64_t steps = 0;
};
/// .. or in panels that a Pack kernel has filled. `b` of each pair is the buffer with the panels then, and strides of b
/// are those of the panels.
struct PackedColumns {
  int64_t panel_elements = 0;
};
using RightOperand = std::variant<ColumnsInPlace, CopiedColumns, PackedColumns>;

/// The tiles pass over so many positions of the outermost axis of the depth before the next ones. Their sums lie in
/// buffer `sums` between blocks.
struct DepthBlocks {
  int64_t positions = 0;
  int32_t sums = -1;
};

struct ProductSchedule {
  ProductForm form = ProductForm::Broadcast;
  TileShape tile;
  Multiply multiply = Multiply::Elements;
  LeftOperand left = LeftOperand::InPlace;
  RightOperand right = ColumnsInPlace{};
  std::optional<DepthBlocks> blocks;
};

/// Buffers of a product.
struct ProductOperands {
  int32_t a = -1, b = -1;
};

/// out[outer, row, column] = sum over inner of a[outer, row, inner] * b[outer, inner, column], and over pairs of
/// operands.
struct Product {
  std::vector<ProductOperands> pairs;  // at least one; all lie in memory as the first one does
  DType dtype = DType::F32;
  std::vector<ProductAxis> outer;  // batch axes, and further axes of rows and columns
  ProductAxis row, column;
  std::vector<ProductAxis> inner;           // summed; the last two run inside the micro-kernel
  int64_t a_start = 0, b_start = 0;         // elements at which all indices are 0
  std::optional<ProductSchedule> schedule;  // how
};

inline bool is_packed(const ProductSchedule& schedule) { return std::holds_alternative<PackedColumns>(schedule.right); }

/// How a panel holds columns of its operand.
enum class PanelForm : uint8_t {
  Columns,  // [depth, width]
  Pairs,    // [depth / 2, width, 2] of bf16, 0 behind an odd depth
  Depth     // [columns, depth]: one panel, for dot products
};

/// What threads share of a pack.
enum class PackUnits : uint8_t { Panels, Steps };

struct PackAxis {
  Extent extent;
  int64_t from = 0, to = 0;  // strides, in elements of the operand and of the panels
};

/// How, as a whole: copies one operand of a product into panels of `width` columns. Columns that do not exist are 0.
struct Pack {
  int32_t from = -1, to = -1;  // buffers
  int64_t start = 0;           // element of `from` at which all indices are 0
  PanelForm form = PanelForm::Columns;
  PackUnits units = PackUnits::Panels;
  int64_t width = 0;
  PackAxis column, depth;       // `to` of a column: elements from panel to panel; of Depth: from column to column
  std::vector<PackAxis> outer;  // all other axes
};

/// Sweeps at each point of the outer loops.
struct Nest {};

enum class KernelKind : uint8_t { Nest, Product, Pack };

struct Kernel {
  std::string label;                       // what it computes, for people: name_of(function, k) begins with its number
  std::variant<Nest, Product, Pack> work;  // a product has sweeps[0].body at each element of a tile
  std::vector<Loop> loops;
  int32_t num_outer = 0;         // loops[0 .. num_outer) are the parallel ones
  bool by_columns = false;       // of a nest: sums of neighbouring points of the last outer loop run side by side
  bool vector_outer = false;     // how: the last outer loop runs in vectors
  bool serial = false;           // how: too small to share, one thread runs it
  std::vector<int32_t> guarded;  // the step stops after it when one of these buffers, scalars, is not finite
  std::vector<Stmt> setup;       // once a thread
  std::vector<Sweep> sweeps;
  int32_t num_values = 0;
  double flops = 0, bytes = 0;  // by `estimate_work`
  int32_t group = -1;           // of the function's fusion plan; in a repetition the group of the loop
  Span span;

  KernelKind kind() const { return static_cast<KernelKind>(work.index()); }
  const Product& product() const { return std::get<Product>(work); }
  Product& product() { return std::get<Product>(work); }
  const Pack& pack() const { return std::get<Pack>(work); }
};

/// Kernels first .. last - 1 run `steps` times, one step after the other. Repetitions nest: they are the inner nodes of
/// the tree of steps whose leaves are the kernels, outer ones before those that they hold.
struct Repeat {
  int32_t first = 0, last = 0;
  int32_t parent = -1;
  Extent steps;
  bool reverse = false;  // slices move from the last element to the first
  int32_t until = -1;    // a buffer, i32: a step runs while it is 0 only
};

/// Vectors of all kernels of a program.
struct VectorLanes {
  DType dtype = DType::F32;
  int64_t count = 16;
  friend bool operator==(const VectorLanes&, const VectorLanes&) = default;
};

/// Bytes of the arena.
struct ArenaRange {
  int64_t begin = 0, end = 0;
};

struct LoopFunction {
  std::string name;  // linker symbol
  std::vector<LoopBuffer> buffers;
  std::vector<Kernel> kernels;
  std::vector<Repeat> repeats;
  std::vector<DimSymbol> symbols;
  std::vector<int64_t> usual;        // by symbol: the size that runs usually have; empty: the bounds
  DType arithmetic = DType::F32;     // what most of it is computed in
  bool bf16_products = false;        // a product may round its operands to bf16
  bool is_step = false;              // panels of what it does not write are packed once for many runs
  std::optional<VectorLanes> lanes;  // how
  ArenaRange temporaries;            // how: `begin` is given, `plan_memory` finds `end`
  int32_t num_inputs = 0, num_outputs = 0;
  int64_t runs_offset = 0;     // arena offset of this function's run counter
  bool advances = false;       // a step: counts its run once it has committed
  int64_t stamps_offset = -1;  // profiling: arena offset of u64[kernels + 2]: the cycles that each kernel took in all
                               // its steps, the cycle counter at the start, and the last one read
};

/// `k3_contract`: unique in the function, in its symbols and in all listings.
std::string name_of(const LoopFunction& function, size_t kernel);
/// The size of `extent` that runs usually have.
int64_t usual_size(const LoopFunction& function, const Extent& extent);
/// The innermost repetition that runs kernel `kernel`, or -1.
int32_t repeat_of(const LoopFunction& function, size_t kernel);
/// Puts a kernel before kernel `at`, into repetition `repeat` and those around it; by default into those that run `at`.
void insert_kernel(LoopFunction& function, size_t at, Kernel kernel);
void insert_kernel(LoopFunction& function, size_t at, Kernel kernel, int32_t repeat);
/// Takes kernel `at` out.
Kernel take_kernel(LoopFunction& function, size_t at);
/// Whether repetition `inner` is `outer` or one that it holds; all of them are inside of -1.
bool is_inside(const LoopFunction& function, int32_t inner, int32_t outer);
int32_t add_buffer(LoopFunction& function, LoopBuffer buffer);
/// Neighbours that are one longer axis for both operands become one, so that the depth is long: examples and the places
/// of a sequence in the gradient of a weight, a line of taps and its channels in a convolution whose filters are
/// packed.
void merge_depth(Product& product);
inline DType dtype_of(const LoopFunction& function, int32_t buffer) {
  return function.buffers[static_cast<size_t>(buffer)].type.dtype;
}

struct LoopProgram {
  std::vector<LoopFunction> functions;
  std::vector<int32_t> iteration;  // functions that one pass of the training loop runs, in order
  std::string iteration_symbol;
};

std::string print(const LoopFunction& function);

/// What the passes of the schedule have done; each stage holds what the ones before it promise.
enum class LoopStage : uint8_t {
  Lowered,    // says what is computed
  Tiled,      // vectors have lanes, every product has a schedule
  Scheduled,  // products read what they read: panels are packed
  Placed      // temporaries have offsets
};

/// All violations of what later passes and code generation rely on:
///   values are defined once, before they are used: setup before sweeps, a body's values only inside it
///   indices use loops that are open there; sweeps own their loops
///   accesses name buffers, in the buffer's dtype; offsets without row or predicate stay within the buffer's bounds
///   stores go to variables, temporaries and outputs only
///   carries start and go on with values of their own type, and only where turns have an order
///   products have operands, sum at least one axis, and read columns side by side, or packed
///   by stage: lowered loops have no schedule, tiled ones have lanes that tiles are made of, panels are as large as
///   what is read of them, and temporaries lie where the function may have them
std::vector<std::string> verify(const LoopFunction& function, LoopStage stage = LoopStage::Placed);

}  // namespace smelt
