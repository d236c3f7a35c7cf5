// One split of pictures: which rows it has, their pixels and their classes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/data/data_paths.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct LoadedPictures {
  HostTensor pixels;                 // u8[rows, channels, height, width]
  HostTensor labels;                 // i32[rows], 0 where pictures have no classes
  std::vector<std::string> classes;  // names by number; empty where labels are numbers, or are none
  std::string dim;  // that the classes are words of; empty: of none, or of one that another section has too
  std::vector<std::string> names;  // of each row's file
  std::vector<std::string> notes;
};

/// `split` of `plan`, whose paths are at `places`. The classes are the plan's known words of their dim, or those of the
/// section's first split. Errors: those of list_pictures and read_pictures; Input for a class that is not among them,
/// or that has no place in the dim of the labels.
Result<LoadedPictures> load_pictures(const DataPlan& plan, const Split& split, std::span<const std::string> places,
                                     const DataPaths& paths, int threads);

}  // namespace smelt
