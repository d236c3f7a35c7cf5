// The loop IR: what stands between fused groups and LLVM. A LoopProgram is a list of functions, each a sequence of
// kernels over buffers. A kernel is a nest of loops with straight-line bodies, or a register-tiled product with such a
// body as its epilogue. Loops have names and extents; accesses are affine in the loop variables. No CPU feature and no
// op name is in it: a statement points at the scalar body of its op.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
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
  Extent row_extent;       // rows are clamped into it when it is static
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

struct Stmt {
  StmtKind kind = StmtKind::Compute;
  int32_t value = -1;  // ids are kernel-wide; a Store defines none
  DType dtype = DType::F32;
  std::vector<int32_t> operands;
  std::string name;  // of the op, for the printer
  ScalarBody body = nullptr;
  Attributes attrs;
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
  std::string name;
  ScalarBody body = nullptr;
  Attributes attrs;
};

struct Loop {
  std::string name;
  Extent extent;
};

/// Runs at each point of the kernel's outer loops: `setup`, then `body` over the sweep's own loops (none: no body),
/// then folds are finished. Later sweeps see folds and setup values of earlier ones.
struct Sweep {
  std::vector<Stmt> setup;
  std::vector<int32_t> loops;  // outermost first
  bool vectorize = false;      // the innermost of `loops` runs in vectors
  std::vector<Stmt> body;
  std::vector<Fold> folds;
};

enum class KernelKind : uint8_t {
  Nest,     // sweeps at each point of the outer loops
  Product,  // tiles of sums of products, then sweeps[0].body at each element of a tile
  Pack      // copies the right operand of a product into panels of its register tile's width
};

/// One axis of a product's iteration space, with the operands' strides in elements.
struct ProductAxis {
  Extent extent;
  int64_t a_stride = 0, b_stride = 0;
  int32_t loop = -1;  // of the kernel, for rows, columns and outer axes
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
  Dot  // vectors along the depth, added up across lanes at the end; b has its columns along the depth, or is packed so
};

inline constexpr size_t kMicroKernelAxes = 2;  // of the depth, with the sums in registers: turns, and steps in each

/// Buffers of a product.
struct ProductOperands {
  int32_t a = -1, b = -1;
  int32_t packed = -1;  // with b in panels, or -1: b is read in place (its column stride is 1)
};

/// out[outer, row, column] = sum over inner of a[outer, row, inner] * b[outer, inner, column], and over pairs of
/// operands.
struct Product : ProductOperands {
  std::vector<ProductOperands> more;  // pairs that lie in memory as the first one does
  DType dtype = DType::F32;
  std::vector<ProductAxis> outer;  // batch axes, and further axes of rows and columns
  ProductAxis row, column;
  std::vector<ProductAxis> inner;    // summed; the last two run inside the micro-kernel
  int64_t a_start = 0, b_start = 0;  // elements at which all indices are 0
  ProductForm form = ProductForm::Broadcast;
  TileShape tile;
  int64_t block = 0;        // positions of inner[0] that all tiles pass over before the next ones; 0: all
  int32_t partials = -1;    // buffer with the tiles' sums between blocks
  int64_t stretch = 0;      // steps of inner.back() that tiles of rows pass over before the next ones; 0: all
  bool bf16_pairs = false;  // panels of bf16, two steps of the depth side by side for each column; a is bf16
};

/// All of them, the first one first.
std::vector<ProductOperands> operand_pairs(const Product& product);

struct Kernel {
  std::string name;
  KernelKind kind = KernelKind::Nest;
  std::vector<Loop> loops;
  int32_t num_outer = 0;         // loops[0 .. num_outer) are the parallel ones
  bool vector_outer = false;     // the last outer loop runs in vectors
  bool serial = false;           // too small to share: one thread runs it
  std::vector<int32_t> guarded;  // the step stops after it when one of these buffers, scalars, is not finite
  std::vector<Stmt> setup;       // once a thread
  std::vector<Sweep> sweeps;
  Product product;
  int32_t num_values = 0;
  double flops = 0, bytes = 0;  // estimates, see BuildOptions
  int32_t group = -1;           // of the function's fusion plan; in a repetition the group of the loop
  Span span;
};

/// Kernels first .. last - 1 run `steps` times, one step after the other. Repetitions nest: they are the inner nodes of
/// the tree of steps whose leaves are the kernels, outer ones before those that they hold.
struct Repeat {
  int32_t first = 0, last = 0;
  int32_t parent = -1;
  Extent steps;
  bool reverse = false;  // slices move from the last element to the first
};

struct LoopFunction {
  std::string name;  // linker symbol
  std::vector<LoopBuffer> buffers;
  std::vector<Kernel> kernels;
  std::vector<Repeat> repeats;
  std::vector<DimSymbol> symbols;
  int32_t num_inputs = 0, num_outputs = 0;
  int64_t runs_offset = 0;     // arena offset of this function's run counter
  bool advances = false;       // a step: counts its run once it has committed
  int64_t stamps_offset = -1;  // profiling: arena offset of u64[kernels + 2]: the cycles that each kernel took in all
                               // its steps, the cycle counter at the start, and the last one read
};

/// The innermost repetition that runs kernel `kernel`, or -1.
int32_t repeat_of(const LoopFunction& function, size_t kernel);

struct LoopProgram {
  std::vector<LoopFunction> functions;
  std::vector<int32_t> iteration;  // functions that one pass of the training loop runs, in order
  std::string iteration_symbol;
  DType vector_dtype = DType::F32;  // lanes are counted in elements of it
};

std::string print(const LoopFunction& function);
/// All violations of what code generation relies on:
///   values are defined once, before they are used: setup before sweeps, a body's values only inside it
///   indices use loops that are open there; sweeps own their loops
///   accesses name buffers, in the buffer's dtype; offsets without row or predicate stay within the buffer's bounds
///   stores go to variables, temporaries and outputs only
///   products have operands, sum at least one axis, and read columns side by side, or packed
std::vector<std::string> verify(const LoopFunction& function);

}  // namespace smelt
