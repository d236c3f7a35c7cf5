"""Trains the net of examples/transformer.smelt in PyTorch: python transformer.py WORDS.TSV [STEPS] [SEED]

WORDS.TSV is what examples/words.sh prints. Prints the loss and the error rates of the valid words every 2,000 steps, and at the end those of the
test words, greedy and by a search with 5 beams, with the parameters that had the fewest wrong valid words. Splits, start values, batch, rate and steps are the example's; dropout and
the order of words are PyTorch's own. A line of `ms` is the time of a training step without evaluations.
"""
import copy
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

WORDS = pathlib.Path(sys.argv[1])
STEPS, SEED = (int(text) for text in (sys.argv[2:] + ["20000", "1"][len(sys.argv) - 2:]))
SPELLING, SOUND, BYTES, WIDTH, HEADS, DEPTH, P, BATCH, BEAMS = 20, 22, 128, 128, 4, 3, 0.1, 64, 5
torch.set_num_threads(1)
torch.manual_seed(SEED)


def philox(seed, block, site):
    """Words 0 to 3 of each block, as ir/philox.h has them."""
    c = [block.astype(np.uint64), np.zeros_like(block, np.uint64), np.zeros_like(block, np.uint64), np.full_like(block, site, np.uint64)]
    low, k0, k1 = np.uint64(0xFFFFFFFF), seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), b & low, (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), a & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, 1).reshape(-1)


def split(count, seed, shares):
    """Rows of each split, as runtime/data/shuffle.cpp draws them."""
    site = 0x811C9DC5
    for byte in b"split":
        site = ((site ^ byte) * 0x01000193) & 0xFFFFFFFF
    draws = philox(seed, np.arange((count + 3) // 4), site)
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = int(draws[i]) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    ends = [math.floor(s * count + 0.5) for s in np.cumsum([0, *shares])] + [count]
    return [sorted(order[a:b]) for a, b in zip(ends, ends[1:])]


def load():
    def table(strings, width):
        out = np.zeros((len(strings), width), np.uint8)
        for row, text in zip(out, strings):
            row[:len(text)] = list(text)
        return torch.tensor(out).long()
    words, said = zip(*(line.split(b"\t") for line in WORDS.read_bytes().splitlines()))
    fields = table(words, SPELLING), table(said, SOUND)
    return [tuple(f[rows] for f in fields) for rows in split(len(words), SEED, (0.9, 0.02))]


def dense(n_in, n_out, columns=None):
    """Glorot of `columns` of the outputs at a time: three products that run as one start as three."""
    layer = nn.Linear(n_in, n_out)
    bound = math.sqrt(6 / (n_in + (columns or n_out)))
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.zeros_(layer.bias)
    return layer


def heads(x):
    return x.unflatten(2, (HEADS, -1)).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, causal=False):
        super().__init__()
        self.causal, self.qkv, self.out = causal, dense(WIDTH, 3 * WIDTH, WIDTH), dense(WIDTH, WIDTH)

    def forward(self, x, mask=None, kept=None):
        q, k, v = map(heads, self.qkv(x).chunk(3, 2))
        if kept is not None:  # x is one position, and these are those before it
            k, v = kept[self] = tuple(torch.cat(pair, 2) for pair in zip(kept[self], (k, v))) if self in kept else (k, v)
        return self.out(F.scaled_dot_product_attention(q, k, v, mask, is_causal=self.causal and kept is None).transpose(1, 2).flatten(2))


class Cross(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.kv, self.out = dense(WIDTH, WIDTH), dense(WIDTH, 2 * WIDTH, WIDTH), dense(WIDTH, WIDTH)

    def forward(self, x, memory, mask, kept):
        if kept is None or self not in kept:
            k, v = map(heads, self.kv(memory).chunk(2, 2))
            if kept is not None:
                kept[self] = k, v
        else:
            k, v = kept[self]
        return self.out(F.scaled_dot_product_attention(heads(self.q(x)), k, v, mask).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Of the encoder, or with `cross` of the decoder; norms last, as in the paper."""

    def __init__(self, cross):
        super().__init__()
        self.att, self.cross = Attention(causal=cross), Cross() if cross else None
        self.up, self.down = dense(WIDTH, 4 * WIDTH), dense(4 * WIDTH, WIDTH)
        self.norms, self.drop = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2 + cross)), nn.Dropout(P)

    def forward(self, x, mask, memory=None, kept=None):
        h = self.norms[0](x + self.drop(self.att(x, None if self.cross else mask, kept)))
        if self.cross:
            h = self.norms[2](h + self.drop(self.cross(h, memory, mask, kept)))
        return self.norms[1](h + self.drop(self.down(self.drop(F.relu(self.up(h))))))


class Half(nn.Module):
    def __init__(self, cross, length):
        super().__init__()
        self.table, self.drop = nn.Embedding(BYTES, WIDTH), nn.Dropout(P)
        self.blocks = nn.ModuleList(Block(cross) for _ in range(DEPTH))
        at, pair = torch.arange(length)[:, None].float(), torch.arange(WIDTH // 2).float()
        angle = at * torch.exp(pair * (-2 * math.log(10000) / WIDTH))
        self.register_buffer("positions", torch.stack([angle.sin(), angle.cos()], 2).flatten(1))

    def forward(self, labels, *rest, at=0):
        h = self.drop(self.table(labels) + self.positions[at:at + labels.shape[1]])
        for block in self.blocks:
            h = block(h, *rest)
        return h


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc, self.dec, self.out = Half(False, SPELLING), Half(True, SOUND), dense(WIDTH, BYTES)

    def encode(self, word):
        mask = (word > 0)[:, None, None, :]
        return self.enc(word, mask), mask

    def decode(self, said, memory, mask):
        return self.out(self.dec(F.pad(said, (1, 0))[:, :-1], mask, memory))

    def loss(self, word, said):
        logits = self.decode(said, *self.encode(word))
        real = torch.arange(SOUND) <= (said > 0).sum(1, keepdim=True)
        return F.cross_entropy(logits.transpose(1, 2), torch.where(real, said, -100), label_smoothing=0.1)

    def greedy(self, word):
        (memory, mask), kept = self.encode(word), {}
        said, best = [], torch.zeros(len(word), dtype=torch.long)
        for s in range(SOUND):
            logits = self.out(self.dec(best[:, None], mask, memory, kept, at=s))[:, 0]
            best = torch.where((best > 0) | (s == 0), logits.argmax(1), 0)
            said.append(best)
        return torch.stack(said, 1)

    def search(self, word):
        """The likeliest of the sounds that BEAMS beams of each word find."""
        (memory, mask), kept, count = self.encode(word), {}, len(word)
        memory, mask = memory.repeat_interleave(BEAMS, 0), mask.repeat_interleave(BEAMS, 0)
        score = torch.tensor([0.0] + [-math.inf] * (BEAMS - 1)).repeat(count, 1)
        said = torch.zeros(count, BEAMS, 1, dtype=torch.long)
        over = torch.zeros(count, BEAMS, dtype=torch.bool)
        ended = torch.full((BYTES,), -math.inf)
        ended[0] = 0
        for s in range(SOUND - 1):
            logits = self.out(self.dec(said[:, :, -1].reshape(-1, 1), mask, memory, kept, at=s))[:, 0]
            next = torch.where(over[:, :, None], ended, logits.log_softmax(1).view(count, BEAMS, -1))
            score, best = (score[:, :, None] + next).flatten(1).topk(BEAMS)
            parent, label = best // BYTES, best % BYTES
            rows = (parent + BEAMS * torch.arange(count)[:, None]).flatten()
            for layer, values in kept.items():
                if isinstance(layer, Attention):
                    kept[layer] = tuple(value[rows] for value in values)
            said = torch.cat([said.gather(1, parent[:, :, None].expand(-1, -1, s + 1)), label[:, :, None]], 2)
            over = over.gather(1, parent) | (label == 0)
        return F.pad(said[:, 0, 1:], (0, 1))


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        last, row = row, [i + 1]
        for j, y in enumerate(b):
            row.append(min(last[j] + (x != y), last[j + 1] + 1, row[j] + 1))
    return row[-1]


@torch.no_grad()
def errors(net, write, word, said):
    """Shares of wrong words and of wrong phonemes of `write`, Net.greedy or Net.search."""
    net.eval()
    heard = torch.cat([write(net, rows) for rows in word.split(256)])
    net.train()
    wrong = sum(edit_distance(a[a > 0].tolist(), b[b > 0].tolist()) for a, b in zip(heard, said))
    return (heard != said).any(1).float().mean().item(), wrong / (said > 0).sum().item()


@torch.no_grad()
def loss_of(net, word, said):
    net.eval()
    total = sum(net.loss(w, s).item() * len(w) for w, s in zip(word.split(BATCH), said.split(BATCH)))
    net.train()
    return total / len(word)


def main():
    train, valid, test = load()
    net = Net()
    adam = torch.optim.Adam(net.parameters(), 1e-3, betas=(0.9, 0.98), eps=1e-9, fused=True)
    step, best, spent = 0, (1.0, None), 0.0
    while step < STEPS:
        for rows in torch.randperm(len(train[0])).split(BATCH):
            start = time.perf_counter()
            adam.param_groups[0]["lr"] = 1e-3 * min((step + 1) / 1000, math.sqrt(1000 / (step + 1)))
            adam.zero_grad()
            net.loss(*(field[rows] for field in train)).backward()
            adam.step()
            step, spent = step + 1, spent + time.perf_counter() - start
            if step % 2000 == 0 or step == STEPS:
                words, phonemes = errors(net, Net.greedy, *valid)
                print(f"step {step}  valid loss {loss_of(net, *valid):.4f}  words {words:.4f}  phonemes {phonemes:.4f}  ms {1e3 * spent / step:.1f}", flush=True)
                if words < best[0]:
                    best = words, copy.deepcopy(net.state_dict())
            if step == STEPS:
                break
    net.load_state_dict(best[1] or net.state_dict())
    for name, write in (("greedy", Net.greedy), (f"{BEAMS} beams", Net.search)):
        words, phonemes = errors(net, write, *test)
        print(f"test, {name}: words {words:.4f}  phonemes {phonemes:.4f}", flush=True)


main()
