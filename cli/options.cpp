#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "ir/support/printable.h"
#include "runtime/run_directory.h"

namespace smelt::cli {
namespace {

constexpr const char* kNotEmpty = "not empty";

CLI::Option& refuse_empty(CLI::Option& option) {
  if (option.get_positional()) return option;  // a file that is not there, or an unknown name, is told as such
  const auto check = [](const std::string& text) -> std::string {
    return text.empty() ? "the value is empty, as that of a shell variable that is not set" : "";
  };
  option.check(CLI::Validator(check, "", kNotEmpty));
  return option;
}

}  // namespace

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::between(uint64_t low, uint64_t high) {
  const auto check = [low, high](const std::string& text) -> std::string {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size() && number >= low && number <= high) return {};
    return fmt::format("`{}` is not a whole number from {} to {}", printable(text, 40), low, high);
  };
  option_->check(CLI::Validator(check, ""));
  return *this;
}

Option& Option::checkpoint() {
  option_->transform(CLI::Validator(
      [](std::string& path) {
        Result<std::string> file = named_checkpoint(path);
        if (!file) return fmt::format("{}: {}", file.error().message, file.error().help);
        path = std::move(*file);
        return std::string();
      },
      ""));
  return *this;
}

Option& Option::one_of(const std::vector<std::string>& words) {
  option_->check(CLI::IsMember(words));
  return *this;
}

Option& Option::repeated() {
  option_->take_all()->allow_extra_args(false);
  return *this;
}

Option& Option::separated_by(char separator) {
  option_->delimiter(separator);
  return *this;
}

Option& Option::with_or_without_value() {
  option_->expected(0, 1);
  return *this;
}

Option& Option::may_be_empty() {
  option_->get_validator(kNotEmpty)->active(false);
  return *this;
}

Option& Option::described(const std::string& doc) {
  option_->description(doc);
  return *this;
}

Option Options::add(const std::string& names, std::string& value, const std::string& doc) {
  return Option(refuse_empty(*app_->add_option(names, value, doc)));
}
Option Options::add(const std::string& names, std::vector<std::string>& value, const std::string& doc) {
  return Option(refuse_empty(*app_->add_option(names, value, doc)));
}
Option Options::add(const std::string& names, int& value, const std::string& doc) {
  return Option(*app_->add_option(names, value, doc));
}
Option Options::add(const std::string& names, int64_t& value, const std::string& doc) {
  return Option(*app_->add_option(names, value, doc));
}
Option Options::add(const std::string& names, uint64_t& value, const std::string& doc) {
  return Option(*app_->add_option(names, value, doc));
}
Option Options::add(const std::string& names, std::optional<int64_t>& value, const std::string& doc) {
  return Option(*app_->add_option(names, value, doc));
}
Option Options::add(const std::string& names, std::optional<uint64_t>& value, const std::string& doc) {
  return Option(*app_->add_option(names, value, doc));
}
Option Options::flag(const std::string& name, bool& value, const std::string& doc) {
  return Option(*app_->add_flag(name, value, doc));
}

Option Options::declared(const std::string& name) { return Option(*app_->get_option(name)); }

Options Options::command(const std::string& name, const std::string& doc) {
  return Options(*app_->add_subcommand(name, doc));
}

bool Options::chosen() const { return app_->parsed(); }

std::optional<std::string> Options::given_option() const {
  const CLI::App& app = *app_;
  for (const CLI::Option* option : app.get_options()) {
    if (option->nonpositional() && option->count() > 0) return option->get_name();
  }
  return std::nullopt;
}

}  // namespace smelt::cli
