// A run directory: model.smelt (the exact text), metrics.jsonl, checkpoints/step-N.safetensors, pictures, and
// `last` and `best`, one-line text files that name a checkpoint relative to the directory, and `autosaves`, which names
// those that go when newer ones are there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"
#include "runtime/run_record.h"

namespace smelt {

enum class Existing : uint8_t { Refuse, Replace };

/// Holds a lock on the directory as long as it lives, so that two processes do not write one run.
class RunDirectory {
 public:
  /// Starts a run. A run that ended before its first checkpoint is replaced, because nothing of it is lost. Errors:
  /// Output when it cannot be written, is in use, has links in it, or already holds a run (with Existing::Replace that
  /// run's files are removed).
  static Result<RunDirectory> create(const std::string& path, std::string_view model_text, Existing existing,
                                     const RunRecord& record = {});
  /// Takes up an existing run, which may have ended before its first checkpoint. Errors: Input when it holds none;
  /// Output when it is in use, has links in it, or cannot be written.
  static Result<RunDirectory> open(const std::string& path);

  RunDirectory(RunDirectory&& other) noexcept;
  RunDirectory& operator=(RunDirectory&&) = delete;
  ~RunDirectory();

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string metrics_path() const { return file("metrics.jsonl"); }
  std::string checkpoint_directory() const { return file("checkpoints"); }
  std::string checkpoint_path(int64_t step) const;

  /// Errors: Input when the file cannot be read.
  Result<std::string> model_text() const;
  /// What later commands read instead of the user's model file. Errors: Output.
  Result<void> write_model(std::string_view text) const;
  Result<void> write_record(const RunRecord& record) const;

  /// Whether any checkpoint, damaged or not, is there.
  bool has_checkpoint() const;

  /// Fills {step} and {epoch} into an action's path, makes its directory, and returns the place inside the
  /// run. Errors: Output when the path would leave the run directory, or its directory cannot be made.
  Result<std::string> output_path(std::string_view pattern, int64_t step, int64_t epoch) const;

  /// Sets `last` or `best`. Errors: Output.
  Result<void> point(std::string_view pointer, int64_t step) const;
  /// The step that `last` or `best` names; nullopt when the file is missing or malformed.
  std::optional<int64_t> pointed_step(std::string_view pointer) const;
  /// The steps of checkpoints that were saved between the ends of the run, in their order; those that are there.
  std::vector<int64_t> autosaves() const;
  /// What `autosaves` is from here on. Errors: Output.
  Result<void> note_autosaves(std::span<const int64_t> steps) const;
  /// The checkpoint to resume from: the one that `last` names, else the newest undamaged one.
  /// Errors: Input when there is none.
  Result<std::string> last_checkpoint() const;

 private:
  RunDirectory(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  static Result<RunDirectory> lock(const std::string& path);

  std::string path_;
  int lock_fd_ = -1;
};

/// The checkpoint that `last` of a run directory names, without taking the run's lock. Errors: Input.
Result<std::string> find_checkpoint(const std::string& run_directory, std::string_view pointer = "last");

/// The file of parameters that a user names: `path`, or what it leads to as a run directory (its best checkpoint when
/// one is kept, else its last) or as the `last` or `best` of one. Errors: Input when the run has no such checkpoint.
Result<std::string> named_checkpoint(const std::string& path);

inline constexpr std::string_view kRunRecordFile = "run.json";

/// True when `path` is a directory that holds a run.
bool is_run_directory(const std::string& path);

/// `base/stem-k` with the smallest k from 1 that does not exist yet.
std::string next_run_directory(const std::string& base, const std::string& stem);

}  // namespace smelt
