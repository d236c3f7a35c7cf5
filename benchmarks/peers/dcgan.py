"""Trains the nets of examples/dcgan.smelt in PyTorch: python dcgan.py FOLDER OUT.npy [EPOCHS] [SEED]

FOLDER has the files of Fashion-MNIST, with or without .gz. OUT gets 10,000 pictures of the trained generator, [10000, 1, 32, 32] in -1..1, for
frechet.py. Start values, batch, rates and the order of steps are the example's; its noise is PyTorch's own.
"""
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from fashion import pictures

FOLDER, OUT = sys.argv[1:3]
EPOCHS, SEED = (int(text) for text in (sys.argv[3:] + ["10", "42"][len(sys.argv) - 3 :]))
W, Z, BATCH = 64, 100, 64
torch.set_num_threads(1)
torch.manual_seed(SEED)

G = nn.Sequential(
    nn.Linear(Z, 64 * W, bias=False), nn.Unflatten(1, (4 * W, 4, 4)), nn.BatchNorm2d(4 * W), nn.ReLU(),
    nn.ConvTranspose2d(4 * W, 2 * W, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * W), nn.ReLU(),
    nn.ConvTranspose2d(2 * W, W, 4, 2, 1, bias=False), nn.BatchNorm2d(W), nn.ReLU(),
    nn.ConvTranspose2d(W, 1, 4, 2, 1), nn.Tanh())
D = nn.Sequential(
    nn.Conv2d(1, W, 4, 2, 1), nn.LeakyReLU(0.2),
    nn.Conv2d(W, 2 * W, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * W), nn.LeakyReLU(0.2),
    nn.Conv2d(2 * W, 4 * W, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * W), nn.LeakyReLU(0.2),
    nn.Flatten(), nn.Linear(64 * W, 1))


def start(module):
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0, 0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def main():
    x = F.pad(pictures(FOLDER, "train").float() / 127.5 - 1, (2, 2, 2, 2), value=-1)
    for net in (G, D):
        net.apply(start).to(memory_format=torch.channels_last)
    adam = {net: torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), fused=True) for net in (G, D)}
    for epoch in range(1, EPOCHS + 1):
        for rows in torch.randperm(len(x)).split(BATCH):
            with torch.no_grad():
                made = G(torch.randn(len(rows), Z))
            adam[D].zero_grad()
            d_loss = F.softplus(-D(x[rows])).mean() + F.softplus(D(made)).mean()
            d_loss.backward()
            adam[D].step()
            adam[G].zero_grad()
            g_loss = F.softplus(-D(G(torch.randn(len(rows), Z)))).mean()
            g_loss.backward()
            adam[G].step()
        print(f"epoch {epoch}  d_loss {d_loss.item():.4f}  g_loss {g_loss.item():.4f}", flush=True)
    G.eval()
    with torch.no_grad():
        made = torch.cat([G(torch.randn(500, Z)) for _ in range(20)])
    np.save(OUT, made.contiguous().numpy())


main()
