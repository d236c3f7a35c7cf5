// What the commands share: flags of a model, reading a model file, reporting errors, exit codes.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/smelt/compile.h"
#include "cli/options.h"
#include "runtime/session.h"
#include "runtime/thread_pool.h"

namespace smelt::cli {

/// Exit codes of DESIGN: 0 ok, 1 model, 2 usage, 3 input, 4 output, 5 limit, 6 not finite, 7 run-time check, 70 ours.
enum Exit : int {
  kOk = 0,
  kModel = 1,
  kUsage = 2,
  kInput = 3,
  kOutput = 4,
  kLimit = 5,
  kNonFinite = 6,
  kRunTime = 7,
  kInternal = 70
};
int exit_code(ErrorKind kind);

/// One command: adds its flags to a subcommand and returns what runs it, which returns an exit code.
using Runner = std::function<int()>;
struct Command {
  const char* name;
  const char* doc;
  Runner (*add)(Options options);
};

/// One line of JSON. Paths may hold any bytes, JSON only UTF-8: others become U+FFFD.
std::string dump_json(const nlohmann::json& json);

/// Whether there is something of that name; a place that cannot be looked at has nothing.
bool is_there(const std::string& path);
/// That writing `path` replaces nothing: a stream replaces nothing either. Errors: Output.
Result<void> check_not_there(const std::string& path, bool force);

/// Which split a section is trained on, where it has several and none is called so; to stderr.
void tell_of_training_split(const DataPlan& plan);

/// `error: message`, with the help below; to stderr. Returns the exit code.
int report(const Error& error);
int report_usage(const std::string& message, const std::string& help = {});

/// Flags that choose a model and how it is compiled and run.
struct ModelFlags {
  std::string file;
  std::vector<std::string> sets;  // name=value
  std::vector<std::string> data;  // NAME=DIR
  std::optional<int64_t> batch, epochs;
  std::optional<uint64_t> seed;
  int threads = 0;                    // 0: as many as the machine has
  std::string cpu;                    // empty: native
  std::vector<std::string> disabled;  // names of passes
  std::string precision;              // empty: the file's
  std::string train;                  // the name of a train section; empty: the first one
  std::string memory_budget;          // as written; empty: none
  std::vector<std::string> limits;    // NAME=VALUE
  bool json = false;
};
enum FlagGroup : unsigned { kTraining = 1, kRunning = 2, kJson = 4 };
/// `file`: how --help calls the positional argument, and what it says of it.
void add_model_flags(Options options, ModelFlags& flags, unsigned groups,
                     std::pair<const char*, const char*> file = {"FILE", "model file"});

/// Of `--memory-budget`. Errors (Usage): no size from 1 byte on.
Result<int64_t> parse_size(const std::string& text);

/// `--limit NAME=VALUE`, of commands that read something.
void add_limits(Options options, std::vector<std::string>& limits);
/// Errors (Usage): those of set_limit; a limit that is given twice.
Result<Limits> limits_of(const std::vector<std::string>& assignments);

/// Errors (Usage): a malformed `--set`, `--data`, `--limit` or `--memory-budget`, an unknown precision, a pass that
/// does not exist or is needed.
Result<ModelOptions> model_options(const ModelFlags& flags);

/// Reads and checks the model; diagnostics go to stderr. Nothing when there are errors: `code` is set then.
std::optional<CheckedModel> load_model(const std::string& file, const ModelOptions& options, bool json, int& code,
                                       bool takes_stdin = false);
/// All of it.
std::string read_stdin();

/// What commands on a model file begin with.
struct OpenedModel {
  ModelOptions options;
  CheckedModel checked;
};
struct OpenHow {
  bool needs_data = false;
  bool tells_of_missing_data = false;
  bool takes_stdin = false;           // a file `-` is the standard input
  bool profile = false;               // functions note the time after each kernel
  const RunRecord* record = nullptr;  // of the run that goes on
  const char* to_train = nullptr;     // what the `train` section, which has to be there, is for: "to time"
};
/// Options and checked model of the flags. Nothing when there are errors, which are reported: `code` is set then.
std::optional<OpenedModel> open_model(const ModelFlags& flags, int& code, const OpenHow& how = {});

/// A compiled model with a session on `threads` threads, variables not yet set.
struct RunningModel {
  CheckedModel checked;
  std::unique_ptr<CompiledModel> compiled;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Session> session;
};
Result<RunningModel> start_model(CheckedModel checked, const ModelOptions& options, int threads, int64_t horizon);

/// The result of `work` on a thread of its own; when the system has none to give, when the result is asked for. `work`
/// is copied: libstdc++ tries the thread first and has nothing left to defer of what it moved there.
template <typename Work>
auto start_work(const Work& work) {
  return std::async(std::launch::async | std::launch::deferred, work);
}

/// Opens the data sets of `splits` (all when empty). `threads` decode pictures; 0: one a processor.
Result<std::vector<Dataset>> open_data(const std::optional<DataPlan>& plan, const ModelOptions& options,
                                       const std::string& file, int threads,
                                       const std::vector<std::string>& splits = {});

}  // namespace smelt::cli
