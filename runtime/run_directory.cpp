#include "runtime/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "runtime/checkpoint.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModel = "model.smelt", kLock = ".lock", kCheckpoints = "checkpoints",
                           kAutosaves = "autosaves";
constexpr std::string_view kPointers[] = {"last", "best"};

std::string read_text(const std::string& path) {
  const Result<Buffer> file = read_own_file(path, 4096);
  return file ? std::string(reinterpret_cast<const char*>(file->data()), file->size()) : std::string();
}

void remove_run(const RunDirectory& run) {
  std::error_code ignored;
  for (const std::string& name : list_files(run.checkpoint_directory())) {
    if (checkpoint_step(name)) fs::remove(run.checkpoint_directory() + "/" + name, ignored);
  }
  for (const std::string_view pointer : kPointers) fs::remove(run.file(pointer), ignored);
  fs::remove(run.file(kAutosaves), ignored);
  fs::remove(run.metrics_path(), ignored);
  fs::remove(run.file(kRunRecordFile), ignored);
}

// A run directory may come from elsewhere. A link in it would have a run write outside of it.
Result<void> refuse_link(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_symlink(path, ignored)) return {};
  return fail(ErrorKind::Output,
              fmt::format("`{}` is a link: a run writes nothing outside of its directory", printable(path)),
              "remove the link, or give another directory with `-o`");
}

Result<void> prepare_checkpoints(const RunDirectory& run) {
  SMELT_TRY_VOID(refuse_link(run.checkpoint_directory()));
  SMELT_TRY_VOID(make_directories(run.checkpoint_directory()));
  remove_leftovers(run.checkpoint_directory());
  remove_leftovers(run.path());
  return {};
}

std::string fill_in(std::string_view pattern, int64_t step, int64_t epoch) {
  std::string out(pattern);
  const std::pair<std::string_view, int64_t> names[] = {{"{step}", step}, {"{epoch}", epoch}};
  for (const auto& [name, value] : names) {
    for (size_t at = out.find(name); at != std::string::npos; at = out.find(name, at)) {
      out.replace(at, name.size(), fmt::format("{}", value));
    }
  }
  return out;
}

}  // namespace

RunDirectory::RunDirectory(RunDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_fd_(std::exchange(other.lock_fd_, -1)) {}

RunDirectory::~RunDirectory() {
  if (lock_fd_ >= 0) ::close(lock_fd_);  // releases the lock
}

Result<RunDirectory> RunDirectory::lock(const std::string& path) {
  const std::string name = fmt::format("{}/{}", path, kLock);
  SMELT_TRY_VOID(refuse_link(name));
  const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) {
    return fail(ErrorKind::Output, fmt::format("cannot write `{}`: {}", printable(name), errno_text(errno)));
  }
  RunDirectory run(path, fd);
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1) {
    return fail(ErrorKind::Output, fmt::format("`{}` is no file of its own", printable(name)), "remove it");
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const std::string owner = read_text(name);
    return fail(ErrorKind::Output,
                fmt::format("run directory `{}` is in use{}", printable(path),
                            owner.empty() ? "" : fmt::format(" by process {}", printable(owner, 20))),
                "choose another directory with `-o`");
  }
  const std::string pid = fmt::format("{}", ::getpid());
  // The number is only for the message above, so a failed write costs nothing.
  if (::ftruncate(fd, 0) == 0) [[maybe_unused]]
    const ssize_t written = ::pwrite(fd, pid.data(), pid.size(), 0);
  return run;
}

Result<RunDirectory> RunDirectory::create(const std::string& path, std::string_view model_text, Existing existing,
                                          const RunRecord& record) {
  SMELT_TRY_VOID(make_directories(path));
  SMELT_TRY(RunDirectory run, lock(path));
  if (is_run_directory(path)) {
    SMELT_TRY_VOID(refuse_link(run.checkpoint_directory()));
    if (existing == Existing::Refuse && run.has_checkpoint()) {
      return fail(ErrorKind::Output, fmt::format("`{}` already holds a run", printable(path)),
                  "`--resume` goes on with it, `--force` replaces it");
    }
    remove_run(run);
  }
  SMELT_TRY_VOID(prepare_checkpoints(run));
  SMELT_TRY_VOID(run.write_record(record));  // first: who finds a model finds how it was started
  SMELT_TRY_VOID(run.write_model(model_text));
  return run;
}

Result<RunDirectory> RunDirectory::open(const std::string& path) {
  // A run that was killed at its very start has a lock and no model yet.
  std::error_code ignored;
  if (!is_run_directory(path) && !fs::is_regular_file(fs::path(path) / kLock, ignored)) {
    return fail(ErrorKind::Input, fmt::format("`{}` holds no run: there is no {} in it", printable(path), kModel));
  }
  SMELT_TRY(RunDirectory run, lock(path));
  SMELT_TRY_VOID(prepare_checkpoints(run));
  return run;
}

std::string RunDirectory::checkpoint_path(int64_t step) const {
  return checkpoint_directory() + "/" + checkpoint_name(step);
}

Result<std::string> RunDirectory::model_text() const {
  SMELT_TRY(const Buffer text, read_file(file(kModel)));
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

Result<void> RunDirectory::write_model(std::string_view text) const { return write_file_atomic(file(kModel), text); }

Result<void> RunDirectory::write_record(const RunRecord& record) const {
  return write_file_atomic(file(kRunRecordFile), encode(record));
}

bool RunDirectory::has_checkpoint() const {
  const std::vector<std::string> names = list_files(checkpoint_directory());
  return std::ranges::any_of(names, [](const std::string& name) { return checkpoint_step(name).has_value(); });
}

Result<std::string> RunDirectory::output_path(std::string_view pattern, int64_t step, int64_t epoch) const {
  const fs::path relative = fs::path(fill_in(pattern, step, epoch)).lexically_normal();
  const bool inside =
      !relative.empty() && relative.is_relative() && *relative.begin() != ".." && relative.has_filename();
  if (!inside) {
    return fail(ErrorKind::Output, fmt::format("output path `{}` is not inside the run directory", printable(pattern)),
                "paths after `to` are relative to the run directory");
  }
  fs::path place(path_);
  for (const fs::path& part : relative.parent_path()) SMELT_TRY_VOID(refuse_link((place /= part).string()));
  place /= relative.filename();
  if (relative.has_parent_path()) SMELT_TRY_VOID(make_directories(place.parent_path().string()));
  return place.string();
}

static std::string line_of(int64_t step) { return fmt::format("{}/{}\n", kCheckpoints, checkpoint_name(step)); }

Result<void> RunDirectory::point(std::string_view pointer, int64_t step) const {
  return write_file_atomic(file(pointer), line_of(step));
}

std::vector<int64_t> RunDirectory::autosaves() const {
  std::vector<int64_t> steps;
  const std::string text = read_text(file(kAutosaves));
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::optional<int64_t> step = checkpoint_step(fs::path(text.substr(at, end - at)).filename().string());
    if (std::error_code ignored; step && fs::exists(checkpoint_path(*step), ignored)) steps.push_back(*step);
    at = end + 1;
  }
  return steps;
}

Result<void> RunDirectory::note_autosaves(std::span<const int64_t> steps) const {
  std::string text;
  for (const int64_t step : steps) text += line_of(step);
  return write_file_atomic(file(kAutosaves), text);
}

namespace {

std::optional<int64_t> read_pointer(const std::string& path) {
  std::string text = read_text(path);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return checkpoint_step(fs::path(text).filename().string());
}

}  // namespace

std::optional<int64_t> RunDirectory::pointed_step(std::string_view pointer) const {
  return read_pointer(file(pointer));
}

Result<std::string> RunDirectory::last_checkpoint() const { return find_checkpoint(path_); }

Result<std::string> find_checkpoint(const std::string& run_directory, std::string_view pointer) {
  const std::string directory = fmt::format("{}/{}", run_directory, kCheckpoints);
  const std::optional<int64_t> step = read_pointer(fmt::format("{}/{}", run_directory, pointer));
  if (step) {
    std::string path = directory + "/" + checkpoint_name(*step);
    if (std::error_code ignored; fs::exists(path, ignored)) return path;
  }
  if (std::optional<std::string> good = last_good_checkpoint(directory, {}); good && pointer == "last") return *good;
  const std::vector<std::string> names = list_files(directory);
  const bool damaged =
      std::ranges::any_of(names, [](const std::string& name) { return checkpoint_step(name).has_value(); });
  return fail(ErrorKind::Input,
              fmt::format("`{}` has no {} checkpoint{}", printable(run_directory), pointer,
                          damaged && pointer == "last" ? ": those that are there are damaged" : ""),
              !damaged            ? "train it first"
              : pointer == "last" ? "`smelt train --force` begins again"
                                  : "`checkpoint keep best(min METRIC)` of the train section keeps one");
}

Result<std::string> named_checkpoint(const std::string& path) {
  if (is_run_directory(path)) {
    if (Result<std::string> best = find_checkpoint(path, "best")) return best;
    return find_checkpoint(path, "last");
  }
  const fs::path file(path);
  const std::string pointer = file.filename().string();
  const std::string run = file.has_parent_path() ? file.parent_path().string() : ".";
  const bool points = std::ranges::find(kPointers, pointer) != std::end(kPointers) && is_run_directory(run);
  return points ? find_checkpoint(run, pointer) : path;
}

bool is_run_directory(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(path) / kModel, ignored);
}

std::string next_run_directory(const std::string& base, const std::string& stem) {
  for (int64_t k = 1;; ++k) {
    std::string path = fmt::format("{}/{}-{}", base, stem, k);
    std::error_code error;
    if (!fs::exists(path, error) || error) return path;
  }
}

}  // namespace smelt
