// Contractions as register-tiled products: which axes they get, and which form and tile.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compiler/lower/lower_product.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/run_passes.h"
#include "compiler/schedule/choose_tile.h"
#include "ir/builder.h"
#include "ir/text_formula.h"

using namespace smelt;

namespace {

constexpr VectorRegisters kAvx512{32, 16, 2}, kAvx2{16, 8, 2};

Product product_of(const Shape& a, const Shape& b, const std::string& formula,
                   const VectorRegisters& registers = kAvx512) {
  Graph graph;
  Builder build(graph);
  const NodeId x = build.argument({.name = "a", .role = ArgRole::Feed}, {DType::F32, a});
  const NodeId y = build.argument({.name = "b", .role = ArgRole::Feed}, {DType::F32, b});
  Product product = lower_product(graph, build.contract(x, y, formula_of(formula))).product;
  choose_tile(product, registers, product.row.extent.bound);
  return product;
}

std::string axes(const std::vector<ProductAxis>& list) {
  std::string text;
  for (const ProductAxis& axis : list)
    text += fmt::format("{}(a{:+}, b{:+}) ", axis.extent.bound, axis.a_stride, axis.b_stride);
  return text;
}

}  // namespace

TEST_CASE("neighbouring axes of the depth become one") {
  // A convolution in blocks of 2 x 2 pixels: rows of the window lie side by side, and so do its two block rows.
  const Product forward =
      product_of({64, 9, 2, 9, 2, 64}, {2, 2, 2, 2, 64, 128}, "[n,i+u,p,j+v,q,c] [u,p,v,q,c,o] -> [n,i,j,o]");
  CHECK(axes(forward.inner) == "4(a+1152, b+32768) 256(a+1, b+128) ");
  CHECK(forward.row.extent.bound == 8);  // the pixels of a line, which lie closer than the images do
  CHECK(forward.row.a_stride == 128);
  CHECK(forward.column.extent.bound == 128);

  const Product weights =
      product_of({64, 9, 2, 9, 2, 64}, {64, 8, 8, 128}, "[n,i+u,p,j+v,q,c] [n,i,j,o] -> [u,p,v,q,c,o]");
  CHECK(axes(weights.inner) == "64(a+20736, b+8192) 8(a+2304, b+1024) 8(a+128, b+128) ");
  CHECK(weights.row.extent.bound == 128);  // channels of two pixels, which lie one behind the other
  CHECK(weights.row.inner == 64);

  const Product plain = product_of({3, 2, 5}, {2, 5, 40}, "[i,k,l] [k,l,j] -> [i,j]");
  CHECK(axes(plain.inner) == "10(a+1, b+40) ");
}

TEST_CASE("taps that pass backwards over the left operand are turned") {
  const Product product = product_of({2, 10, 6}, {4, 20, 6}, "[n,i-u+3,o] [u,c,o] -> [n,i<7,c]");
  CHECK(product.a_start == 0);
  CHECK(axes(product.inner) == "4(a+6, b-120) 6(a+1, b+1) ");
}

TEST_CASE("the form follows from the shape") {
  struct Row {
    Shape a, b;
    const char* formula;
    ProductForm form;
    int64_t rows, columns;
  };
  const Row rows[] = {
      {{128, 784}, {784, 400}, "[m,k] [k,n] -> [m,n]", ProductForm::Broadcast, 9, 48},
      {{128, 128}, {128, 32}, "[m,k] [k,n] -> [m,n]", ProductForm::Broadcast, 14, 32},
      {{128, 32}, {32, 64}, "[m,k] [k,n] -> [m,n]", ProductForm::Broadcast, 9, 48},
      {{128, 512}, {512, 10}, "[m,k] [k,n] -> [m,n]", ProductForm::Dot, 2, 16},
      {{128, 20}, {20, 10}, "[m,k] [k,n] -> [m,n]", ProductForm::Broadcast, 29, 16},
      {{128, 512}, {128, 10}, "[k,m] [k,n] -> [m,n]", ProductForm::Transposed, 10, 32},
      {{128, 20}, {128, 10}, "[k,m] [k,n] -> [m,n]", ProductForm::Broadcast, 29, 16},
  };
  for (const Row& row : rows) {
    INFO(row.formula, " ", row.a[0].bound, " ", row.a[1].bound, " ", row.b[1].bound);
    const Product product = product_of(row.a, row.b, row.formula);
    CHECK(product.schedule->form == row.form);
    CHECK(product.schedule->tile.rows == row.rows);
    CHECK(product.schedule->tile.columns == row.columns);
  }
  const Product exchanged = product_of({128, 512}, {128, 10}, "[k,m] [k,n] -> [m,n]");
  CHECK(exchanged.row.extent.bound == 10);
  CHECK(exchanged.column.extent.bound == 512);
  CHECK(product_of({128, 784}, {784, 400}, "[m,k] [k,n] -> [m,n]", kAvx2).schedule->tile.rows == 6);
}

TEST_CASE("a depth that no cache holds is cut") {
  Product weights = product_of({64, 9, 2, 9, 2, 64}, {64, 8, 8, 128}, "[n,i+u,p,j+v,q,c] [n,i,j,o] -> [u,p,v,q,c,o]");
  CHECK(choose_block(weights, {}, 64) == 0);  // rows lie side by side: stretches are shorter
  const Product apart = product_of({64, 64, 9, 36}, {64, 8, 8, 128}, "[n,c,i+u,j+v] [n,i,j,o] -> [u,v,c,o]");
  // An image is 20736 + 8192 elements of both operands.
  CHECK(choose_block(apart, {}, 64) == 4);
  CHECK(choose_block(apart, {.cache_bytes = int64_t{1} << 30}, 64) == 0);
  CHECK(tile_elements(weights) == 8 * 15 * 3 * 9 * 48);
  CHECK(choose_block(product_of({128, 784}, {784, 400}, "[m,k] [k,n] -> [m,n]"), kFineBlocking, 128) == 0);
}

TEST_CASE("a run-time number of rows takes tiles that its usual number fills") {
  const auto tile_of = [](int64_t usual, int64_t columns, const VectorRegisters& registers) {
    Product product = product_of({Extent(256, 0), 784}, {784, columns}, "[m,k] [k,n] -> [m,n]");
    choose_tile(product, registers, usual);
    return fmt::format("{}x{}", product.schedule->tile.rows, product.schedule->tile.columns);
  };
  CHECK(tile_of(128, 400, kAvx512) == "8x48");  // 16 tiles of 8 are fewer rows than 15 of 9
  CHECK(tile_of(99, 400, kAvx512) == "9x48");
  CHECK(tile_of(128, 32, kAvx512) == "13x32");
  CHECK(tile_of(128, 400, kAvx2) == "6x16");  // 132 rows for 128: not worth a narrower tile
}

TEST_CASE("rows that no cache keeps from panel to panel pass over all of them in blocks") {
  const Blocking blocking;
  const auto blocks = [&](const Shape& a, const Shape& b, const std::string& formula) {
    return choose_row_blocks(product_of(a, b, formula), blocking);
  };
  const auto rows = blocks({16384, 256}, {256, 512}, "[m,k] [k,n] -> [m,n]");
  REQUIRE(rows.has_value());
  CHECK(rows->axis == RowBlocks::kRowTiles);
  CHECK(rows->positions == 28);  // tiles of 9 rows of 1 KiB: half of what a block may take
  CHECK(!blocks({16384, 256}, {256, 32}, "[m,k] [k,n] -> [m,n]"));  // one panel
  CHECK(!blocks({200, 256}, {256, 512}, "[m,k] [k,n] -> [m,n]"));   // stays there
  // Weights that are too large for the second level stay outside, and pictures come in groups.
  const auto pictures = blocks({32, 10, 10, 128}, {3, 3, 128, 256}, "[n,i+u,j+v,c] [u,v,c,o] -> [n,i,j,o]");
  REQUIRE(pictures.has_value());
  CHECK(pictures->axis == 0);
  CHECK(pictures->positions == 5);
}

TEST_CASE("columns are copied where rows of b meet in few sets of a cache") {
  const auto stretch_of = [](int64_t m, int64_t n, int64_t k, const VectorRegisters& registers) {
    return choose_stretch(product_of({m, k}, {k, n}, "[m,k] [k,n] -> [m,n]", registers), {}, m);
  };
  CHECK(stretch_of(64, 1024, 1024, kAvx2) == 128);
  CHECK(stretch_of(64, 1000, 1024, kAvx2) == 0);
  CHECK(stretch_of(12, 1024, 1024, kAvx2) == 0);  // two tiles of rows do not pay for a copy
  CHECK(stretch_of(64, 1024, 1024, kAvx512) == 128);
  CHECK(stretch_of(128, 512, 512, kAvx512) == 0);  // the second level holds as many
  CHECK(stretch_of(128, 2048, 2048, kAvx512) == 128);
  CHECK(choose_stretch(product_of({20, 30}, {30, 40}, "[m,k] [k,n] -> [m,n]"), kFineBlocking, 20) == 3);
}

TEST_CASE("the gradient of a weight passes over its long depth in stretches") {
  const auto stretch_of = [](const Product& product) { return choose_stretch(product, {}, product.row.extent.bound); };
  const auto gradient = [](int64_t m, int64_t k, int64_t n) {
    return product_of({m, k}, {m, n}, "[m,k] [m,n] -> [k,n]");
  };
  CHECK(stretch_of(gradient(2048, 256, 1024)) == 64);  // half of a stretch where both operands are copied
  CHECK(stretch_of(gradient(2048, 1024, 256)) == 64);
  CHECK(stretch_of(gradient(128, 256, 1024)) == 0);  // 4096 bytes apart, but no depth to pass over

  const Product merged = product_of({Extent(16, 0), 128, 256}, {Extent(16, 0), 128, 64}, "[b,t,k] [b,t,n] -> [k,n]");
  REQUIRE(merged.inner.size() == 1);
  CHECK(merged.inner[0].extent == Extent(2048, 0, 128));
  CHECK(stretch_of(merged) == 64);

  const Product turned = product_of({Extent(32, 0), 64, 256}, {64, Extent(32, 0), 64}, "[b,t,k] [t,b,n] -> [k,n]");
  REQUIRE(turned.inner.size() == 2);
  CHECK(stretch_of(turned) == 128);
  CHECK(stretch_size(turned, 128) == StretchSize{2, 64});
  CHECK(stretch_size(turned, 48) == StretchSize{1, 32});
}

TEST_CASE("of a single row, columns are what lies side by side") {
  const char* formula = "[n,i,j] [n,i+u,j+v,c] -> [c,u,v]";  // the gradient of a filter of one channel
  const Product product = product_of({8, 26, 26}, {8, 28, 28, 12}, formula);
  CHECK(product.column.extent == Extent(12));
  CHECK(product.column.b_stride == 1);
  CHECK(product_of({8, 26, 26}, {8, 28, 28, 2}, formula).column.extent == Extent(3));  // taps are more
}

TEST_CASE("all three products of a layer multiply pairs of bf16, where there is an instruction for it") {
  const auto loops_of = [](const Shape& x, const Shape& y, const char* formula, bool has_pairs) {
    Graph graph;
    Builder build(graph);
    const NodeId a = build.argument({.name = "a", .role = ArgRole::Feed}, {DType::BF16, x});
    const NodeId b = build.argument({.name = "b", .role = ArgRole::Feed}, {DType::F32, y});
    const NodeId rounded = build.cast(build.cast(b, DType::BF16), DType::F32);
    build.result(
        {.name = "c",
         .node = build.contract(build.cast(a, DType::F32), y.front() == x.front() ? rounded : b, formula_of(formula))});
    const PassContext context{
        .lower = {.bf16_products = true},
        .target = {.vector_bytes = 64, .has_fma = true, .has_bf16_pairs = has_pairs, .vector_registers = 32}};
    return print(place_function({isolate_results(graph), {}}, context).loops);
  };
  const auto count = [](const std::string& text, std::string_view what) {
    int found = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
  };
  const std::string forward = loops_of({128, 784}, {784, 256}, "[b,k] [k,n] -> [b,n]", true);
  const std::string input = loops_of({128, 256}, {784, 256}, "[b,n] [k,n] -> [b,k]", true);
  const std::string weights = loops_of({128, 784}, {128, 256}, "[b,k] [b,n] -> [k,n]", true);
  CHECK_MESSAGE(count(forward, "by pairs") == 2, forward);  // the kernel that packs, and the product
  CHECK_MESSAGE(count(input, "by pairs") == 2, input);
  CHECK_MESSAGE(count(weights, "by pairs") == 3, weights);  // both operands are packed
  CHECK(count(loops_of({16, 784}, {784, 256}, "[b,k] [k,n] -> [b,n]", true), "by pairs") == 0);  // too few rows to pay
  CHECK(count(loops_of({128, 784}, {784, 256}, "[b,k] [k,n] -> [b,n]", false), "by pairs") == 0);
}

TEST_CASE("rows are shared evenly among as few tiles as there can be") {
  const EvenSplit split = split_evenly(128, 9);
  CHECK(split.tiles == 15);
  CHECK(split.base == 8);
  CHECK(split.extra == 8);
  CHECK(split_evenly(8, 9).tiles == 1);
  CHECK(split_evenly(0, 9).tiles == 1);
}
