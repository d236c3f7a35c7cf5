#include "frontend/parser.h"

#include <doctest/doctest.h>

#include "tests/support/text_files.h"

namespace smelt {
namespace {

struct Parsed {
  explicit Parsed(std::string text) { ast = parse(sources, sources.add({"t.smelt", std::move(text)}), diagnostics); }
  std::string print() const { return ast::print(ast); }
  SourceMap sources;
  Diagnostics diagnostics;
  ast::Ast ast;
};

/// How one expression is grouped.
std::string grouped(const std::string& expr) {
  const Parsed parsed("const c = " + expr + "\n");
  INFO(expr);
  INFO(render(parsed.diagnostics, parsed.sources));
  CHECK(!parsed.diagnostics.has_errors());
  return parsed.ast.consts.empty() ? "" : ast::print(parsed.ast, parsed.ast.consts[0].value);
}

TEST_CASE("operators bind as docs/language.md says") {
  CHECK(grouped("a + b * c - d") == "((a + (b * c)) - d)");
  CHECK(grouped("-x^2") == "(-(x ^ 2))");
  CHECK(grouped("2^3^4") == "(2 ^ (3 ^ 4))");
  CHECK(grouped("2^-n") == "(2 ^ (-n))");
  CHECK(grouped("not a == b and c or d") == "(((not (a == b)) and c) or d)");
  CHECK(grouped("-1 .. n + 1") == "((-1) .. (n + 1))");
  CHECK(grouped("a @ b / c") == "((a @ b) / c)");
  CHECK(grouped("x + y |> f(2) |> l: L{3}") == "(((x + y) |> f(2)) |> l: L{3})");
  CHECK(grouped("net.**.W*") == "net.**.W*");
  CHECK(grouped("E[t] as [B, 8*w]") == "E[t] as [B, (8 * w)]");
  CHECK(grouped("f(a, over=(B, ...S))") == "f(a, over = (B, ...S))");
  CHECK(grouped("sum[c < C, u] x[c] * w?[u]") == "(sum[c < C, u] (x[c] * w?[u]))");
}

TEST_CASE("a line ends a statement unless it is continued") {
  const std::string text = Parsed("fn f(x) {\n  a = x\n    + 1\n  b = a *\n 2\n  c = (a\n  b)\n  a\n  -b\n}\n").print();
  CHECK(text.find("a = (x + 1)") != std::string::npos);
  CHECK(text.find("b = (a * 2)") != std::string::npos);
  CHECK(text.find("  a\n  (-b)\n") != std::string::npos);
}

TEST_CASE("words are keywords only where a statement starts") {
  const Parsed parsed("fn f(step, data) {\n  state = step + data\n  report = state(1)\n  stop(report)\n}\n");
  CHECK(!parsed.diagnostics.has_errors());
}

TEST_CASE("each section reports its own mistakes") {
  const Parsed parsed("dim B <\nlayer L(x: f32[B]) -> f32[B] {\n  y = (x\n  z = = x\n}\nmodel m =\nmetric a() = 1 +\n");
  CHECK(parsed.diagnostics.num_errors() >= 4);
  CHECK(parsed.ast.layers.size() == 1);
}

TEST_CASE("at most 20 errors are kept and the rest is counted") {
  std::string text = "fn f(x) {\n";
  for (int i = 0; i < 50; ++i) text += "  y = = x\n";
  const Parsed parsed(text + "}\n");
  CHECK(parsed.diagnostics.num_errors() == 50);
  CHECK(parsed.diagnostics.sorted().size() == Limits().errors);
  CHECK(render(parsed.diagnostics, parsed.sources).find("30 more errors") != std::string::npos);
}

TEST_CASE("nesting and chains have a limit") {
  const std::string open(300, '('), close(300, ')');
  CHECK(Parsed("const c = " + open + "1" + close).diagnostics.num_errors() == 1);
  std::string chain = "1";
  for (int i = 0; i < 100000; ++i) chain += "+1";
  CHECK(Parsed("const c = " + chain).diagnostics.num_errors() == 1);
  CHECK(Parsed("const c = " + std::string(5000, '-') + "1").diagnostics.num_errors() == 1);
  std::string blocks = "fn f() {";
  for (int i = 0; i < 5000; ++i) blocks += " if true {";
  CHECK(Parsed(blocks).diagnostics.has_errors());
  CHECK(Parsed("const c = " + std::string(100000, '[')).diagnostics.has_errors());
  CHECK(Parsed("fn f(x: " + std::string(100000, '(')).diagnostics.has_errors());
}

TEST_CASE("every sample parses, and its printed tree parses to itself") {
  for (const std::string folder : {"tests/files/parse", "examples", "frontend/std"}) {
    for (const auto& path : test::files_in(folder, ".smelt")) {
      const Parsed first(test::read_text(path));
      CAPTURE(path.filename().string());
      INFO(render(first.diagnostics, first.sources));
      CHECK(!first.diagnostics.has_errors());
      const Parsed second(first.print());
      INFO(render(second.diagnostics, second.sources));
      CHECK(first.print() == second.print());
    }
  }
}

TEST_CASE("the printed tree of the samples is as stored") {
  for (const auto& path : test::files_in("tests/files/parse", ".smelt")) {
    auto stored = path;
    stored.replace_extension(".ast");
    const std::string actual = Parsed(test::read_text(path)).print();
    CAPTURE(path.filename().string());
    CHECK(actual == test::golden(stored, actual));
  }
}

}  // namespace
}  // namespace smelt
