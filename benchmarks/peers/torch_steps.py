"""What all workloads in PyTorch share: the command line, data, and a training step."""
import contextlib
import sys

import torch
import torch.nn.functional as F

MODE, NAME, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3])
WORKLOAD = NAME.removesuffix("_bf16")
BATCH = int(WORKLOAD[5:]) if WORKLOAD.startswith(("small", "serve")) else {
    "dcgan32": 64, "dcgan64": 32, "inception": 8, "inception_eval": 8, "gpt": 16, "gpt512": 16, "gpt2048": 16, "lstm": 32, "gru": 32, "block": 8}.get(WORKLOAD, 128)
torch.set_num_threads(THREADS)
torch.manual_seed(1)

pixels = torch.randint(0, 256, (60000, 784), dtype=torch.uint8)
labels = torch.randint(0, 10, (60000,))
order = torch.randperm(60000)


def autocast():
    """Forward passes in bf16 where PyTorch thinks that right; nothing for a workload in f32."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if NAME.endswith("_bf16") else contextlib.nullcontext()


def training_step(params, optimiser, loss_of, clip_norm=None):
    """Compiled: forward, loss and backward as one function; the fused optimiser is one kernel already."""
    if MODE == "compile":
        loss_of = torch.compile(loss_of)

    def step(*batch):
        optimiser.zero_grad(set_to_none=True)
        with autocast():
            loss = loss_of(*batch)
        # Only these: what the other net's gradients cost is not part of the step.
        for p, g in zip(params, torch.autograd.grad(loss, params)):
            p.grad = g
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(params, clip_norm)
        optimiser.step()
        return loss

    return step
