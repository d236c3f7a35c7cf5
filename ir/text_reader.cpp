#include "ir/text_reader.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "ir/text_formula.h"

namespace smelt {

std::unexpected<Error> TextReader::unexpected(std::string_view wanted) const {
  return wrong("expected {}, got `{}`", wanted, scanner_.next());
}

Result<void> TextReader::expect(std::string_view token) {
  if (!scanner_.take(token)) return unexpected(fmt::format("`{}`", token));
  return {};
}

Result<int64_t> TextReader::read_integer() {
  const std::optional<int64_t> value = scanner_.number<int64_t>();
  if (!value) return unexpected("an integer");
  return *value;
}

Result<int32_t> TextReader::read_index() {
  SMELT_TRY(const int64_t value, read_integer());
  if (value < 0 || value > INT32_MAX) return wrong("number {} is out of range", value);
  return static_cast<int32_t>(value);
}

Result<double> TextReader::read_number() {
  const std::optional<double> value = scanner_.number<double>();
  if (!value) return unexpected("a number");
  return *value;
}

Result<std::string> TextReader::read_quoted() {
  std::optional<std::string> value = scanner_.quoted();
  if (!value) return unexpected("a string");
  return *std::move(value);
}

Result<Extent> TextReader::read_extent(const std::vector<DimSymbol>& symbols) {
  return at_line(smelt::read_extent(scanner_, symbols));
}

Result<TensorType> TextReader::read_type(const std::vector<DimSymbol>& symbols) {
  const std::string_view name = scanner_.word();
  const std::optional<DType> dtype = parse_dtype(name);
  if (!dtype) return wrong("no dtype `{}`", name);
  TensorType type{*dtype, {}};
  if (!scanner_.take("[")) return type;
  do {
    SMELT_TRY(const Extent extent, read_extent(symbols));
    type.shape.push_back(extent);
  } while (scanner_.take(","));
  SMELT_TRY_VOID(expect("]"));
  return type;
}

Result<AttrValue> TextReader::read_attribute(AttrType type, const std::vector<DimSymbol>& symbols) {
  switch (type) {
    case AttrType::Int: {
      SMELT_TRY(const int64_t value, read_integer());
      return AttrValue(value);
    }
    case AttrType::Float: {
      SMELT_TRY(const double value, read_number());
      return AttrValue(value);
    }
    case AttrType::String: {
      SMELT_TRY(std::string value, read_quoted());
      return AttrValue(std::move(value));
    }
    case AttrType::Ints: {
      SMELT_TRY_VOID(expect("["));
      std::vector<int64_t> values;
      if (scanner_.take("]")) return AttrValue(std::move(values));
      do {
        SMELT_TRY(const int64_t value, read_integer());
        values.push_back(value);
      } while (scanner_.take(","));
      SMELT_TRY_VOID(expect("]"));
      return AttrValue(std::move(values));
    }
    case AttrType::Formula: {
      SMELT_TRY(IndexFormula formula, at_line(read_formula(scanner_, symbols)));
      return AttrValue(std::move(formula));
    }
    case AttrType::Type: {
      SMELT_TRY(TensorType value, read_type(symbols));
      return AttrValue(std::move(value));
    }
  }
  return wrong("an attribute of no type");
}

Result<Attributes> TextReader::read_attributes(const OpDef& op, const std::vector<DimSymbol>& symbols) {
  Attributes attrs;
  if (!scanner_.take("{")) return attrs;
  do {
    const std::string_view key = scanner_.word();
    const AttrDef* attribute = std::ranges::find(op.attributes, key, &AttrDef::name);
    if (attribute == op.attributes.end()) return wrong("`{}` has no attribute `{}`", op.name, key);
    SMELT_TRY_VOID(expect("="));
    SMELT_TRY(AttrValue value, read_attribute(attribute->type, symbols));
    attrs.set(attribute->name, std::move(value));
  } while (scanner_.take(","));
  SMELT_TRY_VOID(expect("}"));
  return attrs;
}

bool is_identifier(std::string_view name) {
  if (name.empty() || (std::isalpha(static_cast<unsigned char>(name[0])) == 0 && name[0] != '_')) return false;
  return std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '/';
  });
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string to_string(const AttrValue& value, const std::vector<DimSymbol>& symbols) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return fmt::format("{}", *integer);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  if (const auto* text = std::get_if<std::string>(&value)) return quoted(*text);
  if (const auto* formula = std::get_if<IndexFormula>(&value)) return to_string(*formula, symbols);
  if (const auto* type = std::get_if<TensorType>(&value)) return to_string(*type, symbols);
  return fmt::format("[{}]", fmt::join(std::get<std::vector<int64_t>>(value), ", "));
}

}  // namespace smelt
