"""conv, dcgan32, dcgan64, inception, inception_eval."""
import functools

import torch
import torch.nn.functional as F

from torch_steps import BATCH, autocast, labels, pixels, training_step


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
    faces = torch.randint(0, 256, (2048, channels, side, side), dtype=torch.uint8)
    return lambda rows: (d_step(faces[rows % 2048].float() / 127.5 - 1).item(), g_step().item())


def dcgan32():
    return dcgan(32, 1)


def dcgan64():
    return dcgan(64, 3)


def torchvision_inception():
    # torchvision of another build registers operators that this torch lacks; none of them is of use here.
    torch.library.register_fake = lambda *_, **__: (lambda function: function)
    from torchvision.models import inception_v3
    return inception_v3(init_weights=False, aux_logits=True).to(memory_format=torch.channels_last)


@functools.cache
def pictures():
    return torch.randint(0, 256, (64, 3, 299, 299), dtype=torch.uint8)


def pictures_of(rows):
    return (pictures()[rows % 64].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def inception():
    """torchvision's, trained as examples/inception_v3.smelt"""
    net = torchvision_inception().train()
    p = list(net.parameters())
    optimiser = torch.optim.RMSprop(p, lr=0.045, alpha=0.9, eps=1.0, foreach=True)

    def loss(x, y):
        logits, aux = net(x)
        return F.cross_entropy(logits, y, label_smoothing=0.1) + 0.4 * F.cross_entropy(aux, y, label_smoothing=0.1)

    step = training_step(p, optimiser, loss, clip_norm=2.0)
    return lambda rows: step(pictures_of(rows), labels[rows]).item()


def inception_eval():
    """The forward pass of the same net in evaluation, as the export `classify` is; its pictures are there already."""
    net = torchvision_inception().eval()
    inputs = pictures_of(torch.arange(BATCH))

    @torch.inference_mode()
    def classify(rows):
        with autocast():
            return torch.softmax(net(inputs), 1)

    return classify
