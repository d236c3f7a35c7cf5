"""Compares layers and formulas of pictures with PyTorch: python picture_values.py build/release/smelt [NAME ...]

Values, the gradients by the input and by each weight, and the gradients of the sum of their squares, of odd shapes: once in f64, then in
f32 for this machine and for --cpu x86-64-v3. Prints the largest difference of each, as a share of the larger of 1 and the largest value.
Ends with 1 when one is above 1e-9 in f64 or 2e-4 in f32.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
torch.set_num_threads(1)
LAYERS = ("Conv1d, Conv2d, ConvT1d, ConvT2d, MaxPool, AvgPool, GlobalAvgPool, AdaptiveAvgPool, GroupNorm, InstanceNorm, WeightNorm, Maxout")
RUNS = (("f64", 1e-9, []), ("f32", 2e-4, []), ("f32", 2e-4, ["--cpu", "x86-64-v3"]))

conv1, conv2, up1, up2 = F.conv1d, F.conv2d, F.conv_transpose1d, F.conv_transpose2d


def weighed(x, V, gain, b):
    return conv2(x, V * (gain / V.flatten(1).norm(dim=1)).view(-1, 1, 1, 1), b, padding=1)


def conv(layer, function, x, weight, options="", **more):
    """A layer with a kernel of these sizes and a bias: the outputs stand second in a transposed one."""
    out = (weight[1] * more.get("groups", 1)) if "T" in layer else weight[0]
    size = f"({', '.join(map(str, weight[2:]))})" if len(weight) > 3 else weight[2]
    return (f"x |> l: {layer}{{{out}, k={size}{options}}}", lambda x, k, b: function(x, k, b, **more), x,
            {"l.kern": weight, "l.b": (out,)})


def weights(**of):
    return {f"l.{name}": (size,) if isinstance(size, int) else size for name, size in of.items()}


CASES = {
    "conv2, stride 3": conv("Conv2d", conv2, (1, 3, 11, 7), (5, 3, 3, 3), ", stride=3, pad=1", stride=3, padding=1),
    "conv2, 1x7": conv("Conv2d", conv2, (2, 33, 9, 21), (31, 33, 1, 7), ", pad=(0, 3)", padding=(0, 3)),
    "conv2, groups, dilation 2": conv("Conv2d", conv2, (3, 6, 12, 9), (9, 2, 3, 3), ", dilation=2, groups=3, pad=1", dilation=2, groups=3, padding=1),
    "conv2, depthwise": conv("Conv2d", conv2, (2, 7, 9, 9), (7, 1, 3, 3), ", stride=2, groups=7, pad=1", stride=2, groups=7, padding=1),
    "conv2, same": conv("Conv2d", conv2, (2, 3, 7, 6), (4, 3, 3, 5), ", pad=same", padding="same"),
    "conv2, four margins": ("x |> l: Conv2d{4, stride=2, pad=(1, 2, 3, 0)}", lambda x, k, b: conv2(F.pad(x, (3, 0, 1, 2)), k, b, stride=2),
                            (2, 3, 7, 6), {"l.kern": (4, 3, 3, 3), "l.b": (4,)}),
    "conv2, one row": conv("Conv2d", conv2, (1, 1, 1, 9), (1, 1, 1, 3), ", stride=(1, 2)", stride=(1, 2)),
    "conv2, 3 to 32": conv("Conv2d", conv2, (1, 3, 75, 61), (32, 3, 3, 3), ", stride=2", stride=2),
    "conv2, one pixel": conv("Conv2d", conv2, (5, 64, 1, 1), (96, 64, 3, 3), ", pad=1", padding=1),
    "conv1": conv("Conv1d", conv1, (2, 3, 17), (4, 3, 3), ", stride=2, dilation=3, pad=2", stride=2, dilation=3, padding=2),
    "convT2, stride 2": conv("ConvT2d", up2, (2, 3, 5, 4), (3, 4, 4, 4), ", stride=2, pad=1", stride=2, padding=1),
    "convT2, same": conv("ConvT2d", up2, (2, 3, 5, 4), (3, 4, 4, 4), ", stride=2, pad=same", stride=2, padding=1),
    "convT2, groups, extra": conv("ConvT2d", up2, (1, 6, 4, 5), (6, 2, 3, 3), ", stride=3, pad=1, extra=2, groups=2", stride=3, padding=1,
                                  output_padding=2, groups=2),
    "convT2, dilation": conv("ConvT2d", up2, (2, 4, 4, 3), (4, 6, 3, 2), ", stride=(2, 1), dilation=(1, 3), pad=(0, 1), extra=(1, 2)",
                             stride=(2, 1), dilation=(1, 3), padding=(0, 1), output_padding=(1, 2)),
    "convT1": conv("ConvT1d", up1, (2, 3, 7), (3, 4, 4), ", stride=3, pad=1, extra=1", stride=3, padding=1, output_padding=1),
    "max pool": ("-square(x) |> MaxPool{(3, 2), stride=(1, 3), pad=(1, 0), dilation=(2, 1)}",
                 lambda x: F.max_pool2d(-x**2, (3, 2), (1, 3), (1, 0), (2, 1)), (2, 3, 9, 11), {}),
    "mean pool": ("x |> AvgPool{3, stride=2, pad=1}", lambda x: F.avg_pool2d(x, 3, 2, 1), (2, 3, 9, 7), {}),
    "mean pool, inside": ("x |> AvgPool{3, stride=2, pad=1, count_pad=false}",
                          lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (2, 3, 9, 7), {}),
    "global pool": ("x |> GlobalAvgPool", lambda x: x.mean((2, 3)), (2, 3, 5, 1), {}),
    "adaptive pool": ("x |> AdaptiveAvgPool{(7, 5)}", lambda x: F.adaptive_avg_pool2d(x, (7, 5)), (2, 3, 17, 13), {}),
    "nearest": ("x |> upsample((1, 3))", lambda x: F.interpolate(x, scale_factor=(1, 3)), (1, 3, 1, 5), {}),
    "bilinear": ("x |> upsample_bilinear((3, 2))", lambda x: F.interpolate(x, scale_factor=(3, 2), mode="bilinear"), (2, 3, 4, 7), {}),
    "shuffle": ("x |> pixel_shuffle(3)", lambda x: F.pixel_shuffle(x, 3), (2, 18, 3, 2), {}),
    "zeros": ("x |> pad_zero((1, 2, 0, 3))", lambda x: F.pad(x, (0, 3, 1, 2)), (2, 3, 4, 5), {}),
    "reflect": ("x |> pad_reflect((3, 2, 1, 4))", lambda x: F.pad(x, (1, 4, 3, 2), mode="reflect"), (2, 3, 4, 5), {}),
    "replicate": ("x |> pad_replicate((7, 2))", lambda x: F.pad(x, (2, 2, 7, 7), mode="replicate"), (2, 3, 4, 1), {}),
    "flip": ("x |> flip(axis=3)", lambda x: x.flip(3), (2, 3, 4, 5), {}),
    "crop": ("x |> crop(1, 2, 3, 2)", lambda x: x[:, :, 1:4, 2:4], (2, 3, 5, 6), {}),
    "concat": ("concat(x, square(x), tanh(x), axis=2)", lambda x: torch.cat([x, x**2, x.tanh()], 2), (2, 3, 4, 5), {}),
    "stack": ("stack(x, square(x), axis=4)", lambda x: torch.stack([x, x**2], 4), (2, 3, 4, 5), {}),
    "group norm": ("x |> l: GroupNorm{3}", lambda x, g, b: F.group_norm(x, 3, g, b), (2, 6, 3, 5), weights(scale=6, shift=6)),
    "instance norm": ("x |> l: InstanceNorm", lambda x, g, b: F.instance_norm(x, weight=g, bias=b), (2, 6, 3, 5), weights(scale=6, shift=6)),
    "weight norm": ("x |> l: Conv2d{4, pad=1, reparam=WeightNorm}", weighed, (2, 3, 5, 4),
                    {"l.kern": (4, 3, 3, 3), "WeightNorm0.gain": (4,), "l.b": (4,)}),
    "maxout": ("x |> l: Maxout{3, pieces=4}", lambda x, W, b: (torch.einsum("bi,ipo->bpo", x, W) + b).amax(1), (3, 5), weights(W=(5, 4, 3), b=(4, 3))),
    "formula, three operands": ("param a: f32[3, 4] ~ Normal(0, 1)\n  param b: f32[4, 5] ~ Normal(0, 1)\n"
                                "  y[n, i, o] = sum[c, k] x[n, c, i] * a[c, k] * b[k, o]\n  y",
                                lambda x, a, b: torch.einsum("nci,ck,ko->nio", x, a, b), (2, 3, 6), {"a": (3, 4), "b": (4, 5)}),
    "formula, max": ("y[n, c, i < 6] = max[u < 3] x?[n, c, 2*i + 3*u - 4]\n  y",
                     lambda x: F.max_pool1d(F.pad(x, (4, 3), value=-torch.inf), 3, 2, dilation=3)[:, :, :6], (2, 3, 13), {}),
    "formula, prod": ("y[n, c, i < 6] = prod[u < 3] x?[n, c, 2*i + 3*u - 4]\n  y",
                      lambda x: F.pad(x, (4, 3), value=1).unfold(2, 7, 2)[:, :, :6, ::3].prod(-1), (2, 3, 13), {}),
}


def text_of(values):
    return values[0] if len(values) == 1 else f"({', '.join(values)})"


def compare(smelt, name, body, function, shape, sizes, folder):
    x = torch.randn(shape, requires_grad=True)
    params = [(torch.randn(size) * 0.5).requires_grad_() for size in sizes.values()]
    y = function(x, *params)
    r = torch.randn(y.shape)
    first = torch.autograd.grad((torch.sin(y) * r).sum(), [x, *params], create_graph=True)
    second = torch.autograd.grad(sum((g**2).sum() for g in first), [x, *params])
    wanted = [v.detach().numpy() for v in (y, *first, *second)]
    type_of = lambda size: "f32[B" + "".join(f", {n}" for n in size[1:]) + "]"
    names = ["x", *(f"net.{path}" for path in sizes)]
    g, h = ([f"{letter}{i}" for i in range(len(names))] for letter in "gh")
    (folder / "m.smelt").write_text(f"""import std.nn ({LAYERS})
dim B <= 8
layer Net(x: {type_of(shape)}) -> {type_of(y.shape)} {{
  {body}
}}
model net = Net
export run(x: {type_of(shape)}, r: {type_of(y.shape)}) {{
  y = net(x)
  s = sum(sin(y) * r)
  {text_of(g)} = grad(s, wrt={text_of(names)})
  q = {" + ".join(f"sum({one} ^ 2)" for one in g)}
  {text_of(h)} = grad(q, wrt={text_of(names)})
  {text_of(["y", *g, *h])}
}}
""")
    np.save(folder / "x.npy", x.detach().numpy())
    np.save(folder / "r.npy", r.numpy())
    save_file({f"net.{path}": p.detach().numpy() for path, p in zip(sizes, params)}, folder / "w.safetensors")
    worst, good = [], True
    for precision, allowed, cpu in RUNS:
        command = [smelt, "run", folder / "m.smelt", "run", "--precision", precision, "-o", folder / "o.npz", "--force", *cpu]
        command += ["--input", f"x={folder}/x.npy", "--input", f"r={folder}/r.npy"] + (["--weights", folder / "w.safetensors"] if sizes else [])
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{name}: {done.stderr}")
        with np.load(folder / "o.npz") as found:
            off = max(np.abs(found[f"run{i}"] - v).max() / max(1, np.abs(v).max()) for i, v in enumerate(wanted))
        worst.append(f"{off:8.0e}")
        good = good and off <= allowed
    print(f"{name:28}", *worst, "" if good else "  OFF", flush=True)
    return good


smelt, only = sys.argv[1], sys.argv[2:]
with tempfile.TemporaryDirectory() as place:
    print(f"{'':28}      f64      f32  f32, v3")
    results = [compare(smelt, name, *case, pathlib.Path(place)) for name, case in CASES.items() if not only or name in only]
sys.exit(0 if all(results) else 1)
