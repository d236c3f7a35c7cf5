// What the splits of a data section have to agree in, beyond the types of their columns.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/data/data_paths.h"

namespace smelt {

/// Asked for each split of a model in turn. Files that are not there are another one's business.
class SplitChecks {
 public:
  /// Errors: Input when `--data` finds one file for two paths, or when a csv file has columns of an earlier split's
  /// names in other places.
  Result<void> check(const std::string& section, const SourceCall& source, const DataPaths& paths);

 private:
  struct Columns {
    std::string file;
    std::vector<std::string> names;
  };
  Result<void> check_distinct(const std::string& section, const std::string& path, const std::string& place,
                              const DataPaths& paths);
  Result<void> check_columns(const std::string& section, const std::string& place, const Limits& limits);

  std::map<std::string, std::string> paths_;  // by place
  std::map<std::string, Columns> columns_;    // of the first split, by section
};

}  // namespace smelt
