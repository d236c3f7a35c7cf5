// The differentiable entries of the standard library as expressions, each on a net of its own whose input is a
// parameter: what the derivative tests and the table of sizes go through.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace smelt::test {

struct StdEntry {
  std::string_view name;        // of the library, or of a function that the compiler provides
  std::string_view expression;  // on x: f32[Row, H], positive p: f32[Row, H], labels y: ix<H>[Row], inside a layer
};

inline constexpr StdEntry kStdEntries[] = {
    // layers
    {"Dense", "x |> fc: Dense{H, act=tanh}"},
    {"Dropout", "x |> drop: Dropout{0.4}"},
    {"LayerNorm", "x |> ln: LayerNorm{H}"},
    {"BatchNorm", "x |> bn: BatchNorm"},
    // of pictures and sequences in [N, C, ..]
    {"Conv1d", "sum(square(reshape(x, [2, 2, 3]) |> c: Conv1d{2, pad=1, act=tanh}))"},
    {"Conv2d", "sum(square(reshape(x, [1, 1, 4, 3]) |> c: Conv2d{2, pad=1, act=tanh}))"},
    {"ConvT1d", "sum(square(reshape(x, [2, 2, 3]) |> c: ConvT1d{2, stride=2, act=tanh}))"},
    {"ConvT2d", "sum(square(reshape(x, [1, 1, 4, 3]) |> c: ConvT2d{2, stride=2, act=tanh}))"},
    {"MaxPool", "sum(square(reshape(x, [1, 1, 4, 3]) |> MaxPool{2, stride=1}))"},
    {"AvgPool", "sum(square(reshape(x, [1, 1, 4, 3]) |> AvgPool{2, stride=1}))"},
    {"GlobalAvgPool", "sum(sin(reshape(x, [2, 2, 1, 3]) |> GlobalAvgPool))"},
    {"AdaptiveAvgPool", "sum(sin(reshape(x, [1, 1, 4, 3]) |> AdaptiveAvgPool{(2, 2)}))"},
    {"GroupNorm", "sum(sin(reshape(x, [1, 4, 1, 3]) |> g: GroupNorm{2}))"},
    {"InstanceNorm", "sum(sin(reshape(x, [2, 2, 1, 3]) |> g: InstanceNorm))"},
    {"WeightNorm", "sum(sin(x |> fc: Dense{H, reparam=WeightNorm}))"},
    {"_transposed", "sum(sin(_transposed(x)))"},
    {"_power_step", "sum(sin(left_vector(x)))"},
    {"_power_right", "sum(sin(_power_right(sum(x, over=Row), x, 1e-12)))"},
    {"_unit_vector", "sum(sin(_unit_vector(x, 1e-12)))"},
    {"Maxout", "sum(sin(x |> m: Maxout{2, pieces=2}))"},
    {"RMSNorm", "x |> n: RMSNorm{H}"},
    {"Embedding", "sum(sin(y |> e: Embedding{H, 2}))"},
    {"RNN", "sum(sin(reshape(x, [2, 3, 2]) |> r: RNN{2}))"},
    {"LSTM", "sum(sin(reshape(x, [2, 3, 2]) |> r: LSTM{2}))"},
    {"GRU", "sum(sin(reshape(x, [2, 3, 2]) |> r: GRU{2}))"},
    {"BiLSTM", "sum(sin(reshape(x, [2, 3, 2]) |> r: BiLSTM{2}))"},
    {"BiGRU", "sum(sin(reshape(x, [2, 3, 2]) |> r: BiGRU{2}))"},
    // activations
    {"identity", "identity(x)"},
    {"leaky_relu", "leaky_relu(x, 0.2)"},
    {"elu", "elu(x)"},
    {"selu", "selu(x)"},
    {"silu", "silu(x)"},
    {"mish", "mish(x)"},
    {"softsign", "softsign(x)"},
    {"hard_sigmoid", "hard_sigmoid(x)"},
    {"gelu", "gelu(x)"},
    {"gelu_tanh", "gelu_tanh(x)"},
    {"_gelu_angle", "_gelu_angle(x)"},
    {"relu", "relu(x)"},
    {"tanh", "tanh(x)"},
    {"sigmoid", "sigmoid(x)"},
    {"softplus", "softplus(x)"},
    {"erf", "erf(x)"},
    {"normal_cdf", "normal_cdf(x)"},
    {"softmax", "softmax(x, over=H)"},
    {"log_softmax", "log_softmax(x, over=H)"},
    {"logsumexp", "logsumexp(x, over=H)"},
    // losses
    {"mse", "mse(x, p)"},
    {"l1_loss", "l1_loss(x, p)"},
    {"huber", "huber(x, p, 0.5)"},
    {"softmax_xent", "softmax_xent(x, y, over=H)"},
    {"sigmoid_xent", "sigmoid_xent(x, sigmoid(p))"},
    {"hinge", "hinge(x, 1)"},
    {"norm", "norm(x, over=H)"},
    {"moments", "variance(x)"},
    {"lerp", "lerp(x, p, 0.3)"},
    {"l2", "l2(x)"},
    // distributions
    {"normal_log_prob", "log_prob(Normal(mean = x, logvar = p), p)"},
    {"normal_entropy", "entropy(Normal(mean = x, logvar = p))"},
    {"normal_mean", "mean_of(Normal(mean = x, logvar = p))"},
    {"normal_from_noise", "normal_from_noise(0.5, x, p)"},
    {"_normal_from_noise", "drawn(Normal(mean = x, logvar = p))"},
    {"_normal_from_noise_std", "drawn(Normal(x, p))"},
    {"normal_kl", "kl(Normal(mean = x, logvar = p), Normal(mean = p, logvar = x))"},
    {"normal_log_prob_std", "log_prob(Normal(x, p), p)"},
    {"normal_entropy_std", "entropy(Normal(x, p))"},
    {"normal_mean_std", "mean_of(Normal(x, p))"},
    {"normal_kl_std", "kl(Normal(x, p), Normal(p, 0.5 + p))"},
    {"_exp_beyond_line", "_exp_beyond_line(x)"},
    {"_exp_series", "_exp_series(x)"},
    {"_log_ratio", "_log_ratio(p, 1 + p)"},
    {"_entropy_of_negative", "_entropy_of_negative(-p)"},
    {"_kl_of_negative", "_kl_of_negative(-p, x)"},
    {"_line_beyond_log", "_line_beyond_log(tanh(x) / 4)"},
    {"_atanh_series", "_atanh_series(tanh(x) / 4)"},
    {"bernoulli_log_prob", "log_prob(Bernoulli(x), sigmoid(p))"},
    {"bernoulli_entropy", "entropy(Bernoulli(x))"},
    {"bernoulli_mean", "mean_of(Bernoulli(x))"},
    {"bernoulli_kl", "kl(Bernoulli(x), Bernoulli(p))"},
    {"uniform_log_prob", "log_prob(Uniform(x - 2, x + p), x)"},
    {"uniform_entropy", "entropy(Uniform(x - 2, x + p))"},
    {"uniform_mean", "mean_of(Uniform(x, p))"},
    {"_uniform_from_noise", "drawn(Uniform(x, p))"},
    {"laplace_log_prob", "log_prob(Laplace(x, p), p)"},
    {"laplace_entropy", "entropy(Laplace(x, p))"},
    {"truncated_normal_entropy", "entropy(TruncatedNormal(x, p))"},
    {"laplace_mean", "mean_of(Laplace(x, p))"},
    {"_laplace_from_noise", "drawn(Laplace(x, p))"},
    {"laplace_kl", "kl(Laplace(x, p), Laplace(p, 0.5 + p))"},
    {"log_normal_log_prob", "log_prob(LogNormal(x, p), p)"},
    {"log_normal_entropy", "entropy(LogNormal(x, p))"},
    {"log_normal_mean", "mean_of(LogNormal(x, p))"},
    {"_log_normal_from_noise", "drawn(LogNormal(x, 0.3 * p))"},
    {"log_normal_kl", "kl(LogNormal(x, p), LogNormal(p, 0.5 + p))"},
    {"categorical_log_prob", "log_prob(Categorical(x), y)"},
    {"categorical_entropy", "entropy(Categorical(x))"},
    {"categorical_kl", "kl(Categorical(x), Categorical(p))"},
    {"truncated_normal_log_prob", "log_prob(TruncatedNormal(x, 9 + p), p)"},
    {"truncated_normal_mean", "mean_of(TruncatedNormal(x, p))"},
    {"_truncated_normal_from_noise", "drawn(TruncatedNormal(x, p))"},
    {"_normal_quantile", "_normal_quantile(0.1 + 0.8 * sigmoid(x))"},
    {"mixture_log_prob", "log_prob(MixtureSameFamily(x, Normal(x, p)), sum(p, over=H))"},
    {"mixture_mean", "mean_of(MixtureSameFamily(x, Normal(p, 1)))"},
    {"_mixture_choice", "_mixture_choice(x, y, H)"},
    {"multivariate_normal_log_prob", "sum(log_prob(gauss(x, p), sum(x, over=H)))"},
    {"multivariate_normal_entropy", "entropy(gauss(x, p))"},
    {"multivariate_normal_mean", "sum(sin(mean_of(gauss(x, p))))"},
    {"_multivariate_normal_from_noise", "sum(sin(drawn(gauss(x, p))))"},
    {"multivariate_normal_kl", "kl(gauss(x, p), gauss(p, x))"},
    // of matrices
    {"cholesky", "sum(sin(triangle(x)))"},
    {"solve_lower", "sum(sin(solve_lower(matrix(x), p, row=Row, column=Col)))"},
    {"solve_upper", "sum(sin(solve_upper(matrix(x), p, row=Row, column=Col)))"},
    {"diagonal", "sum(sin(diagonal(matrix(x), row=Row, column=Col)))"},
    // along axes
    {"lower_triangle", "lower_triangle(x, Row, H)"},
    {"upper_triangle", "upper_triangle(x, Row, H)"},
    {"prod", "prod(x, over=H)"},
    {"cumsum", "cumsum(x, over=Row)"},
    {"cumprod", "cumprod(x, over=H)"},
    {"sort", "sort(x, over=H)"},
    {"sort_by_pairs", "sort_by_pairs(x, over=H)"},
    {"sort_by_network", "sin(sort_by_network(x, over=H))"},
    {"topk", "sum(sin(topk(x, 2, over=H)))"},
    {"keep_top", "sum(exp(keep_top(x, over=H, top_k=2, top_p=0.9)))"},
};

/// Entries whose gradient is not that of their value, by design, or that draw nothing that has one.
inline constexpr std::string_view kWithoutDerivative[] = {"straight_through",
                                                          "_bernoulli_from_noise",
                                                          "SpectralNorm",
                                                          "_categorical_from_noise",
                                                          "uniform_int_log_prob",
                                                          "uniform_int_entropy",
                                                          "uniform_int_mean",
                                                          "_uniform_int_from_noise",
                                                          "one_hot",
                                                          "rank",
                                                          "rank_by_pairs",
                                                          "rank_by_network",
                                                          "argsort",
                                                          "_argsort_by_pairs",
                                                          "_argsort_by_network",
                                                          "_orthogonal_from_noise",
                                                          "draw",
                                                          "generate",
                                                          "generate_pages",
                                                          "_further_pages"};

/// Steps of recurrent layers and of sorts, whose operands only those have: their derivatives are those of the whole.
inline constexpr std::string_view kWithinLayers[] = {"lstm_step", "gru_step", "_carried",
                                                     "_network",  "_rounds",  "_sorted_line"};

/// A model whose loss is the sum of the entry's values against fixed weights. Its parameters are what the entry reads.
/// A net that gives the weighted sum of the entry's elements, or the entry itself, as a value of `type`.
inline std::string model_of(const StdEntry& entry, std::string_view type = "f32") {
  constexpr std::string_view kLayers =
      "Dense Dropout LayerNorm BatchNorm Conv1d Conv2d ConvT1d ConvT2d MaxPool AvgPool GlobalAvgPool AdaptiveAvgPool "
      "GroupNorm InstanceNorm WeightNorm Maxout RMSNorm Embedding RNN LSTM GRU BiLSTM BiGRU";
  const std::string_view other = kLayers.find(entry.name) != std::string_view::npos ? entry.name : "";
  const std::string layers = other.empty() || other == "Dense" ? "Dense" : fmt::format("Dense, {}", other);
  return fmt::format(R"(import std.nn ({})
dim B = 4, Row = 4, Col = Row, H = 3
fn variance(x) {{
  (_m, v) = moments(x, over=Row)
  v
}}
fn left_vector(w) {{
  (u, _v) = _power_step(sum(w, over=Row), w, 1e-12)
  u
}}
fn drawn(d) {{
  z ~ d
  z
}}
fn matrix(x) = where(index(Row) == index(Col), 2.0, 0.0) + contract(x, x as [Col, H], over=H)
fn triangle(x) = cholesky(matrix(x), row=Row, column=Col)
fn gauss(x, p) = MultivariateNormal(sum(p, over=H), triangle(x))
layer Net(w: f32[Row, H]) -> {} {{
  param x: f32[Row, H] ~ Normal(0, 1)
  param q: f32[Row, H] ~ Normal(0, 1)
  p = 0.5 + softplus(q)
  y = argmax(w, over=H)
  {}
}}
model net = Net
objective loss() updates net {{
  w ~ Uniform(0.5, 1.5)[Row, H]
  sum(net(w))
}}
train {{
  batch B = 4
  steps 1
  seed 3
  step loss with sgd(lr = 0.1)
}}
)",
                     layers, type, type == "f32" ? fmt::format("sum(w * ({}))", entry.expression) : entry.expression);
}

}  // namespace smelt::test
