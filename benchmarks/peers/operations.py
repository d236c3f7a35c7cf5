"""Operations as a user writes them, with their gradients, beside PyTorch: python operations.py SMELT [NAME ..]

Of each the gradient of the sum of its squares by every float argument, on one thread: `smelt bench --export` and backward() take turns, medians of
milliseconds. Made to find cliffs: what takes far longer than in PyTorch.
"""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def crossed(p):
    return p[:, :-2, 1:-1] + p[:, 2:, 1:-1] + p[:, 1:-1, :-2] + p[:, 1:-1, 2:]


# dims; arguments: type and shape, of labels the number of classes first; what the function does; the same in PyTorch
CASES = {
    "pick_labels": ("B <= 16, T = 512, K = 64", {"x": ("f32[B, T, K]", (16, 512, 64)), "y": ("ix<K>[B, T]", 64, (16, 512))},
                    "h = tanh(x)\n  z[n, t] = h[n, t, y[n, t]]", lambda x, y: x.tanh().gather(2, y[..., None])[..., 0]),
    "pick_pairs": ("B <= 32, T = 256, S = 255, K = 64", {"a": ("f32[K, K]", (64, 64)), "y": ("ix<K>[B, T]", 64, (32, 256))},
                   "z[n, t < S] = tanh(a[y[n, t], y[n, t + 1]])", lambda a, y: a[y[:, :-1], y[:, 1:]].tanh()),
    "pick_pixels": ("B <= 8, C = 32, H = 32, W = 32, P = 1024",
                    {"x": ("f32[B, C, H, W]", (8, 32, 32, 32)), "i": ("ix<H>[B, P]", 32, (8, 1024)), "j": ("ix<W>[B, P]", 32, (8, 1024))},
                    "z[n, c, p] = x[n, c, i[n, p], j[n, p]]",
                    lambda x, i, j: x.flatten(2).gather(2, (i * 32 + j)[:, None].expand(-1, 32, -1))),
    "depthwise": ("B <= 16, C = 64, H = 32, W = 32, K = 3", {"x": ("f32[B, C, H, W]", (16, 64, 32, 32)), "w": ("f32[C, K, K]", (64, 3, 3))},
                  "z[n, c, i < H, j < W] = sum[u, v] x?[n, c, i + u - 1, j + v - 1] * w[c, u, v]",
                  lambda x, w: F.conv2d(x, w[:, None], padding=1, groups=64)),
    "groups": ("B <= 16, G = 4, I = 16, O = 16, H = 16, W = 16, K = 3",
               {"x": ("f32[B, G, I, H, W]", (16, 4, 16, 16, 16)), "w": ("f32[G, O, I, K, K]", (4, 16, 16, 3, 3))},
               "z[n, g, o, i < H, j < W] = sum[c, u, v] x?[n, g, c, i + u - 1, j + v - 1] * w[g, o, c, u, v]",
               lambda x, w: F.conv2d(x.flatten(1, 2), w.flatten(0, 1), padding=1, groups=4)),
    "dilated": ("B <= 8, C = 32, H = 32, W = 32, O = 32, K = 3", {"x": ("f32[B, C, H, W]", (8, 32, 32, 32)), "w": ("f32[O, C, K, K]", (32, 32, 3, 3))},
                "z[n, o, i < H, j < W] = sum[c, u, v] x?[n, c, i + 2*u - 2, j + 2*v - 2] * w[o, c, u, v]",
                lambda x, w: F.conv2d(x, w, padding=2, dilation=2)),
    "conv1d": ("B <= 16, C = 32, T = 512, O = 32, K = 5", {"x": ("f32[B, C, T]", (16, 32, 512)), "w": ("f32[O, C, K]", (32, 32, 5))},
               "z[n, o, t < T] = sum[c, u] x?[n, c, t + u - 2] * w[o, c, u]", lambda x, w: F.conv1d(x, w, padding=2)),
    "frames": ("B <= 8, T = 4096, K = 256, Bin = 129, F = 61", {"x": ("f32[B, T]", (8, 4096)), "w": ("f32[K, Bin]", (256, 129))},
               "z[n, b, f < F] = sum[k] x[n, 64*f + k] * w[k, b]", lambda x, w: x.unfold(1, 256, 64) @ w),
    "by_channel": ("B <= 8, T = 64, S = T, D = 16", {"x": ("f32[B, T, S, D]", (8, 64, 64, 16)), "y": ("f32[B, T, S, D]", (8, 64, 64, 16))},
                   "z[n, i, j < T, d] = sum[k] x[n, i, k, d] * y[n, j, k, d]", lambda x, y: torch.einsum("nikd,njkd->nijd", x, y)),
    "conv3d": ("B <= 4, C = 8, D = 16, H = 16, W = 16, O = 8, K = 3",
               {"x": ("f32[B, C, D, H, W]", (4, 8, 16, 16, 16)), "w": ("f32[O, C, K, K, K]", (8, 8, 3, 3, 3))},
               "z[n, o, d < D, i < H, j < W] = sum[c, t, u, v] x?[n, c, d + t - 1, i + u - 1, j + v - 1] * w[o, c, t, u, v]",
               lambda x, w: F.conv3d(x, w, padding=1)),
    "max_over_time": ("B <= 64, T = 512, D = 64", {"x": ("f32[B, T, D]", (64, 512, 64))}, "z[n, d] = max[t] x[n, t, d]", lambda x: x.max(1)[0]),
    "max_pool": ("B <= 16, C = 32, H = 32, W = 32, I = 16, J = 16", {"x": ("f32[B, C, H, W]", (16, 32, 32, 32))},
                 "z[n, c, i < I, j < J] = max[u < 2, v < 2] x[n, c, 2*i + u, 2*j + v]", lambda x: F.max_pool2d(x, 2)),
    "distances": ("B <= 256, D = 64, M = 256", {"x": ("f32[B, D]", (256, 64)), "y": ("f32[M, D]", (256, 64))},
                  "z[n, m] = sum[k] square(x[n, k] - y[m, k])", lambda x, y: ((x[:, None] - y[None]) ** 2).sum(-1)),
    "bilinear": ("B <= 64, D = 64, E = 64, O = 64",
                 {"x": ("f32[B, D]", (64, 64)), "w": ("f32[O, D, E]", (64, 64, 64)), "y": ("f32[B, E]", (64, 64))},
                 "z[n, o] = sum[d, e] x[n, d] * w[o, d, e] * y[n, e]", lambda x, w, y: torch.einsum("nd,ode,ne->no", x, w, y)),
    "gram": ("B <= 8, C = 64, H = 32, W = 32", {"x": ("f32[B, C, H, W]", (8, 64, 32, 32))},
             "z[n, c, d] = sum[i, j] x[n, c, i, j] * x[n, d, i, j]", lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2)),
    "laplace": ("B <= 16, H = 128, W = 128", {"x": ("f32[B, H, W]", (16, 128, 128))},
                "z[n, i < H, j < W] = x?[n, i - 1, j] + x?[n, i + 1, j] + x?[n, i, j - 1] + x?[n, i, j + 1] - 4 * x[n, i, j]",
                lambda x: crossed(F.pad(x, (1, 1, 1, 1))) - 4 * x),
    "cumsum": ("B <= 64, T = 2048", {"x": ("f32[B, T]", (64, 2048))}, "z = cumsum(x, over=T)", lambda x: x.cumsum(1)),
    "sort": ("B <= 64, T = 1024", {"x": ("f32[B, T]", (64, 1024))}, "z = sort(x, over=T)", lambda x: x.sort(1)[0]),
    "topk": ("B <= 64, T = 1024, K = 10", {"x": ("f32[B, T]", (64, 1024))}, "z = topk(x, K, over=T)", lambda x: x.topk(10, 1)[0]),
    "log_softmax": ("B <= 16, V = 50000", {"x": ("f32[B, V]", (16, 50000))}, "z = log_softmax(x, over=V)", lambda x: x.log_softmax(1)),
    "rows": ("B <= 16, T = 128, V = 256, D = 256", {"w": ("f32[V, D]", (256, 256)), "i": ("ix<V>[B, T]", 256, (16, 128))}, "z = w[i]",
             lambda w, i: w[i]),
}


def model_of(dims, arguments, body):
    params = ", ".join(f"{name}: {kind[0]}" for name, kind in arguments.items())
    by = [name for name, kind in arguments.items() if len(kind) == 2]
    wrt = by[0] if len(by) == 1 else f"({', '.join(by)})"
    return (f"dim {dims}\nlayer None(q: f32[2]) -> f32[2] {{ q }}\nmodel _none = None\nfn operation({params}) {{\n  {body}\n  z\n}}\n"
            f"export slope({params}) = grad(sum(square(operation({', '.join(arguments)}))), wrt={wrt})\n")


def smelt_ms(smelt, path):
    done = subprocess.run([smelt, "bench", path, "--export", "slope", "--threads", "1", "--steps", "20"], capture_output=True, text=True, check=True)
    return float(re.search(r"of peak\s+\S+\s+([\d.]+)", done.stdout).group(1))


def torch_ms(arguments, function):
    values = [torch.randn(kind[1]).requires_grad_() if len(kind) == 2 else torch.randint(kind[1], kind[2]) for kind in arguments.values()]
    times = []
    for _ in range(12):
        for value in values:
            value.grad = None
        start = time.perf_counter()
        (function(*values) ** 2).sum().backward()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[2:])


def main():
    smelt, *names = sys.argv[1:]
    print(f"{'':15}{'Smelt':>9}{'PyTorch':>9}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as work:
        for name in names or CASES:
            dims, arguments, body, function = CASES[name]
            path = os.path.join(work, name + ".smelt")
            with open(path, "w") as file:
                file.write(model_of(dims, arguments, body))
            rounds = [(smelt_ms(smelt, path), torch_ms(arguments, function)) for _ in range(3)]
            ours, theirs = (statistics.median(times) for times in zip(*rounds))
            print(f"{name:15}{ours:9.3f}{theirs:9.3f}{ours / theirs:7.2f}", flush=True)


main()
