"""One workload in PyTorch: python torch_peer.py {eager|compile} WORKLOAD THREADS

Prints `ready` and, when compiled, the milliseconds of the first step when warm; then for each line `N` on standard input times N steps and prints their milliseconds, and a
step's processor time, as JSON.
A step is what Smelt's is: rows of u8 pixels in, the parameters changed, noise drawn, the loss read. The optimisers are
the fused ones. A workload is a function of that name; `NAME_bf16` is NAME under autocast.
"""
import json
import sys
import time

import torch_dense
import torch_pictures
import torch_sequences
from torch_steps import BATCH, MODE, WORKLOAD, order


def named(name):
    for module in (torch_dense, torch_pictures, torch_sequences):
        if hasattr(module, name):
            return getattr(module, name)
    sys.exit(f"{name} is not written in PyTorch")


step = named(WORKLOAD.rstrip("0123456789") if WORKLOAD.startswith(("small", "serve")) else WORKLOAD)()
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
run(3 if WORKLOAD.startswith(("dcgan", "inception", "gpt", "lstm", "gru", "write")) else 20)
print(f"ready {first}" if MODE == "compile" else "ready", flush=True)
for line in sys.stdin:
    cpu = time.process_time()
    times = run(int(line))
    print(json.dumps({"ms": times, "cpu_ms": (time.process_time() - cpu) * 1e3 / len(times)}), flush=True)
