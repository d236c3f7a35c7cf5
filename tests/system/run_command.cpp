#include "tests/system/run_command.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "runtime/data/dataset.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

/// In the child: never returns.
[[noreturn]] void become(const std::vector<std::string>& arguments, const CommandOptions& options,
                         const std::string& out, const std::string& err) {
  const auto redirect = [](const std::string& path, int to) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    ::dup2(fd, to);
    ::close(fd);
  };
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  redirect(out, STDOUT_FILENO);
  redirect(err, STDERR_FILENO);
  if (options.closed_stdout) ::close(STDOUT_FILENO);
  ::setenv("SMELT_CACHE_DIR", "", 0);  // tests of the compiler compile; a test of the cache names one
  for (const std::string& entry : options.environment) ::putenv(const_cast<char*>(entry.c_str()));
  if (::chdir(options.directory.c_str()) != 0) ::_exit(127);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

int wait_for(pid_t child, const CommandOptions& options) {
  int status = 0;
  bool sent = options.signal == 0;
  while (!sent) {
    if (::waitpid(child, &status, WNOHANG) == child) return status;  // it ended before its time came
    std::error_code ignored;
    if (fs::exists(options.signal_when, ignored) && fs::file_size(options.signal_when, ignored) > 0) {
      ::kill(child, options.signal);
      sent = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

CommandResult run_command(const std::vector<std::string>& arguments, const CommandOptions& options) {
  const std::string base = fmt::format("{}/system-test-{}", fs::temp_directory_path().string(), ::getpid());
  const std::string out = base + ".out", err = base + ".err";
  const pid_t child = ::fork();
  if (child == 0) become(arguments, options, out, err);
  const int status = wait_for(child, options);
  CommandResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_text_file(out);
  result.err = read_text_file(err);
  fs::remove(out);
  fs::remove(err);
  return result;
}

CommandResult run_smelt(std::vector<std::string> arguments, const CommandOptions& options) {
  arguments.insert(arguments.begin(), SMELT_BINARY_DIR "/smelt");
  return run_command(arguments, options);
}

std::string fresh_directory(std::string_view name) {
  const std::string path = fmt::format("{}/system/{}", SMELT_BINARY_DIR, name);
  fs::remove_all(path);
  fs::create_directories(path);
  return path;
}

const std::string& unpacked_data() {
  static const std::string directory = [] {
    const fs::path from = fs::path(kSystemData) / "fashion-mnist";
    const fs::path to = SMELT_BINARY_DIR "/system-data";
    if (!fs::exists(from)) return std::string();
    fs::create_directories(to);
    for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
      if (entry.path().extension() != ".gz") continue;
      const fs::path target = to / entry.path().stem();
      if (fs::exists(target)) continue;
      // Renamed when whole, so that tests may run side by side.
      const std::string part = fmt::format("{}.{}", target.string(), ::getpid());
      run_command({"sh", "-c", R"(gunzip -c "$0" > "$1")", entry.path().string(), part});
      fs::rename(part, target);
    }
    return to.string();
  }();
  return directory;
}

bool skip_without_data() {
  if (!unpacked_data().empty()) return false;
  const auto* test = doctest::getContextOptions()->currentTest;
  fmt::print(stderr, "SKIPPED: \"{}\": {}/fashion-mnist is not there; install the package dataset-fashion-mnist\n",
             test->m_name, kSystemData);
  return true;
}

std::string example(std::string_view name) { return fmt::format("{}/examples/{}.smelt", SMELT_SOURCE_DIR, name); }

std::string difference(const std::string& first, const std::string& second, std::string_view passed_over) {
  const auto a = read_safetensors(first), b = read_safetensors(second);
  if (!a) return a.error().message;
  if (!b) return b.error().message;
  size_t compared = 0;
  for (const StoredTensor& tensor : a->tensors) {
    const StoredTensor* other = b->find(tensor.name);
    if (other == nullptr && !passed_over.empty() && tensor.name.starts_with(passed_over)) continue;
    if (other == nullptr) return fmt::format("{} has no {}", second, tensor.name);
    if (tensor.dtype != other->dtype || tensor.shape != other->shape)
      return fmt::format("{} is of another type", tensor.name);
    const auto x = a->bytes(tensor), y = b->bytes(*other);
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i] != y[i]) return fmt::format("{} differs from byte {} of {}", tensor.name, i, x.size());
    }
    ++compared;
  }
  if (compared != b->tensors.size()) return fmt::format("{} has more tensors than {}", second, first);
  return compared == 0 ? "nothing to compare" : "";
}

std::string read_text_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void write_text_file(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

namespace {

std::vector<nlohmann::json> metrics_of(const std::string& run_directory) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(read_text_file(run_directory + "/metrics.jsonl"));
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace

std::vector<std::string> logged_values(const std::string& run_directory) {
  std::vector<std::string> values;
  for (nlohmann::json line : metrics_of(run_directory)) {
    line.erase("ms");
    values.push_back(line.dump());
  }
  return values;
}

std::vector<double> logged_losses(const std::string& run_directory, std::string_view objective) {
  std::vector<double> losses;
  for (const nlohmann::json& line : metrics_of(run_directory)) {
    if (line.contains("loss") && line["objective"] == objective) losses.push_back(line["loss"].get<double>());
  }
  return losses;
}

}  // namespace smelt::test
