#include "runtime/files/safetensors_header.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "runtime/files/message.h"
#include "runtime/files/safetensors.h"

namespace smelt {
namespace {

constexpr uint64_t kMaxInteger = uint64_t{1} << 53;
constexpr std::string_view kMetadata = "__metadata__";

enum class Field : uint8_t { None, DTypeName, Shape, Offsets };
struct FieldName {
  std::string_view name;
  Field field;
};
constexpr FieldName kFields[] = {
    {"dtype", Field::DTypeName}, {"shape", Field::Shape}, {"data_offsets", Field::Offsets}};

// Where the reader is: the three levels that a header has.
enum class Place : uint8_t { Start, Header, Metadata, Tensor, Array, End };

// A SAX handler for nlohmann: every callback returns false to stop, after setting `error`. The library's own
// parser is iterative, so nesting cannot overflow the stack; anything deeper than the three levels is refused
// here.
class HeaderReader {
 public:
  HeaderReader(const std::string& file, const Limits& limits) : file_(file), limits_(limits) {}

  SafetensorsHeader header;
  std::optional<Error> error;

  bool null() { return unexpected_value("null"); }
  bool boolean(bool) { return unexpected_value("a boolean"); }
  bool number_integer(int64_t) { return unexpected_value("a negative number"); }
  bool number_float(double, const std::string& text) {
    return unexpected_value(fmt::format("`{}`, which is no plain integer", printable(text, 32)));
  }
  bool binary(std::vector<uint8_t>&) { return unexpected_value("binary"); }

  bool number_unsigned(uint64_t value) {
    if (place_ != Place::Array) return unexpected_value("a number");
    if (value > kMaxInteger) return stop(fmt::format("{} is larger than 2^53", value));
    if (field_ == Field::Shape) {
      if (tensor_.shape.size() > kMaxStoredRank) return stop(fmt::format("more than {} axes", kMaxStoredRank));
      tensor_.shape.push_back(value);
    } else {
      if (num_offsets_ == 2) return stop("more than two offsets");
      (num_offsets_++ == 0 ? tensor_.begin : tensor_.end) = value;
    }
    return true;
  }

  bool string(std::string& text) {
    if (place_ == Place::Metadata) {
      header.metadata[key_] = std::move(text);
      return true;
    }
    if (place_ != Place::Tensor || field_ != Field::DTypeName) return unexpected_value("a string");
    tensor_.dtype = std::move(text);
    seen_ |= field_bit();
    return true;
  }

  bool start_object(size_t) {
    switch (place_) {
      case Place::Start: place_ = Place::Header; return true;
      case Place::Header: place_ = key_ == kMetadata ? Place::Metadata : Place::Tensor; return start_entry();
      case Place::Metadata:
      case Place::Tensor:
      case Place::Array:
      case Place::End: break;
    }
    return unexpected_value("an object");
  }

  bool key(std::string& text) {
    if (place_ == Place::Header) return header_key(text);
    if (place_ == Place::Metadata) {
      key_ = text;
      return !header.metadata.contains(text) || stop(fmt::format("key `{}` occurs twice", printable(text)));
    }
    for (const FieldName& known : kFields) {
      if (known.name != text) continue;
      field_ = known.field;
      return (seen_ & field_bit()) == 0 || stop(fmt::format("field `{}` occurs twice", text));
    }
    return stop(fmt::format("unknown field `{}`", printable(text)));
  }

  bool end_object() {
    if (place_ == Place::Header) {
      place_ = Place::End;
      return true;
    }
    if (place_ == Place::Tensor && !finish_tensor()) return false;
    place_ = Place::Header;
    field_ = Field::None;
    return true;
  }

  bool start_array(size_t) {
    if (place_ != Place::Tensor || (field_ != Field::Shape && field_ != Field::Offsets)) {
      return unexpected_value("an array");
    }
    place_ = Place::Array;
    seen_ |= field_bit();
    return true;
  }

  bool end_array() {
    place_ = Place::Tensor;
    return field_ != Field::Offsets || num_offsets_ == 2 || stop("two offsets are needed");
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) {
    if (error) return false;
    error = Error{ErrorKind::Input,
                  fmt::format("{}: byte {}: the header is not well-formed JSON in UTF-8", printable(file_),
                              8 + (position == 0 ? 0 : position - 1)),
                  "the file is damaged: copy or download it again",
                  {}};
    return false;
  }

 private:
  unsigned field_bit() const { return 1u << static_cast<unsigned>(field_); }

  bool stop(std::string_view what) {
    std::string where;
    if (place_ == Place::Metadata) where = "`__metadata__`: ";
    if (place_ == Place::Tensor || place_ == Place::Array)
      where = fmt::format("tensor `{}`: ", printable(tensor_.name));
    error = Error{ErrorKind::Input, fmt::format("{}: header: {}{}", printable(file_), where, what), {}, {}};
    return false;
  }
  bool stop_at_limit(std::string_view what, std::string help) {
    stop(what);
    error->kind = ErrorKind::Limit;
    error->help = std::move(help);
    return false;
  }

  bool unexpected_value(std::string_view what) {
    if (place_ == Place::Header) return stop(fmt::format("entry `{}` is {}, not an object", printable(key_), what));
    if (place_ == Place::Metadata) {
      return stop(fmt::format("key `{}` is {}; only strings are allowed", printable(key_), what));
    }
    for (const FieldName& known : kFields) {
      if (known.field == field_) return stop(fmt::format("field `{}` holds {}", known.name, what));
    }
    return stop(fmt::format("unexpected {}", what));
  }

  bool header_key(const std::string& text) {
    key_ = text;
    if (text.size() > limits_.tensor_name) {
      return stop_at_limit(fmt::format("a name of {} bytes, the limit is {}", text.size(), limits_.tensor_name),
                           raise_limit(&Limits::tensor_name, text.size()));
    }
    for (const char c : text) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
        return stop(fmt::format("name `{}` has a control character", printable(text)));
      }
    }
    if (!names_.insert(text).second) return stop(fmt::format("`{}` occurs twice", printable(text)));
    return true;
  }

  bool start_entry() {
    if (place_ == Place::Metadata) return true;
    if (header.tensors.size() == limits_.tensors) {
      place_ = Place::Header;  // of the file, not of one tensor
      return stop_at_limit(fmt::format("more than {} tensors", limits_.tensors),
                           double_limit(&Limits::tensors, limits_));
    }
    tensor_ = HeaderTensor{};
    tensor_.name = key_;
    seen_ = 0;
    num_offsets_ = 0;
    field_ = Field::None;
    return true;
  }

  bool finish_tensor() {
    for (const FieldName& known : kFields) {
      if ((seen_ & (1u << static_cast<unsigned>(known.field))) == 0) {
        return stop(fmt::format("field `{}` is missing", known.name));
      }
    }
    header.tensors.push_back(std::move(tensor_));
    return true;
  }

  const std::string& file_;
  const Limits& limits_;
  Place place_ = Place::Start;
  Field field_ = Field::None;
  std::string key_;
  std::unordered_set<std::string> names_;
  HeaderTensor tensor_;
  unsigned seen_ = 0;  // bits by Field
  int num_offsets_ = 0;
};

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, const std::string& name,
                                                   const Limits& limits) {
  HeaderReader reader(name, limits);
  const bool good = nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  if (reader.error) return std::unexpected(std::move(*reader.error));
  if (!good) return fail(ErrorKind::Input, fmt::format("{}: the header is not well-formed JSON", printable(name)));
  return std::move(reader.header);
}

}  // namespace smelt
