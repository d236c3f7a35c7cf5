// The metadata of a checkpoint: TrainState to strings and back, and the checksums.
#pragma once

#include <map>
#include <span>
#include <string>

#include "ir/support/result.h"
#include "runtime/checkpoint.h"

namespace smelt {

constexpr int64_t kCheckpointVersion = 1;

using Metadata = std::map<std::string, std::string>;

Metadata encode_state(const TrainState& state, const Session& session);

/// Errors: Input when the file is no Smelt checkpoint, is of a newer layout, or a value is malformed.
Result<TrainState> decode_state(const Metadata& metadata, const std::string& path);

/// Whether a run may go on with the configuration `now`. Both are as TrainState::config. Where training is the same all
/// the same (TrainState::training_sha256), values of `--set` changed nothing of it; flags decide bits besides.
bool configs_agree(const std::string& then, const std::string& now, bool same_training);
/// Which options of the command line and names of `--set` have another value in `now`, or none, and what they were.
std::string config_changes(const std::string& then, const std::string& now);

/// Objective -> executions. Errors: Input.
Result<std::map<std::string, int64_t>> decode_runs(const Metadata& metadata, const std::string& path);

/// What the checksums say is damaged, as `tensor ..` or `the header ..`; empty when all agree, and for a file
/// that is not ours.
std::string find_damage(const Safetensors& file);

/// The header of a file with `tensors` (sorted), with both checksums filled in.
std::string encode_checksummed_header(std::span<const TensorToStore> tensors, Metadata metadata);

}  // namespace smelt
