"""Times single convolutions in PyTorch, channels last: python torch_convolutions.py THREADS [CPU]

Reads lines `name batch size channels filters height width stride pad_height pad_width direction` and answers each with the median milliseconds of
conv2d, or of its gradient by the input or the weight. CPU, `avx2`, holds oneDNN to that instruction set.
"""
import os
import statistics
import sys
import time

THREADS = int(sys.argv[1])
if len(sys.argv) > 2:
    os.environ["ONEDNN_MAX_CPU_ISA"] = sys.argv[2].upper()
import torch

torch.set_num_threads(THREADS)
backward = torch.ops.aten.convolution_backward


def seconds(run):
    run()
    start = time.perf_counter()
    run()
    inner = max(1, int(2e-3 / (time.perf_counter() - start)))
    times = []
    for _ in range(15):
        start = time.perf_counter()
        for _ in range(inner):
            run()
        times.append((time.perf_counter() - start) / inner)
    return statistics.median(times)


for line in sys.stdin:
    *numbers, direction = line.split()
    n, size, c, o, kh, kw, s, ph, pw = map(int, numbers)
    x = torch.rand(n, c, size, size).to(memory_format=torch.channels_last)
    w = torch.rand(o, c, kh, kw).to(memory_format=torch.channels_last)
    y = torch.conv2d(x, w, stride=s, padding=(ph, pw))
    ct = torch.rand_like(y)
    wanted = [direction == "input", direction == "weights", False]
    if direction == "forward":
        run = lambda: torch.conv2d(x, w, stride=s, padding=(ph, pw))
    else:
        run = lambda: backward(ct, x, w, [0], [s, s], [ph, pw], [1, 1], False, [0, 0], 1, wanted)
    with torch.no_grad():
        print(seconds(run) * 1e3, flush=True)
