#include "api/smelt/cached_program.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "compiler/codegen/make_target.h"
#include "ir/support/bytes.h"
#include "runtime/object_cache.h"
#include "tests/support/text_files.h"
#include "tests/unit/runtime/test_files.h"

namespace smelt::test {
namespace {

constexpr std::string_view kModel = R"(import std.nn (Dense)
dim B <= 16, In = 6, Class = 3
data iris {
  train, valid = npy("x.npy", "y.npy") |> split(0.8)
  x: f32[In] in 0..10 = field(0)
  y: ix<Class> = field(1)
}
layer Net(x: f32[B, In]) -> f32[B, Class] { x |> a: Dense{8, act=tanh} |> b: Dense{Class} }
model net = Net
objective loss(x: f32[B, In], y: ix<Class>[B]) updates net { mean(softmax_xent(net(x), y, over=Class)) }
metric accuracy(x: f32[B, In], y: ix<Class>[B]) = mean(cast(argmax(net(x), over=Class) == y, f32))
export classify(x: f32[B, In]) -> f32[B, Class] { softmax(slow(x), over=Class) }
train { data iris
        batch B = 16, shuffle
        epochs 3
        seed 1
        ema slow = net decay 0.99
        step loss with adam(lr = cosine(1e-3, 1e-4))
        every 1 epoch { eval valid: loss, accuracy; checkpoint keep best(min loss) } }
)";

class Compiler {
 public:
  CompiledProgram operator()(const std::string& text) const {
    const CheckedModel model = check_text("iris.smelt", text, options);
    REQUIRE(model.experiment);
    const Result<Target> target = make_target(options.cpu);
    Result<CompiledProgram> program = cached_program(model, *target, options);
    REQUIRE(program);
    return std::move(*program);
  }
  int64_t entries() const { return ObjectCache::open(options.cache_directory)->status().entries; }

  TempDirectory directory;
  ModelOptions options = {.optimize = false, .cache_directory = directory / "cache"};
};

std::string changed(std::string_view from, std::string_view to) {
  std::string text(kModel);
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("a program from the cache is the one that was compiled, in every member") {
  const Compiler compile;
  const std::string first = to_bytes(compile(std::string(kModel)));
  CHECK(compile.entries() == 2);
  CHECK(to_bytes(compile(std::string(kModel))) == first);
  CHECK(compile.entries() == 2);
  Compiler without;
  without.options.cache_directory.clear();
  CHECK(to_bytes(without(std::string(kModel))) == first);
}

TEST_CASE("what changes the program is never answered by another one") {
  Compiler compile;
  const CompiledProgram first = compile(std::string(kModel));
  CHECK(compile(changed("epochs 3", "epochs 4")).train.epochs == 4);
  CHECK(compile(changed("seed 1", "seed 2")).train.seed == 2);
  CHECK(compile(changed("split(0.8)", "split(0.7)")).data->splits[0].share.to == 0.7);
  CHECK(compile(changed("Class = 3", "Class = 4")).arena_bytes > first.arena_bytes);
  CHECK(compile(changed("import", "\nimport")).places != first.places);
  CHECK(to_bytes(compile(std::string(kModel))) == to_bytes(first));
  compile.options.passes.profile = true;
  CHECK(compile(std::string(kModel)).arena_bytes > first.arena_bytes);
  compile.options.passes.profile = false;
  compile.options.batch = 8;
  CHECK(compile(std::string(kModel)).train.batch == 8);
}

TEST_CASE("a text of the same kernels shares their machine code") {
  const Compiler compile;
  const CompiledProgram first = compile(std::string(kModel));
  const CompiledProgram second = compile(changed("metric", "# a word more\nmetric"));
  CHECK(second.hash != first.hash);
  CHECK(second.object == first.object);
  CHECK(compile.entries() == 3);
}

TEST_CASE("a description whose object is gone is of no use") {
  const Compiler compile;
  const std::string first = to_bytes(compile(std::string(kModel)));
  for (const auto& file : std::filesystem::directory_iterator(compile.directory / "cache")) {
    const std::string text = read_text(file.path().string());
    if (text.find("\x7f"
                  "ELF") != std::string::npos)
      std::filesystem::remove(file.path());
  }
  CHECK(compile.entries() == 1);
  CHECK(to_bytes(compile(std::string(kModel))) == first);
  CHECK(compile.entries() == 2);
}

}  // namespace
}  // namespace smelt::test
