#include "ir/text_formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "ir/support/check.h"

namespace smelt {
namespace {

constexpr int64_t kMaxNumber = int64_t{1} << 32;  // far from overflow; what is allowed, `extents_of` says

/// Indices by name, in the order of first appearance, until the result gives them numbers.
class FormulaReader {
 public:
  FormulaReader(TextScanner& scanner, const std::vector<DimSymbol>& symbols) : scanner_(scanner), symbols_(symbols) {}

  Result<IndexFormula> read() {
    do {
      SMELT_TRY(IndexMap map, read_map());
      formula_.operands.push_back(std::move(map));
    } while (!scanner_.take("->"));
    SMELT_TRY_VOID(read_result());
    if (scanner_.take("over")) SMELT_TRY_VOID(read_summed());
    return numbered();
  }

 private:
  std::unexpected<Error> bad() const {
    return fail(ErrorKind::Model, fmt::format("cannot read an index formula at `{}`", scanner_.next()),
                "write it like `[i,k] [k,j] -> [i,j]`, a convolution like `[n,2*i+u,c] [u,c,o] -> [n,i,o]`");
  }

  int32_t index_of(std::string_view name) {
    const auto found = std::ranges::find(names_, name);
    if (found != names_.end()) return static_cast<int32_t>(found - names_.begin());
    names_.emplace_back(name);
    formula_.extents.push_back(unstated());
    return static_cast<int32_t>(names_.size()) - 1;
  }

  Result<IndexMap> read_map() {
    IndexMap map{{}, scanner_.take("?")};
    if (!scanner_.take("[")) return bad();
    if (scanner_.take("]")) return map;
    do {
      SMELT_TRY(Affine axis, read_axis());
      map.axes.push_back(std::move(axis));
    } while (scanner_.take(","));
    if (!scanner_.take("]")) return bad();
    return map;
  }

  /// `2*i+u-1`: terms with a sign between them.
  Result<Affine> read_axis() {
    Affine axis;
    int64_t sign = scanner_.take("-") ? -1 : 1;
    for (;;) {
      SMELT_TRY(const Affine term, read_term());
      axis = axis + term * sign;
      if (scanner_.take("+")) {
        sign = 1;
      } else if (scanner_.take("-")) {
        sign = -1;
      } else {
        return axis;
      }
    }
  }

  Result<Affine> read_term() {
    const std::optional<int64_t> number = scanner_.number<int64_t>();
    if (number && (*number > kMaxNumber || *number < 0)) return bad();
    if (number && !scanner_.take("*")) return Affine{*number, {}};
    const std::string_view name = scanner_.word();
    if (name.empty()) return bad();
    return Affine::of(index_of(name)) * number.value_or(1);
  }

  Result<void> read_stated() {
    const std::string_view name = scanner_.word();
    if (name.empty()) return bad();
    const int32_t index = index_of(name);
    if (std::ranges::find(order_, index) != order_.end())
      return fail(ErrorKind::Model, fmt::format("an index occurs twice: `{}`", name));
    order_.push_back(index);
    if (!scanner_.take("<")) return {};
    SMELT_TRY(formula_.extents[static_cast<size_t>(index)], read_extent(scanner_, symbols_));
    return {};
  }

  Result<void> read_result() {
    if (!scanner_.take("[")) return bad();
    if (scanner_.take("]")) return {};
    do SMELT_TRY_VOID(read_stated());
    while (scanner_.take(","));
    if (!scanner_.take("]")) return bad();
    formula_.rank = static_cast<int32_t>(order_.size());
    return {};
  }

  Result<void> read_summed() {
    do SMELT_TRY_VOID(read_stated());
    while (scanner_.take(","));
    return {};
  }

  /// Numbers instead of places in `names_`: the result's first, then those that are summed as the operands have them,
  /// whichever of them `over` states.
  IndexFormula numbered() {
    for (int32_t index = 0; index < static_cast<int32_t>(names_.size()); ++index) {
      if (std::ranges::find(order_, index) == order_.end()) order_.push_back(index);
    }
    std::sort(order_.begin() + formula_.rank, order_.end());
    std::vector<Affine> places(names_.size());
    IndexFormula result{formula_.rank, formula_.operands, {}};
    for (const int32_t index : order_) {
      places[static_cast<size_t>(index)] = Affine::of(result.num_indices());
      result.extents.push_back(formula_.extents[static_cast<size_t>(index)]);
    }
    for (IndexMap& map : result.operands) {
      for (Affine& axis : map.axes) axis = substitute(axis, places);
    }
    return canonical(result);
  }

  TextScanner& scanner_;
  const std::vector<DimSymbol>& symbols_;
  IndexFormula formula_;
  std::vector<std::string> names_;
  std::vector<int32_t> order_;
};

/// `T`, `T-1` or `2*T+U`: names with how often each stands there.
struct SymbolName {
  std::string whole;
  std::vector<std::pair<std::string, int64_t>> of;
  int64_t number = 0;

  bool follows() const { return of.size() != 1 || of[0].second != 1 || number != 0; }
};

Result<SymbolName> read_symbol_name(TextScanner& scanner, std::optional<int64_t> first = {}) {
  SymbolName name;
  const auto wrong = [&] { return fail(ErrorKind::Model, fmt::format("expected a name, got `{}`", scanner.next())); };
  for (std::string_view sign;;) {
    std::optional<int64_t> count = first ? first : scanner.number<int64_t>();
    if (count && *count < 1) return wrong();
    name.whole += sign;
    if (count) name.whole += std::to_string(*count);
    if (count && !first && !scanner.take("*")) {
      if (sign.empty()) return wrong();
      name.number = sign == "-" ? -*count : *count;
      return name;
    }
    const std::string word(scanner.word());
    if (word.empty() || sign == "-") return wrong();
    name.whole += count ? "*" + word : word;
    name.of.emplace_back(word, count.value_or(1));
    first.reset();
    sign = scanner.take("+") ? "+" : scanner.take("-") ? "-" : "";
    if (sign.empty()) return name;
  }
}

}  // namespace

Result<Extent> read_extent(TextScanner& scanner, const std::vector<DimSymbol>& symbols) {
  const auto run_time = [&](int64_t symbol) -> Result<Extent> {
    const std::optional<int64_t> scale = scanner.take("*") ? scanner.number<int64_t>() : 1;
    const std::optional<int64_t> bound = scale && scanner.take("<=") ? scanner.number<int64_t>() : std::nullopt;
    if (!bound) return fail(ErrorKind::Model, fmt::format("expected `<=` and a bound, got `{}`", scanner.next()));
    return Extent(*bound, static_cast<int32_t>(symbol), *scale);
  };
  if (scanner.take("$")) {
    const std::optional<int64_t> symbol = scanner.number<int64_t>();
    if (!symbol || *symbol < 0 || *symbol > INT32_MAX) return fail(ErrorKind::Model, "no such run-time dimension");
    return run_time(*symbol);
  }
  const std::optional<int64_t> size = scanner.number<int64_t>();
  if (size && !scanner.take("*")) return Extent(*size);
  SMELT_TRY(const SymbolName name, read_symbol_name(scanner, size));
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i].name == name.whole) return run_time(static_cast<int64_t>(i));
  }
  return fail(ErrorKind::Model, fmt::format("no run-time dimension `{}`", name.whole));
}

Result<DimSymbol> read_symbol(TextScanner& scanner, const std::vector<DimSymbol>& symbols) {
  SMELT_TRY(const SymbolName name, read_symbol_name(scanner));
  DimSymbol symbol{name.whole, 0};
  for (size_t k = 0; k < name.of.size() && name.follows(); ++k) {
    const auto of = std::ranges::find(symbols, name.of[k].first, &DimSymbol::name);
    if (of == symbols.end()) return fail(ErrorKind::Model, fmt::format("no run-time dimension `{}`", name.of[k].first));
    symbol.of.terms.push_back({static_cast<int32_t>(of - symbols.begin()), name.of[k].second});
  }
  symbol.of.number = name.number;
  const std::optional<int64_t> bound = scanner.take("<=") ? scanner.number<int64_t>() : std::nullopt;
  if (!bound) return fail(ErrorKind::Model, fmt::format("expected `<=` and a bound, got `{}`", scanner.next()));
  symbol.bound = *bound;
  return symbol;
}

Result<IndexFormula> read_formula(TextScanner& scanner, const std::vector<DimSymbol>& symbols) {
  return FormulaReader(scanner, symbols).read();
}

Result<IndexFormula> parse_formula(std::string_view text, const std::vector<DimSymbol>& symbols) {
  TextScanner scanner(text);
  SMELT_TRY(IndexFormula formula, read_formula(scanner, symbols));
  if (!scanner.at_end()) return fail(ErrorKind::Model, fmt::format("`{}` stands after a formula", scanner.next()));
  return formula;
}

IndexFormula formula_of(std::string_view text) {
  Result<IndexFormula> formula = parse_formula(text);
  SMELT_CHECK(formula.has_value(), "{}: {}", text, formula.error().message);
  return *std::move(formula);
}

}  // namespace smelt
