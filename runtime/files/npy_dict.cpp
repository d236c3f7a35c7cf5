#include "runtime/files/npy_dict.h"

#include <fmt/format.h>

#include <charconv>

#include "runtime/files/message.h"

namespace smelt {
namespace {

class DictParser {
 public:
  DictParser(std::string_view text, uint64_t offset, const std::string& name)
      : text_(text), offset_(offset), name_(name) {}

  Result<NpyDict> parse() {
    SMELT_TRY_VOID(expect('{'));
    while (!accept('}')) {
      SMELT_TRY(const std::string key, parse_string());
      SMELT_TRY_VOID(expect(':'));
      SMELT_TRY_VOID(parse_value(key));
      if (accept(',')) continue;
      SMELT_TRY_VOID(expect('}'));
      break;
    }
    skip_space();
    if (at_ != text_.size()) return wrong("nothing may follow the dict");
    constexpr std::string_view kKeys[] = {"descr", "fortran_order", "shape"};
    for (size_t i = 0; i < 3; ++i) {
      if ((seen_ & (1u << i)) == 0) return wrong(fmt::format("key `{}` is missing", kKeys[i]));
    }
    return std::move(dict_);
  }

 private:
  std::unexpected<Error> wrong(std::string_view what) const {
    return fail(ErrorKind::Input, fmt::format("{}: byte {}: header: {}", printable(name_), offset_ + at_, what));
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }

  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool accept_word(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Result<void> expect(char c) {
    if (accept(c)) return {};
    return wrong(fmt::format("expected `{}`", c));
  }

  Result<std::string> parse_string() {
    const char quote = accept('\'') ? '\'' : accept('"') ? '"' : '\0';
    if (quote == '\0') return wrong("expected a string");
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) return wrong("the string has no end");
    const std::string out(text_.substr(at_, end - at_));
    if (out.find('\\') != std::string::npos) return wrong("escapes are not expected here");
    at_ = end + 1;
    return out;
  }

  Result<void> parse_value(const std::string& key) {
    const unsigned bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
    if (bit == 0) return wrong(fmt::format("unknown key `{}`", printable(key, 32)));
    if ((seen_ & bit) != 0) return wrong(fmt::format("key `{}` occurs twice", key));
    seen_ |= bit;
    if (bit == 1) return parse_descr();
    return bit == 2 ? parse_order() : parse_shape();
  }

  Result<void> parse_descr() {
    skip_space();
    if (at_ < text_.size() && (text_[at_] == '[' || text_[at_] == '(')) {
      return fail(
          ErrorKind::Input,
          fmt::format("{}: byte {}: key `descr`: records have no element type here", printable(name_), offset_ + at_),
          "save each field as an array of its own");
    }
    SMELT_TRY(dict_.descr, parse_string());
    return {};
  }

  Result<void> parse_order() {
    if (accept_word("True")) {
      dict_.fortran_order = true;
    } else if (!accept_word("False")) {
      return wrong("key `fortran_order`: expected True or False");
    }
    return {};
  }

  Result<void> parse_shape() {
    SMELT_TRY_VOID(expect('('));
    while (!accept(')')) {
      skip_space();
      int64_t size = 0;
      const char* const begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error == std::errc::result_out_of_range) return wrong("key `shape`: a size leaves 64 bits");
      if (error != std::errc()) return wrong("key `shape`: expected an integer");
      if (size < 0) return wrong(fmt::format("key `shape`: {} is negative", size));
      at_ += static_cast<size_t>(end - begin);
      dict_.shape.push_back(size);
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;
      if (accept(',')) continue;
      SMELT_TRY_VOID(expect(')'));
      break;
    }
    return {};
  }

  std::string_view text_;
  const uint64_t offset_;
  const std::string& name_;
  size_t at_ = 0;
  NpyDict dict_;
  unsigned seen_ = 0;  // one bit a key
};

}  // namespace

Result<NpyDict> parse_npy_dict(std::string_view text, uint64_t offset, const std::string& name) {
  return DictParser(text, offset, name).parse();
}

}  // namespace smelt
