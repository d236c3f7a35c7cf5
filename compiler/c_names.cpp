#include "compiler/c_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>

namespace smelt {
namespace {

constexpr std::string_view kKeywords[] = {
    "NULL",          "and_eq",       "bitand",     "bitor",       "not_eq",       "or_eq",
    "xor_eq",        "offsetof",     "char8_t",    "char16_t",    "char32_t",     "wchar_t",
    "typeid",        "typeof",       "consteval",  "constinit",   "concept",      "co_await",
    "co_return",     "co_yield",     "const_cast", "static_cast", "dynamic_cast", "reinterpret_cast",
    "static_assert", "thread_local", "alignas",    "alignof",     "and",          "asm",
    "auto",          "bool",         "break",      "case",        "catch",        "char",
    "class",         "compl",        "const",      "constexpr",   "continue",     "decltype",
    "default",       "delete",       "do",         "double",      "else",         "enum",
    "explicit",      "export",       "extern",     "false",       "float",        "for",
    "friend",        "goto",         "if",         "inline",      "int",          "long",
    "mutable",       "namespace",    "new",        "noexcept",    "not",          "nullptr",
    "operator",      "or",           "private",    "protected",   "public",       "register",
    "requires",      "restrict",     "return",     "short",       "signed",       "sizeof",
    "static",        "struct",       "switch",     "template",    "this",         "throw",
    "true",          "try",          "typedef",    "typename",    "union",        "unsigned",
    "using",         "virtual",      "void",       "volatile",    "while",        "xor"};

}  // namespace

std::string identifier(std::string_view name) {
  std::string out;
  for (const char c : name) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  if (out.empty() || std::isdigit(static_cast<unsigned char>(out[0])) != 0) out.insert(0, "m_");
  if (std::ranges::find(kKeywords, out) != std::end(kKeywords)) out += '_';
  return out;
}

std::string unique(std::string wanted, std::set<std::string>& used) {
  while (!used.insert(wanted).second) wanted += '_';
  return wanted;
}

std::string unique_function(std::string wanted, std::set<std::string>& used) {
  const auto names = [&] { return std::array{wanted, wanted + "_in", wanted + "_out", wanted + "_bind"}; };
  while (std::ranges::any_of(names(), [&](const std::string& name) { return used.contains(name); })) wanted += '_';
  for (const std::string& name : names()) used.insert(name);
  return wanted;
}

std::string sizes_that_follow(const std::vector<DimSymbol>& symbols,
                              const std::function<std::string(int32_t)>& size_of) {
  std::string lines;
  for (size_t k = 0; k < symbols.size(); ++k) {
    const std::string size =
        symbols[k].follows() ? size_expression(symbols, static_cast<int32_t>(k), size_of) : std::string();
    if (!size.empty()) lines += fmt::format("  extents[{}] = {};\n", k, size);
  }
  return lines;
}

std::string size_expression(const std::vector<DimSymbol>& symbols, int32_t symbol,
                            const std::function<std::string(int32_t)>& size_of) {
  const DimSymbol& dim = symbols[static_cast<size_t>(symbol)];
  if (!dim.follows()) return size_of(symbol);
  std::string sum;
  for (const auto& [of, factor] : dim.of.terms) {
    const std::string size = size_of(of);
    if (size.empty()) return "";
    sum += (sum.empty() ? "" : " + ") + (factor == 1 ? size : fmt::format("{} * {}", factor, size));
  }
  const int64_t number = dim.of.number;
  if (number != 0) sum += fmt::format(" {} {}", number < 0 ? "-" : "+", number < 0 ? -number : number);
  return "(" + sum + ")";
}

const char* c_type(DType dtype) {
  switch (dtype) {
    case DType::Bool:
    case DType::U8: return "uint8_t";
    case DType::I8: return "int8_t";
    case DType::I16: return "int16_t";
    case DType::I32: return "int32_t";
    case DType::I64: return "int64_t";
    case DType::F16:
    case DType::BF16: return "uint16_t";
    case DType::F32: return "float";
    case DType::F64: return "double";
  }
  return "void";
}

}  // namespace smelt
