"""Makes formulas.json: library formulas and their derivatives in 50-digit arithmetic, extremes included.

    python tests/numeric/stored/make_formulas.py

Needs mpmath; the test (tests/unit/api/formulas_test.cpp) needs neither. Arguments are rounded to f32 first, so that the test
evaluates the formula at exactly these numbers. Each case has a name, a Smelt expression on a, b, c, d: f32[N], the
arguments, and the value and the derivative by a at each, as decimal text.

`of`: what an error is measured against besides the value itself, where a value near 0 is the difference of larger parts that
the arguments fix (a density crosses 0): the largest part.

`alone`: the formula reduces over the rows, so each point is a call of its own. A function of another argument first has the
derivative by that one: the letters of an expression are a, b, c, d in the order of the points.
"""
import itertools
import json
import pathlib
import struct

from mpmath import erf, exp, expm1, log, log1p, mp, mpf, ncdf, pi, sqrt, tanh

mp.dps = 50
HERE = pathlib.Path(__file__).parent


def f32(x):
    return mpf(struct.unpack("<f", struct.pack("<f", float(x)))[0])


def sigmoid(x):
    return 1 / (1 + exp(-x))


def softplus(x):
    return log1p(exp(x)) if x < 0 else x + log1p(exp(-x))


def xent(*z):  # of label 0
    rest = sum(exp(v - z[0]) for v in z[1:])
    return log1p(rest)


def lse(*z):
    m = max(z)
    return m + log1p(sum(exp(v - m) for v in z) - 1)


def kl_normal(m, lv, n, lw):
    return (lw - lv - 1 + exp(lv - lw) + (m - n) ** 2 * exp(-lw)) / 2


def kl_bernoulli(a, b):
    return sigmoid(a) * (a - b) + softplus(b) - softplus(a)


def bernoulli(x, l):
    return x * l - softplus(l)


def huber(delta):
    def value(a, b):
        d = abs(a - b)
        return d * d / 2 if d <= delta else delta * (d - delta / 2)
    return value


def beyond_line(d):  # e^d - 1 - d
    return expm1(d) - d


def kl_laplace(m, s, n, t):
    return log(t / s) + abs(m - n) / t + s / t * exp(-abs(m - n) / s) - 1


def probabilities(*z):
    top = max(z)
    e = [exp(v - top) for v in z]
    return [v / sum(e) for v in e]


def entropy_of(*z):
    return -sum(p * log(p) for p in probabilities(*z) if p > 0)


def kl_categorical(a, b, c, d):  # of (a, b, 0) from (c, d, 0)
    p, q = probabilities(a, b, mpf(0)), probabilities(c, d, mpf(0))
    return sum(x * log(x / y) for x, y in zip(p, q) if x > 0)


def mixture(x, l, m, s):  # logits (l, 0), means (m, -1), deviations (s, 1)
    w = probabilities(l, mpf(0))
    normal = lambda mean, std: exp(-((x - mean) / std) ** 2 / 2) / (std * sqrt(2 * pi))
    return log(w[0] * normal(m, s) + w[1] * normal(-1, 1))


def mu_law(x):
    return mp.sign(x) * log1p(255 * min(abs(x), mpf(1))) / log(mpf(256))


def mu_law_inverse(y):
    return mp.sign(y) * expm1(abs(y) * log(mpf(256))) / 255


def truncated(x, m, s):
    return -((x - m) / s) ** 2 / 2 - HALF_LOG - log(s) - log(ncdf(2) - ncdf(-2)) if abs(x - m) <= 2 * s else mpf("-inf")


HALF_LOG = log(2 * pi) / 2
WIDE = [0, 1e-30, -1e-30, 1e-7, -1e-7, 1e-3, -1e-3, 0.3, -0.3, 1, -1, 2.5, -2.5, 7, -7, 15, -15, 30, -30, 60, -60, 85, -85]
HUGE = [100, -100, 1e3, -1e3, 1e10, -1e10, 1e20, -1e20, 3e38, -3e38]
UNIT = [0, 1e-6, 0.25, 0.5, 1]
LOGITS = [0, 1e-3, -1e-3, 1, -1, 10, -10, 20, -20, 50, -50, 80, -80]
LOGVARS = [0, 1e-4, -1e-4, 1, -1, 10, -10, 50, -50, 88, -88, 100, -100, 160, -160]
SCALES = (1e-30, 1e-10, 1e-3, 1, 1e3, 1e10, 1e30)
DISTANCES = [(0, 1e-3), (1e-3, 0), (1, 2), (2, 0.25), (-3, 5), (1 + 2 ** -20, 1), (1e-20, 3e-20), (100, -100), (1e10, 0), (1e18, -1e18), (3e38, 1e38),
             (1e-30, 0), (0.5, -0.25)]
VECTORS = [(0, 0, 0), (1, 2, 3), (10, 0, -10), (-10, 0, 10), (1000, 990, 0), (990, 1000, 0), (1e8, 1e8, 1e8), (1e4, 1e4, -1e4), (20, 0, 0),
           (60, 0, 1), (0, 60, 1), (-1e30, 1e30, 0), (1e30, -1e30, 0), (3e38, -3e38, 0), (1e-20, 0, 1e-20), (0, -15, -16)]


def pairs(xs, ys):
    return list(itertools.product(xs, ys))


CASES = [
    # name, expression, function, arguments, options
    ("softmax_xent", "softmax_xent(stacked(a, b, c), y, over=K)", xent, VECTORS, {}),
    ("log_softmax", "first(log_softmax(stacked(a, b, c), over=K))", lambda *z: -xent(*z), VECTORS, {"grad_of": lambda *z: 1}),
    ("logsumexp", "logsumexp(stacked(a, b, c), over=K)", lse, VECTORS, {"of": lambda *z: max(abs(v) for v in z)}),
    ("softmax", "first(softmax(stacked(a, b, c), over=K))", lambda *z: exp(-xent(*z)), VECTORS, {"tiny": 1e-37, "steep": True, "grad_of": lambda *z: exp(-xent(*z))}),
    ("sigmoid_xent", "sigmoid_xent(a, b)", lambda l, y: -bernoulli(y, l), pairs(LOGITS + HUGE[:6], UNIT),
     {"grad_of": lambda l, y: sigmoid(-abs(l))}),
    ("bernoulli_log_prob", "log_prob(Bernoulli(a), b)", lambda l, x: bernoulli(x, l), pairs(LOGITS + HUGE[:6], UNIT),
     {"grad_of": lambda l, x: sigmoid(-abs(l))}),
    ("bernoulli_entropy", "entropy(Bernoulli(a))", lambda l: softplus(l) - l * sigmoid(l), [(x,) for x in LOGITS], {"grad_of": lambda l: sigmoid(-abs(l))}),
    ("bernoulli_kl", "kl(Bernoulli(a), Bernoulli(b))", kl_bernoulli,
     pairs(LOGITS, LOGITS) + [(1, 1.001), (-5, -5.0001), (20, 20.01), (3, 3.25), (0.1, 0.7)], {"grad_of": lambda a, b: abs(a - b) * exp(-abs(a))}),
    ("normal_log_prob", "log_prob(Normal(mean = a, logvar = b), c)",
     lambda m, lv, x: -HALF_LOG - lv / 2 - (x - m) ** 2 * exp(-lv) / 2,
     [(m, lv, x) for lv in LOGVARS for m, x in ((0, 0), (1, 1), (1, 1 + 2 ** -20), (0, exp(mpf(lv) / 2)), (0, 3 * exp(mpf(lv) / 2)))],
     {"of": lambda m, lv, x: max(HALF_LOG, abs(lv) / 2)}),
    ("normal_log_prob_by_logvar", "log_prob(Normal(mean = c, logvar = a), b)",
     lambda lv, x, m: -HALF_LOG - lv / 2 - (x - m) ** 2 * exp(-lv) / 2,
     [(lv, x, 0) for lv in LOGVARS for x in (0, exp(mpf(lv) / 2), 5 * exp(mpf(lv) / 2))], {"of": lambda lv, x, m: max(HALF_LOG, abs(lv) / 2), "grad_of": lambda lv, x, m: mpf(1) / 2}),
    ("normal_log_prob_std", "log_prob(Normal(a, b), c)", lambda m, s, x: -HALF_LOG - log(s) - ((x - m) / s) ** 2 / 2,
     [(0, s, x * s) for s in (1e-30, 1e-10, 1e-3, 1, 1e3, 1e10, 1e30) for x in (0, 1, -4)], {"of": lambda m, s, x: max(HALF_LOG, abs(log(s)))}),
    ("normal_kl", "kl(Normal(mean = c, logvar = a), Normal(mean = d, logvar = b))", lambda lv, lw, m, n: kl_normal(m, lv, n, lw),
     [(lv, lw, m, n) for lv, lw in pairs(LOGVARS[:13], LOGVARS[:13]) if lv - lw < 87 for m, n in ((0, 0), (1, 1))] +
     [(1e-4, 0, 0, 0), (0, 0, 1e-20, 0), (0, -100, 1e-20, 0), (0.01, 0.0101, 2, 2), (-100, -100, 0, 1e-22)], {"grad_of": lambda *z: 0}),
    ("normal_kl_std", "kl(Normal(c, a), Normal(d, b))",
     lambda s, t, m, n: log(t / s) + (s * s + (m - n) ** 2) / (2 * t * t) - mpf(1) / 2,
     [(s, t, 0, 0) for s, t in pairs((1e-15, 1e-3, 1, 10), (1e-3, 1, 10))] + [(1, 1.0001, 0, 0), (1.5, 1.25, 0, 1), (1, 1, 0, 1e-10)], {"grad_of": lambda s, t, m, n: 1 / t}),
    ("kl_to_standard", "kl(Normal(mean = b, logvar = a), Normal(0, 1))", lambda lv, m: kl_normal(m, lv, 0, 0),
     [(lv, m) for lv in LOGVARS if lv < 88 for m in (0, 1e-8, 3)], {"grad_of": lambda *z: 0}),
    ("normal_entropy", "entropy(Normal(mean = b, logvar = a))", lambda lv, m: HALF_LOG + mpf(1) / 2 + lv / 2,
     [(lv, 0) for lv in LOGVARS], {"of": lambda lv, m: max(1, abs(lv))}),
    ("uniform_log_prob", "log_prob(Uniform(b, a), c)", lambda high, low, x: -log(high - low), [(1, 0, 0.5), (1e30, -1e30, 0), (1e-30, 0, 1e-31), (3, 1, 2)],
     {"of": lambda h, l, x: 1}),
    ("hinge", "hinge(a, b)", lambda s, y: max(mpf(0), 1 - y * s), pairs([0, 0.5, 3, -3, 1e20, -1e20], [1, -1]), {}),
    ("mse", "mse(a, b)", lambda a, b: (a - b) ** 2, DISTANCES, {"alone": True}),
    ("l1_loss", "l1_loss(a, b)", lambda a, b: abs(a - b), DISTANCES, {"alone": True}),
    ("huber", "huber(a, b)", huber(1), [p for p in DISTANCES if abs(p[0] - p[1]) != 1], {"alone": True}),
    ("huber_small_delta", "huber(a, b, delta = 1e-10)", huber(f32(1e-10)), DISTANCES, {"alone": True, "tiny": 1e-30}),
    ("huber_large_delta", "huber(a, b, delta = 1e10)", huber(f32(1e10)), DISTANCES, {"alone": True}),
    ("smoothed_xent", "smoothed_xent(stacked(a, b, c), y, over=K)", lambda *z: mpf("0.9") * xent(*z) + mpf("0.1") * sum(lse(*z) - v for v in z) / 3,
     [v for v in VECTORS if max(abs(x) for x in v) < 1e38], {"of": lambda *z: mpf("1e-7") * max(abs(v) for v in z), "grad_of": lambda *z: mpf(1)}),
    ("lerp", "lerp(a, b, c)", lambda a, b, t: a + (b - a) * t, [(0, 1, 0.25), (1, 3, 1), (1e20, -1e20, 0.5), (1e-30, 2e-30, 0.75), (5, 5, 0.3)],
     {"of": lambda a, b, t: max(abs(a), abs(b)), "grad_of": lambda a, b, t: 1}),
    ("laplace_log_prob", "log_prob(Laplace(a, b), c)", lambda m, s, x: -log(2 * s) - abs(x - m) / s,
     [(x * s, s, 0) for s in SCALES for x in (1, -4, 60)] + [(1, 1, 1 + 2 ** -20)], {"of": lambda m, s, x: max(1, abs(log(2 * s)))}),
    ("laplace_log_prob_by_scale", "log_prob(Laplace(b, a), c)", lambda s, m, x: -log(2 * s) - abs(x - m) / s,
     [(s, x * s, 0) for s in SCALES for x in (0, 2, -30)], {"of": lambda s, m, x: max(1, abs(log(2 * s))), "grad_of": lambda s, m, x: 1 / s}),
    ("laplace_entropy", "entropy(Laplace(b, a))", lambda s, m: 1 + log(2 * s), [(s, 0) for s in SCALES], {"of": lambda s, m: 1}),
    ("laplace_kl", "kl(Laplace(c, a), Laplace(d, b))", lambda s, t, m, n: kl_laplace(m, s, n, t),
     [(s, t, 0, 0) for s, t in pairs((1e-15, 1e-3, 1, 10), (1e-3, 1, 10))] +
     [(1, 1.0001, 0, 0), (1.5, 1.25, 0, 1), (1, 1, 0, 1e-6), (1, 1, 0, 100), (1e-3, 1, 2, 0)], {"grad_of": lambda s, t, m, n: 1 / t}),
    ("log_normal_log_prob", "log_prob(LogNormal(a, b), c)", lambda m, s, x: -HALF_LOG - log(s) - ((log(x) - m) / s) ** 2 / 2 - log(x),
     [(m, s, x) for m in (0, 1, -5) for s in (0.1, 1, 10) for x in (1e-30, 1e-3, 2, 1e30)], {"of": lambda m, s, x: max(1, abs(log(x)), abs(log(s)))}),
    ("log_normal_entropy", "entropy(LogNormal(b, a))", lambda s, m: HALF_LOG + mpf(1) / 2 + log(s) + m, [(s, m) for s in SCALES for m in (0, 3)],
     {"of": lambda s, m: max(1, abs(log(s)))}),
    ("log_normal_kl", "kl(LogNormal(c, a), LogNormal(d, b))",
     lambda s, t, m, n: log(t / s) + (s * s + (m - n) ** 2) / (2 * t * t) - mpf(1) / 2,
     [(1, 1.0001, 0, 0), (1.5, 1.25, 0, 1), (1, 1, 0, 1e-10), (1e-3, 10, 0, 0)], {"grad_of": lambda s, t, m, n: 1 / t}),
    ("truncated_log_prob", "log_prob(TruncatedNormal(a, b), c)", lambda m, s, x: truncated(x, m, s),
     [(0, s, x * s) for s in SCALES[1:-1] for x in (0, 1, -1.9)], {"of": lambda m, s, x: max(HALF_LOG, abs(log(s)))}),
    ("truncated_entropy", "entropy(TruncatedNormal(b, a))", lambda s, m: log(s * sqrt(2 * pi * exp(1)) * erf(sqrt(2))) - 2 * exp(-2) / sqrt(2 * pi) / erf(sqrt(2)),
     [(s, 0) for s in SCALES], {"of": lambda s, m: 1}),
    ("uniform_entropy", "entropy(Uniform(b, a))", lambda high, low: log(high - low), [(2, 0), (1e30, -1e30), (1e-30, 0), (3, 1)], {"of": lambda h, l: 1}),
    ("categorical_log_prob", "log_prob(Categorical(stacked(a, b, c), over=K), y)", lambda *z: -xent(*z), VECTORS, {}),
    ("categorical_entropy", "entropy(Categorical(stacked(a, b, c), over=K))", entropy_of, [v for v in VECTORS if v not in ((1000, 990, 0), (990, 1000, 0))],
     {"tiny": 1e-36, "steep": True, "grad_of": lambda *z: mpf("3e-4")}),
    ("categorical_kl", "kl(Categorical(stacked(a, b, 0 * c), over=K), Categorical(stacked(c, d, 0 * a), over=K))", kl_categorical,
     [(0, 0, 0, 0), (1, 2, 3, 4), (10, 0, -10, 0), (20, 1, 20, 1), (50, 0, -50, 0), (1, 2, 1.001, 2), (5, -5, 5, -5.0001), (0, 80, 80, 0)],
     {"steep": True, "tiny": 1e-14, "grad_of": lambda *z: probabilities(z[0], z[1], mpf(0))[0] * max(1, abs(z[2]))}),
    ("mixture_log_prob", "log_prob(MixtureSameFamily(two(b, 0 * b), Normal(two(c, 0 * c - 1), two(d, 0 * d + 1))), a)", mixture,
     [(0, 0, 1, 1), (3, 5, 0, 2), (1, -40, 1, 1e-3), (30, 0, 1, 1), (-60, 2, 5, 10), (1, 60, 1, 1e-10)], {"of": lambda x, l, m, s: 1 + abs(l), "grad_of": lambda *z: 1}),
    ("leaky_relu", "leaky_relu(a)", lambda x: x if x > 0 else mpf("0.01") * x, [(x,) for x in WIDE + HUGE if x != 0], {}),
    ("hard_sigmoid", "hard_sigmoid(a)", lambda x: min(max(x / 6 + mpf(1) / 2, mpf(0)), mpf(1)), [(x,) for x in WIDE + HUGE], {"grad_of": lambda x: 0}),
    ("mu_law", "mu_law(a)", mu_law, [(x,) for x in (1e-30, -1e-30, 1e-7, 1e-3, -0.3, 0.5, 0.999, -0.999)], {}),
    ("mu_law_inverse", "mu_law_inverse(a)", mu_law_inverse, [(x,) for x in (1e-30, -1e-30, 1e-7, 1e-3, -0.3, 0.5, 0.999, -0.999)], {"steep": True}),
    ("erf", "erf(a)", erf, [(x,) for x in WIDE + HUGE], {"tiny": 1e-30, "steep": True}),
    ("normal_cdf", "normal_cdf(a)", ncdf, [(x,) for x in WIDE + HUGE], {"tiny": 1e-30, "steep": True}),
    ("norm", "norm(stacked(a, b, c), over=K)", lambda *z: sqrt(sum(v * v for v in z)),
     [(3, 4, 0), (1e20, 1e20, 1e20), (1e-25, 2e-25, 0), (3e37, -1, 1e30), (1, 1e-30, 0), (1e-37, 1e-37, 1e-37), (1e10, 1, 1)], {"tiny": 1e-37}),
    ("sigmoid", "sigmoid(a)", sigmoid, [(x,) for x in WIDE], {"tiny": 1e-37}),
    ("softplus", "softplus(a)", softplus, [(x,) for x in WIDE + HUGE], {"tiny": 1e-37}),
    ("tanh", "tanh(a)", tanh, [(x,) for x in WIDE + HUGE], {"grad_of": lambda x: tanh(x) ** 2}),
    ("elu", "elu(a)", lambda x: x if x > 0 else expm1(x), [(x,) for x in WIDE + HUGE], {"tiny": 1e-37}),
    ("selu", "selu(a)", lambda x: mpf("1.0507009873554805") * (x if x > 0 else mpf("1.6732632423543772") * expm1(x)), [(x,) for x in WIDE + HUGE if x < 3e38 and x != 0],
     {"tiny": 1e-37}),
    ("silu", "silu(a)", lambda x: x * sigmoid(x), [(x,) for x in WIDE + HUGE], {"tiny": 1e-36, "grad_of": lambda x: sigmoid(x) * max(1, abs(x))}),
    ("mish", "mish(a)", lambda x: x * tanh(softplus(x)), [(x,) for x in WIDE + HUGE], {"tiny": 1e-36, "grad_of": lambda x: tanh(softplus(x)) * max(1, abs(x))}),
    ("softsign", "softsign(a)", lambda x: x / (1 + abs(x)), [(x,) for x in WIDE + HUGE[:8]], {"tiny": 1e-37}),
    ("gelu", "gelu(a)", lambda x: x * (1 + erf(x / sqrt(2))) / 2, [(x,) for x in WIDE + HUGE if x > -12 or x < -20],
     {"tiny": 1e-30, "steep": True, "grad_of": lambda x: max(abs(x), 1) * (1 + erf(x / sqrt(2))) / 2 + abs(x) * exp(-x * x / 2)}),
    ("gelu_tanh", "gelu_tanh(a)", lambda x: x * sigmoid(2 * mpf("0.7978845608028654") * (x + mpf("0.044715") * x ** 3)), [(x,) for x in WIDE + HUGE],
     {"tiny": 1e-30, "steep": True, "grad_of": lambda x: 1 / (1 + x * x) if abs(x) > 5 else 1}),
]


def derivative(function, args):
    """By the first argument: numerically in 50 digits of 120, from the side that the library takes at a kink."""
    with mp.workdps(120):
        a = mpf(args[0])
        h = (abs(a) if a != 0 else mpf(1)) * mpf(10) ** -40
        return (function(a + h, *args[1:]) - function(a - h, *args[1:])) / (2 * h)


def text(x):
    return mp.nstr(x, 20, min_fixed=0, max_fixed=0)


def main():
    rows = []
    for name, expression, function, points, options in CASES:
        points = [tuple(f32(v) for v in p) for p in dict.fromkeys(points)]
        entry = {"name": name, "smelt": expression, "arguments": [], "values": [], "derivatives": [], "of": [], "grad_of": [],
                 "tiny": options.get("tiny", 1e-37), "steep": options.get("steep", False), "alone": options.get("alone", False)}
        for p in points:
            with mp.workdps(120):
                value = function(*p)
            entry["arguments"].append([float(v) for v in p])
            entry["values"].append(text(value))
            entry["derivatives"].append(text(derivative(function, p)))
            entry["of"].append(text(options["of"](*p)) if "of" in options else "0")
            entry["grad_of"].append(text(mpf(options["grad_of"](*p))) if "grad_of" in options else "0")
        rows.append(entry)
    lines = ",\n".join(json.dumps(row) for row in rows)
    (HERE / "formulas.json").write_text("[\n" + lines + "\n]\n")


main()
