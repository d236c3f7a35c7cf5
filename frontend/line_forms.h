// Lines of a train section, its actions, and options of step lines: how each is written, and what it is.
#pragma once

#include <string_view>

namespace smelt::frontend {

struct LineForm {
  std::string_view word, form, doc = {};
};

/// What errors of these lines show when they know nothing better.
inline constexpr LineForm kTrainLines[] = {
    {"data", "data mnist", "the data section that objectives and metrics take fields of; of several lines, each"},
    {"batch", "batch B = 128, shuffle",
     "the batch dim and its size; `shuffle` gives each epoch an order of its own, `bucket = 50` puts rows of like "
     "length together"},
    {"epochs", "epochs 10", "how many times training goes through the data"},
    {"steps", "steps 20_000", "how many iterations training takes, instead of `epochs`"},
    {"seed", "seed 1", "of everything random"},
    {"precision", "precision bf16", "f32, f64, or bf16, in which what flows between kernels is stored"},
    {"step", "step loss with adam(lr = 1e-3)",
     "an objective and its optimiser; `, sgd(lr = 0.1) for net.head` gives some parameters another one"},
    {"loop", "loop { 5 * critic; gen }",
     "the step lines of an iteration; `on one batch` gives all the same rows, `together { d; g }` takes both gradients "
     "at the same parameters"},
    {"ema", "ema G_avg = G decay 0.999", "an average of a net, which is applied like the net everywhere in the file"},
    {"every", "every 1 epoch { eval valid: loss, acc }",
     "what is done between steps: eval, image, text, audio, checkpoint"},
    {"stop", "stop when no better(max acc, 5)",
     "ends the run when a metric has not become better for so many evaluations, or when a condition of losses holds"},
    {"slow", "slow loss by 0.5 when no better(min loss, 5)",
     "multiplies the learning rate of a step line when a metric has not become better for so many evaluations, and "
     "waits again: a schedule by plateaus"},
    {"eval", "eval valid: loss, acc", "objectives and metrics over a split, into the log"},
    {"image", "image grid(x, 8) to \"x-{step}.png\"", "pictures, in rows"},
    {"text", "text write(x) to \"x-{step}.txt\"", "labels as bytes, or as the text of subwords"},
    {"audio", "audio say(x) at 8000 to \"x-{step}.wav\"", "floats of -1..1 as 16-bit samples"},
    {"checkpoint", "checkpoint keep best(max acc)",
     "saves the run; `keep 3` keeps the newest, `keep best(..)` the best"},
};

/// Options that every optimiser of a step line takes.
inline constexpr LineForm kStepOptions[] = {
    {"clip_norm", "adam(lr = 1e-3, clip_norm = 1)",
     "scales all gradients of the line so that their common norm is at most this, and reports it as grad_norm"},
    {"clip_value", "adam(lr = 1e-3, clip_value = 0.5)", "bounds each element of the gradients"},
    {"accumulate", "adam(lr = 1e-3, accumulate = 4)",
     "parameters change at every fourth call, by the mean of the gradients since the last change"},
    {"decay", "adamw(lr = 1e-3, weight_decay = 0.1, decay = net.**.W)",
     "which parameters `weight_decay` shrinks; all of them without it"},
    {"project", "rmsprop(lr = 5e-5, project = box)",
     "what this function makes of each new parameter takes its place, such as `fn box(p) = clamp(p, -0.01, 0.01)`"},
};

}  // namespace smelt::frontend
