// doctor: what this machine and this installation offer, and what is wrong with them.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/commands.h"
#include "cli/machine_level.h"
#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "ir/support/printable.h"
#include "ir/support/version.h"
#include "runtime/data/dataset.h"
#include "runtime/measure_peak.h"
#include "runtime/object_cache.h"

namespace smelt::cli {
namespace {

struct DoctorFlags {
  bool json = false, clear_cache = false;
};

/// One line of the report. `advice` is empty when all is well.
struct Finding {
  std::string name, value, advice = {};
};

std::string first_line(const std::string& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

std::string cache_sizes() {
  std::string sizes;
  for (int index = 0; index < 8; ++index) {
    const std::string base = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
    const std::string size = first_line(base + "size");
    if (size.empty() || first_line(base + "type") == "Instruction") continue;
    sizes += fmt::format("{}L{} {}", sizes.empty() ? "" : ", ", first_line(base + "level"), size);
  }
  return sizes.empty() ? "unknown" : sizes;
}

Finding vectors_of(const Target& target) {
  Finding finding{"vectors", fmt::format("{} bits{}; {} registers", target.vector_bytes * 8,
                                         target.has_fma ? ", fused multiply-add" : "", target.vector_registers)};
  if (target.vector_bytes < 32)
    finding.advice = "no AVX2: correct, but 4 to 8 times slower than on a machine that has it";
  return finding;
}

Finding memory() {
  const double bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  const double free = static_cast<double>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  return {"memory", fmt::format("{:.1f} GiB, {:.1f} GiB unused", bytes / (1 << 30), free / (1 << 30))};
}

Finding load(unsigned cores) {
  double average[1] = {0};
  if (getloadavg(average, 1) != 1) return {"load", "unknown"};
  Finding finding{"load", fmt::format("{:.1f} in the last minute", average[0])};
  if (average[0] > 0.5 * cores) finding.advice = "other programs use the cores; times measured now say little";
  return finding;
}

Finding cache_finding() {
  const std::string directory = default_cache_directory();
  if (directory.empty())
    return {"object cache", "off", "every start compiles; unset SMELT_CACHE_DIR, or set it to a directory of your own"};
  if (build_identity().empty())
    return {"object cache", "off", "this binary has no build id; link it with -Wl,--build-id"};
  const Result<ObjectCache> cache = ObjectCache::open(directory);
  if (!cache)
    return {"object cache", "off",
            cache.error().message + (cache.error().help.empty() ? "" : "; " + cache.error().help)};
  const CacheStatus status = cache->status();
  return {"object cache", fmt::format("{}: {} files, {:.2f} of {} MiB", printable(directory), status.entries,
                                      static_cast<double>(status.bytes) / (1 << 20), cache->max_bytes() >> 20)};
}

Finding example_data() {
  const std::string path = fmt::format("{}/fashion-mnist", kSystemData);
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return {"example data", path};
  return {"example data", "Fashion-MNIST is missing",
          "install the package dataset-fashion-mnist, or give --data NAME=DIR"};
}

int clear_cache() {
  const Result<ObjectCache> cache = ObjectCache::open(default_cache_directory());
  if (!cache) return report(cache.error());
  fmt::print("removed {} files from {}\n", cache->clear(), printable(cache->directory()));
  return kOk;
}

int run_doctor(const DoctorFlags& flags) {
  if (flags.clear_cache) return clear_cache();
  const Result<Target> target = make_target("native");
  if (!target) return report(target.error());
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const std::vector<Finding> findings = {
      {"smelt", fmt::format("{}, {}", version(), code_generator())},
      {"processor", fmt::format("{}, {} threads", target->cpu, cores)},
      vectors_of(*target),
      {"caches", cache_sizes()},
      {"multiply-add peak",
       fmt::format("{:.0f} GFLOP/s on 1 thread, {:.0f} on {} (f32)", measure_peak_gflops(1, vector_bytes({})),
                   measure_peak_gflops(static_cast<int>(cores), vector_bytes({})), cores)},
      memory(),
      load(cores),
      cache_finding(),
      example_data()};
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& finding : findings) {
    if (flags.json) {
      list.push_back({{"name", finding.name}, {"value", finding.value}, {"advice", finding.advice}});
      continue;
    }
    fmt::print("{:18} {}\n", finding.name, finding.value);
    if (!finding.advice.empty()) fmt::print("{:18} = help: {}\n", "", finding.advice);
  }
  if (flags.json) fmt::print("{}\n", dump_json(list));
  return kOk;
}

}  // namespace

Runner add_doctor(Options options) {
  auto flags = std::make_shared<DoctorFlags>();
  options.flag("--json", flags->json, "one JSON array of findings");
  options.flag("--clear-cache", flags->clear_cache, "remove all compiled programs from the cache");
  return [flags] { return run_doctor(*flags); };
}

}  // namespace smelt::cli
