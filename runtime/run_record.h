// run.json: how a run was started and where its data was, so that a run directory stands alone. `smelt eval RUN` finds
// the data again, `smelt run RUN` needs none, and `--resume` needs no flag twice.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"

namespace smelt {

/// A call of a reader: the files that it read and the columns that they held.
struct KnownSource {
  std::string section;  // whose split reads them; empty in a record of an older version
  std::string reader;
  std::vector<std::string> paths;   // as the model file has them
  std::vector<std::string> places;  // absolute, one a path
  std::vector<Column> columns;
};

struct RunRecord {
  std::vector<std::pair<std::string, std::string>> config;  // `--set`
  std::optional<int64_t> batch, epochs;
  std::optional<uint64_t> seed;
  std::string precision;
  std::string train;                  // the name of a train section; empty: the first one
  std::string cpu;                    // `--cpu`; empty: none was given
  std::string level;                  // of the machine then, where none was given: what decides bits besides
  std::vector<std::string> disabled;  // passes
  bool no_shuffle = false;
  std::string init;  // `--init`, absolute; empty: none
  bool partial = false;
  std::vector<KnownSource> sources;            // one a split
  std::map<std::string, std::string> content;  // hashes of what the run began with, by what they are of
};

std::string encode(const RunRecord& record);

/// Errors: Input naming `name` and the key at fault. A record comes from a file: everything in it is checked.
Result<RunRecord> parse_run_record(const std::string& text, const std::string& name);

/// Of a run directory; empty when it has none, as runs of older versions. Errors: as parse_run_record.
Result<RunRecord> read_run_record(const std::string& run_directory);

}  // namespace smelt
