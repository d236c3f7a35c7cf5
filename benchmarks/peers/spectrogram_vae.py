"""Trains the net of examples/spectrogram_vae.smelt in PyTorch, and measures sounds that the example makes.

    python spectrogram_vae.py train FOLDER [EPOCHS] [SEED]      FOLDER has klettres/ of the package klettres-data in it
    python spectrogram_vae.py rows FOLDER PREFIX [SEED]         writes PREFIXtrain.npy and PREFIXvalid.npy, windows of both splits
    python spectrogram_vae.py score HEARD AGAIN [TRAIN]         of two .npy of sounds, and one of recordings to look for speakers in

`train` prints the negative ELBO of the held-out recordings, from one draw of each code, and the decibels by which the picture of a code's
mean is off. The split is that of Smelt's with the same SEED, and so are start values, batch, rate and epochs; the noise and the order of rows
are PyTorch's own. `score` prints spectral convergence, the root of the squares of |STFT(again)| - |STFT(heard)| over that of |STFT(heard)|
with the best loudness; how often a sound is nearest to its own recording among all that are held out; and how often the nearest recording of
training is in the same voice. Needs soundfile and scipy beside torch.
"""
import math
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import klettres

LANGUAGES = "ar cs de en en_GB es fr he hu it lt nb nds nl pt_BR ru uk".split()
RATE, WINDOW, SIZE, HOP, FRAMES, BINS, LATENT, MIXTURE, BATCH = 8000, 24576, 256, 64, 128, 128, 64, 64, 32
LENGTH = SIZE + HOP * (FRAMES - 1)
STD, QUIET = 0.3, 0.3
torch.set_num_threads(1)


def windows_of(folder, seed):
    """Windows of both splits, and the language of each."""
    splits = ([], []), ([], [])
    for language, held, sound in klettres.recordings(folder, LANGUAGES, RATE, seed):
        for part, _ in klettres.windows(sound, WINDOW):
            splits[held][0].append(part)
            splits[held][1].append(LANGUAGES.index(language))
    return [(torch.tensor(np.array(rows)), torch.tensor(languages)) for rows, languages in splits]


def letter(x):
    energy = x * x
    middle = (energy * torch.arange(WINDOW)).sum(1) / (energy.sum(1) + 1e-6)
    place = HOP * ((middle / HOP).floor().long() - LENGTH // HOP // 2)[:, None] + torch.arange(LENGTH)
    y = torch.where((place >= 0) & (place < WINDOW), x.gather(1, place.clamp(0, WINDOW - 1)), 0)
    return y / (y.abs().amax(1, keepdim=True) + 1e-3)


def magnitude(y):
    return torch.stft(y, SIZE, HOP, window=torch.hann_window(SIZE, dtype=y.dtype), center=False, return_complex=True).abs()


def picture(x):
    return torch.log1p(magnitude(letter(x))[:, :BINS] / QUIET)


def dense(n_in, n_out):
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.read = nn.Sequential(
            nn.Conv1d(BINS, 192, 5, 2, 2), nn.ReLU(), nn.Conv1d(192, 256, 5, 2, 2), nn.ReLU(), nn.Conv1d(256, 256, 5, 2, 2), nn.ReLU(), nn.Flatten())
        self.mu, self.logvar = dense(4096, LATENT), dense(4096, LATENT)
        self.draw = nn.Sequential(
            dense(LATENT, 4096), nn.ReLU(), nn.Unflatten(1, (256, 16)),
            nn.ConvTranspose1d(256, 256, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(256, 192, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose1d(192, 192, 4, 2, 1), nn.ReLU(), nn.Conv1d(192, BINS, 3, 1, 1))

        self.mean, self.spread = nn.Parameter(torch.randn(MIXTURE, LATENT)), nn.Parameter(torch.zeros(MIXTURE, LATENT))
        self.weight = nn.Parameter(torch.zeros(MIXTURE))

    def forward(self, p):
        """The negative ELBO of each picture."""
        h = self.read(p)
        mu, logvar = self.mu(h), self.logvar(h).clamp(-12, 8)
        noise = torch.randn_like(mu)
        z = mu + (logvar / 2).exp() * noise
        recon = (0.5 * ((self.draw(z) - p) / STD) ** 2 + math.log(STD) + 0.5 * math.log(2 * math.pi)).sum((1, 2))
        parts = 0.5 * ((z[:, None] - self.mean) ** 2 * (-self.spread).exp() + self.spread).sum(2)
        return recon - 0.5 * (noise**2 + logvar).sum(1) - (self.weight.log_softmax(0) - parts).logsumexp(1)


def train(folder, epochs=80, seed=1):
    (rows, _), (valid, _) = windows_of(folder, seed)
    pictures, held = picture(rows), picture(valid)
    torch.manual_seed(seed)
    net = Net()
    prior = [net.mean, net.spread, net.weight]
    adam = torch.optim.Adam([{"params": [*net.read.parameters(), *net.mu.parameters(), *net.logvar.parameters(), *net.draw.parameters()]},
                             {"params": prior}])
    steps = epochs * math.ceil(len(rows) / BATCH)
    step, began = 0, time.process_time()
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(rows)).split(BATCH):
            for group, rate in zip(adam.param_groups, (1e-3, 1e-2)):
                group["lr"] = rate * min((step + 1) / 200, 1) * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))
            adam.zero_grad()
            net(pictures[batch]).mean().backward()
            adam.step()
            step += 1
        if epoch % 20 == 0 or epoch == epochs:
            with torch.no_grad():
                bound = net(held).mean().item()
                off = 20 / math.log(10) * ((net.draw(net.mu(net.read(held))) - held) ** 2).mean().sqrt().item()
            print(f"epoch {epoch}  negative ELBO {bound:.1f} nats, {off:.3f} dB, {time.process_time() - began:.0f} s of one core", flush=True)


def rows(folder, prefix, seed=1):
    for name, (windows, languages) in zip(("train", "valid"), windows_of(folder, seed)):
        np.save(f"{prefix}{name}.npy", windows.numpy())
        np.save(f"{prefix}{name}_language.npy", languages.numpy())


def cepstra(y):
    """20 cepstra of 32 mel bands in each frame, less their mean over the sound."""
    hertz = 700 * (10 ** (np.linspace(0, 2595 * math.log10(1 + RATE / 2 / 700), 34) / 2595) - 1)
    f = np.arange(BINS + 1) * RATE / SIZE
    up, down = (f[:, None] - hertz[None, :-2]) / np.diff(hertz)[None, :-1], (hertz[None, 2:] - f[:, None]) / np.diff(hertz)[None, 1:]
    bands = torch.tensor(np.maximum(0, np.minimum(up, down)), dtype=y.dtype)
    loud = torch.log(torch.einsum("bm,nbf->nmf", bands, magnitude(y) ** 2) + 0.3)
    turn = torch.cos(math.pi / 32 * (torch.arange(32) + 0.5) * torch.arange(20)[:, None])
    return torch.einsum("cm,nmf->ncf", turn.to(y.dtype), loud)


def score(heard, again, known=None):
    heard, again = (torch.tensor(np.load(name)).float() for name in (heard, again))
    heard, again = (y / (y.abs().amax(1, keepdim=True) + 1e-3) for y in (heard, again))
    a, b = magnitude(heard).flatten(1), magnitude(again).flatten(1)
    b *= (a * b).sum(1, keepdim=True) / (b * b).sum(1, keepdim=True)
    convergence = (a - b).norm(dim=1) / a.norm(dim=1)
    own = torch.cdist(cepstra(again).flatten(1), cepstra(heard).flatten(1)).argmin(1) == torch.arange(len(heard))
    print(f"spectral convergence: mean {convergence.mean():.3f}, median {convergence.median():.3f}")
    print(f"nearest to its own recording: {own.sum()} of {len(own)}")
    if known is not None:
        prefix = known.removesuffix("train.npy")
        language, valid = (torch.tensor(np.load(f"{prefix}{name}_language.npy")) for name in ("train", "valid"))
        spoken = cepstra(letter(torch.tensor(np.load(known)))).flatten(1)
        for name, y in (("recording", heard), ("sound", again)):
            nearest = torch.cdist(cepstra(y).flatten(1), spoken).argmin(1)
            print(f"nearest of training to the {name} in the same voice: {(language[nearest] == valid).sum()} of {len(valid)}")


def main():
    commands = {"train": train, "rows": rows, "score": score}
    arguments = [int(text) if text.isdigit() else text for text in sys.argv[2:]]
    commands[sys.argv[1]](*arguments)


main()
