// What a command reads from its arguments. CLI11 is behind it, in options.cpp and smelt.cpp alone, because each file
// that includes it takes 3 to 5 s longer to compile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace smelt::cli {

/// An option or a positional argument: how its text is checked.
class Option {
 public:
  explicit Option(CLI::Option& option) : option_(&option) {}

  Option& required();
  /// Whole numbers of [low, high]; the message of another says so.
  Option& between(uint64_t low, uint64_t high);
  /// A file of parameters; a run directory stands for its best checkpoint, or its last.
  Option& checkpoint();
  Option& one_of(const std::vector<std::string>& words);
  /// May be given several times, with one value each.
  Option& repeated();
  Option& separated_by(char separator);
  Option& with_or_without_value();
  /// An empty text is a value too. Of other options it is an error: it is mostly a variable of the shell that is not
  /// set.
  Option& may_be_empty();
  Option& described(const std::string& doc);

 private:
  CLI::Option* option_;
};

/// The options of one command, and the commands below it.
class Options {
 public:
  explicit Options(CLI::App& app) : app_(&app) {}

  /// `names` is `--long`, `-s,--long`, or a word for a positional argument. `value` must live until the command has
  /// run. Its value before is the default.
  Option add(const std::string& names, std::string& value, const std::string& doc);
  Option add(const std::string& names, std::vector<std::string>& value, const std::string& doc);
  Option add(const std::string& names, int& value, const std::string& doc);
  Option add(const std::string& names, int64_t& value, const std::string& doc);
  Option add(const std::string& names, uint64_t& value, const std::string& doc);
  Option add(const std::string& names, std::optional<int64_t>& value, const std::string& doc);
  Option add(const std::string& names, std::optional<uint64_t>& value, const std::string& doc);
  /// True when it is given.
  Option flag(const std::string& name, bool& value, const std::string& doc);

  /// What was declared before as `name`.
  Option declared(const std::string& name);

  Options command(const std::string& name, const std::string& doc);
  /// Whether the command line names this command.
  bool chosen() const;
  /// The first option, positional arguments apart, that the command line gives.
  std::optional<std::string> given_option() const;

 private:
  CLI::App* app_;
};

}  // namespace smelt::cli
