"""Trains the net of examples/conv.smelt in PyTorch: python conv.py FOLDER [EPOCHS] [SEED]

FOLDER has the files of Fashion-MNIST, with or without .gz. Prints the loss and the accuracy on the test images after each epoch. Net, start
values, flips, shifts, batch, rate and optimiser are the example's; its random numbers are PyTorch's own.
"""
import math
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from fashion import labels, pictures

FOLDER = sys.argv[1]
EPOCHS, SEED = (int(text) for text in (sys.argv[2:] + ["15", "1"][len(sys.argv) - 2 :]))
WIDTH, BATCH, SHIFT, WARMUP, RATE = 16, 128, 2, 200, 3e-3
torch.set_num_threads(1)
torch.manual_seed(SEED)


def rows_of(name):
    return pictures(FOLDER, name).squeeze(1), labels(FOLDER, name)


def block(n_in, n_out):
    layers = []
    for n in (n_in, n_out):
        layers += [nn.Conv2d(n, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers)


def make_net(w):
    out = nn.Linear(4 * w, 10)
    nn.init.xavier_uniform_(out.weight)
    nn.init.zeros_(out.bias)
    return nn.Sequential(block(1, w), nn.MaxPool2d(2), block(w, 2 * w), nn.MaxPool2d(2), block(2 * w, 4 * w), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), out)


def augmented(x):
    """Half of the pictures mirrored, each moved by up to SHIFT pixels."""
    n = len(x)
    x = torch.where(torch.rand(n, 1, 1) < 0.5, x.flip(2), x)
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, n, 1)) + torch.arange(28)
    return F.pad(x, [SHIFT] * 4)[torch.arange(n)[:, None, None], down[:, :, None], right[:, None, :]]


def main():
    (train, labels), (valid, wanted) = rows_of("train"), rows_of("t10k")
    net = make_net(WIDTH)
    adam = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    steps, step = EPOCHS * math.ceil(len(train) / BATCH), 0
    for epoch in range(1, EPOCHS + 1):
        net.train()
        for rows in torch.randperm(len(train)).split(BATCH):
            adam.param_groups[0]["lr"] = RATE * min(1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
            adam.zero_grad()
            F.cross_entropy(net(augmented(train[rows].float() / 255)[:, None]), labels[rows]).backward()
            adam.step()
            step += 1
        net.eval()
        with torch.no_grad():
            logits = torch.cat([net(rows[:, None].float() / 255) for rows in valid.split(1000)])
        print(f"epoch {epoch}  loss {F.cross_entropy(logits, wanted):.4f}  accuracy {(logits.argmax(1) == wanted).float().mean():.4f}", flush=True)


main()
