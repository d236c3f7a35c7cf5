// Checkpoints: round trip, damage, disagreement, weights of other files.
#include "runtime/checkpoint.h"
#include "runtime/verify_checksums.h"

#include "runtime/checkpoint_metadata.h"
#include "runtime/run_directory.h"
#include "tests/unit/runtime/fake_program.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

TrainState some_state() {
  TrainState state;
  state.step = 12;
  state.seed = UINT64_MAX;
  state.horizon = 100;
  state.batch = 4;
  state.shuffle = true;
  state.epoch = 3;
  state.batches_taken = 24;
  state.model_sha256 = std::string(64, 'a');
  state.config = R"({"beta":"2"})";
  state.best = 0.1;
  state.data["train"] = {"90ab", "x.npy", true};
  return state;
}

// Two calls of one objective an iteration, each with a batch of its own; 8 batches an epoch.
const Schedule kSchedule{{{0, true, false}, {0, true, false}}, 2, 8, 100};

struct Fixture {
  TempDirectory dir;
  CompiledProgram program = fake::program();
  std::unique_ptr<Session> session = make_session();
  std::string path = dir / "step-12.safetensors";

  std::unique_ptr<Session> make_session(uint64_t seed = 7) {
    auto made = *Session::create(program, fake::loaded(), {.seed = seed, .horizon = 100});
    REQUIRE(made->initialise().has_value());
    return made;
  }
  std::string variables(const Session& of) {
    std::string out;
    for (const StoredVariable& variable : program.variables) {
      if (variable.kind == VariableKind::Const) continue;
      const auto bytes = of.bytes(variable);
      out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    return out;
  }
  // The checkpoint with another value of one key of its metadata (null: without it), under right checksums.
  void forge(const std::string& key, const char* value) {
    save();
    const auto file = read_safetensors(path);
    Metadata metadata = file->metadata;
    metadata.erase(key);
    if (value != nullptr) metadata[key] = value;
    std::vector<TensorToStore> tensors;
    std::string data;
    for (const StoredTensor& tensor : file->tensors) {
      const auto bytes = file->bytes(tensor);
      tensors.push_back({tensor.name, *tensor.dtype, tensor.shape, bytes});
      data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    write_raw(path, encode_checksummed_header(tensors, metadata) + data);
  }
  void save() {
    session->set_runs(program.entries[1], 24);
    REQUIRE(save_checkpoint(path, *session, some_state()).has_value());
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a checkpoint brings everything back") {
  save();
  auto other = make_session(8);
  REQUIRE(variables(*other) != variables(*session));
  const auto state = resume_checkpoint(path, *other, some_state(), kSchedule);
  REQUIRE_MESSAGE(state.has_value(), message_of(state));
  CHECK(variables(*other) == variables(*session));
  CHECK(other->header().iteration == 12);
  CHECK(other->runs(program.entries[1]) == 24);
  CHECK(state->seed == UINT64_MAX);
  CHECK(state->epoch == 3);
  CHECK(state->batches_taken == 24);
  CHECK(state->config == R"({"beta":"2"})");
  CHECK(*state->best == 0.1);
  CHECK(read_checkpoint_state(path)->step == 12);
  const auto file = read_safetensors(path);
  CHECK(file->metadata.at("format") == "smelt");
  CHECK(file->metadata.at("smelt.runs") == R"({"loss":24})");
  CHECK(file->find("z") == nullptr);
  CHECK(file->find("opt/loss/net/m") != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "every flipped bit is found, and nothing is loaded") {
  save();
  const std::string good = read_raw(path);
  REQUIRE(verify_checksums(*parse_safetensors(buffer_of(good), "good"), "good").has_value());
  int undetected = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const auto file = parse_safetensors(buffer_of(bad), "bad");
    if (file && verify_checksums(*file, "bad")) ++undetected;
  }
  CHECK(undetected == 0);

  std::string bad = good;
  bad.back() ^= 4;
  write_raw(path, bad);
  write_raw(dir / "step-2.safetensors", bad);
  write_raw(dir / "step-3.safetensors", good);
  write_raw(dir / "step-10.safetensors", good);
  write_raw(dir / "step-11.safetensors", good.substr(0, good.size() - 1));
  const std::string before = variables(*session);
  const std::string seen = message_of(resume_checkpoint(path, *session, some_state(), kSchedule));
  CHECK(contains(seen, "checkpoint damaged: tensor `opt/loss/net/m`, bytes 0x"));
  CHECK(contains(seen, "last good: " + dir.path() + "/step-10.safetensors"));
  CHECK(contains(message_of(load_weights(path, *session)), "checkpoint damaged"));
  CHECK(contains(message_of(read_checkpoint_state(dir / "step-11.safetensors")),
                 "last good: " + dir.path() + "/step-10"));
  CHECK(variables(*session) == before);
}

TEST_CASE_FIXTURE(Fixture, "mutants of a checkpoint are refused or load the same") {
  save();
  const std::string good = read_raw(path), before = variables(*session);
  for_each_mutant(good, 1000, 6, [&](const std::string& mutant) {
    const auto file = parse_safetensors(buffer_of(mutant), "mutant");
    if (!file || !verify_checksums(*file, "mutant")) return;
    // What is left are changes that change nothing.
    write_raw(dir / "mutant", mutant);
    const auto state = resume_checkpoint(dir / "mutant", *session, some_state(), kSchedule);
    if (state) CHECK(variables(*session) == before);
  });
}

TEST_CASE_FIXTURE(Fixture, "a run that disagrees is not resumed, and each reason has its message") {
  save();
  const auto message = [&](auto change) {
    TrainState expected = some_state();
    change(expected);
    return message_of(resume_checkpoint(path, *session, expected, kSchedule));
  };
  CHECK(contains(message([](TrainState& s) { s.model_sha256 = std::string(64, 'b'); }),
                 "an objective or an optimiser of the model (sha256) was aaaaaaaaaaaa, is bbbbbbbbbbbb"));
  CHECK(contains(message([](TrainState& s) { s.seed = 1; }), "the seed was 18446744073709551615, is 1"));
  CHECK(contains(message([](TrainState& s) { s.batch = 8; }), "the batch size was 4, is 8"));
  CHECK(contains(message([](TrainState& s) { s.horizon = 7; }),
                 "cannot resume: the run is at step 12, and training ends at step 7"));
  CHECK(contains(message([](TrainState& s) { s.config = "{}"; }), "cannot resume: `--set beta` was `2`, is not given"));
  CHECK(contains(message([](TrainState& s) { s.config = R"({"beta":"3"})"; }), "`--set beta` was `2`, is `3`"));
  CHECK(contains(message([](TrainState& s) { s.config = R"({"beta":"2","--precision":"bf16"})"; }),
                 "cannot resume: `--precision` was not given, is `bf16`"));
  CHECK(contains(message([](TrainState& s) { s.shuffle = false; }), "shuffling was on, is off"));
}

TEST_CASE_FIXTURE(Fixture, "counters that no run can reach are refused under right checksums") {
  struct Row {
    const char *key, *value, *message;
  };
  const Row rows[] = {
      {"smelt.batches_taken", "-1", "`smelt.batches_taken` is -1, which is not in 0.."},
      {"smelt.batches_taken", "25", "`smelt.batches_taken` is 25, but step 12 implies 24"},
      {"smelt.batches_taken", "9223372036854775807", "but step 12 implies 24"},
      {"smelt.step", "-12", "`smelt.step` is -12"},
      {"smelt.step", "9223372036854775807", "`smelt.step` is 9223372036854775807, which is not in 0.."},
      {"smelt.step", "101", "step 101 is behind the horizon, 100"},
      {"smelt.step", "13", "the step in the file's name is 12, but step 13 implies 13"},
      {"smelt.epoch", "4", "`smelt.epoch` is 4, but step 12 implies 3"},
      {"smelt.epoch", "-1", "`smelt.epoch` is -1"},
      {"smelt.horizon", "-1", "`smelt.horizon` is -1"},
      {"smelt.batch", "-4", "`smelt.batch` is -4"},
      {"smelt.shuffle", "2", "`smelt.shuffle` is 2"},
      {"smelt.checkpoint", "0", "`smelt.checkpoint` is 0"},
      {"smelt.best", "nan", "`smelt.best` is NaN"},
      {"smelt.data", nullptr, "`smelt.data` says nothing of split `train`"},
      {"smelt.data", "{\"valid\":\"90ab\"}", "`smelt.data` says nothing of split `train`"},
      {"smelt.data", "{\"train\":\"90ac\"}", "the data of split `train` changed since: x.npy"},
      {"smelt.data", "{\"train\":7}", "`smelt.data` is malformed"},
      {"smelt.runs", nullptr, "no `smelt.runs` in it"},
      {"smelt.runs", "{}", "`smelt.runs` lacks objective `loss`"},
      {"smelt.runs", "{\"loss\":-24}", "the count of `loss` in `smelt.runs` is -24, but step 12 implies 24"},
      {"smelt.runs", "{\"loss\":25}", "the count of `loss` in `smelt.runs` is 25"},
      {"smelt.runs", "{\"loss\":18446744073709551615}", "the count of `loss` in `smelt.runs` is -1"},
      {"smelt.runs", "{\"loss\":\"24\"}", "`smelt.runs` is malformed"},
      {"smelt.runs", "[[[[", "`smelt.runs` is malformed"},
  };
  for (const Row& row : rows) {
    forge(row.key, row.value);
    auto other = make_session(8);
    const std::string before = variables(*other);
    const std::string seen = message_of(resume_checkpoint(path, *other, some_state(), kSchedule));
    CHECK_MESSAGE(contains(seen, row.message), row.key << ": " << seen);
    CHECK(variables(*other) == before);
    CHECK(other->header().iteration == 0);
  }
  forge("smelt.version", "another");  // says who wrote it, and decides nothing
  CHECK(resume_checkpoint(path, *session, some_state(), kSchedule).has_value());
}

TEST_CASE_FIXTURE(Fixture, "files without training state give weights, not a resumed run") {
  REQUIRE(save_weights(dir / "w.safetensors", *session).has_value());
  CHECK(contains(message_of(resume_checkpoint(dir / "w.safetensors", *session, some_state(), kSchedule)),
                 "no `smelt.checkpoint` in it, so a run cannot be resumed from it | start a new run from its weights "
                 "with `--init`"));
  auto other = make_session(8);
  const auto report = load_weights(dir / "w.safetensors", *other);
  REQUIRE_MESSAGE(report.has_value(), message_of(report));
  CHECK(report->num_loaded == 3);
  CHECK(other->read("net.w")->as<float>()[0] == session->read("net.w")->as<float>()[0]);
  save();
  CHECK(load_weights(path, *other)->num_loaded == 3);
  Buffer memory = *encode_weights(*session);
  const std::string_view text(reinterpret_cast<const char*>(memory.data()), memory.size());
  CHECK(text == read_raw(dir / "w.safetensors"));
  CHECK(load_weights_from(std::move(memory), "memory", *other)->num_loaded == 3);
  CHECK(contains(message_of(load_weights_from(buffer_of("PK\x03\x04"), "memory", *other)), "memory: this is a zip"));
}

TEST_CASE_FIXTURE(Fixture, "plain safetensors load; what differs is listed, ten of a kind") {
  const float values[] = {1, 2};
  const auto raw = std::as_bytes(std::span(values));
  std::vector<TensorToStore> tensors = {{"net.w", DType::F32, {2}, raw}, {"net.b", DType::F32, {}, raw.subspan(0, 4)}};
  for (int i = 0; i < 12; ++i) tensors.push_back({"extra" + std::to_string(i), DType::F32, {}, raw.subspan(0, 4)});
  tensors.push_back({"opt/other/m", DType::F32, {}, raw.subspan(0, 4)});
  REQUIRE(write_safetensors(dir / "p", tensors, {}).has_value());
  const std::string before = variables(*session);
  const std::string seen = message_of(load_weights(dir / "p", *session));
  CHECK(contains(seen, "1 missing: net.count; 12 unexpected: extra0, "));
  CHECK(contains(seen, ", ..; 1 changed: net.w (f32[2] in the file, f32[1] in the model) | `--partial`"));
  CHECK(variables(*session) == before);
  const auto report = load_weights(dir / "p", *session, Match::Partial);
  REQUIRE(report.has_value());
  CHECK(report->num_loaded == 1);
  CHECK(report->unexpected.size() == 12);
  CHECK(session->read("net.b")->as<float>()[0] == 1);
  REQUIRE(write_safetensors(dir / "q", {{"other", DType::F32, {2}, raw}}, {}).has_value());
  CHECK(contains(message_of(load_weights(dir / "q", *session, Match::Partial)), "this is another model"));
}

TEST_CASE_FIXTURE(Fixture, "floats of another type load as the model's; what leaves it changes nothing") {
  const auto write = [&](double w) {
    const double wide = w;
    const uint16_t narrow = float_to_half(0.5F);
    REQUIRE(write_safetensors(dir / "p",
                              {{"net.w", DType::F64, {1}, std::as_bytes(std::span(&wide, 1))},
                               {"net.b", DType::F16, {}, std::as_bytes(std::span(&narrow, 1))}},
                              {})
                .has_value());
    return load_weights(dir / "p", *session, Match::Partial);
  };
  const auto report = write(0.1);
  REQUIRE_MESSAGE(report.has_value(), message_of(report));
  CHECK(report->num_loaded == 2);
  CHECK(report->rounded == std::vector<std::string>{"net.w"});
  CHECK(session->read("net.w")->as<float>()[0] == 0.1F);
  CHECK(session->read("net.b")->as<float>()[0] == 0.5F);
  const std::string before = variables(*session);
  CHECK(contains(message_of(write(1e300)), "`net.w`: element 0 is 1e+300, which f32 cannot hold"));
  CHECK(variables(*session) == before);
}

TEST_CASE_FIXTURE(Fixture, "a newer layout is refused") {
  save();
  Metadata metadata = read_safetensors(path)->metadata;
  metadata["smelt.checkpoint"] = "2";
  write_raw(dir / "newer", encode_checksummed_header({}, metadata));
  CHECK(contains(message_of(read_checkpoint_state(dir / "newer")), "checkpoint version 2, this program knows up to 1"));
  // Without its checksums a file of ours is damaged, however well-formed it is.
  metadata.erase("smelt.header_crc32");
  REQUIRE(write_safetensors(dir / "bare", {}, metadata).has_value());
  CHECK(contains(message_of(read_checkpoint_state(dir / "bare")), "checkpoint damaged: the header"));
}

TEST_CASE("a run directory is made, locked, pointed into and found again") {
  TempDirectory dir;
  const std::string path = dir / "runs/a";
  {
    const auto run = RunDirectory::create(path, "model text\n", Existing::Refuse);
    REQUIRE_MESSAGE(run.has_value(), message_of(run));
    CHECK(read_raw(path + "/model.smelt") == "model text\n");
    CHECK(*run->model_text() == "model text\n");
    const std::string locked = message_of(RunDirectory::open(path));
    CHECK(contains(locked, "is in use by process " + std::to_string(::getpid())));
    CHECK(contains(message_of(run->last_checkpoint()), "has no last checkpoint"));
    REQUIRE(run->point("last", 12).has_value());
    CHECK(read_raw(path + "/last") == "checkpoints/step-12.safetensors\n");
    CHECK(run->pointed_step("last") == 12);
    CHECK_FALSE(run->pointed_step("best"));
    CHECK(*run->output_path("img/vae-{epoch}-{step}.png", 7, 2) == path + "/img/vae-2-7.png");
    for (const char* bad : {"/etc/x.png", "../x.png", "a/../../x.png", "", "a/"}) {
      CHECK_MESSAGE(contains(message_of(run->output_path(bad, 1, 1)), "not inside the run directory"), bad);
    }
  }
  write_raw(path + "/checkpoints/step-1.safetensors.tmp.5.0", "left over");
  CHECK(RunDirectory::open(path).has_value());
  CHECK(list_files(path + "/checkpoints").empty());
  write_raw(path + "/checkpoints/step-1.safetensors", "a checkpoint, good or bad");
  CHECK(contains(message_of(RunDirectory::create(path, "x", Existing::Refuse)), "already holds a run | `--resume`"));
  write_raw(path + "/metrics.jsonl", "old");
  REQUIRE(RunDirectory::create(path, "x", Existing::Replace).has_value());
  CHECK(list_files(path + "/checkpoints").empty());
  CHECK_FALSE(std::filesystem::exists(path + "/metrics.jsonl"));
  CHECK(contains(message_of(RunDirectory::open(dir / "none")), "holds no run"));
  CHECK(next_run_directory(dir / "runs", "b") == dir / "runs/b-1");
  CHECK(checkpoint_step("step-7.safetensors") == 7);
  for (const char* bad : {"step-.safetensors", "step-7", "step--7.safetensors", "step-7x.safetensors", "x"}) {
    CHECK_FALSE(checkpoint_step(bad));
  }
}
