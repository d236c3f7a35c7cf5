// What one step may touch: no heap, one entry into generated code, and only the variables of its own objective.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "runtime/thread_pool.h"
#include "tests/system/heap_counter.h"
#include "tests/system/training_fixture.h"

namespace smelt::test {
namespace {

using Snapshot = std::map<std::string, std::vector<std::byte>>;

Snapshot snapshot(const Session& session) {
  Snapshot all;
  for (const StoredVariable& variable : session.program().variables) {
    const auto bytes = session.bytes(variable);
    all[variable.path] = {bytes.begin(), bytes.end()};
  }
  return all;
}

std::vector<std::string> changed(const Snapshot& before, const Snapshot& after) {
  std::vector<std::string> paths;
  for (const auto& [path, bytes] : before) {
    if (after.at(path) != bytes) paths.push_back(path);
  }
  return paths;
}

void check_no_allocation(std::string_view name, int threads) {
  const std::unique_ptr<Training> training = start_training(name);
  if (!training) return;
  auto pool = ThreadPool::create(threads);
  REQUIRE(pool);
  training->session->header().threads = (*pool)->threads();
  int64_t calls = 0;
  int32_t worst = SMELT_CALL_OK;
  for (int step = 0; step < 20; ++step) {
    const int64_t before = num_heap_calls();
    training->next_batches();
    worst = std::max(worst, training->session->call_iteration(training->table));
    if (step > 0) calls += num_heap_calls() - before;  // the first one may make the first shuffle and lazy symbols
  }
  CHECK(worst == SMELT_CALL_OK);
  CHECK_MESSAGE(calls == 0, fmt::format("{} on {} threads: {} heap calls in 19 steps", name, threads, calls));
}

TEST_CASE("no step allocates, on one thread or three") {
  if (skip_without_heap_counter()) return;
  for (const char* name : {"mlp", "vae", "gan"}) {
    check_no_allocation(name, 1);
    check_no_allocation(name, 3);
  }
}

TEST_CASE("an iteration of a GAN, both networks, enters generated code once") {
  const std::unique_ptr<Training> training = start_training("gan");
  if (!training) return;
  REQUIRE(training->calls.size() == 2);
  for (uint64_t step = 1; step <= 5; ++step) {
    const uint64_t before = training->session->header().entered;
    training->next_batches();
    REQUIRE(training->session->call_iteration(training->table) == SMELT_CALL_OK);
    CHECK(training->session->header().entered == before + 1);
    CHECK(training->session->header().iteration == static_cast<int64_t>(step));
  }
}

TEST_CASE("a step of one network leaves every byte of the other as it was, and changes all of its own") {
  for (const char* name : {"gan", "seed_gan"}) {
    const std::unique_ptr<Training> training = start_training(name);
    if (!training) return;
    for (int round = 0; round < 2; ++round) {
      for (const TrainingCall& call : training->calls) {
        training->next_batches();
        const Snapshot before = snapshot(*training->session);
        REQUIRE(training->session->call(call.frame) == SMELT_CALL_OK);
        const std::vector<std::string> paths = changed(before, snapshot(*training->session));
        const std::string own = call.step->objective == "d_loss" ? "D." : "G.";
        const std::string own_slots = fmt::format("opt/{}/", call.step->objective);
        for (const std::string& path : paths) {
          CHECK_MESSAGE((path.starts_with(own) || path.starts_with(own_slots)),
                        fmt::format("{} changed {}", call.step->objective, path));
        }
        for (const auto& [path, bytes] : before) {
          if (!path.starts_with(own) && !path.starts_with(own_slots)) continue;
          CHECK_MESSAGE(std::ranges::find(paths, path) != paths.end(),
                        fmt::format("{} did not change {}", call.step->objective, path));
        }
      }
    }
  }
}

TEST_CASE("a loss that is not finite changes nothing, on any number of threads") {
  for (const int threads : {1, 3}) {
    const std::unique_ptr<Training> training = start_training("mlp");
    if (!training) return;
    auto pool = ThreadPool::create(threads);
    REQUIRE(pool);
    training->session->header().threads = (*pool)->threads();
    const StoredVariable* bias = training->session->find_variable("net.out.b");
    REQUIRE(bias != nullptr);
    *reinterpret_cast<float*>(training->session->bytes(*bias).data()) = std::numeric_limits<float>::quiet_NaN();
    const Snapshot before = snapshot(*training->session);
    training->next_batches();
    CHECK(training->session->call_iteration(training->table) == SMELT_CALL_NONFINITE);
    CHECK(changed(before, snapshot(*training->session)).empty());
    CHECK(training->session->header().iteration == 0);
    CHECK(training->session->runs(training->calls[0].frame.entry()) == 0);
  }
}

}  // namespace
}  // namespace smelt::test
