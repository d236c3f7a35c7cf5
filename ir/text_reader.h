// What the parsers of texts share: messages with the line, expected words, numbers, types, attributes.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/op.h"
#include "ir/support/result.h"
#include "ir/text_scanner.h"
#include "ir/type.h"

namespace smelt {

class TextReader {
 public:
  explicit TextReader(TextScanner& scanner) : scanner_(scanner) {}

 protected:
  template <typename... Parts>
  std::unexpected<Error> wrong(fmt::format_string<Parts...> format, Parts&&... parts) const {
    return fail(ErrorKind::Model,
                fmt::format("line {}: {}", scanner_.line(), fmt::format(format, std::forward<Parts>(parts)...)));
  }
  std::unexpected<Error> unexpected(std::string_view wanted) const;
  Result<void> expect(std::string_view token);
  Result<int64_t> read_integer();
  Result<int32_t> read_index();  // an integer from 0 on
  Result<double> read_number();
  Result<std::string> read_quoted();
  Result<Extent> read_extent(const std::vector<DimSymbol>& symbols);
  Result<TensorType> read_type(const std::vector<DimSymbol>& symbols);
  Result<AttrValue> read_attribute(AttrType type, const std::vector<DimSymbol>& symbols);
  /// `{name = value, ..}` of an op, when a brace comes next.
  Result<Attributes> read_attributes(const OpDef& op, const std::vector<DimSymbol>& symbols);

  template <typename T>
  Result<T> at_line(Result<T> result) const {
    if (!result) return wrong("{}", result.error().message);
    return result;
  }

  TextScanner& scanner_;
};

/// A letter or `_`, then letters, digits, `_`, `.` and `/`.
bool is_identifier(std::string_view name);
/// In quotation marks, with backslashes before those inside.
std::string quoted(std::string_view text);
std::string to_string(const AttrValue& value, const std::vector<DimSymbol>& symbols);

}  // namespace smelt
