// Runs that stop and go on: the same bits, refusals of what changed, damage, signals and kills.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/unit/runtime/trainer_fixture.h"

using namespace smelt;
using namespace smelt::test;

TEST_CASE_FIXTURE(TrainerFixture, "stopping at any step and resuming gives the same bits, log included") {
  add_action(Unit::Epoch, 1, eval_action());
  add_action(Unit::Step, 3, checkpoint_action(-1));
  REQUIRE(start("whole").has_value());
  const std::string whole = checkpoint("whole", 8);
  REQUIRE(!whole.empty());
  for (int64_t stop = 1; stop < 8; ++stop) {
    const std::string name = fmt::format("at{}", stop);
    const auto part = start(name, {.stop_after = stop});
    REQUIRE_MESSAGE(part.has_value(), message_of(part));
    CHECK(part->reason == StopReason::StepLimit);
    CHECK(part->step == stop);
    // What a killed process leaves: log lines beyond its last checkpoint, one of them cut.
    write_raw(dir / name + "/metrics.jsonl",
              read_raw(dir / name + "/metrics.jsonl") +
                  fmt::format("{{\"step\":{},\"objective\":\"loss\"}}\n{{\"st", stop + 1));
    const auto rest = resume(name);
    REQUIRE_MESSAGE(rest.has_value(), message_of(rest));
    CHECK(rest->first_step == stop);
    CHECK(checkpoint(name, 8) == whole);
    CHECK(log(name) == log("whole"));
  }
}

TEST_CASE_FIXTURE(TrainerFixture,
                  "what `keep best` compares is known to a run that goes on between evaluation and checkpoint") {
  add_action(Unit::Step, 3, eval_action());
  add_action(Unit::Step, 4, checkpoint_action(-1, "loss"));
  Recorder of_whole;
  REQUIRE(start("whole", {.observer = &of_whole}).has_value());
  CHECK(read_raw(dir / "whole/best") == "checkpoints/step-4.safetensors\n");
  for (int64_t stop = 1; stop < 8; ++stop) {
    const std::string name = fmt::format("at{}", stop);
    REQUIRE(start(name, {.stop_after = stop}).has_value());
    Recorder recorder;
    REQUIRE(resume(name, {.observer = &recorder}).has_value());
    CHECK_MESSAGE(recorder.notes == (stop < 3 ? of_whole.notes : std::vector<std::string>()), stop);
    CHECK(checkpoints(name) == checkpoints("whole"));
    CHECK(checkpoint(name, 8) == checkpoint("whole", 8));
    CHECK(read_raw(dir / name + "/best") == read_raw(dir / "whole/best"));
  }
}

TEST_CASE_FIXTURE(TrainerFixture, "a finished run resumes to nothing, and a different one not at all") {
  REQUIRE(start("a").has_value());
  const std::string before = checkpoint("a", 8);
  const auto again = resume("a");
  REQUIRE(again.has_value());
  CHECK(again->first_step == 8);
  CHECK(checkpoint("a", 8) == before);
  program.train.seed = 8;
  CHECK(contains(message_of(resume("a")), "the seed was 7, is 8"));
  program.train.seed = 7;
  CHECK(contains(message_of(resume("a", {.model_sha256 = "x"})), "an objective or an optimiser of the model"));
  program.train.epochs = 3;
  CHECK(contains(message_of(resume("a")), "cannot resume: the run is at step 8, and training ends at step 5 | give"));
}

TEST_CASE_FIXTURE(TrainerFixture, "a finished run goes on with more epochs, and says that its end moved") {
  REQUIRE(start("a").has_value());
  program.train.epochs = 6;
  Recorder recorder;
  const auto more = resume("a", {.observer = &recorder});
  REQUIRE_MESSAGE(more.has_value(), message_of(more));
  CHECK(more->first_step == 8);
  CHECK(more->step == 9);
  REQUIRE(recorder.notes.size() == 1);
  CHECK(contains(recorder.notes[0], "training ended at step 8 and ends at step 9 now"));
}

TEST_CASE_FIXTURE(TrainerFixture, "what decides the bits must agree; the text may be another") {
  REQUIRE(start("a", {.model_sha256 = "x", .training_sha256 = "same", .stop_after = 3}).has_value());
  CHECK(contains(message_of(resume("a", {.model_sha256 = "y", .training_sha256 = "other"})), "an objective"));
  CHECK(contains(message_of(resume("a", {.model_sha256 = "y"})), "an objective"));
  int accepted = 0;
  const auto accept = [&]() -> Result<void> {
    ++accepted;
    return {};
  };
  CHECK_FALSE(resume("a", {.model_sha256 = "y", .accepted = accept}).has_value());
  CHECK(accepted == 0);
  REQUIRE(resume("a", {.model_sha256 = "y", .training_sha256 = "same", .accepted = accept}).has_value());
  CHECK(accepted == 1);
  REQUIRE(start("whole").has_value());
  const auto resumed = read_safetensors(dir / "a/checkpoints/step-8.safetensors"),
             whole = read_safetensors(dir / "whole/checkpoints/step-8.safetensors");
  for (size_t i = 0; i < whole->tensors.size(); ++i)
    CHECK(std::ranges::equal(whole->bytes(whole->tensors[i]), resumed->bytes(resumed->tensors[i])));
}

TEST_CASE_FIXTURE(TrainerFixture, "a run without a checkpoint begins again, with --resume and without --force") {
  REQUIRE(start("whole").has_value());
  for (const bool with_model : {true, false}) {
    const std::string name = with_model ? "killed" : "killed-at-once";
    {
      REQUIRE(RunDirectory::create(dir / name, "text", Existing::Refuse).has_value());
    }
    if (!with_model) std::filesystem::remove(dir / name + "/model.smelt");
    write_raw(dir / name + "/metrics.jsonl", "{\"step\":1,\"objective\":\"loss\"}\n{\"step\":2,\"obj");
    Recorder recorder;
    const auto again = resume(name, {.observer = &recorder});
    REQUIRE_MESSAGE(again.has_value(), message_of(again));
    CHECK(again->first_step == 0);
    CHECK(recorder.notes == std::vector<std::string>{"the run has no checkpoint yet: it begins again"});
    CHECK(checkpoint(name, 8) == checkpoint("whole", 8));
    CHECK(log(name) == log("whole"));
  }
  {
    REQUIRE(RunDirectory::create(dir / "b", "text", Existing::Refuse).has_value());
  }
  REQUIRE(start("b").has_value());  // Existing::Refuse, and nothing to lose
  CHECK(contains(message_of(RunDirectory::create(dir / "b", "text", Existing::Refuse)), "already holds a run"));
  CHECK(contains(message_of(RunDirectory::open(dir / "nothing")), "holds no run"));
}

TEST_CASE_FIXTURE(TrainerFixture, "a kill between the last checkpoint and `last` is mended") {
  REQUIRE(start("a").has_value());
  const std::string wanted = read_raw(dir / "a/last");
  std::filesystem::remove(dir / "a/last");
  const auto again = resume("a");
  REQUIRE(again.has_value());
  CHECK(again->first_step == 8);
  CHECK(read_raw(dir / "a/last") == wanted);
}

TEST_CASE_FIXTURE(TrainerFixture, "when all checkpoints are damaged, nothing begins again in silence") {
  REQUIRE(start("a").has_value());
  write_raw(dir / "a/checkpoints/step-8.safetensors", "garbage");
  std::filesystem::remove(dir / "a/last");
  CHECK(contains(message_of(resume("a")),
                 "has no last checkpoint: those that are there are damaged | `smelt train --force`"));
}

TEST_CASE_FIXTURE(TrainerFixture,
                  "a model without `checkpoint` lines is saved by the clock, the newest two besides the last") {
  program.train.epochs = 60;
  class Slow : public TrainObserver {
   public:
    int64_t saves = 0, steps = 0;
    void on_step(const StepReport&) override {
      if (++steps < 10) ::usleep(3000);
    }
    void on_checkpoint(int64_t, const std::string&, bool) override { ++saves; }
  } slow;
  REQUIRE(start("a", {.autosave = std::chrono::milliseconds(2), .observer = &slow}).has_value());
  CHECK(slow.saves >= 5);
  CHECK(checkpoints("a").size() <= 3);
  REQUIRE(start("whole").has_value());
  CHECK(checkpoint("a", 90) == checkpoint("whole", 90));
  // A process that was killed before its end leaves such checkpoints, and they go when newer ones are there.
  std::filesystem::remove(dir / "a/checkpoints/step-90.safetensors");
  const std::string noted = read_raw(dir / "a/autosaves");
  REQUIRE(std::ranges::count(noted, '\n') == 2);
  write_raw(dir / "a/last", noted.substr(noted.find('\n') + 1));
  Slow again;
  REQUIRE(resume("a", {.autosave = std::chrono::milliseconds(2), .observer = &again}).has_value());
  CHECK(again.saves >= 5);
  CHECK(checkpoints("a").size() == 3);
  CHECK(checkpoint("a", 90) == checkpoint("whole", 90));
  // A model that says when it is saved is saved then.
  add_action(Unit::Step, 80, checkpoint_action(-1));
  Slow once;
  REQUIRE(start("b", {.autosave = std::chrono::milliseconds(2), .observer = &once}).has_value());
  CHECK(once.saves == 2);
}

TEST_CASE_FIXTURE(TrainerFixture, "training data that changed at equal size is noticed, with its file") {
  REQUIRE(start("a", {.stop_after = 3, .data = mark_data(data)}).has_value());
  const std::string train = read_raw(dir / "train.csv"), valid = read_raw(dir / "valid.csv");
  write_raw(dir / "valid.csv", std::string(valid).replace(valid.find("15"), 2, "16"));
  load();
  Recorder recorder;
  REQUIRE(resume("a", {.stop_after = 4, .data = mark_data(data), .observer = &recorder}).has_value());
  REQUIRE(recorder.notes.size() == 1);  // it is not trained on
  CHECK(contains(recorder.notes[0], "the data of split `valid` changed since"));
  write_raw(dir / "train.csv", std::string(train).replace(train.find("7"), 1, "8"));
  load();
  const std::string seen = message_of(resume("a", {.data = mark_data(data)}));
  CHECK(contains(seen, "the data of split `train` changed since: `"));
  CHECK(contains(seen, "train.csv`, or which of its rows are in the split | bring the old data and shares back"));
  write_raw(dir / "train.csv", train);
  load();
  CHECK(resume("a", {.data = mark_data(data)}).has_value());
}

TEST_CASE_FIXTURE(TrainerFixture, "a damaged `last` is no dead end") {
  add_action(Unit::Step, 2, checkpoint_action(-1));
  REQUIRE(start("a").has_value());
  std::string bytes = checkpoint("a", 8);
  bytes.back() ^= 1;
  write_raw(dir / "a/checkpoints/step-8.safetensors", bytes);
  CHECK(contains(message_of(resume("a")), "last good: " + dir.path() + "/a/checkpoints/step-6.safetensors"));
}

TEST_CASE_FIXTURE(TrainerFixture, "a signal stops after the step, saves, and the run goes on from there") {
  std::atomic<int> signal = 0;
  Recorder recorder;
  recorder.raise_at_step_3 = &signal;
  const auto stopped = start("a", {.stop_signal = &signal, .observer = &recorder});
  REQUIRE(stopped.has_value());
  CHECK(stopped->reason == StopReason::Signal);
  CHECK(stopped->checkpoint == "step-3.safetensors");
  REQUIRE(resume("a").has_value());
  REQUIRE(start("whole").has_value());
  CHECK(checkpoint("a", 8) == checkpoint("whole", 8));
}

TEST_CASE_FIXTURE(TrainerFixture, "a process killed at any moment resumes to the same bits") {
  program.train.epochs = 60;
  program.train.every = {{1, Unit::Epoch, {eval_action()}, {}}, {2, Unit::Step, {checkpoint_action(3)}, {}}};
  REQUIRE(start("whole").has_value());
  std::mt19937 random(11);
  for (int round = 0; round < 6; ++round) {
    const std::string name = fmt::format("killed{}", round);
    {
      REQUIRE(RunDirectory::create(dir / name, "text", Existing::Refuse).has_value());
    }
    for (bool resumed = false;; resumed = true) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        auto made = *Session::create(program, fake::loaded(), {.seed = program.train.seed});
        auto run = RunDirectory::open(dir / name);
        const bool good = run && made->initialise() && train(*made, data, *run, {.resume = true});
        ::_exit(good ? 0 : 1);
      }
      ::usleep(static_cast<useconds_t>(random() % 150'000));
      if (!resumed) ::kill(child, SIGKILL);
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      if (!resumed) continue;
      REQUIRE(status == 0);
      break;
    }
    CHECK(checkpoint(name, 90) == checkpoint("whole", 90));
    CHECK(log(name) == log("whole"));
    CHECK(checkpoints(name) == checkpoints("whole"));
  }
}
