"""Trains the net of examples/wavenet.smelt in PyTorch: python wavenet.py FOLDER [STEPS] [SEED]

FOLDER has klettres/ of the package klettres-data in it. Prints bits a sample of the held-out recordings as often as the example does. The
split is that of Smelt's with the same SEED, and so are start values, batch, rate and steps; the order of windows is PyTorch's own. Needs
soundfile and scipy beside torch.
"""
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

LANGUAGES = "ar cs da de en en_GB es fr he hu it lt nb nds nl pt_BR ru uk".split()
RATE, WINDOW, WIDE, SKIP, LEVELS, DEPTH, BATCH, HORIZON, EVERY = 8000, 2048, 32, 64, 256, 9, 8, 2500, 500
STEPS, SEED = (int(text) for text in (sys.argv[2:] + [str(HORIZON), "1"][len(sys.argv) - 2:]))
torch.set_num_threads(1)
torch.manual_seed(SEED)


def philox(seed, counter):
    c, k = list(counter), [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def held_out(count, seed, share=0.95):
    """As runtime/data/shuffle.h says."""
    site = 0x811C9DC5
    for letter in b"split":
        site = (site ^ letter) * 0x01000193 & 0xFFFFFFFF
    rows = list(range(count))
    for i in range(count - 1, 0, -1):
        j = philox(seed, (i // 4, 0, 0, site))[i % 4] * (i + 1) >> 32
        rows[i], rows[j] = rows[j], rows[i]
    return set(rows[math.floor(share * count + 0.5):])


def recordings(folder):
    """Windows of both splits, and how many of their samples are real."""
    import soundfile
    from scipy.signal import resample_poly
    files = [name for language in LANGUAGES
             for name in sorted((pathlib.Path(folder) / "klettres" / language).glob("**/*.ogg"), key=lambda p: str(p).encode())]
    held = held_out(len(files), SEED)
    splits = ([], []), ([], [])
    for i, name in enumerate(files):
        sound, rate = soundfile.read(name, dtype="float32", always_2d=True)
        divisor = math.gcd(RATE, rate)
        sound = np.clip(resample_poly(sound.mean(1), RATE // divisor, rate // divisor), -1, 1).astype(np.float32)
        for at in range(0, len(sound), WINDOW):
            part = sound[at:at + WINDOW]
            splits[i in held][0].append(np.pad(part, (0, WINDOW - len(part))))
            splits[i in held][1].append(len(part))
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
    (x, length), valid = recordings(sys.argv[1])
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
