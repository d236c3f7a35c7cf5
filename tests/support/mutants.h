// One mistake in a file that compiles, and what the compiler says of it: how near, and whether the advice is right.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace smelt::test {

enum class Mistake { Delete, Swap, Duplicate, Misspell, DropLine };
std::string_view to_string(Mistake mistake);

struct Mutant {
  Mistake kind{};
  std::string text;
  std::string before;  // the tokens or the line as they were ..
  std::string after;   // .. and as they are
  int line = 0;        // of the edit, in `text`
};

/// Nothing when the place does not allow it.
std::optional<Mutant> mutate(const std::string& text, std::mt19937& random);

struct Verdict {
  bool reported = false;      // there is an error or a warning
  bool near = false;          // the first one is within a line of the edit
  bool shown_near = false;    // or one of its labels is
  bool right = false;         // it names what was there before, or what is too much
  bool wrong = false;         // it advises something else
  bool changes_loss = false;  // nothing is reported, and a loss is another one
  bool broken = false;        // no place, or an exception
  std::string message;
};

/// `losses`: those of the file before, see losses_of.
Verdict judge(const Mutant& mutant, const std::string& losses);

/// The losses of a file, as text; empty when it has errors.
std::string losses_of(const std::string& text);

}  // namespace smelt::test
