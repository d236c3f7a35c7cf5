// The options of readers, one table entry each.
#include "frontend/reader_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <ranges>
#include <set>

#include "frontend/evaluator.h"
#include "frontend/shapes.h"
#include "ir/readers.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {
namespace {

constexpr int64_t kMaxSide = 65'536;       // of a picture: far above what a network takes
constexpr int64_t kMaxWindow = 1'048'576;  // of a text or a sound, likewise

template <typename T>
struct KnownWord {
  std::string_view text;
  T value;
};
constexpr KnownWord<Fit> kFits[] = {{"crop", Fit::Crop}, {"pad", Fit::Pad}, {"stretch", Fit::Stretch}};
constexpr KnownWord<PictureLabel> kLabels[] = {{"folder", PictureLabel::Folder}, {"column", PictureLabel::Column}};
constexpr KnownWord<std::array<uint8_t, 3>> kColours[] = {
    {"white", {255, 255, 255}}, {"black", {0, 0, 0}}, {"grey", {128, 128, 128}}};

class Options {
 public:
  Options(const ast::Ast& ast, SourceCall& source, Evaluator& evaluator, Shapes& shapes, Diagnostics& diagnostics)
      : ast_(ast),
        source_(source),
        out_(source.pictures),
        evaluator_(evaluator),
        shapes_(shapes),
        diagnostics_(diagnostics) {}

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
  void window(const ast::Arg& arg) {
    const auto given = shapes_.expect_integer(evaluator_.eval(arg.value), span(arg), "the length of a window");
    source_.window = std::clamp<int64_t>(given.value_or(1), 1, kMaxWindow);
    if (!given || *given == source_.window) return;
    const std::string_view unit = find_reader_record(source_.reader)->kind == FileKind::Sound ? "samples" : "bytes";
    diagnostics_
        .report(Diag::E0503, span(arg), fmt::format("windows of {} {}; they have 1 to {}", *given, unit, kMaxWindow))
        .with_help("write `window = 128`, or the dim of the fields: `window = T`");
  }
  void length(const ast::Arg& arg) {
    const Value value = evaluator_.eval(arg.value);
    if (const auto* dim = value.as<DimValue>()) return string_length(0, shapes_.axis_of(dim->id).extent, arg);
    const auto given = shapes_.expect_integer(value, span(arg), "the length of a line");
    if (given) string_length(0, Extent(*given), arg);
  }
  void lengths(const ast::Arg& arg) {
    const Value value = evaluator_.eval(arg.value);
    const auto* both = value.as<ShapeValue>();
    if (both == nullptr || both->axes.size() != 2) {
      if (!value.bad())
        diagnostics_.report(Diag::E0503, span(arg), "`lengths` are two: those of the first and the second string")
            .with_help("write `lengths = [20, 22]`, in bytes, or dims: `lengths = [S, T]`");
      return;
    }
    for (size_t i = 0; i < 2; ++i) string_length(i, both->axes[i].extent, arg);
  }
  void ends(const ast::Arg& arg) {
    const Value value = evaluator_.eval(arg.value);
    const auto* tuple = value.as<TupleValue>();
    const bool pairs = find_reader_record(source_.reader)->kind == FileKind::Pairs;
    if (tuple != nullptr && (!pairs || tuple->items.size() != 2)) {
      diagnostics_
          .report(Diag::E0503, span(arg),
                  fmt::format("`ends` has {} numbers; `{}` has {} a row", tuple->items.size(), source_.reader,
                              pairs ? "two strings" : "one string"))
          .with_help(pairs ? "write `ends = (0, 1)`: of the first and of the second string" : "write `ends = 1`");
      return;
    }
    for (size_t i = 0; i < (pairs ? 2 : 1); ++i) {
      const auto given = shapes_.expect_integer(tuple == nullptr ? value : tuple->items[i], span(arg), "`ends`");
      if (!given) return;
      source_.ends[i] = *given;
      if (*given >= 0 && *given <= kMaxWindow) continue;
      source_.ends[i] = 0;
      diagnostics_.report(Diag::E0503, span(arg), fmt::format("{} zeros behind a string", *given))
          .with_help(
              "`ends` is how many zeros belong to the end of each string: mostly 1, which a model learns to write");
      return;
    }
  }
  void tokens(const ast::Arg& arg) {
    const auto* path = ast_.as<ast::StringExpr>(arg.value);
    if (path != nullptr && !path->value.empty()) {
      source_.tokens = path->value;
      return;
    }
    diagnostics_.report(Diag::E0503, span(arg), "`tokens` is the path of a model of subwords, a string")
        .with_help("write `tokens = \"m.model\"`; `smelt tokens train book.txt -o m.model --size 1000` makes one");
  }
  void rate(const ast::Arg& arg) {
    const auto given = shapes_.expect_integer(evaluator_.eval(arg.value), span(arg), "the rate of a sound");
    source_.rate = std::clamp(given.value_or(kLeastSoundRate), kLeastSoundRate, kLargestSoundRate);
    if (!given || *given == source_.rate) return;
    diagnostics_
        .report(Diag::E0503, span(arg),
                fmt::format("{} samples a second; a sound has {} to {}", *given, kLeastSoundRate, kLargestSoundRate))
        .with_help("telephones have 8000, compact discs 44100: what lies above half of the rate is lost");
  }

 private:
  Span span(const ast::Arg& arg) const { return ast_[arg.value].span; }

  /// Of string k. That of a run-time dim is the longest of each batch.
  void string_length(size_t k, const Extent& extent, const ast::Arg& arg) {
    source_.lengths[k] = 1;
    if (!extent.is_static() && shapes_.size_of_extent(extent) != Size{{{extent.symbol, 1}}, 0}) {
      diagnostics_.report(Diag::E0503, span(arg), "the length of a string is a dim that follows from another one")
          .with_help("declare a dim of its own, `dim T <= 64`, and take parts of the field: `text[.. T - 1]`");
      return;
    }
    if (extent.scale == 1 && extent.bound >= 1 && extent.bound <= kMaxWindow) {
      source_.lengths[k] = extent.bound;
      source_.length_symbols[k] = extent.symbol;
      return;
    }
    diagnostics_
        .report(Diag::E0503, span(arg), fmt::format("strings of {} bytes; they have 1 to {}", extent.bound, kMaxWindow))
        .with_help(
            "write how many bytes the longest has, or a dim of that size; `dim T <= 64` is as long as the longest "
            "string of each batch");
  }

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
  void word(const ast::Arg& arg, const KnownWord<T> (&words)[N], T& out) {
    const auto* name = ast_.as<ast::NameExpr>(arg.value);
    const auto* found = name == nullptr ? std::end(words) : std::ranges::find(words, name->name, &KnownWord<T>::text);
    if (found != std::end(words)) {
      out = found->value;
      return;
    }
    std::vector<std::string_view> known;
    for (const KnownWord<T>& w : words) known.push_back(w.text);
    diagnostics_.report(Diag::E0503, span(arg), fmt::format("`{}` is one of {}", arg.name.text, fmt::join(known, ", ")))
        .with_help(name == nullptr ? "" : did_you_mean(name->name, known));
  }

  const ast::Ast& ast_;
  SourceCall& source_;
  PictureOptions& out_;
  Evaluator& evaluator_;
  Shapes& shapes_;
  Diagnostics& diagnostics_;
};

struct Option {
  FileKind kind;  // of the reader that has it
  std::string_view name;
  void (Options::*read)(const ast::Arg&);
  std::string_view if_missing = {};  // why it must be given
};
constexpr Option kReaderOptions[] = {
    {FileKind::Picture, "size", &Options::size,
     "pictures become of one size: write `size = 64`, or `size = [48, 64]` for height and width"},
    {FileKind::Picture, "channels", &Options::channels},
    {FileKind::Picture, "fit", &Options::fit},
    {FileKind::Picture, "label", &Options::label},
    {FileKind::Picture, "over", &Options::over},
    {FileKind::Text, "window", &Options::window,
     "a text is cut into rows of equal length: write `window = 128`, or the dim of the fields: `window = T`"},
    {FileKind::Lines, "length", &Options::length,
     "lines become of one length: write `length = 40`, or the dim of the field: `length = T`"},
    {FileKind::Pairs, "lengths", &Options::lengths,
     "strings become of one length each: write `lengths = [20, 22]`, or the dims of the fields: `lengths = [S, T]`"},
    {FileKind::Lines, "ends", &Options::ends},
    {FileKind::Pairs, "ends", &Options::ends},
    {FileKind::Text, "tokens", &Options::tokens},
    {FileKind::Lines, "tokens", &Options::tokens},
    {FileKind::Pairs, "tokens", &Options::tokens},
    {FileKind::Sound, "rate", &Options::rate,
     "recordings become of one rate: write `rate = 8000`, the samples a second"},
    {FileKind::Sound, "window", &Options::window,
     "recordings are cut into rows of equal length: write `window = 4096`, in samples, or the dim of the field: "
     "`window = T`"}};

}  // namespace

void read_reader_options(const ast::Ast& ast, const ast::CallExpr& call, SourceCall& source, Evaluator& evaluator,
                         Shapes& shapes, Diagnostics& diagnostics) {
  const ReaderRecord& reader = *find_reader_record(source.reader);
  const auto of_reader = [&](const Option& o) { return o.kind == reader.kind; };
  Options options(ast, source, evaluator, shapes, diagnostics);
  std::set<std::string_view> seen;
  for (const ast::Arg& arg : call.args) {
    if (arg.name.empty()) continue;  // a path
    const auto* option =
        std::ranges::find_if(kReaderOptions, [&](const Option& o) { return of_reader(o) && o.name == arg.name.text; });
    if (option == std::end(kReaderOptions)) {
      std::vector<std::string_view> known;
      for (const Option& o : kReaderOptions | std::views::filter(of_reader)) known.push_back(o.name);
      diagnostics.report(Diag::E0401, arg.name.span, fmt::format("`{}` has no option `{}`", reader.name, arg.name.text))
          .with_help(suggest(arg.name.text, known));
    } else if (!seen.insert(option->name).second) {
      diagnostics.report(Diag::E0401, arg.name.span, fmt::format("`{}` is given twice", option->name));
    } else {
      (options.*option->read)(arg);
    }
  }
  for (const Option& o : kReaderOptions | std::views::filter(of_reader)) {
    if (o.if_missing.empty() || seen.contains(o.name)) continue;
    diagnostics.report(Diag::E0401, source.span, fmt::format("`{}` lacks `{}`", reader.name, o.name))
        .with_help(std::string(o.if_missing));
  }
  // What was reported as missing has some size, so that rows have a type.
  source.window = std::max<int64_t>(source.window, 1);
  for (int64_t& length : source.lengths) length = std::max<int64_t>(length, 1);
  for (size_t k = 0; k < source.ends.size(); ++k) {
    if (source.ends[k] < source.lengths[k] || !has_lengths(source)) continue;
    diagnostics
        .report(Diag::E0503, source.span,
                fmt::format("strings of {} bytes with {} zeros behind them leave no byte", source.lengths[k],
                            source.ends[k]))
        .with_help("the length of a string counts the zeros of `ends`");
    source.ends[k] = 0;
  }
  if (source.pictures.height < 1) source.pictures.height = source.pictures.width = 1;
}

}  // namespace smelt::frontend
