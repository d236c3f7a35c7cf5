// Which pictures a call of `images` means, in which order, and of which class each is.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/support/limits.h"
#include "ir/support/result.h"

namespace smelt {

struct PictureFile {
  std::string path;                    // to open it
  std::string name;                    // in messages: from the pattern's folder or the list's on
  std::string label;                   // the class, as folders or the list have it; empty without labels
  std::string list = {}, column = {};  // where a list has the label: its file, and how messages call the column
  size_t line = 0;                     // of a list
};

/// The pictures of `source`, whose paths are at `places`: pattern by pattern in the order of the source, names of one
/// pattern by their bytes, lines of a list as they are. A picture that two patterns match counts once.
/// Errors: Input when there is none, when a list names what is not there, or when a picture has no class;
/// Limit for a list beyond `limits`.
Result<std::vector<PictureFile>> list_pictures(const SourceCall& source, std::span<const std::string> places,
                                               const Limits& limits);

/// The classes of `files`, sorted by the bytes of their names. Of lists whose labels are all numbers there are none:
/// the numbers count, as in a column of a csv table. Errors: Input for what is no label.
Result<std::vector<std::string>> class_names(std::span<const PictureFile> files);
/// That words and numbers are among the labels of a list, one note a list.
Result<std::vector<std::string>> notes_of_mixtures(std::span<const PictureFile> files);

/// The place of each picture's label among `classes`, or the number it is where there are none.
/// Errors: Input naming the first picture of another class, or a number that is not whole or outside of `limit`, which
/// may be null; `known` says whose classes they are: "split `train`".
Result<std::vector<int32_t>> class_numbers(std::span<const PictureFile> files, const std::vector<std::string>& classes,
                                           const std::string& known, const ColumnLimit* limit);

}  // namespace smelt
