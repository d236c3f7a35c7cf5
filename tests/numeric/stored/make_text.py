"""Makes charlm_lstm.json, gpt.json and their *_grads.safetensors: the language models of the examples in PyTorch, for
tests/numeric/text_nets_test.cpp.

    python tests/numeric/stored/make_text.py [charlm_lstm | gpt]

Needs torch, numpy and safetensors; the test needs none of them. The text is a formula (`text`), so that the test needs no
data. Losses are of the first 50 steps in f32, without shuffling; gradients are those of step 1 in f64.
"""
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F
import make
from make import HERE, gradients, mix, own_error, start, summary, table_of, write_json
from safetensors.numpy import save_file

make.SAMPLES = 256  # elements of each gradient: these nets are large
TEXT = 920  # stream of `mix`
STEPS = 50
BYTES = 150_000


def text():
    """Letters in an order that repeats after 977 of them."""
    return (97 + (mix(TEXT, np.arange(BYTES) % 977) >> np.uint64(9)) % 16).astype(np.int64)


def windows(width):
    """As bytes(..) |> split(0.9) gives them to the training split."""
    t = text()
    rows = (len(t) - 1) // width
    kept = round(0.9 * rows)
    x, y = t[:rows * width].reshape(rows, width), t[1:rows * width + 1].reshape(rows, width)
    return torch.tensor(x[:kept]), torch.tensor(y[:kept])


def spec_of(shapes):
    return [(path, shape, scale, stream) for stream, (path, (shape, scale)) in enumerate(shapes.items())]


def lstm_spec(hidden=256):
    shapes = {"lm.emb.table": ([256, hidden], 1.0)}
    for at in ("lm.one.", "lm.two."):
        shapes |= {at + "Wx": ([hidden, 4, hidden], 0.0625), at + "Wh": ([hidden, 4, hidden], 0.0625), at + "b": ([4, hidden], 0.0625)}
    return spec_of(shapes | {"lm.out.W": ([hidden, 256], 0.125), "lm.out.b": ([256], 0.0625)})


def lstm_loss(p, x, y):
    h = p["lm.emb.table"][x]
    for at in ("lm.one.", "lm.two."):
        zero = h.new_zeros(1, h.shape[0], p[at + "Wh"].shape[0])
        b = p[at + "b"].flatten()
        weights = [p[at + "Wx"].flatten(1).T, p[at + "Wh"].flatten(1).T, b, torch.zeros_like(b)]
        h = torch.lstm(h, (zero, zero), weights, True, 1, 0.0, True, False, True)[0]
    logits = h @ p["lm.out.W"] + p["lm.out.b"]
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def gpt_spec(width=256, depth=4, heads=4, window=128):
    wide = width // heads
    shapes = {"lm.table": ([256, width], 0.03125), "lm.pos.table": ([window, width], 0.03125)}
    for i in range(depth):
        at = f"lm.blocks.{i}."
        shapes |= {at + "att.W" + n: ([width, heads, 1, wide] if n == "q" else [width, heads, wide], 0.03125) for n in "qkv"}
        shapes |= {at + "att.Wo": ([heads, 1, wide, width], 0.03125), at + "ff.up.W": ([width, 4 * width], 0.03125),
                   at + "ff.down.W": ([4 * width, width], 0.03125)}
        shapes |= {at + "att.b" + n: ([heads, 1, wide] if n == "q" else [heads, wide], 0.03125) for n in "qkv"}
        shapes |= {at + "att.bo": ([width], 0.03125), at + "ff.up.b": ([4 * width], 0.03125), at + "ff.down.b": ([width], 0.03125)}
        shapes |= {at + f"norm{k}.{n}": ([width], 1.0) for k in (1, 2) for n in ("scale", "shift")}
    return spec_of(shapes | {"lm.norm.scale": ([width], 1.0), "lm.norm.shift": ([width], 1.0)})


def gpt_loss(p, x, y):
    h = p["lm.table"][x] + p["lm.pos.table"]
    depth = sum(path.endswith("att.Wo") for path in p)
    norm = lambda at, v: F.layer_norm(v, v.shape[-1:], p[at + ".scale"], p[at + ".shift"])
    for i in range(depth):
        at = f"lm.blocks.{i}."
        n = norm(at + "norm1", h)
        q, k, v = ((n @ p[at + "att.W" + c].flatten(1) + p[at + "att.b" + c].flatten()).unflatten(-1, p[at + "att.Wk"].shape[1:]).transpose(1, 2)
                   for c in "qkv")
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        h = h + a @ p[at + "att.Wo"].flatten(0, 2) + p[at + "att.bo"]
        n = norm(at + "norm2", h)
        h = h + F.gelu(n @ p[at + "ff.up.W"] + p[at + "ff.up.b"]) @ p[at + "ff.down.W"] + p[at + "ff.down.b"]
    return F.cross_entropy((norm("lm.norm", h) @ p["lm.table"].T).flatten(0, 1), y.flatten())


def train(loss_of, batch, optimiser_of, rate_of):
    def run(p, x, y, steps):
        optimiser = optimiser_of(list(p.values()))
        losses = []
        for step in range(steps):
            rows = slice(step * batch, step * batch + batch)
            optimiser.param_groups[0]["lr"] = rate_of(step)
            optimiser.zero_grad()
            loss = loss_of(p, x[rows], y[rows])
            loss.backward()
            norm = torch.sqrt(sum((v.grad**2).sum() for v in p.values()))
            for v in p.values():
                v.grad *= min(1.0, 1.0 / norm.item())  # clip_norm = 1, without the 1e-6 of clip_grad_norm_
            optimiser.step()
            losses.append(loss.item())
        return losses
    return run


def cosine(a, b, horizon):
    return lambda i: b + 0.5 * (a - b) * (1 + math.cos(math.pi * min(i / horizon, 1)))


def store(name, loss, spec, first, result):
    """The bias of keys is left out: it adds the same to all scores of a query, so its gradient is rounding."""
    full = {path: g for path, g in gradients(loss, spec, first).items() if not path.endswith(".bk")}
    result["parameters"] = table_of(spec)
    result["gradient_error_of_torch_f32"] = own_error(loss, spec, first, full)
    save_file(summary(full), HERE / f"{name}_grads.safetensors")
    worst = max(abs(a - b) / abs(b) for a, b in zip(result["losses_f32"], result["losses_f64"]))
    print(f"{name}: torch f32 against f64: losses {worst:.1e}, gradients {result['gradient_error_of_torch_f32']:.1e}")
    write_json(f"{name}.json", result)


def main():
    torch.set_num_threads(1)
    nets = [
        ("charlm_lstm", lstm_spec(), lstm_loss, 64, train(lstm_loss, 32, lambda v: torch.optim.Adam(v), cosine(1e-3, 1e-4, 4000))),
        ("gpt", gpt_spec(), gpt_loss, 128,
         train(gpt_loss, 16, lambda v: torch.optim.AdamW(v, weight_decay=0.1), lambda i: min((i + 1) / 100, 1) * cosine(1e-3, 1e-4, 2000)(i))),
    ]
    for name, spec, loss, width, run in nets:
        if sys.argv[1:] not in ([], [name]):
            continue
        x, y = windows(width)
        batch = 32 if name == "charlm_lstm" else 16
        first = (x[:batch], y[:batch])
        f32, f64 = (run(start(spec, dtype), x, y, STEPS) for dtype in (torch.float32, torch.float64))
        store(name, loss, spec, first, {"losses_f32": f32, "losses_f64": f64})


if __name__ == "__main__":
    main()
