// Rows that see a prefix: of a region of large values, [T, S], a mask leaves row t nothing behind position t + ahead,
// as that of causal attention does. What is behind it is not computed: rows are taken in segments, each with the
// positions that its last row sees. Half of a table is left (Dao et al. 2022 skip such tiles).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "compiler/graph/large_regions.h"
#include "ir/rewrite.h"

namespace smelt {

struct SeenPrefix {
  /// Some rows of the region's axis, begin .. end - 1, and how many positions their last one sees.
  struct Segment {
    int64_t begin = 0, end = 0, seen = 0;
    int64_t rows() const { return end - begin; }
  };
  std::map<uint32_t, AxisCut> cuts;  // by node of the region: where it has the positions
  std::vector<Segment> segments;
};

/// Nothing where no axis is seen so, or where little would be saved. What a reduction or a product over positions reads
/// is 0, or -inf for a maximum, behind the prefix: this is proved from the mask on. Values that meet it there are taken
/// to be finite, as 0 times them is 0; a NaN of a row goes to the positions that the row's segment sees.
std::optional<SeenPrefix> find_seen_prefix(const Graph& graph, const Region& region, const LargeValues& limits);

/// Writes the nodes of a group, a segment after the other. `is_read`: by node, whether something outside reads it.
void write_segments(const Graph& graph, const Region& region, const SeenPrefix& prefix, const Group& group,
                    const std::vector<bool>& is_read, GraphRebuilder& rebuilder);

}  // namespace smelt
