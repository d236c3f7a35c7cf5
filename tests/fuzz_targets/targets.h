// What the fuzzers do with an input. Each returns, or ends the process with what was wrong:
// tests/fuzz_targets/entry.cpp makes programs of libFuzzer of them, and replay_test.cpp runs them on the corpus.
#pragma once

#include <string>

namespace smelt::fuzz_targets {

/// Lexer, parser, printer and formatter. A text without errors is laid out in a way that is laid out the same again.
void parse_text(const std::string& text);

/// The whole frontend: a text is an experiment whose graphs are well formed, or has errors.
void build_text(const std::string& text);

}  // namespace smelt::fuzz_targets
