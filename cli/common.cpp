#include "cli/common.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "api/smelt/disable_pass.h"
#include "cli/console.h"
#include "cli/run_source.h"
#include "runtime/files/message.h"
#include "runtime/files/output_file.h"
#include "runtime/object_cache.h"
#include "runtime/run_directory.h"

namespace smelt::cli {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Model:
    case ErrorKind::Unsupported: return kModel;
    case ErrorKind::Usage: return kUsage;
    case ErrorKind::Input: return kInput;
    case ErrorKind::Output: return kOutput;
    case ErrorKind::Limit: return kLimit;
    case ErrorKind::NonFinite: return kNonFinite;
    case ErrorKind::RunTime: return kRunTime;
  }
  return kInternal;
}

std::string dump_json(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Result<void> check_not_there(const std::string& path, bool force) {
  if (force || path.empty() || is_stream(path) || !is_there(path)) return {};
  return fail(ErrorKind::Output, fmt::format("{} exists", printable(path)), "give another name, or --force");
}

void tell_of_training_split(const DataPlan& plan) {
  for (int32_t section = 0; section < plan.num_sections(); ++section) {
    std::vector<std::string> names;
    for (const Split& split : plan.splits)
      if (split.section == section) names.push_back(split.name);
    if (names.size() < 2 || std::ranges::find(names, "train") != names.end()) continue;
    say("note: no split of data section `{}` is called `train`: it is trained on `{}`, the first of {}",
        plan.section_name(section), names[0], fmt::join(names, ", "));
  }
}

int report(const Error& error) {
  say("error: {}", error.message);
  if (!error.help.empty()) say("  = help: {}", error.help);
  return exit_code(error.kind);
}

int report_usage(const std::string& message, const std::string& help) {
  return report({.kind = ErrorKind::Usage, .message = message, .help = help});
}

void add_model_flags(Options options, ModelFlags& flags, unsigned groups, std::pair<const char*, const char*> file) {
  options.add(file.first, flags.file, file.second).required();
  options.add("--set", flags.sets, "config value, NAME=VALUE (may be repeated)").repeated();
  options.add("--data", flags.data, "directory of a data section's files, NAME=DIR (may be repeated)").repeated();
  options.add("--batch", flags.batch, "rows of a batch").between(1, uint64_t{1} << 31);
  options.add("--seed", flags.seed, "seed of everything random").between(0, UINT64_MAX);
  options.add("--precision", flags.precision,
              "f32, f64, or bf16, which is f32 stored as bf16 between kernels; instead of the file's");
  options.add("--train", flags.train, "the train section of this name, instead of the file's first one");
  options.add("--cpu", flags.cpu, "native (default), x86-64-v2, x86-64-v3 or x86-64-v4: decides bits");
  options
      .add("--disable-pass", flags.disabled,
           fmt::format("a pass to leave out (may be repeated): {}", fmt::join(optional_passes(), ", ")))
      .repeated();
  options.add("--memory-budget", flags.memory_budget,
              "most memory to use, data excluded, such as 24MB or 1.5GiB: takes time for it, never bits");
  add_limits(options, flags.limits);
  if ((groups & kJson) != 0) options.flag("--json", flags.json, "machine-readable output");
  if ((groups & kTraining) != 0) {
    options.add("--epochs", flags.epochs, "epochs, instead of the file's").between(1, uint64_t{1} << 40);
  }
  if ((groups & kRunning) != 0) {
    options.add("--threads", flags.threads, "threads, 1 to 1024; results do not depend on it")
        .between(1, ThreadPool::kMaxThreads);
  }
}

namespace {

Result<std::pair<std::string, std::string>> split_assignment(const std::string& text, const char* flag,
                                                             const char* form) {
  const size_t at = text.find('=');
  if (at == std::string::npos || at == 0) {
    return fail(ErrorKind::Usage,
                fmt::format("{} `{}` has no {}", flag, printable(text), at == 0 ? "name before its `=`" : "`=`"),
                fmt::format("write {} {}", flag, form));
  }
  return std::pair{text.substr(0, at), text.substr(at + 1)};
}

std::unexpected<Error> given_twice(const char* flag, const std::string& name) {
  return fail(ErrorKind::Usage, fmt::format("{} `{}` is given twice", flag, printable(name)), "leave one of them out");
}

}  // namespace

Result<int64_t> parse_size(const std::string& text) {
  const std::optional<uint64_t> bytes = parse_bytes(text);
  if (bytes && *bytes > 0) return static_cast<int64_t>(*bytes);
  return fail(ErrorKind::Usage,
              fmt::format("--memory-budget `{}` is not a size from 1 byte to 1024 TiB", printable(text, 40)),
              "write a number and B, KB, MB, GB, KiB, MiB or GiB, such as 24MB or 1.5GiB");
}

void add_limits(Options options, std::vector<std::string>& limits) {
  std::vector<std::string> defaults;
  for (const LimitInfo& info : all_limits()) defaults.push_back(fmt::format("{}={}", info.name, info.text(info.value)));
  options
      .add("--limit", limits,
           fmt::format("another limit, NAME=VALUE (may be repeated), instead of {}", fmt::join(defaults, ", ")))
      .repeated();
}

Result<Limits> limits_of(const std::vector<std::string>& assignments) {
  Limits limits;
  std::set<std::string> names;
  for (const std::string& assignment : assignments) {
    SMELT_TRY_VOID(set_limit(limits, assignment));
    const std::string name = assignment.substr(0, assignment.find('='));
    if (!names.insert(name).second) return given_twice("--limit", name);
  }
  return limits;
}

Result<ModelOptions> model_options(const ModelFlags& flags) {
  ModelOptions options;
  options.on_slow_compile = [](const std::string& note) { say("note: {}", note); };
  SMELT_TRY(options.limits, limits_of(flags.limits));
  if (!flags.memory_budget.empty()) {
    SMELT_TRY(options.passes.memory_budget, parse_size(flags.memory_budget));
  }
  for (const std::string& set : flags.sets) {
    SMELT_TRY(auto entry, split_assignment(set, "--set", "NAME=VALUE"));
    if (std::ranges::find(options.config, entry.first, &std::pair<std::string, std::string>::first) !=
        options.config.end())
      return given_twice("--set", entry.first);
    options.config.push_back(std::move(entry));
  }
  for (const std::string& data : flags.data) {
    SMELT_TRY(const auto entry, split_assignment(data, "--data", "NAME=DIR"));
    if (entry.second.empty())
      return fail(ErrorKind::Usage, fmt::format("--data `{}` names no directory", printable(data)),
                  "write --data NAME=DIR; `.` is the folder that you are in");
    if (!options.data.directories.emplace(entry).second) return given_twice("--data", entry.first);
  }
  if (const char* scratch = std::getenv("TMPDIR"); scratch != nullptr && *scratch != '\0')
    options.data.scratch_directory = scratch;
  options.batch = flags.batch;
  options.epochs = flags.epochs;
  options.seed = flags.seed;
  options.train = flags.train;
  if (!flags.cpu.empty()) options.cpu = flags.cpu;
  options.cache_directory = default_cache_directory();
  for (const std::string& pass : flags.disabled) SMELT_TRY_VOID(disable_pass(options, pass));
  if (flags.precision == "f16") {
    return fail(ErrorKind::Unsupported, "`--precision f16` needs loss scaling, which is not supported yet",
                "use bf16, which needs none");
  }
  if (!flags.precision.empty()) {
    if (flags.precision != "f32" && flags.precision != "f64" && flags.precision != "bf16") {
      return fail(ErrorKind::Usage, fmt::format("unknown precision `{}`", printable(flags.precision, 40)),
                  "use f32, f64 or bf16");
    }
    options.precision = parse_dtype(flags.precision);
  }
  return options;
}

std::string read_stdin() { return {std::istreambuf_iterator<char>(std::cin), {}}; }

std::optional<CheckedModel> load_model(const std::string& file, const ModelOptions& options, bool json, int& code,
                                       bool takes_stdin) {
  if (file.ends_with(".safetensors") && is_there(file)) {
    code = report_usage(fmt::format("`{}` is a file of parameters, no model file", printable(file)),
                        "give the model file, and this one with `--weights`; a run directory has both");
    return std::nullopt;
  }
  Result<CheckedModel> model =
      takes_stdin && file == "-" ? check_text("<stdin>", read_stdin(), options) : check_file(file, options);
  if (!model) {
    Error& error = model.error();
    if (error.help.empty() && is_run_directory(file))
      error.help =
          fmt::format("it is a run, whose model is `{}/model.smelt`; `eval`, `run` and `sample` take a run itself",
                      printable(std::filesystem::path(file).lexically_normal().string()));
    code = report(error);
    return std::nullopt;
  }
  if (json && model->diagnostics.has_errors()) {
    fmt::print("{}\n", render_json(model->diagnostics, *model->sources));
  } else if (!model->diagnostics.empty()) {
    say_raw(render(model->diagnostics, *model->sources, wants_colour() ? Colour::On : Colour::Off));
  }
  if (!model->experiment) {
    code = model->data_error ? exit_code(model->data_error->kind) : static_cast<int>(kModel);
    return std::nullopt;
  }
  return std::move(*model);
}

std::optional<OpenedModel> open_model(const ModelFlags& flags, int& code, const OpenHow& how) {
  Result<ModelOptions> options = model_options(flags);
  if (!options) {
    code = report(options.error());
    return std::nullopt;
  }
  options->needs_data = how.needs_data;
  options->passes.profile = how.profile;
  if (how.record != nullptr) recall(*how.record, *options);
  std::optional<CheckedModel> checked = load_model(flags.file, *options, flags.json, code, how.takes_stdin);
  if (!checked) return std::nullopt;
  for (const std::string& note : checked->data_notes) {
    if (how.tells_of_missing_data) say("note: {}", note);
  }
  if (how.to_train != nullptr && !checked->experiment->train.present) {
    code = report({ErrorKind::Model,
                   fmt::format("{} has no `train` section {}", flags.file, how.to_train),
                   "see examples/mlp.smelt for one",
                   {}});
    return std::nullopt;
  }
  return OpenedModel{std::move(*options), std::move(*checked)};
}

Result<RunningModel> start_model(CheckedModel checked, const ModelOptions& options, int threads, int64_t horizon) {
  RunningModel running{.checked = std::move(checked)};
  SMELT_TRY(running.compiled, compile(running.checked, options));
  const bool chosen = threads != 0;
  if (!chosen) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const smelt_threads* hooks = nullptr;
  if (threads > 1) {
    Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(threads);
    if (!pool && chosen) return std::unexpected(std::move(pool).error());
    // Results do not depend on the number of threads, so nobody who did not ask for one is sent away.
    if (!pool) say("note: {}; one thread does the work", pool.error().message);
    if (pool) running.pool = std::move(*pool);
    if (running.pool) hooks = running.pool->threads();
  }
  SMELT_TRY(running.session, Session::create(running.compiled->program, running.compiled->functions(),
                                             {.seed = running.compiled->program.train.seed,
                                              .horizon = horizon,
                                              .threads = hooks,
                                              .limits = options.limits}));
  SMELT_TRY_VOID(running.session->initialise());
  if (options.draws_seed) running.session->header().seed = running.compiled->program.train.seed = *options.draws_seed;
  return running;
}

Result<std::vector<Dataset>> open_data(const std::optional<DataPlan>& plan, const ModelOptions& options,
                                       const std::string& file, int threads, const std::vector<std::string>& splits) {
  std::vector<Dataset> data;
  if (!plan) return data;
  const DataPaths paths = data_paths(options, file);
  // Unpacking takes longer than anything else before the first step: each split on a thread of its own.
  std::vector<std::future<Result<Dataset>>> opening;
  for (const Split& split : plan->splits) {
    if (!splits.empty() && std::ranges::find(splits, split.name) == splits.end()) continue;
    opening.push_back(
        start_work([&plan, &split, &paths, threads] { return Dataset::open(*plan, split, paths, threads); }));
  }
  std::vector<Result<Dataset>> opened;
  for (std::future<Result<Dataset>>& split : opening) opened.push_back(split.get());
  for (Result<Dataset>& split : opened) {
    if (!split) return std::unexpected(std::move(split).error());
    for (const std::string& note : split->notes()) say("note: {}", note);
    data.push_back(std::move(*split));
  }
  return data;
}

}  // namespace smelt::cli
