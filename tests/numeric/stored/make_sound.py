"""Makes sound.json: resampled tones by SciPy, and mu-law and spectra by PyTorch, for tests/numeric/sound_test.cpp.

    python tests/numeric/stored/make_sound.py

Needs numpy, scipy and torch; the test needs none of them. Of larger results every 37th element is stored.
"""
import json
import math
import pathlib

import numpy as np
import torch
from make import uniform
from scipy.signal import resample_poly

HERE = pathlib.Path(__file__).parent
SOUND = 950  # stream of `mix`
RATES = [(44100, 8000, 3000), (8000, 11025, 700), (48000, 16000, 900), (22050, 8000, 1), (16000, 44100, 40)]
EVERY = 37


def mel_filters(size, rate, mels):
    hertz = lambda m: 700 * (10 ** (m / 2595) - 1)
    edges = hertz(np.linspace(0, 2595 * math.log10(1 + rate / 2 / 700), mels + 2))
    f = np.arange(size // 2 + 1) * rate / size
    up = (f[:, None] - edges[None, :-2]) / np.diff(edges)[None, :-1]
    down = (edges[None, 2:] - f[:, None]) / np.diff(edges)[None, 1:]
    return torch.tensor(np.maximum(0, np.minimum(up, down)))


def mu_law(x, mu=255):
    return torch.sign(x) * torch.log1p(mu * x.abs().clamp(max=1)) / math.log1p(mu)


def index(x, mu=255):
    return ((mu_law(x, mu) + 1) / 2 * mu + 0.5).floor()


def inverse(y, mu=255):
    return torch.sign(y) * torch.expm1(y.abs() * math.log1p(mu)) / mu


WINDOW = torch.hann_window(64, dtype=torch.float64)


def stft(x):
    return torch.stft(x, 64, 16, window=WINDOW, center=False, return_complex=True)


def istft(z):
    """torch.istft refuses Hann windows with center=False, because they are 0 at the first sample."""
    frames = torch.fft.irfft(z, 64, dim=1) * WINDOW[None, :, None]
    sound = torch.zeros(len(z), 64 + 16 * (z.shape[2] - 1), dtype=torch.float64)
    weight = torch.zeros_like(sound)
    for i in range(z.shape[2]):
        sound[:, 16 * i:16 * i + 64] += frames[:, :, i]
        weight[:, 16 * i:16 * i + 64] += WINDOW**2
    return sound / weight.clamp(min=0.01)


def griffin_lim(magnitude, steps):
    z = magnitude.to(torch.complex128)
    for _ in range(steps):
        a = stft(istft(z))
        z = magnitude * a / (a.abs()**2 + 1e-12).sqrt()
    return istft(z)


def main():
    torch.set_num_threads(1)
    x = torch.tensor(uniform(SOUND, (3, 400), 1.25)).float().double().requires_grad_()
    z = stft(x)
    power = z.real**2 + z.imag**2
    magnitude = (power + 1e-4).sqrt()
    loudness = (torch.einsum("bm,nbf->nmf", mel_filters(64, 8000, 10), power) + 1e-3).log()
    slope, = torch.autograd.grad(magnitude.sum() + loudness.sum(), x)
    level = 2 * index(x) / 255 - 1
    results = {
        "curve.0": mu_law(x), "curve.1": index(x), "curve_back.0": inverse(x), "curve_back.1": inverse(level),
        "few_levels": inverse(2 * index(x, 15) / 15 - 1, 15), "transform.0": z.real.permute(1, 0, 2), "transform.1": z.imag.permute(1, 0, 2),
        "magnitude": magnitude, "there_and_back": istft(z), "phases": griffin_lim((power + 1e-10).sqrt(), 8),
        "filters": mel_filters(64, 8000, 10), "loudness": loudness, "slope": slope}
    rates = []
    for at, (before, after, count) in enumerate(RATES):
        y = uniform(SOUND + 1 + at, (count,), 1.0).astype(np.float32).astype(np.float64)
        divisor = math.gcd(before, after)
        out = resample_poly(y, after // divisor, before // divisor)
        rates.append({"from": before, "to": after, "count": count, "stream": SOUND + 1 + at, "length": len(out),
                      "values": out[::EVERY].tolist()})
    stored = {"every": EVERY, "stream": SOUND, "results": {k: v.detach().flatten()[::EVERY].tolist() for k, v in results.items()}, "rates": rates}
    (HERE / "sound.json").write_text(json.dumps(stored) + "\n")


if __name__ == "__main__":
    main()
