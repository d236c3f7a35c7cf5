"""Makes transformer.json and transformer_grads.safetensors: examples/transformer.smelt in PyTorch, for tests/numeric/text_nets_test.cpp.

    python tests/numeric/stored/make_transformer.py

Needs torch, numpy and safetensors; the test needs none of them. Words and sounds are formulas. There is no dropout. Losses are of the
first 50 steps in f32, without shuffling; gradients are those of step 1 in f64.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F
from make import mix
from make_text import STEPS, spec_of, start, store

WORDS = 980  # stream of `mix`, and the two after it
ROWS, BATCH, SPELLING, SOUND = 3200, 64, 20, 22
WIDTH, HEADS, DEPTH, BYTES = 128, 4, 3, 128
# A ReLU within rounding of zero moves a gradient in f32. From these start weights, the first of their kind, PyTorch's own of step 1 stay within 2e-6.
SEED = 2


def rows():
    """Spellings of 1 to 20 small letters, sounds of 1 to 21 large ones."""
    fields = []
    for k, (width, longest, first) in enumerate(((SPELLING, 20, 97), (SOUND, 21, 65))):
        i = np.arange(ROWS * width)
        letters = (first + (mix(WORDS + 1 + k, i) >> np.uint64(9)) % 16).reshape(ROWS, width)
        length = 1 + (mix(WORDS, 2 * np.arange(ROWS) + k) >> np.uint64(9)) % longest
        fields.append(torch.tensor(np.where(np.arange(width) < length[:, None], letters, 0).astype(np.int64)))
    return fields


def spec():
    wide = WIDTH // HEADS
    shapes = {}

    def attention(at):
        shapes.update({at + "W" + n: ([WIDTH, HEADS, 1, wide] if n == "q" else [WIDTH, HEADS, wide], 0.125) for n in "qkv"})
        shapes[at + "Wo"] = [HEADS, 1, wide, WIDTH], 0.125
        shapes.update({at + "b" + n: ([HEADS, 1, wide] if n == "q" else [HEADS, wide], 0.0625) for n in "qkv"})
        shapes[at + "bo"] = [WIDTH], 0.0625

    for net, norms in (("enc", 2), ("dec", 3)):
        shapes[net + ".Embedding0.table"] = [BYTES, WIDTH], 1.0
        for i in range(DEPTH):
            at = f"{net}.blocks.{i}."
            attention(at + "att.")
            if net == "dec":
                attention(at + "cross.")
            for k in range(1, norms + 1):
                shapes |= {f"{at}norm{k}.scale": ([WIDTH], 1.0), f"{at}norm{k}.shift": ([WIDTH], 0.0625)}
            shapes |= {at + "ff.up.W": ([WIDTH, 4 * WIDTH], 0.0625), at + "ff.up.b": ([4 * WIDTH], 0.0625),
                       at + "ff.down.W": ([4 * WIDTH, WIDTH], 0.0625), at + "ff.down.b": ([WIDTH], 0.0625)}
    all_of_them = spec_of(shapes | {"dec.out.W": ([WIDTH, BYTES], 0.125), "dec.out.b": ([BYTES], 0.0625)})
    return [(path, shape, scale, stream + 1000 * SEED) for path, shape, scale, stream in all_of_them]


def positions(length, dtype):
    at, pair = torch.arange(length, dtype=dtype)[:, None], torch.arange(WIDTH // 2, dtype=dtype)
    angle = at * torch.exp(pair * (-2 * math.log(10000) / WIDTH))
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)


def attend(p, at, x, memory, mask=None, causal=False):
    def part(n, of):
        w = p[at + "W" + n].flatten(1)
        return (of @ w + p[at + "b" + n].flatten()).unflatten(-1, (HEADS, -1)).transpose(1, 2)
    y = F.scaled_dot_product_attention(part("q", x), part("k", memory), part("v", memory), mask, is_causal=causal)
    return y.transpose(1, 2).flatten(2) @ p[at + "Wo"].flatten(0, 2) + p[at + "bo"]


def half(p, net, labels, mask, memory=None):
    """The encoder, or the decoder of `memory`."""
    table = p[net + ".Embedding0.table"]
    h = table[labels] + positions(labels.shape[1], table.dtype)
    for i in range(DEPTH):
        at = f"{net}.blocks.{i}."
        norm = lambda k, v: F.layer_norm(v, v.shape[-1:], p[f"{at}norm{k}.scale"], p[f"{at}norm{k}.shift"])
        h = norm(1, h + (attend(p, at + "att.", h, h, mask) if memory is None else attend(p, at + "att.", h, h, causal=True)))
        if memory is not None:
            h = norm(2, h + attend(p, at + "cross.", h, memory, mask))
        branch = F.relu(h @ p[at + "ff.up.W"] + p[at + "ff.up.b"]) @ p[at + "ff.down.W"] + p[at + "ff.down.b"]
        h = norm(2 if memory is None else 3, h + branch)
    return h


def loss(p, word, said):
    mask = (word > 0)[:, None, None, :]
    h = half(p, "dec", F.pad(said, (1, 0))[:, :-1], mask, half(p, "enc", word, mask))
    logits = h @ p["dec.out.W"] + p["dec.out.b"]
    real = torch.arange(SOUND) <= (said > 0).sum(1, keepdim=True)
    return F.cross_entropy(logits.transpose(1, 2), torch.where(real, said, -100), label_smoothing=0.1)


def run(p, word, said):
    adam = torch.optim.Adam(list(p.values()), betas=(0.9, 0.98), eps=1e-9)
    losses = []
    for step in range(STEPS):
        at = slice(step * BATCH, (step + 1) * BATCH)
        adam.param_groups[0]["lr"] = 1e-3 * min((step + 1) / 1000, math.sqrt(1000 / (step + 1)))
        adam.zero_grad()
        value = loss(p, word[at], said[at])
        value.backward()
        adam.step()
        losses.append(value.item())
    return losses


def main():
    torch.set_num_threads(1)
    word, said = rows()
    f32, f64 = (run(start(spec(), dtype), word, said) for dtype in (torch.float32, torch.float64))
    store("transformer", loss, spec(), (word[:BATCH], said[:BATCH]), {"losses_f32": f32, "losses_f64": f64})


if __name__ == "__main__":
    main()
