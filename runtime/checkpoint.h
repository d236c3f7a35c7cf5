// Checkpoints: safetensors files with everything a run needs to go on bit for bit.
//
// Tensors: parameters and states by path, optimiser slots as `opt/..`. `__metadata__`:
//   format               "smelt"
//   smelt.checkpoint     version of this layout, "1"; a larger one is refused
//   smelt.version        of the program that wrote it
//   smelt.model_sha256   of the model text
//   smelt.training_sha256  of what decides the bits of a run
//   smelt.step .seed .horizon .batch .shuffle .epoch .batches_taken .config .best .best_metric    TrainState
//   smelt.data           JSON, a hash of the content of each split: {"train":"90ab.."}
//   smelt.subwords       JSON, a hash of each model of subwords, by its path: {"m.model":"5f02.."}; none without
//   smelt.words          JSON, the words that labels are numbers of, by dim: {"Class":["cat","dog"]}; none without
//   smelt.runs           JSON, executions by objective: {"neg_elbo":120}
//   smelt.crc32          CRC-32 of each tensor's bytes, hexadecimal, in the order of the header
//   smelt.header_crc32   CRC-32 of all before the data, these eight digits as zeros
// So every flipped bit is found: in the data, in the header, and in the checksums themselves.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "runtime/files/safetensors.h"
#include "runtime/session.h"
#include "runtime/train_schedule.h"

namespace smelt {

/// The content of a split. Only the hash is stored; the rest is for messages.
struct SplitMark {
  std::string hash, files;
  bool is_trained_on = false;
};

/// Where a training run stands; what a resumed one must agree on.
struct TrainState {
  int64_t step = 0;  // iterations done
  uint64_t seed = 0;
  int64_t horizon = 0;
  int64_t batch = 0;
  bool shuffle = false;
  int64_t epoch = 0;          // epochs done
  int64_t batches_taken = 0;  // the place in the data
  std::string model_sha256;
  std::string training_sha256;                  // of what decides the bits: comments, exports and actions do not
  std::string config;                           // JSON text of the `--set` values, and of flags that change bits
  std::map<std::string, SplitMark> data;        // by split
  std::map<std::string, std::string> subwords;  // hashes of models of subwords, by the path in the model file
  WordsByDim words;                             // that labels are numbers of
  std::optional<double> best;                   // the metric of the best checkpoint so far
  std::string best_metric;                      // `min loss`: which one that is
};

/// Writes atomically. Errors: Output; the old file at `path` stays.
Result<void> save_checkpoint(const std::string& path, const Session& session, const TrainState& state);

/// Sets variables, counters and iteration of an initialised session. `expected` gives what must agree: what decides the
/// bits of the model, seed, batch, shuffle, training data; its horizon may be another that is not over. `schedule`
/// gives what the step implies: the place in the data, the epoch and how often each objective ran. Errors: Input when
/// the file is damaged (naming tensor, bytes and the last good checkpoint beside it), is no Smelt checkpoint,
/// disagrees, or has counters that no run can reach; then the session is as before.
Result<TrainState> resume_checkpoint(const std::string& path, Session& session, const TrainState& expected,
                                     const Schedule& schedule);

/// The state alone, after checking the whole file. Errors: as resume_checkpoint.
Result<TrainState> read_checkpoint_state(const std::string& path, const Limits& limits = {});

struct WeightsReport {
  int64_t num_loaded = 0;
  std::vector<std::string> missing;     // of the model, not in the file
  std::vector<std::string> unexpected;  // in the file, not of the model
  std::vector<std::string> changed;     // other type or shape; with both
  size_t retyped = 0;                   // of `changed`, those of the same shape
  std::vector<std::string> rounded;     // loaded from wider floats
  std::vector<std::string> begun;       // averages that the file lacks: they begin as their nets
};

enum class Match : uint8_t { Strict, Partial };

/// Loads parameters and states from any safetensors file; `opt/` is ignored. Floats of another type become those of the
/// model, each rounded to the nearest. An average that the file lacks begins as its net. With Match::Partial whatever
/// fits is loaded and the report lists the rest. Errors: Input as above, when the tensors differ (at most 10 of a kind
/// are named), or when a finite number leaves the model's type; then the session is as before.
Result<WeightsReport> load_weights(const std::string& path, Session& session, Match match = Match::Strict);

/// The same from memory; `name` stands for the file in messages.
Result<WeightsReport> load_weights_from(Buffer file, const std::string& name, Session& session,
                                        Match match = Match::Strict);

/// Saves parameters and states alone, in plain safetensors. Errors: Output.
Result<void> save_weights(const std::string& path, const Session& session);
/// What save_weights writes, in memory. Errors: Limit.
Result<Buffer> encode_weights(const Session& session);

/// `step-12.safetensors`, and back; nullopt when the name is another.
std::string checkpoint_name(int64_t step);
std::optional<int64_t> checkpoint_step(std::string_view name);

/// The newest undamaged checkpoint in `directory` other than `except`, however large; nullopt when there is none.
std::optional<std::string> last_good_checkpoint(const std::string& directory, const std::string& except);

}  // namespace smelt
