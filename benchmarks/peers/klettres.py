"""Recordings of the package klettres-data as Smelt reads them: resampled, and split by the same draws. Needs soundfile and scipy."""
import math
import pathlib

import numpy as np


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


def recordings(folder, languages, rate, seed):
    """Of each file its language, whether it is held out, and its samples: mono, from -1 to 1."""
    import soundfile
    from scipy.signal import resample_poly
    files = [(name, language) for language in languages
             for name in sorted((pathlib.Path(folder) / "klettres" / language).glob("**/*.ogg"), key=lambda p: str(p).encode())]
    held = held_out(len(files), seed)
    for i, (name, language) in enumerate(files):
        sound, own = soundfile.read(name, dtype="float32", always_2d=True)
        divisor = math.gcd(rate, own)
        yield language, i in held, np.clip(resample_poly(sound.mean(1), rate // divisor, own // divisor), -1, 1).astype(np.float32)


def windows(sound, size):
    """The last one is filled up with silence."""
    for at in range(0, len(sound), size):
        part = sound[at:at + size]
        yield np.pad(part, (0, size - len(part))), len(part)
