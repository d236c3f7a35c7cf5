"""Trains the net of examples/gpt.smelt or charlm_lstm.smelt in PyTorch: python text.py {gpt | charlm_lstm} TEXT [STEPS] [SEED]

Prints bits a byte of the last tenth of TEXT as often as the example does. Windows, start values, batch, rate and steps are the example's; the
order of windows is PyTorch's own. A line of `ms` is the time of a training step without evaluations.
"""
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

NAME, TEXT = sys.argv[1], pathlib.Path(sys.argv[2])
WINDOW, BATCH, STEPS, EVERY = {"gpt": (128, 16, 2000, 250), "charlm_lstm": (64, 32, 4000, 500)}[NAME]
LAST, SEED = (int(text) for text in (sys.argv[3:] + [str(STEPS), "1"][len(sys.argv) - 3:]))
WIDTH, DEPTH, HEADS = 256, 4, 4
torch.set_num_threads(1)
torch.manual_seed(SEED)


def windows():
    text = np.frombuffer(TEXT.read_bytes(), np.uint8)
    rows = (len(text) - 1) // WINDOW
    x, y = (torch.tensor(text[k:k + rows * WINDOW].reshape(rows, WINDOW).copy()) for k in (0, 1))
    kept = math.floor(0.9 * rows + 0.5)
    return (x[:kept], y[:kept]), (x[kept:], y[kept:])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, h):
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in self.qkv(self.norm1(h)).chunk(3, dim=2))
        h = h + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return h + self.down(F.gelu(self.up(self.norm2(h))))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.positions = (nn.Parameter(0.02 * torch.randn(n, WIDTH)) for n in (256, WINDOW))
        self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(DEPTH))), nn.LayerNorm(WIDTH)
        for layer in self.blocks.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x):
        return self.norm(self.blocks(F.embedding(x, self.table) + self.positions)) @ self.table.T


class CharLM(nn.Module):
    """nn.LSTM has two biases where Smelt has one: the second one stays zero and is no parameter here."""

    def __init__(self):
        super().__init__()
        self.emb, self.body, self.out = nn.Embedding(256, WIDTH), nn.LSTM(WIDTH, WIDTH, num_layers=2, batch_first=True), nn.Linear(WIDTH, 256)
        for name, p in self.body.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(p)
                p.requires_grad_(False)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x):
        return self.out(self.body(self.emb(x))[0])


def loss_of(net, x, y):
    return F.cross_entropy(net(x.long()).flatten(0, 1), y.long().flatten())


@torch.no_grad()
def bits(net, x, y):
    return sum(loss_of(net, a, b).item() * len(a) for a, b in zip(x.split(BATCH), y.split(BATCH))) / len(x) / math.log(2)


def rate(step):
    cosine = 1e-4 + 0.5 * 9e-4 * (1 + math.cos(math.pi * min(step / STEPS, 1)))
    return min((step + 1) / 100, 1) * cosine if NAME == "gpt" else cosine


def main():
    train, valid = windows()
    net = {"gpt": GPT, "charlm_lstm": CharLM}[NAME]()
    p = [v for v in net.parameters() if v.requires_grad]
    optimiser = torch.optim.AdamW(p, 1e-3, weight_decay=0.1, fused=True) if NAME == "gpt" else torch.optim.Adam(p, 1e-3, fused=True)
    step, spent = 0, 0.0
    while step < LAST:
        for rows in torch.randperm(len(train[0])).split(BATCH):
            start = time.perf_counter()
            optimiser.param_groups[0]["lr"] = rate(step)
            optimiser.zero_grad()
            loss_of(net, train[0][rows], train[1][rows]).backward()
            nn.utils.clip_grad_norm_(p, 1.0)
            optimiser.step()
            step, spent = step + 1, spent + time.perf_counter() - start
            if step % EVERY == 0 or step == LAST:
                print(f"step {step}  bits a byte {bits(net, *valid):.4f}  ms {1e3 * spent / step:.1f}", flush=True)
            if step == LAST:
                break


main()
