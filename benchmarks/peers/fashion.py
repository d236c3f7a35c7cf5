"""Fashion-MNIST for the trainings of peers; `split` is train or t10k."""
import gzip
import pathlib

import numpy as np
import torch


def read(folder, name, offset):
    """u8 behind the header of a file, which may have .gz at its end."""
    plain = pathlib.Path(folder) / name
    data = plain.read_bytes() if plain.exists() else gzip.decompress(plain.with_name(name + ".gz").read_bytes())
    return torch.tensor(np.frombuffer(data, np.uint8, offset=offset).copy())


def pictures(folder, split):
    """u8[N, 1, 28, 28]."""
    return read(folder, f"{split}-images-idx3-ubyte", 16).view(-1, 1, 28, 28)


def labels(folder, split):
    """i64[N]."""
    return read(folder, f"{split}-labels-idx1-ubyte", 8).long()
