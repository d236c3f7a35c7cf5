// The object that a program becomes: what is in it, and that it is the same however it was compiled.
#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "compiler/run_passes.h"
#include "ir/builder.h"
#include "ir/text_formula.h"
#include "runtime/abi.h"
#include "runtime/loader.h"
#include "runtime/object_file.h"

namespace smelt {
namespace {

NodeId dense(Builder& b, NodeId x, const std::string& name, int64_t in, int64_t out) {
  const NodeId w = b.argument({.name = name, .role = ArgRole::Feed}, {DType::F32, {in, out}});
  return b.make(OpKind::Tanh, {b.contract(x, w, formula_of("[b,i] [i,o] -> [b,o]"))});
}

/// `depth` layers of one shape.
LoopProgram deep_net(int depth, const std::string& name) {
  Graph graph;
  graph.name = name;
  Builder b(graph);
  NodeId x = b.argument({.name = "x", .role = ArgRole::Feed}, {DType::F32, {24, 80}});
  for (int layer = 0; layer < depth; ++layer) x = dense(b, x, "w" + std::to_string(layer), 80, 80);
  b.result({.name = "y", .node = x});
  LoopProgram program;
  const PassContext context{.lower = {.begin = sizeof(smelt_arena)}, .target = make_target("native").value()};
  program.functions.push_back(place_function({graph, {}}, context).loops);
  return program;
}

std::vector<char> object_of(const LoopProgram& program) {
  return emit_program(program, make_target("native").value(), CodeKind::Object);
}

size_t count_kernels(const std::vector<char>& object) {
  const ObjectFile file = read_object_file(object).value();
  return static_cast<size_t>(std::ranges::count_if(
      file.symbols, [](const ObjectSymbol& symbol) { return symbol.name.find("contract") != std::string::npos; }));
}

}  // namespace

TEST_CASE("layers of one shape are compiled once") {
  CHECK(count_kernels(object_of(deep_net(1, "f"))) == 1);
  CHECK(count_kernels(object_of(deep_net(12, "f"))) == 1);
}

TEST_CASE("an object does not depend on how its parts met the threads") {
  const std::vector<char> first = object_of(deep_net(3, "f"));
  for (int again = 0; again < 5; ++again) CHECK(object_of(deep_net(3, "f")) == first);
}

TEST_CASE("functions of the program are exported, kernels are not") {
  const ObjectFile file = read_object_file(object_of(deep_net(2, "f"))).value();
  for (const ObjectSymbol& symbol : file.symbols) CHECK(symbol.exported == (symbol.name == "f"));
  const LoadedObject loaded = LoadedObject::load(write_object_file(file)).value();
  CHECK((loaded.find("f") != nullptr));
  CHECK((loaded.find("f.threads") == nullptr));
  CHECK((loaded.find("g") == nullptr));
}

TEST_CASE("a damaged object is refused or loads, and never crashes the loader") {
  const std::vector<char> whole = object_of(deep_net(1, "f"));
  for (size_t size = 0; size < whole.size(); size += size < 128 ? 1 : 97) {
    CHECK_FALSE(
        LoadedObject::load(std::vector<char>(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))));
  }
  const size_t headers = whole.size() - 6 * 64;
  for (size_t at = 0; at < whole.size(); at = at == 63 ? headers : at + 1) {
    std::vector<char> flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x55);
    (void)LoadedObject::load(flipped);
  }
  CHECK_FALSE(LoadedObject::load({}));
}

TEST_CASE("profilers and debuggers see the kernels and the lines that they come from") {
  setenv("SMELT_PERF_MAP", "1", 1);
  const std::string map = "/tmp/perf-" + std::to_string(getpid()) + ".map";
  const void* const before = __jit_debug_descriptor.first_entry;
  {
    LoopProgram program = deep_net(1, "net");
    const std::string kernel = program.functions[0].name + "." + name_of(program.functions[0], 0);
    const auto loaded = LoadedObject::load(object_of(program), {{kernel, "net.smelt:4:7"}});
    REQUIRE(loaded.has_value());
    const jit_code_entry* entry = __jit_debug_descriptor.first_entry;
    REQUIRE(entry != before);
    const std::string_view symbols(entry->symfile_addr, entry->symfile_size);
    CHECK(symbols.find(kernel + "@net.smelt:4:7") != std::string_view::npos);
    std::ifstream file(map);
    const std::string lines((std::istreambuf_iterator<char>(file)), {});
    CHECK(lines.find(kernel + "@net.smelt:4:7\n") != std::string::npos);
  }
  CHECK(__jit_debug_descriptor.first_entry == before);
  unsetenv("SMELT_PERF_MAP");
  std::filesystem::remove(map);
}

}  // namespace smelt
