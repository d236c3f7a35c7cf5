#include "frontend/lexer.h"

#include <doctest/doctest.h>

#include <string>

namespace smelt {
namespace {

struct Lexed {
  explicit Lexed(std::string text) { tokens = lex(sources, sources.add({"t.smelt", std::move(text)}), diagnostics); }
  /// The tokens' texts with `|` between them.
  std::string joined() const {
    std::string out;
    for (const Token& token : tokens)
      if (token.kind != TokenKind::EndOfFile) out += (out.empty() ? "" : "|") + std::string(token.text);
    return out;
  }
  SourceMap sources;
  Diagnostics diagnostics;
  std::vector<Token> tokens;
};

TEST_CASE("a range is three tokens, a fraction one") {
  CHECK(Lexed("0..1").joined() == "0|..|1");
  CHECK(Lexed("0.5..1e-3").joined() == "0.5|..|1e-3");
  CHECK(Lexed("a.b.**.W* ...S").joined() == "a|.|b|.|**|.|W|*|...|S");
}

TEST_CASE("underscores group digits") {
  const Lexed lexed("20_000 1_0.5");
  CHECK(lexed.tokens[0].integer == 20000);
  CHECK(lexed.tokens[1].number == 10.5);
  CHECK(lexed.tokens[1].kind == TokenKind::Float);
}

TEST_CASE("the longest punctuation wins") { CHECK(Lexed("x|>y<-z<=w?[->**").joined() == "x||>|y|<-|z|<=|w|?[|->|**"); }

TEST_CASE("a token knows whether a line end stands before it") {
  const Lexed lexed("a b\r\nc # comment\n\td");
  REQUIRE(lexed.tokens.size() == 5);
  CHECK(!lexed.tokens[1].newline_before);
  CHECK(lexed.tokens[2].newline_before);
  CHECK(lexed.tokens[3].newline_before);
}

TEST_CASE("a byte order mark is skipped and columns count code points") {
  const Lexed lexed("\xEF\xBB\xBFx = \"\xC3\xA9\" y");
  CHECK(!lexed.diagnostics.has_errors());
  CHECK(lexed.tokens[0].text == "x");
}

TEST_CASE("what is not UTF-8 is reported once with its offset") {
  for (const std::string& text : {std::string("ab\xff"), std::string("\xc0\xaf"), std::string("\xed\xa0\x80"),
                                  std::string("a\0b", 3), std::string("\xf5\x80\x80\x80")}) {
    const Lexed lexed(text);
    CHECK(lexed.diagnostics.num_errors() == 1);
    CHECK(lexed.tokens.size() == 1);
  }
}

TEST_CASE("an unterminated string is reported at its opening quote") {
  const Lexed lexed("x = \"abc\ny");
  REQUIRE(lexed.diagnostics.num_errors() == 1);
  CHECK(lexed.diagnostics.sorted()[0].span.begin == 4);
  CHECK(lexed.tokens.back().kind == TokenKind::EndOfFile);
  CHECK(Lexed("\"a\\").diagnostics.num_errors() == 1);
}

TEST_CASE("numbers out of range are reported") {
  for (const char* text : {"9223372036854775808", "1e999", "0x10", "5px"})
    CHECK(Lexed(text).diagnostics.num_errors() == 1);
  CHECK(Lexed("9223372036854775807").tokens[0].integer == INT64_MAX);
}

TEST_CASE("escapes of a string") {
  Lexed lexed(R"("a\n\t\"\\" "\q")");
  CHECK(unescape(lexed.tokens[0], lexed.diagnostics) == "a\n\t\"\\");
  CHECK(!lexed.diagnostics.has_errors());
  unescape(lexed.tokens[1], lexed.diagnostics);
  CHECK(lexed.diagnostics.num_errors() == 1);
}

}  // namespace
}  // namespace smelt
