"""Makes vae_text.json and vae_text_grads.safetensors: examples/vae_text.smelt in PyTorch, for tests/numeric/text_nets_test.cpp.

    python tests/numeric/stored/make_vae_text.py

Needs torch, numpy and safetensors; the test needs none of them. The text is that of make_text.py. What the example draws, the noise of codes
and which letters the writer does not see, are formulas too, and fed as data. Losses are of the first 50 steps in f32, without shuffling;
gradients are those of step 1 in f64.
"""
import torch
import torch.nn.functional as F
from make import start, uniform
from make_text import STEPS, cosine, spec_of, store, windows

NOISE, DROPS = 980, 981  # streams of `mix`
BATCH, WINDOW, HIDDEN, EMBEDDED, LATENT, HORIZON = 32, 32, 192, 64, 32, 1500
DROP, FREE, CLIP = 0.7, 0.25, 5.0


def spec():
    shapes = {}
    for net, lstm, into in (("enc", "read", EMBEDDED), ("dec", "write", HIDDEN)):
        shapes |= {f"{net}.emb.table": ([256, EMBEDDED], 1.0)}
        shapes |= {f"{net}.{lstm}.{name}": (shape, 0.0625) for name, shape in
                   (("Wx", [into, 4, HIDDEN]), ("Wh", [HIDDEN, 4, HIDDEN]), ("b", [4, HIDDEN]))}
    for at, into, out in (("enc.mu", HIDDEN, LATENT), ("enc.lv", HIDDEN, LATENT), ("dec.byte", EMBEDDED, HIDDEN), ("dec.code", LATENT, HIDDEN),
                          ("dec.out", HIDDEN, 256)):
        shapes |= {at + ".W": ([into, out], 0.125), at + ".b": ([out], 0.0625)}
    return spec_of(shapes)


def lstm(p, at, x):
    zero = x.new_zeros(1, x.shape[0], HIDDEN)
    b = p[at + ".b"].flatten()
    weights = [p[at + ".Wx"].flatten(1).T, p[at + ".Wh"].flatten(1).T, b, torch.zeros_like(b)]
    return torch.lstm(x, (zero, zero), weights, True, 1, 0.0, True, False, True)[0]


def dense(p, at, x):
    return x @ p[at + ".W"] + p[at + ".b"]


def loss(p, x, e, u, step=0):
    last = lstm(p, "enc.read", p["enc.emb.table"][x])[:, -1]
    mean, logvar = dense(p, "enc.mu", last), dense(p, "enc.lv", last).clamp(-10, 10)
    before = F.pad(p["dec.emb.table"][x], (0, 0, 1, 0))[:, :-1]
    seen = before * (u >= DROP).to(before.dtype)[:, :, None]
    code = dense(p, "dec.code", mean + (logvar / 2).exp() * e)
    logits = dense(p, "dec.out", lstm(p, "dec.write", dense(p, "dec.byte", seen) + code[:, None]))
    rates = 0.5 * (logvar.exp() + mean**2 - 1 - logvar).mean(0)
    beta = min(step / (0.5 * HORIZON), 1)
    return WINDOW * F.cross_entropy(logits.flatten(0, 1), x.flatten()) + beta * rates.clamp(min=FREE).sum()


def run(p, x, e, u):
    adam = torch.optim.Adam(p.values())
    rate = cosine(2e-3, 1e-4, HORIZON)
    losses = []
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        adam.param_groups[0]["lr"] = rate(step)
        adam.zero_grad()
        value = loss(p, x[rows], e[rows], u[rows], step)
        value.backward()
        norm = torch.sqrt(sum((v.grad**2).sum() for v in p.values()))
        for v in p.values():
            v.grad *= min(1.0, CLIP / norm.item())  # clip_norm = 5, without the 1e-6 of clip_grad_norm_
        adam.step()
        losses.append(value.item())
    return losses


def main():
    torch.set_num_threads(1)
    x = windows(WINDOW)[0]
    e, u = torch.tensor(uniform(NOISE, (STEPS * BATCH, LATENT), 2.0)), torch.tensor(uniform(DROPS, (STEPS * BATCH, WINDOW), 0.5)) + 0.5
    f32, f64 = (run(start(spec(), dtype), x, e.to(dtype), u.to(dtype)) for dtype in (torch.float32, torch.float64))
    store("vae_text", loss, spec(), (x[:BATCH], e[:BATCH], u[:BATCH]), {"losses_f32": f32, "losses_f64": f64})


if __name__ == "__main__":
    main()
