#!/usr/bin/env python3
"""Stores a first step of torchvision's inception_v3 in inception.json: the loss, a sum of the logits and their norm, the norm and five elements
of each gradient, and logits in evaluation after the step has moved the running means and variances. `own_median` and `own_worst` are the errors of
torch's own gradients in f32: two pictures, normalised by themselves, go through twenty million ReLUs.

    python tests/numeric/stored/make_inception.py

Needs torch, torchvision and numpy; the test needs none of them. Weights and pictures are formulas, as in make.py, so that
27 million of them need not be stored. Each line of `parameters` says which; its path is that of examples/inception_v3.smelt.
"""
import copy
import json
import math
import pathlib

import torch
import torch.nn.functional as F

from make import PICTURE, uniform

# torchvision of another build registers operators that this torch lacks; none of them is of use here.
torch.library.register_fake = lambda *_, **__: (lambda function: function)
from torchvision.models import inception_v3

HERE = pathlib.Path(__file__).parent
BATCH, CLASSES = 2, 1000
LABELS = [3, 977]
NAMES = {"conv.weight": "conv.kern", "bn.weight": "bn.scale", "bn.bias": "bn.shift", "fc.weight": "fc.W", "fc.bias": "fc.b"}


def path_of(name):
    """Smelt's path of a parameter of torchvision."""
    for theirs, ours in NAMES.items():
        if name.endswith(theirs):
            return "net." + name.removesuffix(theirs) + ours


def scale_of(path, shape):
    """About He's for kernels, and a power of two, so that the values are exact in f32."""
    if path.endswith((".shift", ".b")):
        return 0.5
    if path.endswith(".scale"):
        return 1.0
    fan_in = shape[0] if path.endswith(".W") else math.prod(shape[1:])
    return 2.0 ** round(math.log2(math.sqrt(6 / fan_in)))


def five(values):
    """Five elements, spread over all."""
    return [values[i * (values.numel() - 1) // 4].item() for i in range(5)]


def weighted(logits):
    """All logits of a step in one number."""
    n, k = torch.meshgrid(torch.arange(BATCH), torch.arange(CLASSES), indexing="ij")
    return (logits * torch.cos(0.1 * (k + 31 * n).double())).sum().item()


def first_step(net, x, y):
    logits, aux = net(x)
    loss = F.cross_entropy(logits, y, label_smoothing=0.1) + 0.4 * F.cross_entropy(aux, y, label_smoothing=0.1)
    loss.backward()
    gradients = []
    for name, parameter in net.named_parameters():
        gradients.append((parameter.grad.T if name.endswith("fc.weight") else parameter.grad).reshape(-1).double())
    return loss.item(), (logits, aux), gradients


def error_of(gradient, line):
    """As the test measures it: of the norm, and of five elements relative to the largest."""
    off = max(abs(a - b) for a, b in zip(five(gradient), line["elements"]))
    return max(abs(gradient.norm().item() / line["norm"] - 1), off / line["largest"])


def main():
    net = inception_v3(weights=None, transform_input=False, init_weights=False, dropout=0.0).double()
    lines = []
    for stream, (name, parameter) in enumerate(net.named_parameters()):
        path, dense = path_of(name), name.endswith("fc.weight")
        shape = list(parameter.T.shape if dense else parameter.shape)
        lines.append({"path": path, "shape": shape, "scale": scale_of(path, shape), "stream": 2000 + stream})
        values = torch.tensor(uniform(lines[-1]["stream"], shape, lines[-1]["scale"]))
        parameter.data.copy_(values.T if dense else values)
    narrow = copy.deepcopy(net).float()

    x = torch.tensor(uniform(PICTURE, (BATCH, 3, 299, 299), 1.0))
    y = torch.tensor(LABELS)
    loss, (logits, aux), gradients = first_step(net, x, y)
    for line, gradient in zip(lines, gradients):
        line |= {"norm": gradient.norm().item(), "largest": gradient.abs().max().item(), "elements": five(gradient)}
    net.eval()
    with torch.no_grad():
        evaluated = net(x)
    own = sorted(map(error_of, first_step(narrow, x.float(), y)[2], lines))
    result = {"labels": LABELS, "loss": loss, "seen": weighted(logits), "seen_aux": weighted(aux),
              "seen_norm": logits.norm().item(), "seen_aux_norm": aux.norm().item(), "evaluated": evaluated.reshape(-1).tolist()[::40],
              "own_median": own[len(own) // 2], "own_worst": own[-1], "parameters": lines}
    (HERE / "inception.json").write_text(json.dumps(result).replace('{"path"', '\n{"path"') + "\n")


if __name__ == "__main__":
    main()
