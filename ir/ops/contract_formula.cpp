#include "ir/ops/contract_formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace smelt {
namespace {

/// The index name at the front of `text`, which loses it; empty: there is none.
std::string_view take_name(std::string_view& text) {
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  size_t size = 0;
  while (size < text.size() && is_word(text[size])) ++size;
  if (size == 0 || std::isdigit(static_cast<unsigned char>(text[0])) != 0) return {};
  const std::string_view name = text.substr(0, size);
  text.remove_prefix(size);
  return name;
}

/// Reads `[b,k]` or `[b,i+u]` from the front of `text`; false on a syntax error.
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
    std::string axis(take_name(text));
    if (axis.empty()) return false;
    if (text.starts_with('+') || text.starts_with('-')) {
      axis += text.front();
      text.remove_prefix(1);
      const std::string_view tap = take_name(text);
      if (tap.empty()) return false;
      axis += tap;
    }
    indices.push_back(std::move(axis));
  } while (take(','));
  return take(']');
}

bool read_arrow(std::string_view& text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  if (!text.starts_with("->")) return false;
  text.remove_prefix(2);
  return true;
}

bool has_repeat(const std::vector<std::string>& axes) {
  const std::vector<std::string> indices = indices_of(axes);
  for (size_t i = 0; i < indices.size(); ++i) {
    if (position_of(indices, indices[i]) != static_cast<int>(i)) return true;
  }
  return false;
}

std::string list(const std::vector<std::string>& indices) { return fmt::format("[{}]", fmt::join(indices, ",")); }

/// A window slides along the result with taps of the right operand, or the other way round.
Result<bool> check_windows(const ContractFormula& formula, std::string_view text) {
  std::optional<bool> reversed_base_in_result;
  for (const auto* axes : {&formula.rhs, &formula.out}) {
    for (const std::string& axis : *axes) {
      if (!window_of(axis)) continue;
      return fail(ErrorKind::Model, fmt::format("`{}` of `{}` is not an axis of the left operand", axis, text),
                  "only the left operand's axes may run over two indices");
    }
  }
  for (const std::string& axis : formula.lhs) {
    const std::optional<Window> window = window_of(axis);
    if (!window) continue;
    const auto in_both = [&](const std::string& one, const std::string& other) {
      return position_of(formula.rhs, one) >= 0 && position_of(formula.out, one) < 0 &&
             position_of(formula.out, other) >= 0 && position_of(formula.rhs, other) < 0;
    };
    if (!in_both(window->base, window->tap) && !in_both(window->tap, window->base)) {
      return fail(
          ErrorKind::Model,
          fmt::format(
              "of the two indices of `{}` in `{}` one must be in the right operand alone and one in the result alone",
              axis, text));
    }
    if (!window->reversed) continue;
    const bool base_in_result = position_of(formula.out, window->base) >= 0;
    if (reversed_base_in_result.value_or(base_in_result) != base_in_result) {
      return fail(
          ErrorKind::Model,
          fmt::format(
              "the reversed windows of `{}` must all have their first index in the result, or all in the right operand",
              text));
    }
    reversed_base_in_result = base_in_result;
  }
  return true;
}

}  // namespace

std::optional<Window> window_of(std::string_view axis) {
  const size_t at = axis.find_first_of("+-");
  if (at == std::string_view::npos) return std::nullopt;
  return Window{std::string(axis.substr(0, at)), std::string(axis.substr(at + 1)), axis[at] == '-'};
}

std::vector<std::string> indices_of(const std::vector<std::string>& axes) {
  std::vector<std::string> indices;
  for (const std::string& axis : axes) {
    const std::optional<Window> window = window_of(axis);
    indices.push_back(window ? window->base : axis);
    if (window) indices.push_back(window->tap);
  }
  return indices;
}

int64_t stride_of(const std::vector<std::string>& axes, const std::vector<int64_t>& strides, std::string_view name) {
  int64_t stride = 0;
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    const std::optional<Window> window = window_of(axes[axis]);
    if (axes[axis] == name || (window && window->base == name)) stride += strides[axis];
    if (window && window->tap == name) stride += window->reversed ? -strides[axis] : strides[axis];
  }
  return stride;
}

int64_t window_start(const std::vector<std::string>& axes, const std::vector<int64_t>& strides,
                     const std::function<int64_t(const std::string&)>& extent_of_tap) {
  int64_t start = 0;
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    const std::optional<Window> window = window_of(axes[axis]);
    if (window && window->reversed) start += strides[axis] * (extent_of_tap(window->tap) - 1);
  }
  return start;
}

int position_of(const std::vector<std::string>& indices, std::string_view name) {
  const auto found = std::ranges::find(indices, name);
  return found == indices.end() ? -1 : static_cast<int>(found - indices.begin());
}

std::vector<std::string> ContractFormula::summed() const {
  std::vector<std::string> names;
  for (const std::string& name : indices_of(lhs)) {
    if (position_of(out, name) < 0) names.push_back(name);
  }
  return names;
}

bool ContractFormula::has_windows() const {
  return std::ranges::any_of(lhs, [](const std::string& axis) { return window_of(axis).has_value(); });
}

Result<ContractFormula> parse_formula(std::string_view text) {
  ContractFormula formula;
  std::string_view rest = text;
  const bool read = read_indices(rest, formula.lhs) && read_indices(rest, formula.rhs) && read_arrow(rest) &&
                    read_indices(rest, formula.out);
  if (!read || !rest.empty()) {
    return fail(ErrorKind::Model, fmt::format("cannot read contraction formula `{}`", text),
                "write it like `[b,k] [k,o] -> [b,o]`, a convolution like `[b,i+u,c] [u,c,o] -> [b,i,o]`");
  }
  for (const auto* indices : {&formula.lhs, &formula.rhs, &formula.out}) {
    if (has_repeat(*indices)) {
      return fail(ErrorKind::Model, fmt::format("an index occurs twice in `{}` of `{}`", list(*indices), text));
    }
  }
  SMELT_TRY([[maybe_unused]] const bool windows, check_windows(formula, text));
  const std::vector<std::string> left_indices = indices_of(formula.lhs);
  for (const std::string& name : formula.out) {
    if (position_of(left_indices, name) < 0 && position_of(formula.rhs, name) < 0) {
      return fail(ErrorKind::Model, fmt::format("no operand of `{}` has the result's index `{}`", text, name));
    }
  }
  const auto check_lost = [&](const auto& mine, const auto& other) -> Result<bool> {
    for (const std::string& name : mine) {
      if (position_of(formula.out, name) < 0 && position_of(other, name) < 0) {
        return fail(ErrorKind::Model,
                    fmt::format("index `{}` of `{}` is in one operand only and not in the result", name, text),
                    "sum over it before the contraction");
      }
    }
    return true;
  };
  SMELT_TRY([[maybe_unused]] const bool left, check_lost(left_indices, formula.rhs));
  SMELT_TRY([[maybe_unused]] const bool right, check_lost(formula.rhs, left_indices));
  return formula;
}

std::string to_string(const ContractFormula& formula) {
  return fmt::format("{} {} -> {}", list(formula.lhs), list(formula.rhs), list(formula.out));
}

}  // namespace smelt
