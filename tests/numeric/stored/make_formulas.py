"""Makes formulas.json: library formulas and their derivatives in 50-digit arithmetic, extremes included.

    python tests/numeric/stored/make_formulas.py

Needs mpmath; the test (tests/unit/api/formulas_test.cpp) needs neither. Arguments are rounded to f32 first, so that the test
evaluates the formula at exactly these numbers. Each case has a name, a Smelt expression on a, b, c, d: f32[N], the
arguments, and the value and the derivative by a at each, as decimal text.

`of`: what an error is measured against besides the value itself, where a value near 0 is the difference of larger parts that
the arguments fix (a density crosses 0): the largest part.
"""
import itertools
import json
import pathlib
import struct

from mpmath import erf, exp, expm1, log, log1p, mp, mpf, pi, sqrt, tanh

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


HALF_LOG = log(2 * pi) / 2
WIDE = [0, 1e-30, -1e-30, 1e-7, -1e-7, 1e-3, -1e-3, 0.3, -0.3, 1, -1, 2.5, -2.5, 7, -7, 15, -15, 30, -30, 60, -60, 85, -85]
HUGE = [100, -100, 1e3, -1e3, 1e10, -1e10, 1e20, -1e20, 3e38, -3e38]
UNIT = [0, 1e-6, 0.25, 0.5, 1]
LOGITS = [0, 1e-3, -1e-3, 1, -1, 10, -10, 20, -20, 50, -50, 80, -80]
LOGVARS = [0, 1e-4, -1e-4, 1, -1, 10, -10, 50, -50, 88, -88, 100, -100, 160, -160]
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
                 "tiny": options.get("tiny", 1e-37), "steep": options.get("steep", False)}
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
