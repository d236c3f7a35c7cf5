// Tables of the words that people bring along. Names that mean the same in both have no line.
#include "frontend/foreign_words.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/support/suggest.h"

namespace smelt::frontend {

namespace {

struct Word {
  std::string_view theirs, ours;
};

constexpr Word kKeywords[] = {
    {"return", "the last expression of a body is its value: leave `return` out"},
    {"let", "`=` binds a name: write `h = ..`, without `let`"},
    {"var", "`=` binds a name: write `h = ..`, without `var`"},
    {"val", "`=` binds a name: write `h = ..`, without `val`"},
    {"auto", "`=` binds a name: write `h = ..`, without `auto`"},
    {"for", "`x |> repeat i < n { .. }` stacks layers, `scan t < T with h = .. { .. }` goes through steps"},
    {"while", "`x |> repeat i < n { .. }` stacks layers, `scan t < T with h = .. { .. }` goes through steps"},
    {"print", "`report name = ..` of an objective shows a number; an export gives tensors"},
    {"def", "write `fn f(x) = ..`, or `layer Net(x: f32[B, X]) -> f32[B, Y] { .. }` for what has parameters"},
    {"function", "write `fn f(x) = ..`"},
    {"func", "write `fn f(x) = ..`"},
    {"class", "write `layer Net(x: f32[B, X]) -> f32[B, Y] { .. }`, and `model net = Net`"},
    {"from", "write `import std.nn (Dense)`"},
    {"loss", "write `objective loss(x: f32[B, X]) updates net { .. }`"},
    {"optimizer", "write `optimiser`"},
    {"parameter", "write `param W: f32[In, out] ~ glorot_uniform()`"},
    {"buffer", "write `state m: f32[X] = zeros()`"},
};

// The longer ones first.
constexpr Word kOperators[] = {
    {"**", "`^` is the power: `x ^ 2`"},
    {"&&", "`and` joins two conditions"},
    {"||", "`or` joins two conditions"},
    {"+=", "a name is bound once: write `z = y + ..`; a state is written by `m <- m + ..`"},
    {"-=", "a name is bound once: write `z = y - ..`; a state is written by `m <- m - ..`"},
    {"*=", "a name is bound once: write `z = y * ..`; a state is written by `m <- m * ..`"},
    {"/=", "a name is bound once: write `z = y / ..`; a state is written by `m <- m / ..`"},
    {":=", "`=` binds a name"},
    {"=>", "`=` stands before the expression of a function"},
    {"|", "`|>` gives a value to the next function: `x |> Dense{8}`"},
    {"&", "`and` joins two conditions"},
    {"!", "`not` negates a condition, and `!=` compares"},
    {"'", "texts stand in double quotes: \"a\""},
};

constexpr Word kNames[] = {
    {"Linear", "`Dense`"},
    {"FullyConnected", "`Dense`"},
    {"Conv", "`Conv2d`, or `Conv1d`"},
    {"Convolution", "`Conv2d`, or `Conv1d`"},
    {"ConvTranspose1d", "`ConvT1d`"},
    {"ConvTranspose2d", "`ConvT2d`"},
    {"BatchNorm1d", "`BatchNorm`"},
    {"BatchNorm2d", "`BatchNorm`"},
    {"BatchNormalization", "`BatchNorm`"},
    {"InstanceNorm2d", "`InstanceNorm`"},
    {"LayerNormalization", "`LayerNorm`"},
    {"MaxPool2d", "`MaxPool`"},
    {"MaxPooling2D", "`MaxPool`"},
    {"AvgPool2d", "`AvgPool`"},
    {"AdaptiveAvgPool2d", "`AdaptiveAvgPool`"},
    {"GlobalAveragePooling2D", "`GlobalAvgPool`"},
    {"MaxPooling", "`MaxPool`"},
    {"max_pool2d", "`MaxPool`"},
    {"AvgPooling", "`AvgPool`"},
    {"AveragePooling2D", "`AvgPool`"},
    {"avg_pool2d", "`AvgPool`"},
    {"UpSampling2D", "`upsample`"},
    {"ZeroPad2d", "`pad_zero`"},
    {"ZeroPadding2D", "`pad_zero`"},
    {"ReflectionPad2d", "`pad_reflect`"},
    {"ReplicationPad2d", "`pad_replicate`"},
    {"GroupNormalization", "`GroupNorm`"},
    {"Dropout2d", "`Dropout`"},
    {"MultiheadAttention", "`MultiHeadAttention`"},
    {"TransformerEncoderLayer", "`TransformerBlock`"},
    {"TransformerDecoderLayer", "`TransformerDecoderBlock`"},
    {"Sequential", "a pipe: `x |> Dense{8, act=relu} |> Dense{1}`"},
    {"Flatten", "`flatten`"},
    {"ReLU", "`relu`"},
    {"LeakyReLU", "`leaky_relu`"},
    {"Sigmoid", "`sigmoid`"},
    {"Tanh", "`tanh`"},
    {"Softmax", "`softmax`"},
    {"swish", "`silu`"},
    {"relu6", "`clamp(x, 0, 6)`"},
    {"ReLU6", "`clamp(x, 0, 6)`"},
    {"hardtanh", "`clamp(x, -1, 1)`"},
    {"Hardtanh", "`clamp(x, -1, 1)`"},
    {"logsigmoid", "`-softplus(-x)`"},
    {"log_sigmoid", "`-softplus(-x)`"},
    {"LogSigmoid", "`-softplus(-x)`"},
    {"print", "`report name = ..`, in an objective"},
    {"cross_entropy", "`softmax_xent`"},
    {"CrossEntropyLoss", "`softmax_xent`"},
    {"nll_loss", "`softmax_xent`, of logits"},
    {"softmax_cross_entropy", "`softmax_xent`"},
    {"softmax_cross_entropy_with_logits", "`softmax_xent`"},
    {"categorical_crossentropy", "`softmax_xent`, of logits"},
    {"sparse_categorical_crossentropy", "`softmax_xent`, of logits"},
    {"bce", "`sigmoid_xent`, of logits"},
    {"binary_cross_entropy", "`sigmoid_xent`, of logits"},
    {"binary_cross_entropy_with_logits", "`sigmoid_xent`"},
    {"bce_with_logits", "`sigmoid_xent`"},
    {"BCEWithLogitsLoss", "`sigmoid_xent`"},
    {"BCELoss", "`sigmoid_xent`, of logits"},
    {"binary_crossentropy", "`sigmoid_xent`, of logits"},
    {"sigmoid_cross_entropy", "`sigmoid_xent`"},
    {"sigmoid_cross_entropy_with_logits", "`sigmoid_xent`"},
    {"mse_loss", "`mse`"},
    {"MSELoss", "`mse`"},
    {"mean_squared_error", "`mse`"},
    {"mean_absolute_error", "`l1_loss`"},
    {"L1Loss", "`l1_loss`"},
    {"gaussian_nll", "`-normal_log_prob(x, mean, logvar)`"},
    {"GaussianNLLLoss", "`-normal_log_prob(x, mean, logvar)`"},
    {"smooth_l1_loss", "`huber`"},
    {"kl_div", "`kl`, of two distributions"},
    {"Gaussian", "`Normal`"},
    {"randn", "a draw: `z ~ Normal(0, 1)[B, Z]`"},
    {"rand", "a draw: `u ~ Uniform(0, 1)[B, Z]`"},
    {"variance", "`moments`, mean and variance: `(m, v) = moments(x, over=B)`"},
    {"var", "`moments`, mean and variance: `(m, v) = moments(x, over=B)`"},
    {"std", "`moments`, mean and variance: `(m, v) = moments(x, over=B)`, then `sqrt(v)`"},
    {"matmul", "`a @ b`"},
    {"bmm", "a formula: `y[n, i, j] = sum[k] a[n, i, k] * b[n, k, j]`"},
    {"einsum", "a formula: `y[i, j] = sum[k] a[i, k] * b[k, j]`"},
    {"dot", "`sum(a * b, over=D)`"},
    {"inner", "`sum(a * b, over=D)`"},
    {"outer", "a formula: `y[i, j] = a[i] * b[j]`"},
    {"trace", "a formula: `t[] = sum[i] a[i, i]`"},
    {"eye", "`where(index(N) == index(M), 1.0, 0.0)`"},
    {"diag", "`diagonal`, of std.linalg"},
    {"logdet", "`2 * sum(log(diagonal(cholesky(a, N, M), N, M)), over=M)`"},
    {"inverse", "`solve_lower` and `solve_upper`, with `cholesky`"},
    {"fft", "`stft`, or a product with `dft_angle`"},
    {"rfft", "`stft`, or a product with `dft_angle`"},
    {"view", "`reshape`"},
    {"permute", "a formula: `y[n, t, c] = x[n, c, t]`"},
    {"transpose", "a formula: `y[j, i] = x[i, j]`"},
    {"cat", "`concat`"},
    {"concatenate", "`concat`"},
    {"unsqueeze", "`reshape`; operands that lack an axis are repeated along it without one"},
    {"expand_dims", "`reshape`; operands that lack an axis are repeated along it without one"},
    {"tile", "a formula: `y[k, i] = x[i]`"},
    {"repeat_interleave", "`x[index(Twice) / 2]`, with `dim Twice = 2 * T`"},
    {"chunk", "`x[.. 4]` and `x[4 ..]`"},
    {"detach", "`stop`"},
    {"stop_gradient", "`stop`"},
    {"no_grad", "`stop`"},
    {"arange", "`index`, along a dim"},
    {"range", "`index`, along a dim"},
    {"len", "`count`"},
    {"columns", "`row()[0 .. 8]`, or `field(0)` for one"},
    {"column", "`field(0)`, or `row()[0 .. 8]` for several"},
    {"cols", "`row()[0 .. 8]`, or `field(0)` for one"},
    {"gather", "`table[labels]`"},
    {"masked_fill", "`where(mask, value, x)`"},
    {"tril", "`lower_triangle`"},
    {"triu", "`upper_triangle`"},
    {"round", "`floor(x + 0.5)`"},
    {"ceil", "`-floor(-x)`"},
    {"clip", "`clamp`"},
    {"minimum", "`min`"},
    {"maximum", "`max`"},
    {"amax", "`max`"},
    {"amin", "`min`"},
    {"absolute", "`abs`"},
    {"reduce_mean", "`mean`"},
    {"average", "`mean`"},
    {"reduce_sum", "`sum`"},
    {"cumulative_sum", "`cumsum`"},
    {"l2_norm", "`norm`"},
    {"log2", "`log(x) / log(2.0)`"},
    {"log10", "`log(x) / log(10.0)`"},
    {"tan", "`sin(x) / cos(x)`"},
    {"randn_like", "a draw: `z ~ Normal(zeros_like(x), 1)`"},
    {"roll", "a formula: `y[n, i < 8] = x[n, (i + 7) % 8]`"},
    {"pow", "`x ^ y`"},
    {"normalize", "`x / norm(x, over=D)`"},
    {"cosine_similarity", "`sum(a * b, over=D) / (norm(a, over=D) * norm(b, over=D))`"},
    {"interpolate", "`upsample`, or `upsample_bilinear`"},
    {"PixelShuffle", "`pixel_shuffle`"},
    {"Parameter", "a line of its own: `param W: f32[In, out] ~ glorot_uniform()`"},
    {"param", "a line of its own: `param W: f32[In, out] ~ glorot_uniform()`"},
    {"True", "`true`"},
    {"False", "`false`"},
    {"None", "`none`"},
    {"null", "`none`"},
    {"float", "`f32`"},
    {"float32", "`f32`"},
    {"float64", "`f64`"},
    {"double", "`f64`"},
    {"half", "`f16`"},
    {"bfloat16", "`bf16`"},
    {"int", "`i32`, or `ix<Class>` of labels"},
    {"int32", "`i32`, or `ix<Class>` of labels"},
    {"int64", "`i64`"},
    {"long", "`i64`, or `ix<Class>` of labels"},
};

// Options of layers, functions and optimisers; each counts where the callee has ours.
constexpr Word kOptions[] = {
    {"padding", "pad"},
    {"kernel", "k"},
    {"kernel_size", "k"},
    {"strides", "stride"},
    {"activation", "act"},
    {"nonlinearity", "act"},
    {"units", "out"},
    {"features", "out"},
    {"out_features", "out"},
    {"out_channels", "out"},
    {"channels", "out"},
    {"filters", "out"},
    {"use_bias", "bias"},
    {"hidden_size", "hidden"},
    {"num_heads", "heads"},
    {"nhead", "heads"},
    {"num_groups", "groups"},
    {"rate", "p"},
    {"prob", "p"},
    {"dropout", "p"},
    {"epsilon", "eps"},
    {"axis", "over"},
    {"dim", "over"},
    {"dims", "over"},
    {"num_embeddings", "rows"},
    {"embedding_dim", "out"},
    {"learning_rate", "lr"},
    {"betas", "beta1"},
    {"b1", "beta1"},
    {"b2", "beta2"},
    {"clip", "clip_norm"},
    {"max_norm", "clip_norm"},
    {"grad_clip", "clip_norm"},
    {"clipnorm", "clip_norm"},
    {"wd", "weight_decay"},
    {"l2", "weight_decay"},
    {"alpha", "slope"},
    {"negative_slope", "slope"},
    {"beta", "delta"},
    {"loc", "mean"},
    {"mu", "mean"},
    {"sigma", "std"},
    {"scale", "std"},
    {"log_var", "logvar"},
    {"probs", "logits"},
    {"is_causal", "causal"},
};

template <size_t N>
std::string_view found_in(const Word (&words)[N], std::string_view theirs) {
  const auto* const known = std::ranges::find(words, theirs, &Word::theirs);
  return known == std::end(words) ? std::string_view() : known->ours;
}

}  // namespace

std::string_view help_for_operator(std::string_view text, size_t* length) {
  for (const Word& sign : kOperators) {
    if (!text.starts_with(sign.theirs)) continue;
    if (length != nullptr) *length = sign.theirs.size();
    return sign.ours;
  }
  return {};
}

std::string_view help_for_keyword(std::string_view word) { return found_in(kKeywords, word); }

std::string help_for_foreign_name(std::string_view name) {
  const std::string_view ours = found_in(kNames, name);
  return ours.empty() ? std::string() : fmt::format("what others call `{}` is {}", name, ours);
}

std::string help_for_option(std::string_view option, std::span<const std::string> known) {
  if (option.starts_with("keepdim"))
    return "no axis has to be kept: axes line up by name, as in `x - mean(x, over=X)`; `stretch(y, over=X)` repeats";
  const std::string_view ours = found_in(kOptions, option);
  if (ours.empty() || std::ranges::find(known, ours) == known.end()) return did_you_mean(option, known);
  return fmt::format("what others call `{}` is `{}`", option, ours);
}

}  // namespace smelt::frontend
