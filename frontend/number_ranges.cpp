// A table of the ranges of numbers. What a layer's options have to be is asserted in the library, because those are
// always known while compiling; arguments of functions may also be computed by the run, and then nothing is checked.
#include "frontend/number_ranges.h"

#include <algorithm>
#include <limits>

namespace smelt::frontend {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::max();

constexpr NumberRange above_0(std::string_view of, std::string_view name, std::string_view help = {}) {
  return {of, name, 0, kNoLimit, true, false, "above 0", help};
}
constexpr NumberRange from_0(std::string_view of, std::string_view name, std::string_view help = {}) {
  return {of, name, 0, kNoLimit, false, false, "at least 0", help};
}
constexpr NumberRange whole_from_1(std::string_view of, std::string_view name, std::string_view help = {}) {
  return {of, name, 1, kNoLimit, false, false, "a whole number from 1", help, true};
}
constexpr NumberRange probability(std::string_view of, std::string_view name) {
  return {of, name, 0, 1, false, false, "in [0, 1]"};
}
constexpr NumberRange below_1(std::string_view of, std::string_view name) {
  return {of, name, 0, 1, false, true, "in [0, 1)"};
}
constexpr NumberRange share(std::string_view of, std::string_view name, std::string_view help) {
  return {of, name, 0, 1, true, false, "above 0 and at most 1", help};
}

constexpr std::string_view kNoSchedule = "a schedule without it is a number: leave the schedule out";
constexpr std::string_view kLikeliest = "0 takes the likeliest, 1 draws from the model as it is";
constexpr std::string_view kFew = "leave it out to draw among all labels";

constexpr NumberRange kRanges[] = {
    above_0(kStepLine, "lr"),
    below_1(kStepLine, "momentum"),
    below_1(kStepLine, "beta1"),
    below_1(kStepLine, "beta2"),
    below_1(kStepLine, "alpha"),
    below_1(kStepLine, "rho"),
    from_0(kStepLine, "eps"),
    from_0(kStepLine, "weight_decay"),
    above_0(kStepLine, "clip_norm"),
    above_0(kStepLine, "clip_value"),

    share(kAnySchedule, "over", "it is a share of the run: `over = 0.2` is the first fifth"),
    above_0(kAnySchedule, "every", kNoSchedule),
    above_0(kAnySchedule, "steps", kNoSchedule),
    above_0(kAnySchedule, "cycles", kNoSchedule),
    above_0(kAnySchedule, "rise", kNoSchedule),
    share("cyclic", "rise", "it is the share of a cycle in which the line rises"),
    below_1("one_cycle", "rise"),
    above_0("one_cycle", "first"),
    above_0("one_cycle", "last"),
    below_1("swa", "start"),
    from_0("step", "factor", "the value would change its sign"),
    from_0("exponential", "rate", "the value would change its sign"),
    above_0("polynomial", "power", "1 is a line, 2 a parabola"),

    above_0(kAnyLibrary, "fan_in", "it is how many numbers a unit reads"),
    above_0(kAnyLibrary, "fan_out", "it is how many units read a number"),

    from_0("Normal", "std"),
    from_0("LogNormal", "std"),
    from_0("TruncatedNormal", "std"),
    from_0("Laplace", "scale"),

    above_0("huber", "delta", "it is where the square ends and the line begins: `delta = 1`"),
    probability("random_flip", "p"),
    probability("random_brightness", "by"),
    from_0("random_noise", "std"),
    above_0("rotary", "base"),
    above_0("mu_law", "mu"),
    above_0("mu_law_inverse", "mu"),
    above_0("mu_law_index", "mu"),
    above_0("mu_law_value", "mu"),
    from_0("spectrogram", "eps"),
    from_0("log_mel", "eps"),
    above_0("log_mel", "rate"),
    above_0("mel_filters", "rate"),
    from_0("mel_filters", "low"),

    from_0("draw", "temperature", kLikeliest),
    from_0("generate", "temperature", kLikeliest),
    from_0("generate_pages", "temperature", kLikeliest),
    whole_from_1("draw", "top_k", kFew),
    whole_from_1("generate", "top_k", kFew),
    whole_from_1("generate_pages", "top_k", kFew),
    whole_from_1("keep_top", "top_k", kFew),
    share("draw", "top_p", kFew),
    share("generate", "top_p", kFew),
    share("generate_pages", "top_p", kFew),
    share("keep_top", "top_p", kFew),
};

}  // namespace

const NumberRange* broken_range(std::string_view of, std::string_view name, double value) {
  const auto broken = std::ranges::find_if(
      kRanges, [&](const NumberRange& r) { return r.of == of && r.name == name && !r.holds(value); });
  return broken == std::end(kRanges) ? nullptr : &*broken;
}

}  // namespace smelt::frontend
