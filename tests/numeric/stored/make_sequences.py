"""Makes sequences.json: layers and functions of sequences in PyTorch, for tests/numeric/sequences_test.cpp.

    python tests/numeric/stored/make_sequences.py

Needs torch and numpy; the test needs neither. Each case is trained for three steps in f64 with the square of its gradient
in the loss. Attention, the Transformer's blocks and the recurrent layers are PyTorch's own modules, given Smelt's weights by
the mapping that the heads of std/sequence.smelt and std/nn.smelt describe: `in_proj`, `recurrent`.
"""
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from make import mix, uniform
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

HERE = pathlib.Path(__file__).parent
X, M, LABELS = 900, 901, 902  # streams of `mix`
LENGTHS = torch.tensor([5, 1, 3, 2])
DIM = 8


def in_proj(p, at):
    """nn.MultiheadAttention's weights of ours: Wq [D, Kv, Group, Wide], Wk [D, Kv, Wide]; rows of theirs are our columns."""
    group = p[at + "Wq"].shape[2]
    def key(name, bias):
        w = p[at + name].repeat_interleave(group, -2)  # every query head of a group reads its key head
        return w.flatten() if bias else w.flatten(1).T
    q = p[at + "Wq"].flatten(1).T
    return {"q": q, "k": key("Wk", False), "v": key("Wv", False),
            "bias": torch.cat([p[at + "bq"].flatten(), key("bk", True), key("bv", True)]),
            "out": p[at + "Wo"].flatten(0, 2).T, "out_bias": p[at + "bo"]}


def attention(p, at, x, memory, keys=None, causal=False):
    w = in_proj(p, at)
    heads = p[at + "Wq"].shape[1] * p[at + "Wq"].shape[2]
    mask = torch.full((x.shape[1], memory.shape[1]), -math.inf, dtype=x.dtype).triu(1) if causal else None
    q, m = x.transpose(0, 1), memory.transpose(0, 1)
    y, _ = F.multi_head_attention_forward(
        q, m, m, DIM, heads, None, w["bias"], None, None, False, 0.0, w["out"], w["out_bias"], True, None if keys is None else ~keys,
        True, mask, use_separate_proj_weight=True, q_proj_weight=w["q"], k_proj_weight=w["k"], v_proj_weight=w["v"])
    return y.transpose(0, 1)


def rotated(x, base):
    """Of [B, T, .., D], by multiplication of complex numbers."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[1]).double()[:, None] * base ** (-torch.arange(half).double() / half)
    turn = torch.polar(torch.ones_like(angle), angle).reshape(1, x.shape[1], *[1] * (x.dim() - 3), half)
    return torch.view_as_real(torch.view_as_complex(x.reshape(*x.shape[:-1], half, 2)) * turn).flatten(-2)


def rotary_attention(p, at, x, base):
    q, k, v = (torch.einsum("btd,d...->bt...", x, p[at + "W" + n]) + p[at + "b" + n] for n in "qkv")
    q, k = rotated(q, base), rotated(k, base)
    s = torch.einsum("bthgj,buhj->bhgtu", q, k) / math.sqrt(q.shape[-1])
    s = s + torch.full(s.shape[-2:], -math.inf, dtype=s.dtype).triu(1)
    y = torch.einsum("bhgtu,buhj->bthgj", s.softmax(-1), v)
    return torch.einsum("bthgj,hgjd->btd", y, p[at + "Wo"]) + p[at + "bo"]


def module_weights(p, at, cross):
    names = {"self_attn": "att."} | ({"multihead_attn": "cross."} if cross else {})
    out = {}
    for theirs, ours in names.items():
        w = in_proj(p, at + ours)
        out |= {f"{theirs}.in_proj_weight": torch.cat([w["q"], w["k"], w["v"]]), f"{theirs}.in_proj_bias": w["bias"],
                f"{theirs}.out_proj.weight": w["out"], f"{theirs}.out_proj.bias": w["out_bias"]}
    for theirs, ours in {"linear1": "ff.up", "linear2": "ff.down"}.items():
        out |= {f"{theirs}.weight": p[f"{at}{ours}.W"].T, f"{theirs}.bias": p[f"{at}{ours}.b"]}
    for norm in ("norm1", "norm2") + (("norm3",) if cross else ()):
        out |= {f"{norm}.weight": p[f"{at}{norm}.scale"], f"{norm}.bias": p[f"{at}{norm}.shift"]}
    return out


def block(p, at, x, keys=None, pre=False, causal=False, act="relu"):
    module = torch.nn.TransformerEncoderLayer(DIM, 2, 12, 0.0, act, batch_first=True, norm_first=pre).double()
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
    given = {"src_mask": mask, "src_key_padding_mask": None if keys is None else ~keys}
    return torch.func.functional_call(module, module_weights(p, at, False), (x,), given)


def decoder_block(p, at, x, memory, keys=None, pre=False):
    module = torch.nn.TransformerDecoderLayer(DIM, 2, 12, 0.0, batch_first=True, norm_first=pre).double()
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    given = {"tgt_mask": mask, "memory_key_padding_mask": None if keys is None else ~keys}
    return torch.func.functional_call(module, module_weights(p, at, True), (x, memory), given)


def recurrent_weights(p, at, suffix):
    b = p[at + "bx"] if at + "bx" in p else p[at + "b"]
    bh = p[at + "bh"] if at + "bh" in p else torch.zeros_like(b)
    named = {"weight_ih": p[at + "Wx"].flatten(1).T, "weight_hh": p[at + "Wh"].flatten(1).T, "bias_ih": b.flatten(), "bias_hh": bh.flatten()}
    return {f"{name}_{suffix}": value for name, value in named.items()}


def recurrent(kind, p, layers, x, lengths, both=False):
    """`layers`: the path of each layer, or pair of paths of both directions."""
    hidden = p[(layers[0][0] if both else layers[0]) + "Wh"].shape[0]
    module = getattr(torch.nn, kind)(x.shape[2], hidden, len(layers), batch_first=True, bidirectional=both).double()
    weights = {}
    for i, at in enumerate(layers):
        for suffix, path in zip(("", "_reverse"), at if both else (at,)):
            weights |= recurrent_weights(p, path, f"l{i}{suffix}")
    if lengths is None:
        return torch.func.functional_call(module, weights, (x,))[0]
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(torch.func.functional_call(module, weights, (packed,))[0], batch_first=True, total_length=x.shape[1])[0]


def backward_only(kind, p, at, x, lengths):
    """The second half of a net of both directions whose first one counts for nothing."""
    twin = p | {"twin." + k[len(at):]: v.detach() for k, v in p.items() if k.startswith(at)}
    y = recurrent(kind, twin, [("twin.", at)], x, lengths, True)
    return y[:, :, y.shape[2] // 2:]


def sinusoid(steps, width):
    angle = torch.arange(steps).double()[:, None] / 10000 ** (2 * torch.arange(width // 2).double() / width)
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)


def shaped(prefix, shapes):
    return {prefix + name: shape for name, shape in shapes.items()}


def attention_shapes(at, kv=2, group=1, wide=4, memory=DIM):
    return shaped(at, {"Wq": [DIM, kv, group, wide], "Wk": [memory, kv, wide], "Wv": [memory, kv, wide], "Wo": [kv, group, wide, DIM],
                       "bq": [kv, group, wide], "bk": [kv, wide], "bv": [kv, wide], "bo": [DIM]})


def block_shapes(at, norms=2):
    return (attention_shapes(at + "att.") | shaped(at, {"ff.up.W": [DIM, 12], "ff.up.b": [12], "ff.down.W": [12, DIM], "ff.down.b": [DIM]}) |
            {f"{at}norm{i + 1}.{name}": [DIM] for i in range(norms) for name in ("scale", "shift")})


def recurrent_shapes(at, gates, hidden=6, width=DIM):
    if not gates:
        return shaped(at, {"Wx": [width, hidden], "Wh": [hidden, hidden], "b": [hidden]})
    bias = {"bx": [gates, hidden], "bh": [gates, hidden]} if gates == 3 else {"b": [gates, hidden]}
    return shaped(at, {"Wx": [width, gates, hidden], "Wh": [hidden, gates, hidden]} | bias)


KEYS = torch.arange(5)[None, :] < LENGTHS[:, None]
SHORT = KEYS[:, :3]
CASES = [
    # name, in the language, in PyTorch of p (parameters without `net.`), h, m, labels; parameters
    ("learned_positions", "h |> l: LearnedPositions{7}", lambda p, h, m, k: h + p["l.table"][:5], {"l.table": [7, DIM]}),
    ("sinusoidal_positions", "h |> SinusoidalPositions", lambda p, h, m, k: h + sinusoid(5, DIM), {}),
    ("rotary", "rotary(reshape(h, [N, L, Hd, W]), 100)", lambda p, h, m, k: rotated(h.reshape(4, 5, 2, 4), 100.0), {}),
    ("attention", "MultiHeadAttention{2}(h)", lambda p, h, m, k: attention(p, "y.", h, h), attention_shapes("y.")),
    ("attention_causal", "MultiHeadAttention{2, causal=true}(h)", lambda p, h, m, k: attention(p, "y.", h, h, causal=True), attention_shapes("y.")),
    ("attention_keys", "MultiHeadAttention{2}(h, mask_of(lengths, L))", lambda p, h, m, k: attention(p, "y.", h, h, KEYS), attention_shapes("y.")),
    ("attention_grouped", "MultiHeadAttention{4, kv_heads=2, causal=true}(h, mask_of(lengths, L))",
     lambda p, h, m, k: attention(p, "y.", h, h, KEYS, True), attention_shapes("y.", 2, 2, 2)),
    ("attention_rotary", "MultiHeadAttention{2, causal=true, rotate=true, base=100}(h)",
     lambda p, h, m, k: rotary_attention(p, "y.", h, 100.0), attention_shapes("y.")),
    ("cross_attention", "CrossAttention{2}(h, m, mask_of(lengths, Lm))", lambda p, h, m, k: attention(p, "y.", h, m, SHORT),
     attention_shapes("y.", memory=6)),
    ("block", "TransformerBlock{2, 12}(h, mask_of(lengths, L))", lambda p, h, m, k: block(p, "y.", h, KEYS), block_shapes("y.")),
    ("block_pre", "TransformerBlock{2, 12, pre=true, causal=true, act=gelu}(h)",
     lambda p, h, m, k: block(p, "y.", h, None, True, True, "gelu"), block_shapes("y.")),
    ("decoder_block", "TransformerDecoderBlock{2, 12}(h, concat(m, zeros([N, Lm, 2]), axis=2), mask_of(lengths, Lm))",
     lambda p, h, m, k: decoder_block(p, "y.", h, F.pad(m, (0, 2)), SHORT), block_shapes("y.", 3) | attention_shapes("y.cross.")),
    ("decoder_block_pre", "TransformerDecoderBlock{2, 12, pre=true}(h, concat(m, zeros([N, Lm, 2]), axis=2))",
     lambda p, h, m, k: decoder_block(p, "y.", h, F.pad(m, (0, 2)), None, True), block_shapes("y.", 3) | attention_shapes("y.cross.")),
    ("causal_conv", "CausalConv1d{4, k=3, dilation=2}(h)",
     lambda p, h, m, k: F.conv1d(F.pad(h, (4, 0)), p["y.conv.kern"], p["y.conv.b"], dilation=2), {"y.conv.kern": [4, 5, 3], "y.conv.b": [4]}),
    ("masked_mean", "h * masked_mean(softmax_xent(h, labels, over=E), mask_of(lengths, L))",
     lambda p, h, m, k: h * F.cross_entropy(h.transpose(1, 2), torch.where(KEYS, k, -100)), {}),
    ("smoothed_xent", "smoothed_xent(h, labels, over=E, smoothing=0.2)",
     lambda p, h, m, k: F.cross_entropy(h.transpose(1, 2), k, reduction="none", label_smoothing=0.2), {}),
    ("lstm_two_layers", "h |> l: repeat i < 2 { LSTM{8} }", lambda p, h, m, k: recurrent("LSTM", p, ["l.0.", "l.1."], h, None),
     recurrent_shapes("l.0.", 4, 8) | recurrent_shapes("l.1.", 4, 8)),
]
for kind, gates in (("RNN", 0), ("LSTM", 4), ("GRU", 3)):
    CASES += [
        (kind.lower() + "_lengths", f"{kind}{{6}}(h, lengths)",
         lambda p, h, m, k, kind=kind: recurrent(kind, p, ["y."], h, LENGTHS), recurrent_shapes("y.", gates)),
        (kind.lower() + "_reverse", f"{kind}{{6, reverse=true}}(h)",
         lambda p, h, m, k, kind=kind: backward_only(kind, p, "y.", h, None), recurrent_shapes("y.", gates)),
    ]
    if kind != "RNN":
        CASES.append((f"bi{kind.lower()}_lengths", f"Bi{kind}{{6}}(h, lengths)",
                      lambda p, h, m, k, kind=kind: recurrent(kind, p, [("y.forward.", "y.backward.")], h, LENGTHS, True),
                      recurrent_shapes("y.forward.", gates) | recurrent_shapes("y.backward.", gates)))


def case(run, shapes):
    x = torch.tensor(uniform(X, (4, 5, DIM), 2.0)).float().double().requires_grad_()
    m = torch.tensor(uniform(M, (4, 3, 6), 2.0)).float().double()
    labels = torch.tensor((mix(LABELS, np.arange(20)) % DIM).astype(np.int64).reshape(4, 5))
    spec = [("gain", [DIM])] + list(shapes.items())
    p = {path: torch.tensor(uniform(i, shape, 0.5)).requires_grad_() for i, (path, shape) in enumerate(spec)}
    losses = []
    for _ in range(3):
        z = run(p, x * p["gain"], m, labels).flatten(1)
        n, k = torch.meshgrid(torch.arange(z.shape[0]), torch.arange(z.shape[1]), indexing="ij")
        s = (z * torch.cos(0.1 * (k + 31 * n).double())).sum()
        g, = torch.autograd.grad(s, x, create_graph=True)
        loss = s + 0.05 * (g**2).sum()
        grads = torch.autograd.grad(loss, list(p.values()), allow_unused=True)
        losses.append(loss.item())
        p = {path: (value - 0.01 * (0 if grad is None else grad)).detach().requires_grad_() for (path, value), grad in zip(p.items(), grads)}
    table = [{"path": "net." + path, "shape": shape, "scale": 0.5, "stream": i} for i, (path, shape) in enumerate(spec)]
    return {"weights": table, "losses": losses, "parameters": {"net." + path: v.detach().reshape(-1).tolist() for path, v in p.items()}}


def main():
    torch.set_num_threads(1)
    rows = []
    with sdpa_kernel(SDPBackend.MATH):
        for name, smelt, run, shapes in CASES:
            rows.append({"name": name, "smelt": smelt} | case(run, shapes))
    text = ",\n".join(json.dumps(row) for row in rows)
    (HERE / "sequences.json").write_text("[\n" + text + "\n]\n")


if __name__ == "__main__":
    main()
