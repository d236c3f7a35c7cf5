"""gpt*, write, lstm, gru, block."""
import sys

import torch
import torch.nn.functional as F

from torch_steps import BATCH, MODE, training_step


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
    text = torch.randint(0, 256, (2048, window + 1), dtype=torch.uint8).long()
    return lambda rows: step(text[rows % 2048, :-1], text[rows % 2048, 1:]).item()


def gpt512():
    return gpt(window=512)


def gpt2048():
    return gpt(window=2048)


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


def recurrent(cell, width=256, window=64):
    nn = torch.nn
    emb, body, out = nn.Embedding(256, width), cell(width, width, num_layers=2, batch_first=True), nn.Linear(width, 256)
    p = [*emb.parameters(), *body.parameters(), *out.parameters()]
    optimiser = torch.optim.Adam(p, lr=1e-3, fused=True)

    def loss(x, y):
        return F.cross_entropy(out(body(emb(x))[0]).flatten(0, 1), y.flatten())

    step = training_step(p, optimiser, loss, clip_norm=1.0)
    text = torch.randint(0, 256, (2048, window + 1), dtype=torch.uint8).long()
    return lambda rows: step(text[rows % 2048, :-1], text[rows % 2048, 1:]).item()


def lstm():
    """examples/charlm_lstm.smelt"""
    return recurrent(torch.nn.LSTM)


def gru():
    """benchmarks/models/gru.smelt"""
    return recurrent(torch.nn.GRU)


def block(width=512, window=64):
    """benchmarks/models/block.smelt: a block of the encoder of Transformer base, its norms last, without dropout."""
    net = torch.nn.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.0, batch_first=True)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
    x, y = torch.randn(256, window, width), torch.randn(256, window, width)
    step = training_step(list(net.parameters()), optimiser, lambda x, y: F.mse_loss(net(x), y))
    return lambda rows: step(x[rows % 256], y[rows % 256]).item()
