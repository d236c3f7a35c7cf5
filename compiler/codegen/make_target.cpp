#include "compiler/codegen/make_target.h"

#include <llvm/ADT/StringMap.h>
#include <llvm/TargetParser/Host.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace smelt {
namespace {

struct Level {
  const char* name;
  bool avx2, avx512;
};
constexpr std::array kLevels = {Level{"x86-64-v2", false, false}, Level{"x86-64-v3", true, false},
                                Level{"x86-64-v4", true, true}};

void set_vectors(Target& target, bool avx2, bool avx512) {
  target.has_fma = avx2;
  target.vector_bytes = avx512 ? 64 : avx2 ? 32 : 16;
  target.vector_registers = avx512 ? 32 : 16;
}

/// Half of this machine's second level, which decides blocks and no bits; the usual size where the system does not
/// tell. `benchmarks/products` in turns on a Xeon with 2 MB, blocks for 1 MB and for 2: 512,512,2048 NN 160 and 181
/// GFLOP/s, NT 168 and 187, 512,2048,512 195 and 206, convolutions of 192 to 256 channels 1.02 to 1.06 times as fast.
int64_t half_of_second_level() {
  constexpr int64_t kLeast = int64_t{256} << 10, kMost = int64_t{2} << 20;
  const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes <= 0 ? Blocking().cache_bytes : std::clamp(bytes / 2, kLeast, kMost);
}

Target native_target() {
  Target target;
  target.blocking.cache_bytes = half_of_second_level();
  target.name = "native";
  target.cpu = llvm::sys::getHostCPUName().str();
  const llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  for (const auto& feature : features) {
    if (!target.features.empty()) target.features += ',';
    target.features += feature.second ? '+' : '-';
    target.features.append(feature.first().data(), feature.first().size());
  }
  const auto has = [&](const char* name) { return features.lookup(name); };
  const bool avx2 = has("avx2") && has("fma");
  const bool avx512 = avx2 && has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl");
  set_vectors(target, avx2, avx512);
  target.has_bf16_pairs = avx512 && has("avx512bf16");
  return target;
}

}  // namespace

Result<Target> make_target(const std::string& name) {
  if (name.empty() || name == "native") return native_target();
  for (const Level& level : kLevels) {
    if (name != level.name) continue;
    Target target;
    target.name = name;
    target.cpu = name;
    set_vectors(target, level.avx2, level.avx512);
    return target;
  }
  return fail(ErrorKind::Usage, "unknown cpu `" + name + "`",
              "choose native, x86-64-v2, x86-64-v3 (AVX2) or x86-64-v4 (AVX-512)");
}

bool runs_here(const Target& target) {
  const Target host = native_target();
  return target.name == "native" || target.vector_bytes <= host.vector_bytes;
}

}  // namespace smelt
