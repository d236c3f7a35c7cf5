"""One workload in PyTorch: python torch_peer.py {eager|compile} {mlp|vae|gan|critic|conv|dcgan32|dcgan64|inception|gpt|lstm|write|small1|small8|small32} THREADS

Prints `ready` and, when compiled, the milliseconds of the first step when warm; then for each line `N` on standard input times N steps and prints their milliseconds, and a
step's processor time, as JSON.
A step is what Smelt's is: rows of u8 pixels in, the parameters changed, noise drawn, the loss read. The optimisers are
the fused ones; the nets are functions of plain tensors, which is faster than modules for so small ones.
"""
import json
import sys
import time

import torch
import torch.nn.functional as F

MODE, WORKLOAD, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3])
BATCH = int(WORKLOAD[5:]) if WORKLOAD.startswith("small") else {"dcgan32": 64, "dcgan64": 32, "inception": 8, "gpt": 16, "lstm": 32}.get(WORKLOAD, 128)
torch.set_num_threads(THREADS)
torch.manual_seed(1)

pixels = torch.randint(0, 256, (60000, 784), dtype=torch.uint8)
labels = torch.randint(0, 10, (60000,))
order = torch.randperm(60000)


def dense(n_in, n_out):
    weight = torch.empty(n_out, n_in)
    torch.nn.init.xavier_uniform_(weight)
    return [weight.requires_grad_(), torch.zeros(n_out, requires_grad=True)]


def net(*sizes):
    return [p for n_in, n_out in zip(sizes, sizes[1:]) for p in dense(n_in, n_out)]


def training_step(params, optimiser, loss_of, clip_norm=None):
    """Compiled: forward, loss and backward as one function; the fused optimiser is one kernel already."""
    if MODE == "compile":
        loss_of = torch.compile(loss_of)

    def step(*batch):
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(*batch)
        # Only these: what the other net's gradients cost is not part of the step.
        for p, g in zip(params, torch.autograd.grad(loss, params)):
            p.grad = g
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(params, clip_norm)
        optimiser.step()
        return loss

    return step


def mlp():
    p = net(784, 256, 256, 10)
    optimiser = torch.optim.SGD([{"params": p[0::2], "weight_decay": 1e-4}, {"params": p[1::2]}], lr=0.1, momentum=0.9, fused=True)

    def loss(x, y):
        h = F.dropout(F.relu(F.linear(x.float() / 255, p[0], p[1])), 0.2)
        h = F.dropout(F.relu(F.linear(h, p[2], p[3])), 0.2)
        return F.cross_entropy(F.linear(h, p[4], p[5]), y)

    step = training_step(p, optimiser, loss)
    return lambda rows: step(pixels[rows], labels[rows]).item()


def vae():
    enc, mu, lv, dec = net(784, 400), net(400, 20), net(400, 20), net(20, 400, 784)
    p = enc + mu + lv + dec
    optimiser = torch.optim.Adam(p, lr=1e-3, fused=True)

    def loss(x):
        x = x.float() / 255
        h = torch.tanh(F.linear(x, *enc))
        mean, logvar = F.linear(h, *mu), F.linear(h, *lv).clamp(-30, 20)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        logits = F.linear(torch.tanh(F.linear(z, dec[0], dec[1])), dec[2], dec[3])
        rate = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1).mean()
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + rate

    step = training_step(p, optimiser, loss)
    return lambda rows: step(pixels[rows]).item()


def gan():
    g, d = net(64, 256, 512, 784), net(784, 512, 256, 1)

    def adam(p):
        return torch.optim.Adam(p, lr=2e-4, betas=(0.5, 0.999), fused=True)

    def fake(z):
        h = F.relu(F.linear(F.relu(F.linear(z, g[0], g[1])), g[2], g[3]))
        return torch.tanh(F.linear(h, g[4], g[5]))

    def logit(x):
        h = F.leaky_relu(F.linear(x, d[0], d[1]), 0.2)
        return F.linear(F.leaky_relu(F.linear(h, d[2], d[3]), 0.2), d[4], d[5])

    def d_loss(x):
        with torch.no_grad():
            made = fake(torch.randn(BATCH, 64))
        return F.softplus(-logit(x.float() / 127.5 - 1)).mean() + F.softplus(logit(made)).mean()

    def g_loss():
        return F.softplus(-logit(fake(torch.randn(BATCH, 64)))).mean()

    d_step, g_step = training_step(d, adam(d), d_loss), training_step(g, adam(g), g_loss)
    return lambda rows: (d_step(pixels[rows]).item(), g_step().item())


def critic():
    """The critic of a Wasserstein GAN with gradient penalty on a ring: its loss holds a derivative."""
    g, d = net(2, 128, 128, 128, 2), net(2, 128, 128, 128, 1)

    def through(p, h):
        for k in range(0, len(p) - 2, 2):
            h = F.relu(F.linear(h, p[k], p[k + 1]))
        return F.linear(h, p[-2], p[-1])

    def loss():
        angle = torch.pi / 4 * torch.floor(8 * torch.rand(256))
        real = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(256, 2)
        with torch.no_grad():
            fake = through(g, torch.randn(256, 2))
        mix = torch.lerp(fake, real, torch.rand(256, 1)).requires_grad_()
        slope, = torch.autograd.grad(through(d, mix).sum(), mix, create_graph=True)
        return 0.1 * ((slope.norm(dim=1) - 1) ** 2).mean() - (through(d, real).mean() - through(d, fake).mean())

    step = training_step(d, torch.optim.Adam(d, lr=1e-3, betas=(0.5, 0.9), fused=True), loss)
    return lambda rows: step().item()


def small():
    p = net(64, 64, 64, 10)
    features = pixels[:, :64].contiguous()

    def loss(x, y):
        h = F.relu(F.linear(F.relu(F.linear(x.float() / 255, p[0], p[1])), p[2], p[3]))
        return F.cross_entropy(F.linear(h, p[4], p[5]), y)

    step = training_step(p, torch.optim.Adam(p, lr=1e-3, fused=True), loss)
    return lambda rows: step(features[rows], labels[rows]).item()


def conv(w=16):
    """examples/conv.smelt; its random shift is one of all pictures here."""
    nn = torch.nn

    def block(n_in, n_out):
        layers = [layer for a in (n_in, n_out) for layer in
                  (nn.Conv2d(a, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())]
        return nn.Sequential(*layers)

    body = nn.Sequential(block(1, w), nn.MaxPool2d(2), block(w, 2 * w), nn.MaxPool2d(2), block(2 * w, 4 * w),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * w, 10))
    p = list(body.parameters())
    optimiser = torch.optim.AdamW(p, lr=3e-3, weight_decay=0.02, fused=True)

    def loss(x, y):
        x = (x.float() / 255).view(-1, 1, 28, 28)
        x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
        return F.cross_entropy(body(F.pad(x, (2, 2, 2, 2))[:, :, 1:29, 1:29]), y)

    step = training_step(p, optimiser, loss)
    return lambda rows: step(pixels[rows], labels[rows]).item()


def dcgan(side, channels, w=64):
    """Radford, Metz, Chintala 2015, as examples/dcgan.smelt has it: `side` pixels, a first picture of 4x4."""
    nn = torch.nn
    ups = {32: 3, 64: 4}[side]
    widths = [w * 2**k for k in range(ups - 1, -1, -1)]
    generator = [nn.Linear(100, widths[0] * 16, bias=False), nn.Unflatten(1, (widths[0], 4, 4)), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    for a, b in zip(widths, widths[1:]):
        generator += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    g = nn.Sequential(*generator, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), nn.Tanh())
    judge = [nn.Conv2d(channels, w, 4, 2, 1), nn.LeakyReLU(0.2)]
    for a, b in zip(widths[::-1], widths[-2::-1]):
        judge += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
    d = nn.Sequential(*judge, nn.Flatten(), nn.Linear(widths[0] * 16, 1))

    def adam(net):
        return torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)

    def d_loss(x):
        with torch.no_grad():
            made = g(torch.randn(BATCH, 100))
        return F.softplus(-d(x)).mean() + F.softplus(d(made)).mean()

    def g_loss():
        return F.softplus(-d(g(torch.randn(BATCH, 100)))).mean()

    d_step = training_step(list(d.parameters()), adam(d), d_loss)
    g_step = training_step(list(g.parameters()), adam(g), g_loss)
    pictures = torch.randint(0, 256, (2048, channels, side, side), dtype=torch.uint8)
    return lambda rows: (d_step(pictures[rows % 2048].float() / 127.5 - 1).item(), g_step().item())


def dcgan32():
    return dcgan(32, 1)


def dcgan64():
    return dcgan(64, 3)


def inception():
    """torchvision's, trained as examples/inception_v3.smelt"""
    # torchvision of another build registers operators that this torch lacks; none of them is of use here.
    torch.library.register_fake = lambda *_, **__: (lambda function: function)
    from torchvision.models import inception_v3
    net = inception_v3(init_weights=False, aux_logits=True).to(memory_format=torch.channels_last).train()
    p = list(net.parameters())
    optimiser = torch.optim.RMSprop(p, lr=0.045, alpha=0.9, eps=1.0, foreach=True)

    def loss(x, y):
        logits, aux = net(x)
        return F.cross_entropy(logits, y, label_smoothing=0.1) + 0.4 * F.cross_entropy(aux, y, label_smoothing=0.1)

    step = training_step(p, optimiser, loss, clip_norm=2.0)
    pictures = torch.randint(0, 256, (64, 3, 299, 299), dtype=torch.uint8)
    return lambda rows: step((pictures[rows % 64].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last), labels[rows]).item()


class Block(torch.nn.Module):
    """A block of a Transformer with its norms first."""

    def __init__(self, width, heads):
        super().__init__()
        nn = torch.nn
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h):
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norm1(h)).chunk(3, dim=2))
        h = h + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return h + self.down(F.gelu(self.up(self.norm2(h))))


def gpt(width=256, depth=4, heads=4, window=128):
    """examples/gpt.smelt"""
    nn = torch.nn
    table, positions = (nn.Parameter(0.02 * torch.randn(n, width)) for n in (256, window))
    blocks, norm = nn.Sequential(*(Block(width, heads) for _ in range(depth))), nn.LayerNorm(width)
    p = [table, positions, *blocks.parameters(), *norm.parameters()]
    optimiser = torch.optim.AdamW(p, lr=1e-3, weight_decay=0.1, fused=True)

    def loss(x, y):
        return F.cross_entropy((norm(blocks(F.embedding(x, table) + positions)) @ table.T).flatten(0, 1), y.flatten())

    step = training_step(p, optimiser, loss, clip_norm=1.0)
    text = torch.randint(0, 256, (60000, window + 1), dtype=torch.uint8).long()
    return lambda rows: step(text[rows, :-1], text[rows, 1:]).item()


def write(width=256, depth=4, heads=4, window=128, temperature=0.8, top_p=0.95):
    """A page of examples/gpt.smelt with keys and values kept by hand; rows are not looked at."""
    if MODE != "eager":
        sys.exit("write is not written for torch.compile")
    nn = torch.nn
    table, positions = (0.02 * torch.randn(n, width) for n in (256, window))
    blocks, norm = [Block(width, heads) for _ in range(depth)], nn.LayerNorm(width)

    @torch.inference_mode()
    def page(rows):
        kept = torch.zeros(depth, 2, 1, heads, window, width // heads)
        label = torch.zeros(1, dtype=torch.long)
        for t in range(window - 1):
            h = F.embedding(label, table) + positions[t]
            for block, (keys, values) in zip(blocks, kept):
                q, k, v = block.qkv(block.norm1(h)).view(3, 1, heads, 1, -1)
                keys[:, :, t], values[:, :, t] = k[:, :, 0], v[:, :, 0]
                h = h + block.out(F.scaled_dot_product_attention(q, keys[:, :, :t + 1], values[:, :, :t + 1]).flatten(1))
                h = h + block.down(F.gelu(block.up(block.norm2(h))))
            p, order = torch.softmax(norm(h) @ table.T / temperature, dim=1).sort(descending=True)
            p[p.cumsum(1) - p >= top_p] = 0
            label = order.gather(1, torch.multinomial(p, 1))[:, 0]

    return page


def lstm(width=256, window=64):
    """examples/charlm_lstm.smelt"""
    nn = torch.nn
    emb, body, out = nn.Embedding(256, width), nn.LSTM(width, width, num_layers=2, batch_first=True), nn.Linear(width, 256)
    p = [*emb.parameters(), *body.parameters(), *out.parameters()]
    optimiser = torch.optim.Adam(p, lr=1e-3, fused=True)

    def loss(x, y):
        return F.cross_entropy(out(body(emb(x))[0]).flatten(0, 1), y.flatten())

    step = training_step(p, optimiser, loss, clip_norm=1.0)
    text = torch.randint(0, 256, (60000, window + 1), dtype=torch.uint8).long()
    return lambda rows: step(text[rows, :-1], text[rows, 1:]).item()


WORKLOADS = {"mlp": mlp, "vae": vae, "gan": gan, "critic": critic, "conv": conv, "dcgan32": dcgan32, "dcgan64": dcgan64, "inception": inception, "gpt": gpt, "lstm": lstm, "write": write,
             "small1": small, "small8": small, "small32": small}
if WORKLOAD not in WORKLOADS:
    sys.exit(f"{WORKLOAD} is not written in PyTorch")
step = WORKLOADS[WORKLOAD]()
count = 0


def run(steps):
    global count
    times = []
    for _ in range(steps):
        at = count * BATCH % (60000 - BATCH)
        start = time.perf_counter()
        step(order[at:at + BATCH])
        times.append((time.perf_counter() - start) * 1e3)
        count += 1
    return times


first = run(1)[0]
run(3 if WORKLOAD.startswith(("dcgan", "gpt", "lstm", "write")) else 20)
print(f"ready {first}" if MODE == "compile" else "ready", flush=True)
for line in sys.stdin:
    cpu = time.process_time()
    times = run(int(line))
    print(json.dumps({"ms": times, "cpu_ms": (time.process_time() - cpu) * 1e3 / len(times)}), flush=True)
