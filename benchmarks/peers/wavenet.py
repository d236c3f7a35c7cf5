"""Trains the net of examples/wavenet.smelt in PyTorch: python wavenet.py FOLDER [STEPS] [SEED]

FOLDER has klettres/ of the package klettres-data in it. Prints bits a sample of the held-out recordings as often as the example does. The
split is that of Smelt's with the same SEED, and so are start values, batch, rate and steps; the order of windows is PyTorch's own. Needs
soundfile and scipy beside torch.
"""
import math
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import klettres

LANGUAGES = "ar cs da de en en_GB es fr he hu it lt nb nds nl pt_BR ru uk".split()
RATE, WINDOW, WIDE, SKIP, LEVELS, DEPTH, BATCH, HORIZON, EVERY = 8000, 2048, 32, 64, 256, 9, 8, 2500, 500
STEPS, SEED = (int(text) for text in (sys.argv[2:] + [str(HORIZON), "1"][len(sys.argv) - 2:]))
torch.set_num_threads(1)
torch.manual_seed(SEED)


def windows_of(folder):
    """Windows of both splits, and how many of their samples are real."""
    splits = ([], []), ([], [])
    for _, held, sound in klettres.recordings(folder, LANGUAGES, RATE, SEED):
        for part, length in klettres.windows(sound, WINDOW):
            splits[held][0].append(part)
            splits[held][1].append(length)
    return [(torch.tensor(np.array(rows)), torch.tensor(lengths)) for rows, lengths in splits]


def level(x):
    y = torch.sign(x) * torch.log1p(255 * x.abs().clamp(max=1)) / math.log(256)
    return ((y + 1) * 127.5 + 0.5).floor().long()


class WaveNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(0.3 * torch.randn(LEVELS, WIDE))
        self.look = nn.ModuleList(nn.Conv1d(WIDE, 2 * WIDE, 2, dilation=2**i) for i in range(DEPTH))
        self.mix = nn.ModuleList(nn.Conv1d(WIDE, WIDE + SKIP, 1) for _ in range(DEPTH))
        self.first, self.last = nn.Linear(SKIP, SKIP), nn.Linear(SKIP, LEVELS)
        nn.init.kaiming_uniform_(self.first.weight, nonlinearity="relu")
        nn.init.xavier_uniform_(self.last.weight)
        for layer in (self.first, self.last):
            nn.init.zeros_(layer.bias)

    def forward(self, x, length):
        h = self.table[level(F.pad(x, (1, 0))[:, :-1])].transpose(1, 2)
        said = 0
        for i, (look, mix) in enumerate(zip(self.look, self.mix)):
            z = look(F.pad(h, (2**i, 0)))
            both = mix(z[:, :WIDE].tanh() * z[:, WIDE:].sigmoid())
            h, said = h + both[:, :WIDE], said + both[:, WIDE:]
        logits = self.last(self.first(said.transpose(1, 2).relu()).relu())
        mask = torch.arange(x.shape[1])[None, :] < length[:, None]
        return F.cross_entropy(logits.transpose(1, 2), torch.where(mask, level(x), -100), reduction="sum"), mask.sum()


@torch.no_grad()
def bits(net, x, length):
    nats, count = (sum(parts) for parts in zip(*(net(a, n) for a, n in zip(x.split(BATCH), length.split(BATCH)))))
    return (nats / count).item() / math.log(2)


def main():
    (x, length), valid = windows_of(sys.argv[1])
    net = WaveNet()
    adam = torch.optim.Adam(net.parameters())
    step, spent = 0, 0.0
    while step < STEPS:
        for rows in torch.randperm(len(x)).split(BATCH):
            if len(rows) < BATCH:
                break
            begin = time.perf_counter()
            adam.param_groups[0]["lr"] = min((step + 1) / 100, 1) * (1e-4 + 0.5 * 1.9e-3 * (1 + math.cos(math.pi * step / HORIZON)))
            adam.zero_grad()
            nats, count = net(x[rows], length[rows])
            (nats / count).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            step, spent = step + 1, spent + time.perf_counter() - begin
            if step % EVERY == 0 or step == STEPS:
                print(f"step {step}  bits a sample {bits(net, *valid):.4f}  ms {1e3 * spent / step:.1f}", flush=True)
            if step == STEPS:
                break


main()
