// Source text and places in it. Every node of the IR carries a Span, so that an error, a NaN or a row of a
// profile can name a line of the model file.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace smelt {

/// A half-open range of bytes [begin, end) in one buffer of a SourceMap. The default value points nowhere.
struct Span {
  static constexpr uint32_t kNoFile = UINT32_MAX;
  uint32_t file = kNoFile;
  uint32_t begin = 0;
  uint32_t end = 0;

  bool empty() const { return file == kNoFile; }
  friend bool operator==(const Span&, const Span&) = default;
};

/// The smallest span that covers both; `a` when they are in different files.
inline Span join(Span a, Span b) {
  if (a.empty()) return b;
  if (b.empty() || a.file != b.file) return a;
  return {a.file, a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

/// One text and its name; `embedded` marks the standard library, whose names read `std/nn.smelt`.
struct SourceBuffer {
  std::string name;
  std::string text;
  bool embedded = false;
};

/// 1-based line and column, columns in UTF-8 code points.
struct LineColumn {
  int line = 0;
  int column = 0;
};

/// Owns the texts of one compilation. Buffers keep their address, so string_views into them stay valid.
class SourceMap {
 public:
  uint32_t add(SourceBuffer buffer);
  const SourceBuffer& buffer(uint32_t file) const { return buffers_.at(file); }
  uint32_t size() const { return static_cast<uint32_t>(buffers_.size()); }
  std::string_view text(Span span) const {
    return std::string_view(buffers_.at(span.file).text).substr(span.begin, span.end - span.begin);
  }
  LineColumn locate(uint32_t file, uint32_t offset) const;
  std::string_view line_text(uint32_t file, int line) const;
  /// `vae.smelt:14:33`, or an empty string for an empty span.
  std::string describe(Span span) const;

 private:
  std::deque<SourceBuffer> buffers_;
  std::vector<std::vector<uint32_t>> line_starts_;  // by buffer: a file of many mistakes is searched often
};

}  // namespace smelt
