"""mlp, vae, gan, critic, small*, embedding: nets are functions of plain tensors, which is faster than modules for so small ones."""
import torch
import torch.nn.functional as F

from torch_steps import BATCH, labels, pixels, training_step


def dense(n_in, n_out):
    weight = torch.empty(n_out, n_in)
    torch.nn.init.xavier_uniform_(weight)
    return [weight.requires_grad_(), torch.zeros(n_out, requires_grad=True)]


def net(*sizes):
    return [p for n_in, n_out in zip(sizes, sizes[1:]) for p in dense(n_in, n_out)]


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


def embedding(rows=50_000, width=256):
    """benchmarks/models/embedding.smelt, with PyTorch's sparse gradients"""
    table = torch.nn.Embedding(rows, width, sparse=True)
    w, b = dense(width, 10)
    optimiser = torch.optim.Adagrad([table.weight, w, b], lr=0.01)
    words = torch.randint(0, rows, (60000,))
    step = training_step([table.weight, w, b], optimiser, lambda x, y: F.cross_entropy(F.linear(table(x), w, b), y))
    return lambda at: step(words[at], labels[at]).item()


def serve():
    """A forward pass of examples/mlp.smelt, as its export `classify` is."""
    p = [x.detach() for x in net(784, 256, 256, 10)]

    @torch.inference_mode()
    def classify(rows):
        h = F.relu(F.linear(F.relu(F.linear(inputs, p[0], p[1])), p[2], p[3]))
        return torch.softmax(F.linear(h, p[4], p[5]), 1)

    inputs = torch.rand(BATCH, 784)
    return classify
