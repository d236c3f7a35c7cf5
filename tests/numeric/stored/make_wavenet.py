"""Makes wavenet.json and wavenet_grads.safetensors: examples/wavenet.smelt in PyTorch, for tests/numeric/sound_nets_test.cpp.

    python tests/numeric/stored/make_wavenet.py

Needs torch, numpy and safetensors; the test needs none of them. All recordings are the same formula, so that it does not matter which
of them the seed holds out; the last window of each is short. Losses are of the first 50 steps in f32, without shuffling; gradients are
those of step 1 in f64.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F
from make import mix
from make_text import STEPS, cosine, spec_of, start, store, train

SOUND = 960  # stream of `mix`
LANGUAGES, WINDOWS, MISSING, WINDOW = 18, 24, 500, 2048
WIDE, SKIP, DEPTH = 32, 64, 9


def recording():
    """16 levels of mu-law in an order that repeats after 977 of them, as samples of 16 bits."""
    at = np.arange(WINDOWS * WINDOW - MISSING) % 977
    y = 2 * (64 + 8 * ((mix(SOUND, at) >> np.uint64(9)) % 16).astype(np.float64)) / 255 - 1
    return np.floor(32768 * np.sign(y) * np.expm1(np.abs(y) * math.log(256)) / 255 + 0.5) / 32768


def rows():
    """Of the training split: windows, and how many of their samples are real."""
    x = np.append(recording(), np.zeros(MISSING)).reshape(WINDOWS, WINDOW)
    length = np.full(WINDOWS, WINDOW)
    length[-1] -= MISSING
    kept = round(0.95 * LANGUAGES)
    return torch.tensor(np.tile(x, (kept, 1))), torch.tensor(np.tile(length, kept))


def level(x):
    y = torch.sign(x) * torch.log1p(255 * x.abs().clamp(max=1)) / math.log(256)
    return ((y + 1) * 127.5 + 0.5).floor().long()


def spec():
    shapes = {"net.table": ([256, WIDE], 0.5)}
    for i in range(DEPTH):
        at = f"net.d{2**i}."
        shapes |= {at + "look.conv.kern": ([2 * WIDE, WIDE, 2], 0.125), at + "look.conv.b": ([2 * WIDE], 0.0625),
                   at + "mix.kern": ([WIDE + SKIP, WIDE, 1], 0.125), at + "mix.b": ([WIDE + SKIP], 0.0625)}
    return spec_of(shapes | {"net.W1": ([SKIP, SKIP], 0.125), "net.b1": ([SKIP], 0.0625), "net.W2": ([SKIP, 256], 0.125), "net.b2": ([256], 0.0625)})


def loss(p, x, length):
    h = p["net.table"][level(F.pad(x, (1, 0))[:, :-1])].transpose(1, 2)
    both = torch.cat([h, h.new_zeros(h.shape[0], SKIP, h.shape[2])], 1)
    for i in range(DEPTH):
        at = f"net.d{2**i}."
        z = F.conv1d(F.pad(both[:, :WIDE], (2**i, 0)), p[at + "look.conv.kern"], p[at + "look.conv.b"], dilation=2**i)
        both = both + F.conv1d(z[:, :WIDE].tanh() * z[:, WIDE:].sigmoid(), p[at + "mix.kern"], p[at + "mix.b"])
    said = both[:, WIDE:].transpose(1, 2).relu()
    logits = (said @ p["net.W1"] + p["net.b1"]).relu() @ p["net.W2"] + p["net.b2"]
    mask = torch.arange(x.shape[1])[None, :] < length[:, None]
    return F.cross_entropy(logits.transpose(1, 2), torch.where(mask, level(x), -100))


def main():
    torch.set_num_threads(1)
    x, length = rows()
    run = train(loss, 8, lambda v: torch.optim.Adam(v), lambda i: min((i + 1) / 100, 1) * cosine(2e-3, 1e-4, 2500)(i))
    f32, f64 = (run(start(spec(), dtype), x.to(dtype), length, STEPS) for dtype in (torch.float32, torch.float64))
    store("wavenet", lambda p, *batch: loss(p, batch[0].to(p["net.table"].dtype), batch[1]), spec(), (x[:8], length[:8]),
          {"losses_f32": f32, "losses_f64": f64})


if __name__ == "__main__":
    main()
