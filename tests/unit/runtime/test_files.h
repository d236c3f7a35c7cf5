// Helpers of the runtime's tests: temporary directories, raw files, mutants, plans of one source.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <string_view>

#include "ir/plan.h"
#include "ir/readers.h"
#include "ir/support/result.h"
#include "runtime/files/file.h"

namespace smelt::test {

class TempDirectory {
 public:
  TempDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "smelt-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

inline void write_raw(const std::string& path, std::string_view bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  REQUIRE(file != nullptr);
  REQUIRE(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
  std::fclose(file);
}

inline std::string read_raw(const std::string& path) {
  std::string out;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return out;
  char block[4096];
  for (size_t n = 0; (n = std::fread(block, 1, sizeof block, file)) > 0;) out.append(block, n);
  std::fclose(file);
  return out;
}

inline Buffer buffer_of(std::string_view bytes) { return *Buffer::copy_of(as_byte_span(bytes)); }

/// Integers as bytes.
template <typename... Ints>
std::string bytes(Ints... values) {
  return {static_cast<char>(values)...};
}

inline std::string little_endian64(uint64_t value) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(value >> (8 * i));
  return out;
}

/// The message and help of a failed result; `ok` otherwise.
template <typename T>
std::string message_of(const Result<T>& result) {
  if (result) return "ok";
  return result.error().message + (result.error().help.empty() ? "" : " | " + result.error().help);
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// Calls `check` with `count` damaged copies of `original`: flipped bits, cuts, lengths changed, pieces
/// doubled, removed or overwritten with extreme numbers. SMELT_MUTANTS=n asks for another count.
inline void for_each_mutant(const std::string& original, int count, uint32_t seed,
                            const std::function<void(const std::string&)>& check) {
  std::mt19937 random(seed);
  if (const char* more = std::getenv("SMELT_MUTANTS"); more != nullptr) count = std::stoi(more);
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  constexpr uint64_t kExtremes[] = {0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF};
  for (int i = 0; i < count; ++i) {
    std::string mutant = original;
    const size_t at = below(mutant.size());
    switch (random() % 7) {
      case 0: mutant[at] = static_cast<char>(mutant[at] ^ (1 << below(8))); break;
      case 1: mutant.resize(at); break;
      case 2: mutant.insert(at, mutant.substr(at, 1 + below(16))); break;
      case 3: mutant.erase(at, 1 + below(16)); break;
      case 4: mutant[at] = static_cast<char>(random()); break;
      case 5: mutant += mutant.substr(at); break;
      default: {
        const std::string number = little_endian64(kExtremes[below(7)]);
        mutant.replace(at, 1 + below(8), number.substr(0, 1 + below(8)));
      }
    }
    check(mutant);
  }
}

/// A section `d` whose training split is `source`, with the columns that its reader gives.
inline DataPlan plan_of(const SourceCall& source) {
  DataPlan plan;
  plan.name = "d";
  plan.splits = {{"train", source}};
  plan.columns = typed_columns(source);
  return plan;
}

}  // namespace smelt::test
