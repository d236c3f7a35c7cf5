// What the system does to a process: full disks, closed terminals, limits, signals, kills. A run goes on or is saved,
// and every failure is an exit code with a message.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

/// Long enough to be stopped.
std::string endless() { return replaced(kSmallModel, "epochs 2", "steps 100000000"); }

bool is_clean(int exit_code) { return exit_code >= 0 && exit_code <= 7; }

TEST_CASE("a standard error that cannot be written never ends a run") {
  const std::string work = fresh_directory("full-log");
  write_small_model(work);
  REQUIRE(shell_in(work, "\"$0\" train m.smelt -o whole 2>/dev/null").exit_code == 0);
  const std::string whole = work + "/whole/checkpoints/step-10.safetensors";
  int number = 0;
  for (const char* how : {"2>/dev/full", "2>&-", "2> >(exec head -c 1 >/dev/null)", "2> >(true)"}) {
    const std::string run = fmt::format("run{}", number++);
    const CommandResult result = shell_in(work, fmt::format("\"$0\" train m.smelt -o {} {}", run, how));
    CHECK_MESSAGE(result.exit_code == 0, fmt::format("{}: {}", how, result.err));
    CHECK(difference(whole, fmt::format("{}/{}/checkpoints/step-10.safetensors", work, run)) == "");
  }
  // The same of what is said on the way to an error, and of the last line on a standard output that is full or gone.
  CHECK(shell_in(work, "\"$0\" check nothing.smelt 2>/dev/full").exit_code == 3);
  CHECK(shell_in(work, "\"$0\" trian 2>/dev/full").exit_code == 2);
  CHECK(shell_in(work, "\"$0\" train m.smelt -o out1 >/dev/full").exit_code == 4);
  CHECK(difference(whole, work + "/out1/checkpoints/step-10.safetensors") == "");
  CHECK(shell_in(work, "\"$0\" train m.smelt -o out2 2>&1 | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}").exit_code !=
        4);
  CHECK(difference(whole, work + "/out2/checkpoints/step-10.safetensors") == "");
}

TEST_CASE("a closed terminal and a limit on processor time save like the other signals; nohup stays nohup") {
  const std::string work = fresh_directory("signals");
  write_small_model(work, endless());
  for (const int signal : {SIGHUP, SIGXCPU, SIGINT, SIGTERM}) {
    const std::string run = fmt::format("run{}", signal);
    const CommandResult stopped = smelt_in(work, "train m.smelt --threads 1 -o " + run,
                                           {.signal = signal, .signal_when = work + "/" + run + "/metrics.jsonl"});
    CHECK_MESSAGE(stopped.exit_code == 128 + signal, stopped.err);
    CHECK(stopped.err.find("saved; go on with") != std::string::npos);
    CHECK(fs::exists(work + "/" + run + "/last"));
  }
  write_small_model(work, replaced(kSmallModel, "epochs 2", "steps 20000"));
  const CommandResult ignored = shell_in(
      work,
      "trap '' HUP; \"$0\" train m.smelt -o kept & child=$!; while [ ! -e kept/metrics.jsonl ]; do sleep 0.01; "
      "done; kill -HUP $child; wait $child");
  CHECK_MESSAGE(ignored.exit_code == 0, ignored.err);
  CHECK(fs::exists(work + "/kept/checkpoints/step-20000.safetensors"));
}

TEST_CASE("a limit on the size of files is an error of a write, and the last checkpoint is good") {
  const std::string work = fresh_directory("file-size");
  write_small_model(work,
                    replaced(endless(), "steps 100000000", "steps 20000\n  every 50 steps { checkpoint keep 2 }"));
  const CommandResult stopped = shell_in(work, "ulimit -f 64; \"$0\" train m.smelt -o run");
  CHECK_MESSAGE(stopped.exit_code == 4, stopped.err);
  CHECK(stopped.err.find("File too large") != std::string::npos);
  CHECK(fs::exists(work + "/run/last"));
  const CommandResult resumed = smelt_in(work, "train m.smelt -o run --resume");
  CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
  REQUIRE(smelt_in(work, "train m.smelt -o whole").exit_code == 0);
  CHECK(difference(work + "/whole/checkpoints/step-20000.safetensors",
                   work + "/run/checkpoints/step-20000.safetensors") == "");
}

TEST_CASE("without threads to give, one does the work; the bits are the same") {
  const std::string work = fresh_directory("no-threads");
  write_small_model(work);
  REQUIRE(smelt_in(work, "train m.smelt -o whole").exit_code == 0);
  // The limit does not bind root, so root becomes nobody first.
  fs::permissions(work, fs::perms::all);
  const std::string nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups ";
  if (::geteuid() == 0 && shell_in(work, nobody + "test -r m.smelt -a -x \"$0\"").exit_code != 0) {
    fmt::print(stderr, "SKIPPED: \"ulimit -u\": root cannot become nobody here\n");
  } else {
    const CommandResult result = shell_in(work, (::geteuid() == 0 ? nobody : std::string()) +
                                                    "bash -c 'ulimit -u 1; exec \"$0\" train m.smelt -o run' \"$0\"");
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    CHECK(difference(work + "/whole/checkpoints/step-10.safetensors", work + "/run/checkpoints/step-10.safetensors") ==
          "");
  }
  // A stack larger than the memory that is left: no thread can start, for root as well.
  const CommandResult result =
      shell_in(work, "ulimit -s 4000000; ulimit -v 3000000; exec \"$0\" train m.smelt -o small --force");
  CHECK_MESSAGE(result.exit_code == 0, result.err);
  CHECK(difference(work + "/whole/checkpoints/step-10.safetensors", work + "/small/checkpoints/step-10.safetensors") ==
        "");
  CHECK(
      shell_in(work, "ulimit -s 4000000; ulimit -v 3000000; exec \"$0\" train m.smelt -o more --threads 2").exit_code ==
      5);
}

TEST_CASE("memory that is limited at any size ends in success or exit 5, never in a signal") {
  const std::string work = fresh_directory("small-memory");
  write_small_model(work);
  // Whether a limit is enough.
  const auto trains_in = [&](int kibibytes) {
    const CommandResult result =
        shell_in(work, fmt::format("ulimit -v {}; exec \"$0\" train m.smelt -o run --force --threads 1", kibibytes));
    if (result.exit_code == 127) return false;  // the loader could not map the program
    CHECK_MESSAGE((result.exit_code == 0 || result.exit_code == 5),
                  fmt::format("{} KiB: exit {}: {}", kibibytes, result.exit_code, result.err));
    if (result.exit_code == 5) CHECK(result.err.find("out of memory") != std::string::npos);
    return result.exit_code == 0;
  };
  int low = 100 << 10, high = 600 << 10;
  REQUIRE(trains_in(high));
  while (high - low > 512) {
    const int middle = (low + high) / 2;
    (trains_in(middle) ? high : low) = middle;
  }
  // Below what is enough, memory ends at another place each time: before main, inside of LLVM, in a kernel's arrays.
  for (int step = 0; step < 80; ++step) trains_in(high - 48 * 1024 + step * 613);
}

TEST_CASE("a run that is killed at any time, also before its first checkpoint, resumes to the same bits") {
  const std::string work = fresh_directory("killed");
  write_small_model(work, replaced(kSmallModel, "epochs 2", "epochs 400"));  // saves at its end only
  REQUIRE(smelt_in(work, "train m.smelt -o whole").exit_code == 0);
  const std::string last = "/checkpoints/step-2000.safetensors";
  for (int k = 0; k < 12; ++k) {
    const std::string run = fmt::format("run{}", k);
    const CommandResult killed = shell_in(
        work, fmt::format("\"$0\" train m.smelt -o {} & child=$!; sleep {:.3f}; kill -9 $child; wait $child; exit 0",
                          run, 0.012 * k));
    REQUIRE(killed.exit_code == 0);
    // Before there is a directory there is nothing to resume.
    const bool begun = fs::exists(work + "/" + run + "/.lock");
    const CommandResult resumed = smelt_in(work, fmt::format("train m.smelt -o {} {}", run, begun ? "--resume" : ""));
    CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
    CHECK(difference(work + "/whole" + last, work + "/" + run + last) == "");
    CHECK(logged_values(work + "/" + run) == logged_values(work + "/whole"));
    // Whoever does not say --resume begins again: nothing is lost while there is no checkpoint.
  }
  const std::string begun = work + "/begun";
  fs::create_directories(begun + "/checkpoints");
  for (const char* name : {"model.smelt", "run.json"}) fs::copy(work + "/whole/" + name, begun + "/" + name);
  CHECK(smelt_in(work, "train m.smelt -o begun").exit_code == 0);
  CHECK(smelt_in(work, "train m.smelt -o begun").exit_code == 4);
}

TEST_CASE("--init is remembered: a run that was killed before its first checkpoint begins again from it") {
  const std::string work = fresh_directory("killed-init");
  write_small_model(work);
  REQUIRE(smelt_in(work, "train m.smelt -o first").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o whole --init first/checkpoints/step-10.safetensors").exit_code == 0);
  fs::create_directories(work + "/killed/checkpoints");
  for (const char* name : {"model.smelt", "run.json"}) fs::copy(work + "/whole/" + name, work + "/killed/" + name);
  const CommandResult resumed = smelt_in(work, "train m.smelt -o killed --resume");
  CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
  CHECK(resumed.err.find("begins again") != std::string::npos);
  CHECK(difference(work + "/whole/checkpoints/step-10.safetensors", work + "/killed/checkpoints/step-10.safetensors") ==
        "");
}

TEST_CASE("a run that begins again says what has another content than when it began") {
  const std::string work = fresh_directory("begun-otherwise");
  write_small_model(work);
  const std::string from = replaced(kSmallModel, "model net = Net", "model net = Net from \"net.safetensors\"");
  write_text_file(work + "/from.smelt", from);
  REQUIRE(smelt_in(work, "train m.smelt -o first").exit_code == 0);
  const std::string ten = work + "/first/checkpoints/step-10.safetensors", five = work + "/five.safetensors";
  REQUIRE(smelt_in(work, "train m.smelt -o short --steps 5").exit_code == 0);
  fs::copy(work + "/short/checkpoints/step-5.safetensors", five);
  const struct {
    const char *model, *flags, *file, *said;
  } rows[] = {{"m", "--init start.safetensors", "/start.safetensors", "file `"},
              {"from", "", "/net.safetensors", "file `"},
              {"m", "", "/x.npy", "split `train`"}};
  for (const auto& row : rows) {
    CAPTURE(row.file);
    write_small_model(work);
    for (const char* file : {"/start.safetensors", "/net.safetensors"})
      fs::copy(ten, work + file, fs::copy_options::overwrite_existing);
    fs::remove_all(work + "/r");
    REQUIRE(smelt_in(work, fmt::format("train {}.smelt -o r {}", row.model, row.flags)).exit_code == 0);
    const auto lose_checkpoints = [&] {
      for (const auto& entry : fs::directory_iterator(work + "/r/checkpoints")) fs::remove(entry);
      fs::remove(work + "/r/last");
    };
    lose_checkpoints();
    const std::string resume = fmt::format("train {}.smelt -o r --resume", row.model);
    CHECK(smelt_in(work, resume).exit_code == 0);  // nothing changed
    lose_checkpoints();
    if (std::string_view(row.file) == "/x.npy")
      write_floats(work + "/x.npy", std::vector<float>(120, 0.5F), {40, 3});
    else
      fs::copy(five, work + row.file, fs::copy_options::overwrite_existing);
    const CommandResult refused = smelt_in(work, resume);
    CHECK(refused.exit_code == 3);
    CHECK_MESSAGE(refused.err.find("changed since the run began") != std::string::npos, refused.err);
    CHECK_MESSAGE(refused.err.find(row.said) != std::string::npos, refused.err);
    CHECK(smelt_in(work, fmt::format("train {}.smelt -o r --force", row.model)).exit_code == 0);
  }
}

TEST_CASE("commands end cleanly with closed streams, without a home, in a directory that cannot be written") {
  const std::string work = fresh_directory("surroundings");
  write_small_model(work);
  for (const char* line :
       {"\"$0\" check m.smelt <&- >&- 2>&-", "env -i \"$0\" check m.smelt", "cd / && env -i \"$0\" doctor >/dev/null",
        "\"$0\" check m.smelt >/dev/full", "\"$0\" train m.smelt -o /proc/run", "\"$0\" train m.smelt -o m.smelt",
        "\"$0\" train m.smelt -o /dev/null",
        "mkdir gone && cd gone && rmdir ../gone && \"$0\" train ../m.smelt --init x -o ../r"}) {
    const CommandResult result = shell_in(work, line);
    CHECK_MESSAGE(is_clean(result.exit_code), fmt::format("{}: exit {}: {}", line, result.exit_code, result.err));
  }
}

}  // namespace
}  // namespace smelt::test
