"""Trains the net of examples/vae_text.smelt in PyTorch: python vae_text.py TEXT [STEPS] [SEED]

Prints, of the last tenth of TEXT and from one draw of each code, bits a byte of the bound, and how many of them pay for the code. Windows,
start values, batch, rate, annealing and steps are the example's; draws and the order of windows are PyTorch's own.
"""
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

WINDOW, BATCH, HIDDEN, EMBEDDED, LATENT, DROP, FREE = 32, 32, 192, 64, 32, 0.7, 0.25
STEPS, SEED = (int(text) for text in (sys.argv[2:] + ["1500", "1"][len(sys.argv) - 2:]))
HORIZON = 1500
torch.set_num_threads(1)
torch.manual_seed(SEED)


def windows(path):
    text = np.frombuffer(pathlib.Path(path).read_bytes(), np.uint8)
    rows = (len(text) - 1) // WINDOW
    x = torch.tensor(text[:rows * WINDOW].reshape(rows, WINDOW).astype(np.int64))
    kept = math.floor(0.9 * rows + 0.5)
    return x[:kept], x[kept:]


def dense(n_in, n_out):
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def lstm(n_in):
    """nn.LSTM has two biases where Smelt has one: the second one stays zero and is no parameter here."""
    layer = nn.LSTM(n_in, HIDDEN, batch_first=True)
    nn.init.zeros_(layer.bias_hh_l0)
    layer.bias_hh_l0.requires_grad_(False)
    return layer


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.heard, self.written = nn.Embedding(256, EMBEDDED), nn.Embedding(256, EMBEDDED)
        self.read, self.mu, self.logvar = lstm(EMBEDDED), dense(HIDDEN, LATENT), dense(HIDDEN, LATENT)
        self.byte, self.code, self.write, self.out = dense(EMBEDDED, HIDDEN), dense(LATENT, HIDDEN), lstm(HIDDEN), dense(HIDDEN, 256)

    def forward(self, x):
        """Nats of each window without its code, and of each number of its code."""
        last = self.read(self.heard(x))[0][:, -1]
        mean, logvar = self.mu(last), self.logvar(last).clamp(-10, 10)
        z = mean + (logvar / 2).exp() * torch.randn_like(mean)
        before = F.pad(self.written(x), (0, 0, 1, 0))[:, :-1]
        if self.training:
            before = before * (torch.rand(x.shape) >= DROP).float()[:, :, None]
        logits = self.out(self.write(self.byte(before) + self.code(z)[:, None])[0])
        return (F.cross_entropy(logits.transpose(1, 2), x, reduction="none").sum(1),
                0.5 * (logvar.exp() + mean**2 - 1 - logvar))


@torch.no_grad()
def evaluate(net, x):
    net.eval()
    recon, rate = (torch.cat(parts) for parts in zip(*(net(part) for part in x.split(256))))
    net.train()
    unit = WINDOW * math.log(2)
    return (recon + rate.sum(1)).mean().item() / unit, rate.sum(1).mean().item() / unit


def main():
    train, valid = windows(sys.argv[1])
    net = Net()
    p = [v for v in net.parameters() if v.requires_grad]
    adam = torch.optim.Adam(p)
    step = 0
    while step < STEPS:
        for rows in torch.randperm(len(train)).split(BATCH):
            adam.param_groups[0]["lr"] = 1e-4 + 0.5 * 1.9e-3 * (1 + math.cos(math.pi * min(step / HORIZON, 1)))
            adam.zero_grad()
            recon, rate = net(train[rows])
            (recon.mean() + min(step / (0.5 * HORIZON), 1) * rate.mean(0).clamp(min=FREE).sum()).backward()
            nn.utils.clip_grad_norm_(p, 5.0)
            adam.step()
            step += 1
            if step % 500 == 0 or step == STEPS:
                bits, code = evaluate(net, valid)
                print(f"step {step}  bits a byte {bits:.4f}, of the code {code:.4f}", flush=True)
            if step == STEPS:
                break


main()
