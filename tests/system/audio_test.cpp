// Sounds and texts, from the model file to files that are written.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>

#include "runtime/files/decode_sound.h"
#include "runtime/files/file.h"
#include "tests/support/sound_files.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModel = R"(dim B <= 4, T = 64, Level = 256
data tones {
  train, valid = audio("tones", rate = 8000, window = T) |> split(0.75)
  x: f32[T] in -1..1 = field(0)
  length: i32 = field(1)
}
layer Net(x: f32[B, T]) -> f32[B, T] {
  param gain: f32[T] ~ Normal(0, 0.1)
  x * gain
}
model net = Net
fn error(x, length) = masked_mean((net(x) - x) ^ 2, mask_of(length, over=T))
objective loss(x: f32[B, T], length: i32[B]) updates net { error(x, length) }
metric off(x: f32[B, T], length: i32[B]) = error(x, length)
train { data tones
  batch B = 4, shuffle
  epochs 2
  seed 3
  step loss with adam(lr = 0.02)
  every 1 epoch { eval valid: off
                  audio noise(zeros([3, T])) to "noise-{epoch}.wav"
                  audio net.gain at 4000 to "gain.wav"
                  text spell(zeros([2, T])) to "spelt.txt"
                  text upright(zeros([2, T])) to "upright.txt" }
}
export same(x: f32[B, T]) -> f32[B, T] = x
export noise(x: f32[B, T] ~ Normal(0, 0.1)) -> f32[B, T] = x * net.gain + 0.1
export spell(x: f32[B, T]) -> ix<Level>[B, T] = cast(floor(x + 65.5), i32)
export upright(x: f32[B, T]) -> ix<Level>[T, B] {
  y[t, n] = cast(floor(x[n, t] + 65.5), i32)
  y
}
export over(x: f32[B, T] ~ Normal(0, 0.1)) -> f32[T, B] {
  y[t, n] = 2 + x[n, t]
  y
}
export pair(x: f32[B, T] ~ Normal(0, 0.1)) -> (f32[B, T], ix<Level>[B, T]) { (x, cast(floor(0 * x + 66), i32)) }
)";

/// 8 recordings of 40 to 300 samples in three formats and two rates beside a model.
std::string tone_model(const std::string& name, std::string_view text = kModel) {
  const std::string work = fresh_directory(name);
  fs::create_directories(work + "/tones");
  for (int i = 0; i < 8; ++i) {
    const SoundKind kind = i % 3 == 0 ? SoundKind::Wav16 : i % 3 == 1 ? SoundKind::Flac : SoundKind::Vorbis;
    const int rate = i % 2 == 0 ? 8000 : 22050;
    write_text_file(fmt::format("{}/tones/{}.{}", work, i,
                                i % 3 == 0   ? "wav"
                                : i % 3 == 1 ? "flac"
                                             : "ogg"),
                    sound_file(kind, rate, 1 + i % 2, tone(300 + 50 * i, rate, (40 + 37 * i) * (1 + i % 2))));
  }
  write_text_file(work + "/m.smelt", text);
  return work;
}

Sound heard(const std::string& path) {
  const std::string bytes = read_text_file(path);
  Result<Sound> sound = decode_sound(as_byte_span(bytes), path, 1u << 20);
  REQUIRE_MESSAGE(sound, message_of(sound));
  return std::move(*sound);
}

TEST_CASE("recordings are trained on, and the bits do not depend on threads or stops") {
  const std::string work = tone_model("audio-train");
  const CommandResult trained = smelt_in(work, "train m.smelt -o a --threads 1");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  REQUIRE(smelt_in(work, "train m.smelt -o b --threads 3 --steps 3").exit_code == 0);
  const CommandResult resumed = smelt_in(work, "train m.smelt -o b --threads 2 --resume");
  REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  CHECK(logged_values(work + "/a") == logged_values(work + "/b"));
  const CommandResult evaluated = smelt_in("/", fmt::format("eval {}/a", work));
  CHECK_MESSAGE(evaluated.exit_code == 0, evaluated.err);
  CHECK(has(evaluated.out, "off"));
  for (const auto& entry : fs::directory_iterator(work + "/a/checkpoints"))
    CHECK(difference(entry.path(), work + "/b/checkpoints/" + entry.path().filename().string()) == "");
  // Three sounds with a quarter of a second between them, at the rate of the data; one at its own.
  const Sound noise = heard(work + "/a/noise-2.wav"), gain = heard(work + "/a/gain.wav");
  CHECK(noise.rate == 8000);
  CHECK(noise.samples.size() == 3 * 64 + 2 * 2000);
  CHECK(std::abs(noise.samples[0] - 0.1f) < 1e-4f);
  CHECK(noise.samples[64] == 0);
  CHECK(gain.rate == 4000);
  CHECK(gain.samples.size() == 64);
  CHECK(read_text_file(work + "/a/spelt.txt") == fmt::format("{0}\n{0}\n", std::string(64, 'A')));
  CHECK(read_text_file(work + "/a/upright.txt") == read_text_file(work + "/a/spelt.txt"));
  CHECK(has(trained.err, "sound"));
}

TEST_CASE("recordings that changed are noticed when the run goes on") {
  const std::string work = tone_model("audio-changed");
  REQUIRE(smelt_in(work, "train m.smelt -o a --steps 2").exit_code == 0);
  write_text_file(work + "/tones/0.wav", sound_file(SoundKind::Wav16, 8000, 1, tone(300, 8000, 41)));
  write_text_file(work + "/tones/3.wav", sound_file(SoundKind::Wav16, 8000, 1, tone(300, 8000, 150)));
  const CommandResult rest = smelt_in(work, "train m.smelt --resume -o a");
  CHECK(rest.exit_code != 0);
  CHECK_MESSAGE(has(rest.err, "changed since"), rest.err);
}

TEST_CASE("check needs no recordings for shapes, and names the one that is none") {
  const std::string work = tone_model("audio-check");
  const CommandResult there = smelt_in(work, "check m.smelt --data");
  CHECK_MESSAGE(there.exit_code == 0, there.err);
  CHECK_MESSAGE(has(there.out, "field(0) f32[64]"), there.out);
  write_text_file(work + "/tones/5.ogg", "<html>not found</html>");
  const CommandResult page = smelt_in(work, "train m.smelt -o b");
  CHECK(page.exit_code != 0);
  CHECK_MESSAGE(has(page.err, "tones/5.ogg: this is an HTML page"), page.err);
  fs::remove_all(work + "/tones");
  const CommandResult gone = smelt_in(work, "check m.smelt");
  CHECK_MESSAGE(gone.exit_code == 0, gone.err);
  CHECK(smelt_in(work, "train m.smelt -o b").exit_code != 0);
}

// A column has any number of rows until it is read: its reshape has more bytes than a process can address.
TEST_CASE("long windows are reshaped in a metric") {
  const std::string work = fresh_directory("audio-long");
  std::string text(kModel);
  const auto replace = [&](std::string_view what, std::string_view by) {
    text.replace(text.find(what), what.size(), by);
  };
  replace("T = 64", "T = 32768");
  replace("metric off(x: f32[B, T], length: i32[B]) = error(x, length)",
          "metric off(x: f32[B, T]) = mean(reshape(x, [B, 512, 64]) ^ 2)");
  write_text_file(work + "/long.smelt", text);
  const CommandResult result = run_smelt({"check", work + "/long.smelt"});
  CHECK_MESSAGE(result.exit_code == 0, result.err);
}

TEST_CASE("options of audio are checked") {
  const auto check = [](std::string_view options) {
    const std::string call = fmt::format("audio(\"tones\"{})", options);
    return smelt_in(tone_model("audio-options", replaced(kModel, "audio(\"tones\", rate = 8000, window = T)", call)),
                    "check m.smelt")
        .err;
  };
  CHECK(has(check(", window = T"), "`audio` lacks `rate`"));
  CHECK(has(check(", rate = 8000"), "`audio` lacks `window`"));
  CHECK(has(check(", rate = 8, window = T"), "8 samples a second; a sound has 2000 to 384000"));
  CHECK(has(check(", rate = 8000, window = 0"), "windows of 0 samples"));
  CHECK(has(check(", rate = 8000, window = T, size = 3"), "`audio` has no option `size`"));
  CHECK(has(smelt_in(tone_model("audio-options", replaced(kModel, "field(1)", "field(2)")), "check m.smelt").err,
            "`field(0)` is the window, `field(1)` the number of its samples"));
}

TEST_CASE("results are written as sounds and texts") {
  const std::string work = tone_model("audio-results");
  const CommandResult drawn = smelt_in(work, "sample m.smelt over -n 2 -o x.wav");
  REQUIRE_MESSAGE(drawn.exit_code == 0, drawn.err);
  CHECK_MESSAGE(has(drawn.err, "128 of 2128 samples of `over` lie outside of -1..1"), drawn.err);
  CHECK(heard(work + "/x.wav").samples.size() == 2128);
  CHECK(heard(work + "/x.wav").rate == 8000);
  REQUIRE(smelt_in(work, "sample m.smelt over -n 1 --rate 16000 -o y.wav").exit_code == 0);
  CHECK(heard(work + "/y.wav").rate == 16000);
  CHECK(has(smelt_in(work, "sample m.smelt over -n 1 -o y.wav").err, "y.wav exists"));
  REQUIRE(smelt_in(work, "sample m.smelt pair -n 1 -o p.npy").exit_code == 0);
  CHECK(has(smelt_in(work, "sample m.smelt pair -n 1 -o p.wav").err, "`pair1` is i32[B<=4, 64], no sound"));
  CHECK(has(smelt_in(work, "sample m.smelt pair -n 1").err, "-o is missing: `pair0` is f32[B<=4, 64], no text"));
  REQUIRE(smelt_in(work, "run m.smelt same --input x=p.0.npy -o z.npy").exit_code == 0);
  const CommandResult spelt = smelt_in(work, "run m.smelt spell --input x=p.0.npy");
  CHECK_MESSAGE(spelt.exit_code == 0, spelt.err);
  CHECK(spelt.out.size() == 65);
  CHECK(has(smelt_in(work, "sample m.smelt over -o x.mp3").err, "write `.npy`, `.npz`, `.png`, `.txt` or `.wav`"));
  CHECK(has(smelt_in(work, "sample m.smelt over -o x.wav --force --rate 7").err, "2000 to 384000"));
}

TEST_CASE("actions that cannot be written say why") {
  const auto check = [](std::string_view action) {
    return smelt_in(tone_model("audio-actions", replaced(kModel, "audio net.gain at 4000 to \"gain.wav\"", action)),
                    "check m.smelt")
        .err;
  };
  CHECK(check("audio net.gain to \"gain.wav\"") == "");
  CHECK(has(check("audio net.gain at 1 to \"gain.wav\""), "1 samples a second"));
  CHECK(has(check("audio net.gain to \"gain.mp3\""), "ends in .wav"));
  CHECK(has(check("audio net.gain to \"../gain.wav\""), "inside the run directory"));
  CHECK(has(check("audio zeros([2, 3, 4]) to \"gain.wav\""), "not a row of sounds"));
  CHECK(has(check("text net.gain to \"gain.txt\""), "is not a text"));
  CHECK(has(check("audio nosie(zeros([3, T])) to \"gain.wav\""), "noise"));
}

}  // namespace
}  // namespace smelt::test
