#include "ir/ops/contract_formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace smelt {
namespace {

/// Reads `[b,k]` from the front of `text`; false on a syntax error.
bool read_indices(std::string_view& text, std::vector<std::string>& indices) {
  const auto skip_spaces = [&] {
    while (text.starts_with(' ')) text.remove_prefix(1);
  };
  const auto take = [&](char c) {
    skip_spaces();
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
  };
  if (!take('[')) return false;
  if (take(']')) return true;
  do {
    skip_spaces();
    size_t size = 0;
    const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    while (size < text.size() && is_word(text[size])) ++size;
    if (size == 0 || std::isdigit(static_cast<unsigned char>(text[0])) != 0) return false;
    indices.emplace_back(text.substr(0, size));
    text.remove_prefix(size);
  } while (take(','));
  return take(']');
}

bool read_arrow(std::string_view& text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  if (!text.starts_with("->")) return false;
  text.remove_prefix(2);
  return true;
}

bool has_repeat(const std::vector<std::string>& indices) {
  for (size_t i = 0; i < indices.size(); ++i) {
    if (position_of(indices, indices[i]) != static_cast<int>(i)) return true;
  }
  return false;
}

std::string list(const std::vector<std::string>& indices) {
  return fmt::format("[{}]", fmt::join(indices, ","));
}

}  // namespace

int position_of(const std::vector<std::string>& indices, std::string_view name) {
  const auto found = std::ranges::find(indices, name);
  return found == indices.end() ? -1 : static_cast<int>(found - indices.begin());
}

std::vector<std::string> ContractFormula::summed() const {
  std::vector<std::string> names;
  for (const std::string& name : lhs) {
    if (position_of(out, name) < 0) names.push_back(name);
  }
  return names;
}

Result<ContractFormula> parse_formula(std::string_view text) {
  ContractFormula formula;
  std::string_view rest = text;
  const bool read = read_indices(rest, formula.lhs) && read_indices(rest, formula.rhs) && read_arrow(rest) &&
                    read_indices(rest, formula.out);
  if (!read || !rest.empty()) {
    return fail(ErrorKind::Model, fmt::format("cannot read contraction formula `{}`", text),
                "write it like `[b,k] [k,o] -> [b,o]`");
  }
  for (const auto* indices : {&formula.lhs, &formula.rhs, &formula.out}) {
    if (has_repeat(*indices)) {
      return fail(ErrorKind::Model,
                  fmt::format("an index occurs twice in `{}` of `{}`", list(*indices), text));
    }
  }
  for (const std::string& name : formula.out) {
    if (position_of(formula.lhs, name) < 0 && position_of(formula.rhs, name) < 0) {
      return fail(ErrorKind::Model,
                  fmt::format("no operand of `{}` has the result's index `{}`", text, name));
    }
  }
  const auto check_lost = [&](const auto& mine, const auto& other) -> Result<bool> {
    for (const std::string& name : mine) {
      if (position_of(formula.out, name) < 0 && position_of(other, name) < 0) {
        return fail(
            ErrorKind::Model,
            fmt::format("index `{}` of `{}` is in one operand only and not in the result", name, text),
            "sum over it before the contraction");
      }
    }
    return true;
  };
  SMELT_TRY([[maybe_unused]] const bool left, check_lost(formula.lhs, formula.rhs));
  SMELT_TRY([[maybe_unused]] const bool right, check_lost(formula.rhs, formula.lhs));
  return formula;
}

std::string to_string(const ContractFormula& formula) {
  return fmt::format("{} {} -> {}", list(formula.lhs), list(formula.rhs), list(formula.out));
}

}  // namespace smelt
