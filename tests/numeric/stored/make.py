"""Makes the stored results of PyTorch that the tests beside this folder compare Smelt with.

    python tests/numeric/stored/make.py DIR_OF_FASHION_MNIST
    python tests/numeric/stored/make.py std                    # std.json alone
    python tests/numeric/stored/make.py derivatives            # wgan_gp.json and derivatives.json alone
    python tests/numeric/stored/make.py pictures               # pictures.json alone

Needs torch, numpy and safetensors; the tests need none of them. Nothing here is drawn at random: weights, pictures
and noise are integer formulas (`mix`), exact in f32, and `tests/numeric/formula.h` has the same ones.

Writes, beside itself:
  mlp.json vae.json gan.json   losses of the first steps in f32 and f64, and what the start weights are
  *_grads.safetensors          f64 gradients of step 1: every element of the narrow nets, and of the full ones
                               `samples` elements at fixed places, the largest magnitude and `signs` signed sums
  std.json                     10 losses and the final parameters for each line of cases.json, in f64
  wgan_gp.json                 60 losses of a Wasserstein GAN with gradient penalty on a ring, in f32 and f64
  derivatives.json             for each line of derivative_cases.json the gradient of a weighted sum and the product of its
                               Hessian with a direction, in f64
  pictures.json                3 losses and the final parameters for each line of picture_cases.json, in f64: a layer or function
                               of pictures, with the square of its gradient in the loss

cases.json avoids F.hardsigmoid, whose gradient multiplies by 1/6 rounded to f32 in f64 as well.
"""
import gzip
import json
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import distributions as D  # noqa: F401, cases.json names it
from torch.optim import lr_scheduler as S  # noqa: F401, likewise

HERE = pathlib.Path(__file__).parent
BATCH = 128
SAMPLES, SIGNS = 2048, 4
HORIZON = 20  # iterations of the tiny experiments: 5 epochs of 4 batches

# A ReLU whose input is within rounding of zero sends two correct f32 runs apart. The MLP's weights are the first of these
# where 100 steps of PyTorch in f32 and in f64 stay within 1e-6.
MLP_SEED = 11

# Streams of `mix`; parameter k of a net uses stream k + 1000 * its seed.
IMAGE_BOX, IMAGE_PIXEL, NOISE, SAMPLE_AT, SIGN, TINY, RING, DERIVATIVE, PICTURE = 100, 101, 200, 300, 400, 500, 600, 700, 800


def mix(stream, i):
    """32 well-mixed bits of (stream, i). Source: lowbias32 of Wellons' hash-prospector."""
    x = (np.asarray(i, np.uint64) * 0x9E3779B9 + stream * 0x85EBCA6B + 0x1234567) & 0xFFFFFFFF
    x ^= x >> np.uint64(16)
    x = (x * 0x7FEB352D) & 0xFFFFFFFF
    x ^= x >> np.uint64(15)
    x = (x * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> np.uint64(16))


def uniform(stream, shape, scale):
    """In -scale..scale; exact in f32 when scale is a power of two."""
    bits = mix(stream, np.arange(math.prod(shape))) >> np.uint64(8)
    return ((bits.astype(np.float64) * 2.0**-23 - 1) * scale).reshape(shape)


def images(rows):
    """A bright box on a dark ground, u8[rows, 784]."""
    box = mix(IMAGE_BOX, np.arange(rows)).astype(np.int64)[:, None]
    x0, y0, w, h = box % 12, (box >> 8) % 12, 8 + (box >> 16) % 9, 8 + (box >> 24) % 9
    y, x = np.divmod(np.arange(784)[None, :], 28)
    inside = (x >= x0) & (x < x0 + w) & (y >= y0) & (y < y0 + h)
    bits = mix(IMAGE_PIXEL, np.arange(rows * 784)).astype(np.int64).reshape(rows, 784)
    return np.where(inside, 128 + (bits & 127), bits & 15).astype(np.uint8)


def noise(rows, width):
    """Nearly normal: twelve 16-bit uniforms, summed."""
    i = np.arange(rows * width)
    total = sum((mix(NOISE + t, i) >> np.uint64(16)).astype(np.int64) for t in range(12))
    return (total / 65536.0 - 6).reshape(rows, width)


def start(spec, dtype):
    return {path: torch.tensor(uniform(stream, shape, scale), dtype=dtype, requires_grad=True)
            for path, shape, scale, stream in spec}


def dense(spec, path, n_in, n_out, seed=0):
    """Scales near those of Glorot, rounded to a power of two."""
    scale, stream = 2.0 ** round(math.log2(math.sqrt(6 / (n_in + n_out)))), len(spec) + 1000 * seed
    spec += [(path + ".W", [n_in, n_out], scale, stream), (path + ".b", [n_out], 2.0**-5, stream + 1)]


def linear(p, path, x):
    return x @ p[path + ".W"] + p[path + ".b"]


# The three nets, each from a dictionary of parameters.

def mlp_spec(hidden, seed=MLP_SEED):
    spec = []
    dense(spec, "net.fc1", 784, hidden, seed)
    dense(spec, "net.fc2", hidden, hidden, seed)
    dense(spec, "net.out", hidden, 10, seed)
    return spec


def mlp_loss(p, x, y):
    h = F.relu(linear(p, "net.fc1", x))
    h = F.relu(linear(p, "net.fc2", h))
    return F.cross_entropy(linear(p, "net.out", h), y)


def vae_spec(hidden):
    spec = []
    dense(spec, "enc.fc", 784, hidden)
    dense(spec, "enc.mu", hidden, 20)
    dense(spec, "enc.lv", hidden, 20)
    dense(spec, "dec.fc", 20, hidden)
    dense(spec, "dec.out", hidden, 784)
    return spec


def vae_loss(p, x, e):
    h = torch.tanh(linear(p, "enc.fc", x))
    mean, logvar = linear(p, "enc.mu", h), torch.clamp(linear(p, "enc.lv", h), -30, 20)
    z = mean + torch.exp(0.5 * logvar) * e
    logits = linear(p, "dec.out", torch.tanh(linear(p, "dec.fc", z)))
    recon = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    rate = 0.5 * (mean**2 + torch.exp(logvar) - 1 - logvar).sum(1)
    return recon.mean() + rate.mean()


def gan_spec():
    spec = []
    for path, n_in, n_out in [("G.fc1", 64, 256), ("G.fc2", 256, 512), ("G.out", 512, 784),
                              ("D.fc1", 784, 512), ("D.fc2", 512, 256), ("D.logit", 256, 1)]:
        dense(spec, path, n_in, n_out)
    return spec


def generate(p, z):
    h = F.relu(linear(p, "G.fc2", F.relu(linear(p, "G.fc1", z))))
    return torch.tanh(linear(p, "G.out", h))


def discriminate(p, x):
    h = F.leaky_relu(linear(p, "D.fc1", x), 0.2)
    return linear(p, "D.logit", F.leaky_relu(linear(p, "D.fc2", h), 0.2)).squeeze(-1)


def d_loss(p, x, z):
    return F.softplus(-discriminate(p, x)).mean() + F.softplus(discriminate(p, generate(p, z))).mean()


def g_loss(p, z):
    return F.softplus(-discriminate(p, generate(p, z))).mean()


# A Wasserstein GAN with gradient penalty on eight points of a circle, with its noise and mixing weights as data.

def wgan_spec():
    spec = []
    for path, n_in, n_out in [("G.fc1", 2, 32), ("G.fc2", 32, 32), ("G.out", 32, 2), ("D.fc1", 2, 32), ("D.fc2", 32, 32), ("D.out", 32, 1)]:
        dense(spec, path, n_in, n_out)
    return spec


def ring(rows):
    """Points of a circle of radius 2, one of eight, and noise around it."""
    angle = (mix(RING, np.arange(rows)) % 8).astype(np.float64) * (np.pi / 4)
    return 2 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * noise(rows, 2)


def wgan_generate(p, z):
    return linear(p, "G.out", F.relu(linear(p, "G.fc2", F.relu(linear(p, "G.fc1", z)))))


def wgan_judge(p, x):
    return linear(p, "D.out", F.softplus(linear(p, "D.fc2", F.softplus(linear(p, "D.fc1", x))))).squeeze(-1)


def critic_loss(p, x, z, t):
    fake = wgan_generate(p, z).detach()
    mixed = (fake + (x - fake) * t[:, None]).requires_grad_()
    g, = torch.autograd.grad(wgan_judge(p, mixed).sum(), mixed, create_graph=True)
    penalty = ((g.norm(dim=1) - 1) ** 2).mean()
    return 10 * penalty - (wgan_judge(p, x).mean() - wgan_judge(p, fake).mean())


def train_wgan(p, x, z, t, iterations):
    """Five losses of the critic and one of the generator in turn; each takes the next batch."""
    optimisers = {n: torch.optim.Adam([v for k, v in p.items() if k.startswith(n)], lr=1e-3, betas=(0.5, 0.9)) for n in "DG"}
    losses = []
    for call in range(6 * iterations):
        rows = rows_of(call, len(x))
        name = "DDDDDG"[call % 6]
        for value in p.values():
            value.grad = None
        loss = critic_loss(p, x[rows], z[rows], t[rows]) if name == "D" else -wgan_judge(p, wgan_generate(p, z[rows])).mean()
        loss.backward()
        optimisers[name].step()
        losses.append(loss.item())
    return losses


def store_wgan():
    spec = wgan_spec()
    x, z, t = ring(512), noise(512, 2), 0.5 + 0.5 * uniform(RING + 1, (512,), 1.0)
    data = [torch.tensor(a.astype(np.float32)).double() for a in (x, z, t)]  # the files are f32
    result = both_precisions(train_wgan, spec, data, 10)
    result["parameters"] = table_of(spec)
    worst = max(abs(a - b) / abs(b) for a, b in zip(result["losses_f32"], result["losses_f64"]))
    print(f"wgan_gp: torch f32 against f64: losses {worst:.1e}")
    write_json("wgan_gp.json", result)


# Running and storing.

def read_idx(path, header):
    with gzip.open(path) as f:
        return np.frombuffer(f.read(), np.uint8, offset=header)


def rows_of(step, rows):
    return slice((step * BATCH) % rows, (step * BATCH) % rows + BATCH)


def train_mlp(p, x, y, steps):
    weights, biases = [v for k, v in p.items() if k.endswith(".W")], [v for k, v in p.items() if k.endswith(".b")]
    optimiser = torch.optim.SGD([{"params": weights, "weight_decay": 1e-4}, {"params": biases}], lr=0.1, momentum=0.9)
    horizon = 10 * math.ceil(60000 / BATCH)
    losses = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 0.5 * 0.1 * (1 + math.cos(math.pi * step / horizon))
        optimiser.zero_grad()
        loss = mlp_loss(p, x[rows_of(step, 60000)], y[rows_of(step, 60000)])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def train_vae(p, x, e, steps):
    optimiser = torch.optim.Adam(list(p.values()), lr=1e-3)
    losses = []
    for step in range(steps):
        optimiser.zero_grad()
        loss = vae_loss(p, x[rows_of(step, len(x))], e[rows_of(step, len(x))])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def train_gan(p, x, z, steps):
    """The two losses of each iteration in turn; each takes the next batch."""
    nets = {"D": d_loss, "G": g_loss}
    optimisers = {n: torch.optim.Adam([v for k, v in p.items() if k.startswith(n)], lr=2e-4, betas=(0.5, 0.999))
                  for n in nets}
    losses = []
    for call in range(2 * steps):
        rows = rows_of(call, len(x))
        name = "DG"[call % 2]
        for value in p.values():
            value.grad = None
        loss = d_loss(p, x[rows], z[rows]) if name == "D" else g_loss(p, z[rows])
        loss.backward()
        optimisers[name].step()
        losses.append(loss.item())
    return losses


def both_precisions(train, spec, data, steps):
    return {f"losses_{name}": train(start(spec, dtype), *[t.to(dtype) if t.is_floating_point() else t for t in data], steps)
            for name, dtype in [("f32", torch.float32), ("f64", torch.float64)]}


def gradients(loss, spec, data, dtype=torch.float64):
    p = start(spec, dtype)
    loss(p, *[t[:BATCH].to(dtype) if t.is_floating_point() else t[:BATCH] for t in data]).backward()
    return {path: value.grad.double().numpy() for path, value in p.items() if value.grad is not None}


def summary(grads):
    stored = {}
    for path, g in grads.items():
        flat = g.reshape(-1)
        at = mix(SAMPLE_AT, np.arange(min(SAMPLES, flat.size))) % flat.size
        at[0] = np.abs(flat).argmax()
        signs = [1.0 - 2.0 * (mix(SIGN + s, np.arange(flat.size)) >> np.uint64(31)).astype(np.float64) for s in range(SIGNS)]
        stored[path + "/at"] = at.astype(np.int32)
        stored[path + "/value"] = flat[at]
        stored[path + "/max"] = np.array([np.abs(flat).max()])
        stored[path + "/sums"] = np.array([(s * flat).sum() for s in signs])
    return stored


def own_error(loss, spec, data, exact):
    """How far PyTorch in f32 is from PyTorch in f64, for judging a tolerance."""
    single = gradients(loss, spec, data, torch.float32)
    return max(np.abs(single[k] - exact[k]).max() / np.abs(exact[k]).max() for k in exact)


def table_of(spec):
    return [dict(zip(["path", "shape", "scale", "stream"], line)) for line in spec]


def write_json(name, value):
    value["made_with"] = f"torch {torch.__version__.split('+')[0]}, CPU"
    (HERE / name).write_text(json.dumps(value, indent=1) + "\n")


def store(name, loss, spec, narrow, data, result):
    result["parameters"] = table_of(spec)
    full = gradients(loss, spec, data)
    result["gradient_error_of_torch_f32"] = own_error(loss, spec, data, full)
    save_file(summary(full), HERE / f"{name}_grads.safetensors")
    if narrow:
        result["narrow_parameters"] = table_of(narrow)
        save_file(gradients(loss, narrow, data), HERE / f"{name}_narrow_grads.safetensors")
    worst = max(abs(a - b) / abs(b) for a, b in zip(result["losses_f32"], result["losses_f64"]))
    print(f"{name}: torch f32 against f64: losses {worst:.1e}, gradients {result['gradient_error_of_torch_f32']:.1e}")
    write_json(f"{name}.json", result)


# Each line of cases.json on a tiny net.

def slope(net, x):
    """Of the sum of outputs of each row."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]


def noisy(x, c):
    left = torch.cumprod(1 - 0.1 * torch.arange(1, 4, dtype=x.dtype), 0)[c][:, None]
    return left.sqrt() * x + (1 - left).sqrt() * 0.5


def energy(net, x, o):
    e = net((x - 0.1 * slope(net, x)).detach())
    return o.mean() - e.mean() + 0.1 * ((o**2).mean() + (e**2).mean())


def adapted(p, x, y):
    h = torch.tanh(linear(p, "net.fc1", x))
    v = p["net.fc2.W"]
    g = torch.autograd.grad(((h @ v - y) ** 2).mean(), v, create_graph=True)[0]
    return ((h @ (v - 0.3 * g) + p["net.fc2.b"] - 0.5 * y) ** 2).mean()


def burgers(net, x):
    x = x.clone().requires_grad_()
    u = net(x).sum(1)
    u_x = torch.autograd.grad(u.sum(), x, create_graph=True)[0].sum(1)
    u_xx = torch.autograd.grad(u_x.sum(), x, create_graph=True)[0].sum(1)
    return ((u * u_x - 0.05 * u_xx) ** 2).mean()


# Optimisers that PyTorch lacks, as their papers write them.

class Lion(torch.optim.Optimizer):
    def __init__(self, p, lr, betas=(0.9, 0.99), weight_decay=0):
        super().__init__(p, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (b1, b2), decay = group["lr"], group["betas"], group["weight_decay"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = torch.sign(b1 * m + (1 - b1) * p.grad) + decay * p
                m.copy_(b2 * m + (1 - b2) * p.grad)
                p -= lr * update


class Lamb(torch.optim.Optimizer):
    def __init__(self, p, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0):
        super().__init__(p, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (b1, b2), eps, decay = group["lr"], group["betas"], group["eps"], group["weight_decay"]
            for p in group["params"]:
                s = self.state[p]
                s["t"] = s.get("t", 0) + 1
                s["m"] = b1 * s.get("m", torch.zeros_like(p)) + (1 - b1) * p.grad
                s["v"] = b2 * s.get("v", torch.zeros_like(p)) + (1 - b2) * p.grad ** 2
                update = (s["m"] / (1 - b1 ** s["t"])) / ((s["v"] / (1 - b2 ** s["t"])).sqrt() + eps) + decay * p
                trust = p.norm() / update.norm() if p.norm() > 0 and update.norm() > 0 else 1.0
                p -= lr * trust * update


def tiny_case(kind, case):
    x = torch.tensor(uniform(TINY, (32, 6), 2.0))
    y = torch.tensor(uniform(TINY + 1, (32, 3), 2.0))
    c = torch.tensor((mix(TINY + 2, np.arange(32)) % 3).astype(np.int64))
    spec = [("net.fc1.W", [6, 5], 0.5, 0), ("net.fc1.b", [5], 0.25, 1), ("net.fc2.W", [5, 3], 0.5, 2), ("net.fc2.b", [3], 0.25, 3)]
    params = start(spec, torch.float64)
    p = list(params.values())
    w, b = p[0::2], p[1::2]
    scale, shift = torch.ones(5, dtype=torch.float64, requires_grad=True), torch.zeros(5, dtype=torch.float64, requires_grad=True)
    if "scale" in case["torch"]:
        p += [scale, shift]
    names = dict(globals(), p=p, w=w, b=b, scale=scale, shift=shift)
    optimiser = eval(case["torch"] if kind == "optimisers" else "torch.optim.SGD(p, lr=0.1)", names)
    schedule = eval(case["torch"], names)(optimiser) if kind == "schedules" else None
    losses, every, averages = [], case.get("every", 1), {}
    for step in range(10):
        rows = slice(step * 8 % 32, step * 8 % 32 + 8)
        h = linear(params, "net.fc1", x[rows])
        h = eval(case["torch"], dict(names, h=h)) if kind == "activations" else torch.tanh(h)
        o = linear(params, "net.fc2", h)
        net = lambda x: linear(params, "net.fc2", torch.tanh(linear(params, "net.fc1", x)))  # noqa: E731
        given = dict(names, o=o, x=x[rows], y=y[rows], c=c[rows], step=step, net=net, params=params)
        loss = eval(case["torch"] if kind in ("losses", "zoo") else "F.mse_loss(o, y)", given)
        losses.append(loss.item())
        (loss / every).backward()
        if (step + 1) % every:
            continue
        if "before" in case:
            eval(case["before"], names)
        optimiser.step()
        optimiser.zero_grad()
        if "after" in case:
            eval(case["after"], names)
        for k, v in params.items() if "decay" in case else []:
            average = k.replace("net.", "avg.")
            decay = eval(case["decay"], {"step": step}) if isinstance(case["decay"], str) else case["decay"]
            averages[average] = torch.lerp(v.detach(), averages.get(average, v.detach()), decay)
        if schedule:
            schedule.step()
    params.update(averages)
    return {"losses": losses, "parameters": {k: v.detach().reshape(-1).tolist() for k, v in params.items()}}


# First and second derivatives of each line of derivative_cases.json.

def derivatives_of(case):
    x = torch.tensor(uniform(DERIVATIVE, (4, 3), 2.0), requires_grad=True)
    p = torch.tensor(1.25 + uniform(DERIVATIVE + 1, (4, 3), 1.0), requires_grad=True)
    w, v, u = (torch.tensor(uniform(DERIVATIVE + k, (4, 3), 1.0)) for k in (2, 3, 4))
    loss = (w * eval(case["torch"], dict(globals(), x=x, p=p))).sum() + 0 * (x.sum() + p.sum())
    gx, gp = torch.autograd.grad(loss, (x, p), create_graph=True)
    along = (gx * v).sum() + (gp * u).sum() + 0 * (x.sum() + p.sum())
    hx, hp = torch.autograd.grad(along, (x, p))
    return {"gradient": [t.detach().reshape(-1).tolist() for t in (gx, gp)], "hessian": [t.reshape(-1).tolist() for t in (hx, hp)]}


def store_derivatives():
    cases = json.loads((HERE / "derivative_cases.json").read_text())
    write_json("derivatives.json", {"cases": {case["name"]: derivatives_of(case) for case in cases}})


# Layers and functions of pictures and sequences, trained for three steps with the square of their gradient in the loss.

def recurrent(kind, x, Wx, Wh, b, bh=None):
    """All steps of one layer from zeros; weights as Smelt has them: [In, gates, hidden]."""
    weights = [w.flatten(1).T for w in (Wx, Wh)] + [b.flatten(), torch.zeros_like(b.flatten()) if bh is None else bh.flatten()]
    start = x.new_zeros(1, x.shape[0], Wh.shape[0])
    run = {"rnn": torch.rnn_tanh, "lstm": torch.lstm, "gru": torch.gru}[kind]
    return run(x, (start, start) if kind == "lstm" else start, weights, True, 1, 0.0, False, False, True)[0]


def spectral(W, u, v, iterations=1):
    """W as PyTorch's spectral norm makes it; u and v change."""
    norm = torch.nn.utils.parametrizations._SpectralNorm(W.detach(), iterations)
    norm._u, norm._v = u, v.view(-1)
    return norm(W)


def unit(p, name, x, eps=1e-3, act=F.relu, **how):
    """A convolution of a block with its normalisation."""
    y = F.conv2d(x, p[name + "_conv_kern"], **how)
    return act(F.batch_norm(y, None, None, p[name + "_bn_scale"], p[name + "_bn_shift"], True, 0.1, eps))


def inception(kind, p, x):
    """torchvision's block of this letter, from the layers that it is made of."""
    def chain(x, *steps):
        for name, how in steps:
            x = unit(p, name, x, **how)
        return x
    one, wide, high = {}, {"padding": (0, 3)}, {"padding": (3, 0)}
    same, half = {"padding": 1}, {"stride": 2}
    pooled, largest = F.avg_pool2d(x, 3, 1, 1), F.max_pool2d(x, 3, 2)
    double = [("branch3x3dbl_1", one), ("branch3x3dbl_2", same)]
    if kind == "A":
        branches = [chain(x, ("branch1x1", one)), chain(x, ("branch5x5_1", one), ("branch5x5_2", {"padding": 2})),
                    chain(x, *double, ("branch3x3dbl_3", same)), chain(pooled, ("branch_pool", one))]
    if kind == "B":
        branches = [chain(x, ("branch3x3", half)), chain(x, *double, ("branch3x3dbl_3", half)), largest]
    if kind == "C":
        branches = [chain(x, ("branch1x1", one)), chain(x, ("branch7x7_1", one), ("branch7x7_2", wide), ("branch7x7_3", high)),
                    chain(x, ("branch7x7dbl_1", one), ("branch7x7dbl_2", high), ("branch7x7dbl_3", wide),
                          ("branch7x7dbl_4", high), ("branch7x7dbl_5", wide)), chain(pooled, ("branch_pool", one))]
    if kind == "D":
        branches = [chain(x, ("branch3x3_1", one), ("branch3x3_2", half)),
                    chain(x, ("branch7x7x3_1", one), ("branch7x7x3_2", wide), ("branch7x7x3_3", high), ("branch7x7x3_4", half)),
                    largest]
    if kind == "E":
        b, c = chain(x, ("branch3x3_1", one)), chain(x, *double)
        flat, tall = {"padding": (0, 1)}, {"padding": (1, 0)}
        branches = [chain(x, ("branch1x1", one)), chain(b, ("branch3x3_2a", flat)), chain(b, ("branch3x3_2b", tall)),
                    chain(c, ("branch3x3dbl_3a", flat)), chain(c, ("branch3x3dbl_3b", tall)), chain(pooled, ("branch_pool", one))]
    return torch.cat(branches, 1)


def preact(p, x, stride):
    """A residual block that normalises before it convolves."""
    def normed(name, y):
        return F.relu(F.batch_norm(y, None, None, p[name + "_scale"], p[name + "_shift"], True, 0.1, 1e-5))
    first = normed("bn1", x)
    y = F.conv2d(normed("bn2", F.conv2d(first, p["conv1_kern"], None, stride, 1)), p["conv2_kern"], None, 1, 1)
    return y + (F.conv2d(first, p["shortcut_kern"], None, stride) if "shortcut_kern" in p else x)


def picture_case(case):
    x = torch.tensor(uniform(PICTURE, (4, 4, 6, 7), 2.0)).float().double().requires_grad_()
    spec = [{"path": "net.gain", "shape": [4], "scale": 0.5, "stream": 0}] + case["parameters"]
    p = {line["path"]: torch.tensor(uniform(line["stream"], line["shape"], line["scale"])).requires_grad_() for line in spec}
    states = {line["path"]: p.pop(line["path"]).detach() for line in spec if line.get("state")}
    losses = []
    for _ in range(3):
        names = {path.rsplit(".", 1)[1]: value for path, value in (p | states).items()}
        inner = {path.removeprefix("net.l.").replace(".", "_"): value for path, value in p.items()}
        h = x * p["net.gain"].reshape(1, 4, 1, 1)
        z = eval(case["torch"], dict(globals(), h=h, p=inner, **names)).flatten(1)
        n, k = torch.meshgrid(torch.arange(z.shape[0]), torch.arange(z.shape[1]), indexing="ij")
        s = (z * torch.cos(0.1 * (k + 31 * n).double())).sum()
        g, = torch.autograd.grad(s, x, create_graph=True)
        loss = s + 0.05 * (g**2).sum()
        grads = torch.autograd.grad(loss, list(p.values()))
        losses.append(loss.item())
        p = {path: (value - 0.01 * grad).detach().requires_grad_() for (path, value), grad in zip(p.items(), grads)}
    return {"losses": losses, "parameters": {path: value.detach().reshape(-1).tolist() for path, value in (p | states).items()}}


def store_pictures():
    cases = json.loads((HERE / "picture_cases.json").read_text())
    write_json("pictures.json", {"cases": {case["name"]: picture_case(case) for case in cases}})


def main():
    if sys.argv[1:] == ["std"]:  # needs no pictures
        torch.set_num_threads(1)
        store_std()
        return
    if sys.argv[1:] == ["pictures"]:
        torch.set_num_threads(1)
        store_pictures()
        return
    if sys.argv[1:] == ["derivatives"]:
        store_wgan()
        store_derivatives()
        return
    fashion = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    x = torch.tensor(read_idx(fashion / "train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:100 * BATCH].copy()).double() / 255
    y = torch.tensor(read_idx(fashion / "train-labels-idx1-ubyte.gz", 8)[:100 * BATCH].astype(np.int64))
    store("mlp", mlp_loss, mlp_spec(256), mlp_spec(16), (x, y), both_precisions(train_mlp, mlp_spec(256), (x, y), 100))

    boxes = torch.tensor(images(512)).double()
    e = torch.tensor(noise(512, 20))
    data = (boxes / 255, e)
    store("vae", vae_loss, vae_spec(400), vae_spec(16), data, both_precisions(train_vae, vae_spec(400), data, 100))

    data = (boxes / 127.5 - 1, torch.tensor(noise(512, 64)))
    spec = gan_spec()
    result = both_precisions(train_gan, spec, data, 50)

    def d_alone(p, x, z):
        return d_loss({k: v if k[0] == "D" else v.detach() for k, v in p.items()}, x, z)

    def g_alone(p, x, z):
        return g_loss({k: v if k[0] == "G" else v.detach() for k, v in p.items()}, z)

    save_file(summary(gradients(g_alone, spec, data)), HERE / "gan_g_loss_grads.safetensors")
    store("gan", d_alone, spec, None, data, result)

    store_std()
    store_wgan()
    store_derivatives()
    store_pictures()


def store_std():
    cases = json.loads((HERE / "cases.json").read_text())
    write_json("std.json", {kind: {case["name"]: tiny_case(kind, case) for case in lines} for kind, lines in cases.items()})


if __name__ == "__main__":
    main()
