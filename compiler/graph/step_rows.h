// Rows of a sequence, such as the beams of a search: which axis of a value has them, and whether each is computed from
// its own row alone.
//
// A step may go on with its rows in another order, `text <- where(.., gather(text, parents))`. Then what is kept of
// earlier positions follows them, which is right where row n of it was computed from row n of the sequence, and from
// nothing else that differs between rows.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace smelt {

struct RowPlace {
  int32_t axis = -1;   // that has the rows; -1: none
  int32_t also = -1;   // a second axis along which it differs by rows: only its diagonal may be read
  bool mixed = false;  // rows were put together, or meet something else that differs between them
  /// By axis, whether all elements along it are equal; empty: none. Of a value with rows only what a gather leaves so.
  std::vector<bool> equal;
  bool is_equal(int32_t along) const {
    return static_cast<size_t>(along) < equal.size() && equal[static_cast<size_t>(along)];
  }
  friend bool operator==(const RowPlace&, const RowPlace&) = default;
};

/// By node of `body`, when its arguments are `given`, by node as well.
std::vector<RowPlace> find_rows(const Graph& body, const std::vector<RowPlace>& given);

/// Of the carries of a loop in `body`, whose values are `places`, by their number.
std::vector<RowPlace> rows_of_carries(const Graph& body, const Node& scan, const std::vector<RowPlace>& places);

}  // namespace smelt
