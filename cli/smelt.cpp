// The `smelt` command: argument parsing only. Each command is a file in cli/commands/.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <system_error>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/console.h"
#include "frontend/planned.h"
#include "ir/support/check.h"
#include "ir/support/suggest.h"
#include "ir/support/version.h"
#include "runtime/files/message.h"

namespace smelt::cli {
namespace {

constexpr std::array kCommands = {
    Command{"check", "proves shapes and names of a model file; prints what it needs", add_check},
    Command{"fmt", "lays model files out in one way", add_fmt},
    Command{"lsp", "serves editors: messages, hover, completion, definitions, renaming, types", add_lsp},
    Command{"train", "trains as the file says, into a run directory", add_train},
    Command{"eval", "evaluates objectives and metrics over a split", add_eval},
    Command{"sample", "draws an export's inputs and runs it", add_sample},
    Command{"run", "runs an export on NPY files", add_run},
    Command{"build", "writes an object file and a C header", add_build},
    Command{"bench", "times training steps, or an export, on synthetic data", add_bench},
    Command{"profile", "shows where an iteration's time goes, by kernel or source line", add_profile},
    Command{"gradcheck", "compares gradients with differences of the loss, in f64", add_gradcheck},
    Command{"dump", "prints what a stage of the compiler makes of a file", add_dump},
    Command{"show", "prints an entry of the standard library", add_show},
    Command{"tokens", "makes models of subwords, and turns texts into subwords and back", add_tokens},
    Command{"explain", "explains a diagnostic, or what the compiler fused in a model file and why not more",
            add_explain},
    Command{"ops", "lists the operators", add_ops},
    Command{"doctor", "tells what this machine offers and what is wrong with the installation", add_doctor},
    Command{"debug", "tools for developing Smelt", add_debug},
};

int unknown_command(const std::string& name) {
  if (frontend::is_planned(frontend::PlannedKind::Command, name)) {
    return report_usage(fmt::format("`smelt {}` is not supported yet", name), "`smelt --help` lists what is");
  }
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) names.push_back(command.name);
  return report_usage(fmt::format("unknown command `{}`", printable(name, 80)), suggest(name, names));
}

/// The first argument that CLI11 did not expect, with a suggestion from the command's own flags.
int unexpected_argument(const CLI::App& app, const std::string& name, const std::string& argument) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& long_name : option->get_lnames()) names.push_back("--" + long_name);
    for (const std::string& short_name : option->get_snames()) names.push_back("-" + short_name);
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string flag = argument.substr(0, argument.find('='));
  if (flag.starts_with("-"))
    return report_usage(fmt::format("unknown flag `{}`", printable(flag, 80)),
                        flag.size() > 2 ? suggest(flag, views) : std::string());
  return report_usage(fmt::format("unexpected argument `{}`", printable(argument, 80)),
                      fmt::format("see `{} --help`", name));
}

/// The innermost command of the line, and its full name.
std::pair<const CLI::App*, std::string> chosen_command(const CLI::App& app) {
  const CLI::App* chosen = &app;
  std::string name = "smelt";
  for (auto subs = app.get_subcommands(); !subs.empty(); subs = chosen->get_subcommands()) {
    chosen = subs.front();
    name += " " + chosen->get_name();
  }
  return {chosen, name};
}

/// What CLI11 could not parse, in our words.
int report_parse_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto [command, name] = chosen_command(app);
  const std::string help = fmt::format("see `{} --help`", name);
  const std::string what = error.what();
  const std::string subject = what.substr(0, what.find_first_of(": "));
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr)
    return report_usage(fmt::format("`{}` needs {}", name, subject), help);
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && what.find("At Most") != std::string::npos)
    return report_usage(fmt::format("{} is given twice", subject), "leave one of them out");
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr)
    return report_usage(fmt::format("{} needs a value", subject), help);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    for (const std::string& extra : command->remaining()) return unexpected_argument(*command, name, extra);
  }
  return report_usage(what, help);
}

int run(int argc, char** argv) {
  CLI::App app{"Smelt compiles networks, VAEs and GANs from a text file to native training steps.", "smelt"};
  app.set_version_flag("--version", fmt::format("smelt {}", version()));
  app.require_subcommand(0, 1);
  std::vector<std::pair<CLI::App*, Runner>> runners;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.doc);
    sub->allow_extras();
    runners.emplace_back(sub, command.add(Options(*sub)));
  }
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto [command, name] = chosen_command(app);
    const size_t last = name.rfind(' ');
    fmt::print("{}", command->help(last == std::string::npos ? "" : name.substr(0, last)));
    return kOk;
  } catch (const CLI::CallForVersion&) {
    fmt::print("smelt {}\n", version());
    return kOk;
  } catch (const CLI::ParseError& error) {
    return report_parse_error(app, error);
  }
  for (const auto& [sub, runner] : runners) {
    if (!sub->parsed()) continue;
    const auto [innermost, name] = chosen_command(app);
    for (const std::string& extra : sub->remaining(true)) return unexpected_argument(*innermost, name, extra);
    return runner();
  }
  for (const std::string& extra : app.remaining()) {
    return extra.starts_with("-") ? unexpected_argument(app, "smelt", extra) : unknown_command(extra);
  }
  return report_usage("no command", "`smelt --help` lists the commands; start with `smelt check FILE`");
}

/// Replaces what is there, and follows no link: the directory may be anybody's.
int internal_error(const char* what) {
  const char* const path = "smelt-internal-error.txt";
  ::unlink(path);
  const int file = ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  const std::string text = fmt::format("{}\n", what);
  const bool kept = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (file >= 0) ::close(file);
  say("internal error: {}", what);
  say("  = help: this is a mistake in smelt; please report it with the model file{}",
      kept ? fmt::format(" ({} has this text)", path) : "");
  return kInternal;
}

int out_of_memory() noexcept {
  say_raw(
      "error: out of memory\n"
      "  = help: close other programs, make the model smaller, or raise the limit (ulimit -v)\n");
  return kLimit;
}

/// An exception that can go nowhere, out of a destructor or a library's thread: an exit code instead of SIGABRT.
[[noreturn]] void terminate() noexcept {
  int code = kInternal;
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    code = out_of_memory();
  } catch (const std::exception& error) {
    say_raw("internal error: ");
    say_raw(error.what());
    say_raw("\n");
  } catch (...) {
    say_raw("internal error\n");
  }
  ::_exit(code);
}

/// Before the constructors of libraries, LLVM's above all, which would abort without memory: a limit that leaves them
/// less than this ends here. When `main` begins they have taken half a MiB of heap (`info proc mappings` of gdb).
void require_memory() {
  constexpr size_t kLeast = 16 << 20;
  void* const probe = ::mmap(nullptr, kLeast, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) ::_exit(out_of_memory());
  ::munmap(probe, kLeast);
}
[[gnu::section(".preinit_array"), gnu::used]] void (*const kBeforeConstructors)() = require_memory;

/// A stream that the caller closed becomes /dev/null; else the next file that is opened would take its number.
void open_closed_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) [[maybe_unused]]
      const int null = ::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
  }
}

constexpr int kPipeClosed = 128 + SIGPIPE;

/// Whoever reads may stop reading: that is no mistake to be told of.
int output_failed(const std::error_code& why) {
  if (why == std::errc::broken_pipe) return kPipeClosed;
  return report({ErrorKind::Output, fmt::format("cannot write to the standard output: {}", why.message()), {}, {}});
}

/// Results are on disk or in the pipe when the exit code says so.
int finish(int code) {
  if (std::fflush(stdout) == 0) return code;
  const int failed = output_failed(std::error_code(errno, std::generic_category()));
  return code == kOk ? failed : code;
}

}  // namespace
}  // namespace smelt::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);
  std::signal(SIGXFSZ, SIG_IGN);  // `ulimit -f`: a file that may not grow is an error of its write
  std::set_terminate(smelt::cli::terminate);
  smelt::cli::open_closed_streams();
  try {
    return smelt::cli::finish(smelt::cli::run(argc, argv));
  } catch (const std::bad_alloc&) {
    return smelt::cli::out_of_memory();
  } catch (const std::system_error& error) {
    // A print that is longer than the stream's buffer fails itself.
    if (std::ferror(stdout) != 0) return smelt::cli::output_failed(error.code());
    if (error.code() == std::errc::resource_unavailable_try_again) {
      return smelt::cli::report({smelt::ErrorKind::Limit,
                                 "the system has no thread to give",
                                 "raise the limit on processes (ulimit -u)",
                                 {}});
    }
    return smelt::cli::internal_error(error.what());
  } catch (const std::exception& error) {
    return smelt::cli::internal_error(error.what());
  }
}
