#include "runtime/data/load_pictures.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/readers.h"
#include "runtime/data/picture_list.h"
#include "runtime/data/read_pictures.h"
#include "runtime/data/split_rows.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

/// Those of the section's first split, so that a number means the same class in all of them.
Result<std::vector<std::string>> classes_of_section(const DataPlan& plan, const Split& split,
                                                    std::span<const PictureFile> ours, const DataPaths& paths) {
  const SourceCall& first = first_split(plan, split.section).source;
  const bool known = first.paths == split.source.paths || first.pictures.label == PictureLabel::None;
  if (known || first.reader != split.source.reader) return class_names(ours);
  std::vector<std::string> places;
  for (const std::string& path : first.paths) {
    SMELT_TRY(places.emplace_back(), resolve_data_path(path, plan.section_name(split.section), paths));
  }
  SMELT_TRY(const std::vector<PictureFile> files, list_pictures(first, places, paths.limits));
  return class_names(files);
}

/// Of the labels of a section; null when no field takes them as such.
const ColumnLimit* limit_of_labels(const DataPlan& plan, int32_t section) {
  const auto limit = std::ranges::find_if(plan.limits, [&](const ColumnLimit& l) {
    const Column& column = plan.columns[static_cast<size_t>(l.column)];
    return column.field == 1 && column.section == section;
  });
  return limit == plan.limits.end() ? nullptr : &*limit;
}

/// Another section numbers the words of the dim by its own.
bool is_shared(const DataPlan& plan, const std::string& dim, int32_t section) {
  return std::ranges::any_of(plan.limits, [&](const ColumnLimit& limit) {
    return limit.dim == dim && plan.columns[static_cast<size_t>(limit.column)].section != section;
  });
}

/// The classes as a checkpoint has them; null: it has none.
const std::vector<std::string>* known_classes(const DataPlan& plan, const std::string& dim) {
  if (!plan.known_words || dim.empty()) return nullptr;
  const auto known = plan.known_words->words.find(dim);
  return known == plan.known_words->words.end() ? nullptr : &known->second;
}

Result<void> check_class_count(const Split& split, const std::vector<std::string>& classes, const ColumnLimit* limit) {
  if (limit == nullptr || static_cast<int64_t>(classes.size()) <= limit->below) return {};
  return fail(ErrorKind::Input,
              fmt::format("`{}` has {} classes, `{}` is {}", printable(split.source.paths.front()), classes.size(),
                          limit->dim, limit->below),
              fmt::format("the first that has no place is `{}`", printable(classes[static_cast<size_t>(limit->below)])),
              limit->span);
}

}  // namespace

Result<LoadedPictures> load_pictures(const DataPlan& plan, const Split& split, std::span<const std::string> places,
                                     const DataPaths& paths, int threads) {
  LoadedPictures out;
  SMELT_TRY(const std::vector<PictureFile> all, list_pictures(split.source, places, paths.limits));
  std::vector<int32_t> numbers(all.size());
  if (split.source.pictures.label != PictureLabel::None) {
    const Split& first = first_split(plan, split.section);
    const ColumnLimit* const limit = limit_of_labels(plan, split.section);
    if (limit != nullptr && !is_shared(plan, limit->dim, split.section)) out.dim = limit->dim;
    std::string whose = fmt::format("split `{}`", first.name);
    if (const std::vector<std::string>* known = known_classes(plan, out.dim)) {
      out.classes = *known;
      whose = plan.known_words->where;
    } else {
      SMELT_TRY(out.classes, classes_of_section(plan, split, all, paths));
    }
    SMELT_TRY_VOID(check_class_count(split, out.classes, limit));
    SMELT_TRY(numbers, class_numbers(all, out.classes, whose, limit));
    if (split.name == first.name) {
      SMELT_TRY(out.notes, notes_of_mixtures(all));
    }
  }
  SMELT_TRY(const std::vector<int32_t> rows, rows_of_split(plan, split, static_cast<int64_t>(all.size())));
  SMELT_TRY(out.labels, HostTensor::zeros(DType::I32, {static_cast<int64_t>(rows.size())}, "labels"));
  std::vector<PictureFile> chosen;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<size_t>(rows[i]);
    chosen.push_back(all[row]);
    out.labels.as<int32_t>()[i] = numbers[row];
    out.names.push_back(all[row].name);
  }
  SMELT_TRY(out.pixels, read_pictures(chosen, split.source.pictures, paths, threads, out.notes));
  return out;
}

}  // namespace smelt
