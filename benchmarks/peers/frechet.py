"""The Frechet distance between pictures of a generator and test images: python frechet.py FOLDER CHECKPOINT PICTURES.npy ..

In the 64 features before the last layer of examples/conv.smelt, whose trained parameters are CHECKPOINT:
|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of their means and covariances. Heusel et al. 2017, with another net. FOLDER has the files of
Fashion-MNIST; PICTURES are [N, 1, 32, 32] in -1..1, a 28x28 picture in the middle. The line `training images` says what real pictures have.
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from fashion import pictures

FOLDER, CHECKPOINT = sys.argv[1:3]
torch.set_num_threads(1)
weights = load_file(CHECKPOINT)


def block(x, name):
    for k in ("1", "2"):
        mean, var, scale, shift = (weights[f"net.{name}.norm{k}.{key}"] for key in ("mean", "var", "scale", "shift"))
        x = F.conv2d(x, weights[f"net.{name}.conv{k}.kern"], padding=1)
        x = F.relu(F.batch_norm(x, mean, var, scale, shift, eps=1e-5))
    return x


def features(x):
    """x: [N, 1, 28, 28] in 0..1."""
    made = []
    for part in x.split(500):
        h = F.max_pool2d(block(part, "large"), 2)
        made.append(block(F.max_pool2d(block(h, "medium"), 2), "small").mean((2, 3)))
    return torch.cat(made).double().numpy()


def statistics(x):
    with torch.no_grad():
        rows = features(x)
    return rows.mean(0), np.cov(rows, rowvar=False)


def distance(a, b):
    (m1, s1), (m2, s2) = a, b
    # The eigenvalues of S1 S2 are those of a positive matrix: real, and not below 0 but for rounding.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(s1 @ s2).real, 0)).sum()
    return ((m1 - m2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * roots


test = statistics(pictures(FOLDER, "t10k").float() / 255)
print(f"training images {distance(statistics(pictures(FOLDER, 'train')[:10000].float() / 255), test):.3f}")
for path in sys.argv[3:]:
    made = torch.tensor(np.load(path))[:, :, 2:30, 2:30]
    print(f"{path} {distance(statistics((made + 1) / 2), test):.3f}", flush=True)
