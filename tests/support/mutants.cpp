#include "tests/support/mutants.h"

#include <algorithm>
#include <vector>

#include "frontend/build_experiment.h"
#include "frontend/lexer.h"
#include "ir/text.h"

namespace smelt::test {

namespace {

struct Draw {
  std::mt19937& random;
  size_t below(size_t n) { return n == 0 ? 0 : std::uniform_int_distribution<size_t>(0, n - 1)(random); }
};

int line_of(const std::string& text, size_t offset) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

/// One letter of a name is another one, missing, doubled or in its neighbour's place.
std::string misspelt(const std::string& name, Draw& draw) {
  std::string out = name;
  const size_t at = draw.below(name.size());
  switch (draw.below(4)) {
    case 0: out[at] = static_cast<char>('a' + draw.below(26)); break;
    case 1: out.erase(at, 1); break;
    case 2: out.insert(at, 1, name[at]); break;
    default:
      if (at + 1 < name.size()) std::swap(out[at], out[at + 1]);
  }
  return out;
}

bool is_word_byte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Tokens stay tokens: two words that meet are parted.
Mutant edited(Mistake kind, const std::string& text, size_t begin, size_t end, const std::string& by) {
  Mutant mutant{kind, text, text.substr(begin, end - begin), by, line_of(text, begin)};
  const char left = begin > 0 ? text[begin - 1] : ' ', right = end < text.size() ? text[end] : ' ';
  const auto parted = [](char a, char b) { return is_word_byte(a) && is_word_byte(b) ? " " : ""; };
  mutant.text.replace(begin, end - begin,
                      by.empty() ? parted(left, right) : parted(left, by.front()) + by + parted(by.back(), right));
  return mutant;
}

std::optional<Mutant> drop_line(const std::string& text, Draw& draw) {
  std::vector<size_t> starts = {0};
  for (size_t i = 0; i + 1 < text.size(); ++i)
    if (text[i] == '\n') starts.push_back(i + 1);
  const size_t begin = starts[draw.below(starts.size())];
  const size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
  const std::string line = text.substr(begin, end - begin);
  const size_t first = line.find_first_not_of(" \n");
  if (first == std::string::npos || line[first] == '#') return std::nullopt;
  return edited(Mistake::DropLine, text, begin, end, "");
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// All that is said of it, places and source lines apart.
std::string said(const Diagnostic& d) {
  std::string all = d.message + "\n" + d.caret_text + "\n" + d.help;
  for (const std::string& note : d.notes) all += "\n" + note;
  for (const Label& label : d.labels) all += "\n" + label.text;
  return all;
}

std::vector<Token> tokens_in(SourceMap& sources, const std::string& text) {
  Diagnostics ignored;
  std::vector<Token> tokens = lex(sources, sources.add({"m", text}), ignored);
  tokens.pop_back();
  return tokens;
}

/// Whether a name stands in backticks, alone or as a word of what is to be written; other tokens stand alone.
bool quotes(std::string_view words, const Token& token) {
  for (size_t open = words.find('`'); open != std::string_view::npos;) {
    const size_t close = words.find('`', open + 1);
    if (close == std::string_view::npos) return false;
    const std::string_view quoted = words.substr(open + 1, close - open - 1);
    if (quoted == token.text) return true;
    for (size_t at = quoted.find(token.text); token.kind == TokenKind::Name && at != std::string_view::npos;
         at = quoted.find(token.text, at + 1)) {
      const size_t end = at + token.text.size();
      if ((at == 0 || !is_word_byte(quoted[at - 1])) && (end == quoted.size() || !is_word_byte(quoted[end])))
        return true;
    }
    open = words.find('`', close + 1);
  }
  return false;
}

bool is_value(const Token& token) {
  return token.kind == TokenKind::Name || token.kind == TokenKind::Integer || token.kind == TokenKind::Float ||
         token.kind == TokenKind::String;
}

/// Whether the words name what was there, or what kind of thing.
bool names_the_token(std::string_view words, const Token& token) {
  if (quotes(words, token)) return true;
  if (is_value(token) && (contains(words, "lacks an argument") || contains(words, "has no value"))) return true;
  if (!is_value(token) && contains(words, "an operator is missing")) return true;
  const std::string_view expected = words.substr(0, words.find(", found"));
  constexpr std::string_view kKinds[] = {"a name", "the name", "an expression", "a number",
                                         "a type", "a string", "a label",       "a selector"};
  return is_value(token) && contains(expected, "expected") &&
         std::ranges::any_of(kKinds, [&](std::string_view kind) { return contains(expected, kind); });
}

/// What is asked for is named: the token that is missing or misspelt, one of those that changed places or are too many,
/// or something of the line that is gone.
bool is_right(const Mutant& mutant, const Diagnostic& d) {
  const std::string words = said(d);
  SourceMap sources;
  const bool lost = mutant.kind != Mistake::Swap && mutant.kind != Mistake::Duplicate;
  const std::vector<Token> tokens = tokens_in(sources, lost ? mutant.before : mutant.after);
  if (mutant.kind == Mistake::Misspell) return contains(d.help, mutant.before) || quotes(words, tokens[0]);
  return std::ranges::any_of(tokens, [&](const Token& t) { return names_the_token(words, t); });
}

/// "did you mean `x`?" of a name that was not there.
bool is_wrong(const Mutant& mutant, const Diagnostic& d) {
  if (!contains(d.help, "did you mean")) return false;
  SourceMap before, after;
  const auto none = [&](const std::vector<Token>& tokens) {
    return std::ranges::none_of(tokens, [&](const Token& t) { return quotes(d.help, t); });
  };
  return none(tokens_in(before, mutant.before)) && none(tokens_in(after, mutant.after));
}

std::string graphs_of(const Experiment& experiment) {
  std::string out;
  for (const Function& function : experiment.functions)
    if (function.kind == FunctionKind::Loss || function.kind == FunctionKind::Step) out += print(function.graph);
  return out;
}

}  // namespace

std::string_view to_string(Mistake mistake) {
  switch (mistake) {
    case Mistake::Delete: return "delete";
    case Mistake::Swap: return "swap";
    case Mistake::Duplicate: return "duplicate";
    case Mistake::Misspell: return "misspell";
    case Mistake::DropLine: return "drop a line";
  }
  return {};
}

std::optional<Mutant> mutate(const std::string& text, std::mt19937& random) {
  Draw draw{random};
  const auto kind = static_cast<Mistake>(draw.below(5));
  if (kind == Mistake::DropLine) return drop_line(text, draw);
  SourceMap sources;
  const std::vector<Token> tokens = tokens_in(sources, text);
  if (tokens.size() < 2) return std::nullopt;
  size_t i = draw.below(tokens.size() - 1);
  while (kind == Mistake::Misspell && tokens[i].kind != TokenKind::Name) i = draw.below(tokens.size() - 1);
  const Span a = tokens[i].span, b = tokens[i + 1].span;
  const std::string own = text.substr(a.begin, a.end - a.begin);
  switch (kind) {
    case Mistake::Delete: return edited(kind, text, a.begin, a.end, "");
    case Mistake::Duplicate: return edited(kind, text, a.begin, a.end, own + " " + own);
    case Mistake::Swap: {
      const std::string between = text.substr(a.end, b.begin - a.end), other = text.substr(b.begin, b.end - b.begin);
      if (own == other) return std::nullopt;
      return edited(kind, text, a.begin, b.end, other + between + own);
    }
    case Mistake::Misspell: {
      const std::string other = misspelt(own, draw);
      if (other == own || other.empty() || (other[0] >= '0' && other[0] <= '9')) return std::nullopt;
      return edited(kind, text, a.begin, a.end, other);
    }
    case Mistake::DropLine: break;
  }
  return std::nullopt;
}

std::string losses_of(const std::string& text) {
  SourceMap sources;
  Diagnostics diagnostics;
  const std::optional<Experiment> experiment =
      build_experiment(sources, sources.add({"m.smelt", text}), {}, diagnostics);
  return experiment ? graphs_of(*experiment) : std::string();
}

Verdict judge(const Mutant& mutant, const std::string& losses) {
  Verdict verdict;
  SourceMap sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add({"m.smelt", mutant.text});
  std::optional<Experiment> experiment;
  try {
    experiment = build_experiment(sources, file, {}, diagnostics);
  } catch (const std::exception& error) {
    verdict.broken = true;
    verdict.message = error.what();
    return verdict;
  }
  const std::vector<Diagnostic> all = diagnostics.sorted();
  if (all.empty()) {
    verdict.changes_loss = experiment && graphs_of(*experiment) != losses;
    return verdict;
  }
  verdict.reported = true;
  verdict.message = render(diagnostics, sources);
  const auto near = [&](Span span) {
    if (span.empty() || span.file != file) return false;
    const int first = sources.locate(file, span.begin).line;
    const int last = sources.locate(file, std::max(span.begin, span.end > 0 ? span.end - 1 : 0)).line;
    return first - 1 <= mutant.line && mutant.line <= last + 1;
  };
  const Diagnostic& d = all.front();
  verdict.near = near(d.span);
  verdict.shown_near =
      verdict.near || std::ranges::any_of(d.labels, [&](const Label& label) { return near(label.span); });
  verdict.right = is_right(mutant, d);
  verdict.wrong = !verdict.right && is_wrong(mutant, d);
  return verdict;
}

}  // namespace smelt::test
