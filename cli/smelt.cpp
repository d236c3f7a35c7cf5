// The `smelt` command: argument parsing only. Each command is a file in cli/commands/.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <clocale>
#include <csignal>
#include <cstring>
#include <fstream>

#include "cli/commands.h"
#include "cli/common.h"
#include "ir/support/check.h"
#include "runtime/suggest.h"

namespace smelt::cli {
namespace {

constexpr std::array kCommands = {
    Command{"check", "proves shapes and names of a model file; prints what it needs", add_check},
    Command{"train", "trains as the file says, into a run directory", add_train},
    Command{"eval", "evaluates objectives and metrics over a split", add_eval},
    Command{"sample", "draws an export's inputs and runs it", add_sample},
    Command{"run", "runs an export on NPY files", add_run},
    Command{"build", "writes an object file and a C header", add_build},
    Command{"bench", "times training steps on synthetic data", add_bench},
    Command{"dump", "prints what a stage of the compiler makes of a file", add_dump},
    Command{"show", "prints an entry of the standard library", add_show},
    Command{"explain", "explains a diagnostic", add_explain},
    Command{"ops", "lists the operators", add_ops},
    Command{"debug", "tools for developing Smelt", add_debug},
};

// Commands of the design that do not exist yet: named, so that nobody looks for a typing mistake.
constexpr std::array<std::string_view, 9> kPlanned = {"export", "graph", "profile", "gradcheck", "fmt", "diff", "runs", "lsp", "doctor"};

int unknown_command(const std::string& name) {
  if (std::ranges::find(kPlanned, name) != kPlanned.end()) {
    return report_usage(fmt::format("`smelt {}` is not supported yet", name), "`smelt --help` lists what is");
  }
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) names.push_back(command.name);
  return report_usage(fmt::format("unknown command `{}`", name), suggest(name, names));
}

/// The first argument that CLI11 did not expect, with a suggestion from the command's own flags.
int unexpected_argument(const CLI::App& app, const std::string& argument) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string flag = argument.substr(0, argument.find('='));
  if (flag.starts_with("-")) return report_usage(fmt::format("unknown flag `{}`", flag), suggest(flag, views));
  return report_usage(fmt::format("unexpected argument `{}`", argument), fmt::format("see `smelt {} --help`", app.get_name()));
}

int run(int argc, char** argv) {
  CLI::App app{"Smelt compiles networks, VAEs and GANs from a text file to native training steps.", "smelt"};
  app.set_version_flag("--version", "smelt 0.1.0");
  app.require_subcommand(0, 1);
  std::vector<std::pair<CLI::App*, Runner>> runners;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.doc);
    sub->allow_extras();
    runners.emplace_back(sub, command.add(*sub));
  }
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    CLI::App* chosen = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
    fmt::print("{}", chosen->help());
    return kOk;
  } catch (const CLI::CallForVersion&) {
    fmt::print("smelt 0.1.0\n");
    return kOk;
  } catch (const CLI::ParseError& error) {
    const std::string command = app.get_subcommands().empty() ? "" : app.get_subcommands().front()->get_name() + " ";
    return report_usage(error.what(), fmt::format("see `smelt {}--help`", command));
  }
  for (const auto& [sub, runner] : runners) {
    if (!sub->parsed()) continue;
    for (const std::string& extra : sub->remaining(true)) return unexpected_argument(*sub, extra);
    return runner();
  }
  for (const std::string& extra : app.remaining()) {
    return extra.starts_with("-") ? unexpected_argument(app, extra) : unknown_command(extra);
  }
  return report_usage("no command", "`smelt --help` lists the commands; start with `smelt check FILE`");
}

int internal_error(const char* what) {
  const std::string path = "smelt-internal-error.txt";
  std::ofstream(path) << what << "\n";
  fmt::print(stderr, "internal error: {}\n  = help: this is a mistake in smelt; please report it with the model file ({} has this text)\n",
             what, path);
  return kInternal;
}

}  // namespace
}  // namespace smelt::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);
  try {
    return smelt::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory\n");
    return smelt::cli::kLimit;
  } catch (const std::exception& error) {
    return smelt::cli::internal_error(error.what());
  }
}
