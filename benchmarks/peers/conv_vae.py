"""Trains the net of examples/conv_vae.smelt in PyTorch: python conv_vae.py FOLDER [EPOCHS] [SEED]

FOLDER has the files of Fashion-MNIST, with or without .gz. Prints the negative ELBO of the test images after each epoch, from one draw per
picture as Smelt's. Start values, batch, rate and epochs are the example's; its noise is PyTorch's own.
"""
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from fashion import pictures

FOLDER = sys.argv[1]
EPOCHS, SEED = (int(text) for text in (sys.argv[2:] + ["5", "7"][len(sys.argv) - 2 :]))
WIDTH, LATENT, BATCH = 16, 20, 128
torch.set_num_threads(1)
torch.manual_seed(SEED)


def dense(n_in, n_out):
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Net(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, w, 4, 2, 1), nn.ReLU(), nn.Conv2d(w, 2 * w, 4, 2, 1), nn.ReLU(), nn.Conv2d(2 * w, 4 * w, 3, 2, 1), nn.ReLU(),
            nn.Flatten())
        self.mu, self.logvar = dense(64 * w, LATENT), dense(64 * w, LATENT)
        self.up = nn.Sequential(
            dense(LATENT, 64 * w), nn.ReLU(), nn.Unflatten(1, (4 * w, 4, 4)),
            nn.ConvTranspose2d(4 * w, 2 * w, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(w, 1, 4, 2, 1))

    def forward(self, x):
        """The negative ELBO of each picture."""
        h = self.down(x)
        mu, logvar = self.mu(h), self.logvar(h).clamp(-30, 20)
        z = mu + (logvar / 2).exp() * torch.randn_like(mu)
        recon = -F.binary_cross_entropy_with_logits(self.up(z), x, reduction="none").flatten(1).sum(1)
        rate = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
        return rate - recon


def main():
    train, valid = pictures(FOLDER, "train"), pictures(FOLDER, "t10k")
    net = Net(WIDTH)
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    for epoch in range(1, EPOCHS + 1):
        for rows in torch.randperm(len(train)).split(BATCH):
            adam.zero_grad()
            net(train[rows].float() / 255).mean().backward()
            adam.step()
        with torch.no_grad():
            total = sum(net(rows.float() / 255).sum().item() for rows in valid.split(1000))
        print(f"epoch {epoch}  negative ELBO {total / len(valid):.2f} nats", flush=True)


main()
