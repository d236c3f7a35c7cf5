// The options of `images(..)`, one table entry each.
#include "frontend/picture_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>

#include "frontend/evaluator.h"
#include "frontend/shapes.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {
namespace {

constexpr int64_t kMaxSide = 65'536;  // of a row: far above what a network takes

template <typename T>
struct Word {
  std::string_view text;
  T value;
};
constexpr Word<Fit> kFits[] = {{"crop", Fit::Crop}, {"pad", Fit::Pad}, {"stretch", Fit::Stretch}};
constexpr Word<PictureLabel> kLabels[] = {{"folder", PictureLabel::Folder}, {"column", PictureLabel::Column}};
constexpr Word<std::array<uint8_t, 3>> kColours[] = {
    {"white", {255, 255, 255}}, {"black", {0, 0, 0}}, {"grey", {128, 128, 128}}};

class Options {
 public:
  Options(const ast::Ast& ast, PictureOptions& out, Evaluator& evaluator, Shapes& shapes, Diagnostics& diagnostics)
      : ast_(ast), out_(out), evaluator_(evaluator), shapes_(shapes), diagnostics_(diagnostics) {}

  void size(const ast::Arg& arg) {
    const Value value = evaluator_.eval(arg.value);
    if (const auto* sides = value.as<ShapeValue>(); sides != nullptr && sides->axes.size() == 2) {
      out_.height = side(sides->axes[0].extent, arg);
      out_.width = side(sides->axes[1].extent, arg);
      return;
    }
    const std::optional<int64_t> both = shapes_.expect_integer(value, span(arg), "the side of a picture");
    out_.height = out_.width = both ? side(Extent(*both), arg) : 1;
  }
  void channels(const ast::Arg& arg) {
    const auto count = shapes_.expect_integer(evaluator_.eval(arg.value), span(arg), "the number of channels");
    if (count && *count != 1 && *count != 3)
      diagnostics_.report(Diag::E0503, span(arg), fmt::format("{} channels; pictures have 1 or 3", *count))
          .with_help("1 is grey, 3 is red, green and blue");
    else
      out_.channels = count.value_or(out_.channels);
  }
  void fit(const ast::Arg& arg) { word(arg, kFits, out_.fit); }
  void label(const ast::Arg& arg) { word(arg, kLabels, out_.label); }
  void over(const ast::Arg& arg) {
    const auto* text = ast_.as<ast::StringExpr>(arg.value);
    if (text == nullptr) return word(arg, kColours, out_.over);
    const std::string& hex = text->value;
    if (hex.size() != 7 || hex[0] != '#' || hex.find_first_not_of("0123456789abcdefABCDEF", 1) != std::string::npos) {
      diagnostics_.report(Diag::E0503, span(arg), fmt::format("`{}` is no colour", printable(hex, 40)))
          .with_help("write \"#rrggbb\", such as \"#ffffff\", or white, black or grey");
      return;
    }
    for (size_t c = 0; c < 3; ++c)
      out_.over[c] = static_cast<uint8_t>(std::stoi(hex.substr(1 + 2 * c, 2), nullptr, 16));
  }

 private:
  Span span(const ast::Arg& arg) const { return ast_[arg.value].span; }

  int64_t side(const Extent& extent, const ast::Arg& arg) {
    if (extent.is_static() && extent.bound >= 1 && extent.bound <= kMaxSide) return extent.bound;
    diagnostics_
        .report(Diag::E0503, span(arg),
                extent.is_static()
                    ? fmt::format("pictures with a side of {}; it may be 1 to {}", extent.bound, kMaxSide)
                    : "the side of a picture is known before the run")
        .with_help("write `size = 64`, or `size = [48, 64]` for height and width");
    return 1;
  }

  template <typename T, size_t N>
  void word(const ast::Arg& arg, const Word<T> (&words)[N], T& out) {
    const auto* name = ast_.as<ast::NameExpr>(arg.value);
    const auto* found = name == nullptr ? std::end(words) : std::ranges::find(words, name->name, &Word<T>::text);
    if (found != std::end(words)) {
      out = found->value;
      return;
    }
    std::vector<std::string_view> known;
    for (const Word<T>& w : words) known.push_back(w.text);
    diagnostics_.report(Diag::E0503, span(arg), fmt::format("`{}` is one of {}", arg.name.text, fmt::join(known, ", ")))
        .with_help(name == nullptr ? "" : did_you_mean(name->name, known));
  }

  const ast::Ast& ast_;
  PictureOptions& out_;
  Evaluator& evaluator_;
  Shapes& shapes_;
  Diagnostics& diagnostics_;
};

constexpr struct {
  std::string_view name;
  void (Options::*read)(const ast::Arg&);
} kOptions[] = {{"size", &Options::size},
                {"channels", &Options::channels},
                {"fit", &Options::fit},
                {"label", &Options::label},
                {"over", &Options::over}};

}  // namespace

void read_picture_options(const ast::Ast& ast, const ast::CallExpr& call, SourceCall& source, Evaluator& evaluator,
                          Shapes& shapes, Diagnostics& diagnostics) {
  Options options(ast, source.pictures, evaluator, shapes, diagnostics);
  std::set<std::string_view> seen;
  for (const ast::Arg& arg : call.args) {
    if (arg.name.empty()) continue;  // a path
    const auto* option = std::ranges::find_if(kOptions, [&](const auto& o) { return o.name == arg.name.text; });
    if (option == std::end(kOptions)) {
      std::vector<std::string_view> known;
      for (const auto& o : kOptions) known.push_back(o.name);
      diagnostics.report(Diag::E0401, arg.name.span, fmt::format("`images` has no option `{}`", arg.name.text))
          .with_help(suggest(arg.name.text, known));
    } else if (!seen.insert(option->name).second) {
      diagnostics.report(Diag::E0401, arg.name.span, fmt::format("`{}` is given twice", option->name));
    } else {
      (options.*option->read)(arg);
    }
  }
  if (seen.contains("size")) return;
  diagnostics.report(Diag::E0401, source.span, "`images` lacks `size`")
      .with_help("pictures become of one size: write `size = 64`, or `size = [48, 64]` for height and width");
  source.pictures.height = source.pictures.width = 1;
}

}  // namespace smelt::frontend
