"""Makes spectrogram_vae.json and spectrogram_vae_grads.safetensors: examples/spectrogram_vae.smelt in PyTorch, for
tests/numeric/sound_nets_test.cpp.

    python tests/numeric/stored/make_spectrogram_vae.py

Needs torch, numpy and safetensors; the test needs none of them. All recordings are the same formula, so that it does not matter which
of them the seed holds out. Noise is a formula too, and fed as data. Losses are of the first 50 steps, in batches of 16 without
shuffling; gradients are those of step 1 in f64.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F
from make import mix, start, uniform
from make_text import STEPS, cosine, spec_of, store

SOUND, NOISE = 970, 971  # streams of `mix`
LANGUAGES, WINDOW, BATCH, EPOCHS = 17, 24576, 16, 80
STARTS, PERIODS, BURST = (9000, 2010, 20000, 13030), (80, 57, 43, 101), 6000
SIZE, HOP, FRAMES, BINS, LATENT, MIXTURE, STD, QUIET = 256, 64, 128, 128, 64, 64, 0.3, 0.3
LENGTH = SIZE + HOP * (FRAMES - 1)


def recording():
    """A buzz in each window, louder and quieter again, as samples of 16 bits. The last one but one is cut off by the window's end."""
    r = np.arange(WINDOW)
    windows = []
    for begin, period in zip(STARTS, PERIODS):
        loud = np.maximum(np.minimum(r - begin, begin + BURST - r), 0) * 3 // 10
        windows.append(loud * ((mix(SOUND, r % period) >> np.uint64(9)) % 65 - np.float64(32)))
    return np.stack(windows) / 32768


def letter(x):
    energy = x * x
    middle = (energy * torch.arange(WINDOW)).sum(1) / (energy.sum(1) + 1e-6)
    part = middle / HOP - (middle / HOP).floor()
    assert ((part > 0.1) & (part < 0.9)).all(), "rounding would decide where a letter is"
    place = HOP * ((middle / HOP).floor().long() - LENGTH // HOP // 2)[:, None] + torch.arange(LENGTH)
    y = torch.where((place >= 0) & (place < WINDOW), x.gather(1, place.clamp(0, WINDOW - 1)), 0)
    return y / (y.abs().amax(1, keepdim=True) + 1e-3)


def picture(x):
    z = torch.stft(letter(x), SIZE, HOP, window=torch.hann_window(SIZE, dtype=x.dtype), center=False, return_complex=True)
    return torch.log1p((z.real**2 + z.imag**2 + 1e-10).sqrt()[:, :BINS] / QUIET)


def spec():
    shapes = {}
    for at, out, into, k in (("enc.c1", 192, BINS, 5), ("enc.c2", 256, 192, 5), ("enc.c3", 256, 256, 5)):
        shapes |= {at + ".kern": ([out, into, k], 0.03125), at + ".b": ([out], 0.03125)}
    for at in ("enc.mu", "enc.lv"):
        shapes |= {at + ".W": ([256 * 16, LATENT], 0.03125), at + ".b": ([LATENT], 0.03125)}
    shapes |= {"dec.fc.W": ([LATENT, 256 * 16], 0.125), "dec.fc.b": ([256 * 16], 0.03125)}
    for at, into, out in (("dec.up1", 256, 256), ("dec.up2", 256, 192), ("dec.up3", 192, 192)):
        shapes |= {at + ".kern": ([into, out, 4], 0.0625), at + ".b": ([out], 0.03125)}
    return spec_of(shapes | {"dec.out.kern": ([BINS, 192, 3], 0.0625), "dec.out.b": ([BINS], 0.03125),
                             "prior.mean": ([MIXTURE, LATENT], 1.0), "prior.logvar": ([MIXTURE, LATENT], 0.5),
                             "prior.weight": ([MIXTURE], 0.5)})


def loss(p, x, e):
    shown = h = picture(x)
    for at in ("enc.c1", "enc.c2", "enc.c3"):
        h = F.conv1d(h, p[at + ".kern"], p[at + ".b"], stride=2, padding=2).relu()
    h = h.flatten(1)
    mean, logvar = h @ p["enc.mu.W"] + p["enc.mu.b"], (h @ p["enc.lv.W"] + p["enc.lv.b"]).clamp(-12, 8)
    z = mean + (logvar / 2).exp() * e
    y = (z @ p["dec.fc.W"] + p["dec.fc.b"]).relu().unflatten(1, (256, 16))
    for at in ("dec.up1", "dec.up2", "dec.up3"):
        y = F.conv_transpose1d(y, p[at + ".kern"], p[at + ".b"], stride=2, padding=1).relu()
    y = F.conv1d(y, p["dec.out.kern"], p["dec.out.b"], padding=1)
    recon = (0.5 * ((shown - y) / STD) ** 2 + math.log(STD) + 0.5 * math.log(2 * math.pi)).sum((1, 2))
    parts = 0.5 * ((z[:, None] - p["prior.mean"]) ** 2 * (-p["prior.logvar"]).exp() + p["prior.logvar"]).sum(2)
    return (recon - 0.5 * (e**2 + logvar).sum(1) - (p["prior.weight"].log_softmax(0) - parts).logsumexp(1)).mean()


def run(p, x, e):
    names = [[name for name in p if name.startswith("prior.") == prior] for prior in (False, True)]
    adam = torch.optim.Adam([{"params": [p[name] for name in group]} for group in names])
    batches = len(x) // BATCH
    rate = lambda i: min((i + 1) / 200, 1) * cosine(1, 0.05, EPOCHS * batches)(i)
    losses = []
    for step in range(STEPS):
        rows = slice(step % batches * BATCH, (step % batches + 1) * BATCH)
        adam.param_groups[0]["lr"], adam.param_groups[1]["lr"] = 1e-3 * rate(step), 1e-2 * rate(step)
        adam.zero_grad()
        value = loss(p, x[rows], e[rows])
        value.backward()
        adam.step()
        losses.append(value.item())
    return losses


def main():
    torch.set_num_threads(1)
    x = torch.tensor(np.tile(recording(), (round(0.95 * LANGUAGES), 1)))
    e = torch.tensor(uniform(NOISE, (len(x), LATENT), 2.0))
    f32, f64 = (run(start(spec(), dtype), x.to(dtype), e.to(dtype)) for dtype in (torch.float32, torch.float64))
    store("spectrogram_vae", lambda p, *batch: loss(p, *(v.to(p["enc.mu.b"].dtype) for v in batch)), spec(), (x[:BATCH], e[:BATCH]),
          {"losses_f32": f32, "losses_f64": f64})


if __name__ == "__main__":
    main()
