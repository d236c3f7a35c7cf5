#include "runtime/object_cache.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/unit/runtime/test_files.h"

namespace smelt {
namespace {

using test::TempDirectory;

std::string key_of(int number) { return fmt::format("{:064x}", number); }
std::vector<char> object_of(size_t size, char fill) { return std::vector<char>(size, fill); }

TEST_CASE("what is stored is found again, by any process that looks") {
  const TempDirectory directory;
  const ObjectCache cache = ObjectCache::open(directory / "cache").value();
  CHECK_FALSE(cache.find(key_of(1)));
  REQUIRE(cache.store(key_of(1), object_of(1000, 'x')));
  const ObjectCache other = ObjectCache::open(directory / "cache").value();
  CHECK(other.find(key_of(1)) == object_of(1000, 'x'));
  CHECK_FALSE(other.find(key_of(2)));
  CHECK(other.status().entries == 1);
  CHECK(other.clear() == 1);
  CHECK_FALSE(cache.find(key_of(1)));
}

TEST_CASE("a damaged entry is a missing one, whatever was damaged, and is removed") {
  const TempDirectory directory;
  const ObjectCache cache = ObjectCache::open(directory / "cache").value();
  const std::string path = directory / ("cache/" + key_of(7) + ".o");
  REQUIRE(cache.store(key_of(7), object_of(50, 'x')));
  const Buffer bytes = read_file(path).value();
  const std::string whole(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    test::write_raw(path, flipped);
    CHECK_FALSE(cache.find(key_of(7)));
    CHECK_FALSE(std::filesystem::exists(path));
    test::write_raw(path, whole.substr(0, at));
    CHECK_FALSE(cache.find(key_of(7)));
  }
  REQUIRE(cache.store(key_of(7), object_of(50, 'x')));
  CHECK(cache.find(key_of(7)) == object_of(50, 'x'));
}

TEST_CASE("over the limit the entries that were not used for longest go") {
  const TempDirectory directory;
  const ObjectCache cache = ObjectCache::open(directory / "cache", 3500).value();
  const auto tick = [] { std::this_thread::sleep_for(std::chrono::milliseconds(15)); };
  for (const int number : {1, 2, 3}) {
    REQUIRE(cache.store(key_of(number), object_of(1000, 'x')));
    tick();
  }
  CHECK(cache.find(key_of(1)));  // used just now
  tick();
  REQUIRE(cache.store(key_of(4), object_of(1000, 'x')));
  CHECK(cache.find(key_of(1)));
  CHECK_FALSE(cache.find(key_of(2)));
  CHECK(cache.find(key_of(4)));
  CHECK(cache.status().bytes <= 3500);
}

TEST_CASE("many writers and readers of the same keys see whole objects only") {
  const TempDirectory directory;
  const ObjectCache cache = ObjectCache::open(directory / "cache", 40000).value();
  std::atomic<int> torn = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int turn = 0; turn < 60; ++turn) {
        const int number = (turn + t) % 5;
        const auto whole = object_of(static_cast<size_t>(5000 + number), static_cast<char>('a' + number));
        if (!cache.store(key_of(number), whole)) ++torn;
        const auto found = cache.find(key_of((number + 1) % 5));
        if (found && found->size() != static_cast<size_t>(5000 + (number + 1) % 5)) ++torn;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(torn == 0);
}

TEST_CASE("a directory that others may write to is refused: it holds code") {
  const TempDirectory directory;
  const std::string path = directory / "open";
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  REQUIRE(::chmod(path.c_str(), 0777) == 0);
  const Result<ObjectCache> cache = ObjectCache::open(path);
  REQUIRE_FALSE(cache);
  CHECK(cache.error().message.find("others may write") != std::string::npos);
  test::write_raw(directory / "file", "x");
  CHECK_FALSE(ObjectCache::open(directory / "file"));
  CHECK_FALSE(ObjectCache::open(directory / "file/below"));
}

TEST_CASE("this binary says which build it is") { CHECK(build_identity().size() >= 16); }

}  // namespace
}  // namespace smelt
