// Sums of products whose factors are read at functions of indices, written as contractions.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/index_formula.h"

namespace smelt {

/// result[axes..] = sum of factor[map] * factor[map] over all indices that are no axis of the result.
///
/// It is put together step by step: indices are added and replaced by functions of others, factors get axes, and
/// indices become axes of the result. At the end `value` writes the nodes. There are one or two factors.
class IndexedSum {
 public:
  struct Factor {
    NodeId node;
    IndexMap map;
  };
  /// Where the first factor stands in the contraction.
  enum class FirstFactor { Left, Right };

  /// `extents`: of the indices that there are at the start, 0, 1, ..
  IndexedSum(Builder& build, Shape extents, Factor first, FirstFactor place)
      : build_(build), extents_(std::move(extents)), factors_{std::move(first)}, place_(place) {}

  const Shape& extents() const { return extents_; }
  const Extent& extent(int32_t index) const { return extents_[static_cast<size_t>(index)]; }
  /// The bound of an index.
  int64_t size(int32_t index) const { return extent(index).bound; }
  int32_t new_index(const Extent& extent);
  /// `index` is `value` everywhere.
  void put(int32_t index, const Affine& value);

  /// One more axis of the result, behind the others.
  void add_axis(int32_t index) { result_.push_back(index); }
  size_t rank() const { return result_.size(); }
  bool in_result(int32_t index) const;

  /// One more factor. A third one is multiplied into the second; its map has bare indices only.
  void multiply(Factor factor);
  /// A factor with an axis that is left exactly when `index` leaves its extent. Where it is read, bounded, it says how
  /// far the index runs.
  Factor& guarding(int32_t index);

  /// The index that was put to be parts * turn + phase has `of` values, no multiple of `parts`: the sum is computed
  /// phase by phase, and the last phases have a turn less.
  void split_apart(int32_t turn, int32_t phase, int64_t parts, int64_t of);

  NodeId value();

 private:
  /// An index below `size` that became parts * turn + a phase, `value`; not each phase has all turns.
  struct UnevenPhases {
    int32_t turn, phase;
    int64_t parts, size;
    Affine value;  // of `phase`

    int64_t turns_at(int64_t at) const;
  };

  void repeat(Factor& factor, int32_t index);
  NodeId zeros();
  void read_parts(Factor& factor);
  bool leaves(const Factor& factor) const;
  NodeId summed_over_the_rest();
  NodeId contracted(IndexFormula formula);
  NodeId read_and_summed(IndexFormula formula, size_t num_indices);
  void leave_unsaid(IndexFormula& formula) const;
  bool is_whole_everywhere(const IndexFormula& formula, size_t index) const;

  Builder& build_;
  Shape extents_;  // by index; new ones are appended
  std::vector<Factor> factors_;
  FirstFactor place_;
  std::vector<int32_t> result_;  // indices of the axes
  std::vector<UnevenPhases> uneven_;
};

}  // namespace smelt
