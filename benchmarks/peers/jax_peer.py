"""One workload in JAX: python jax_peer.py jit {mlp|vae|gan|critic|discount|gpt|lstm|small1|small8|small32} THREADS, spoken to like torch_peer.py.

The whole step is one jitted function whose state is donated, noise from the generator that is fastest on a CPU (rbg).
"""
import json
import os
import sys
import time

WORKLOAD, THREADS = sys.argv[2], int(sys.argv[3])
os.environ["NPROC"] = str(THREADS)  # what XLA takes the size of its pool from
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402, after the variables it reads
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_default_prng_impl", "unsafe_rbg")
BATCH = int(WORKLOAD[5:]) if WORKLOAD.startswith("small") else {"gpt": 16, "lstm": 32}.get(WORKLOAD, 128)
rng = np.random.default_rng(1)
pixels = rng.integers(0, 256, (60000, 784), dtype=np.uint8)
labels = rng.integers(0, 10, 60000).astype(np.int32)
order = rng.permutation(60000)


def dense(n_in, n_out):
    scale = np.sqrt(6 / (n_in + n_out))
    return [jnp.asarray(rng.uniform(-scale, scale, (n_in, n_out)), jnp.float32), jnp.zeros(n_out, jnp.float32)]


def net(*sizes):
    return [dense(n_in, n_out) for n_in, n_out in zip(sizes, sizes[1:])]


def linear(x, layer):
    return x @ layer[0] + layer[1]


def zeros(p):
    return jax.tree.map(jnp.zeros_like, p)


def adam(p, g, m, v, t, lr, b1, b2=0.999, eps=1e-8):
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, g)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, g)
    scale, root = lr / (1 - b1**t), jnp.sqrt(1 - b2**t)
    return jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) / root + eps), p, m, v), m, v


def mlp():
    def loss(p, x, y, key):
        h = x.astype(jnp.float32) / 255
        for layer, k in zip(p[:2], jax.random.split(key)):
            h = jax.nn.relu(linear(h, layer))
            h = jnp.where(jax.random.bernoulli(k, 0.8, h.shape), h / 0.8, 0)
        logits = linear(h, p[2])
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

    def step(state, x, y):
        p, m, t, key = state
        key, k = jax.random.split(key)
        value, g = jax.value_and_grad(loss)(p, x, y, k)
        lr = 0.05 * (1 + jnp.cos(jnp.pi * t / 4690))
        g = [[gw + 1e-4 * w, gb] for (gw, gb), (w, _) in zip(g, p)]
        m = jax.tree.map(lambda m, g: 0.9 * m + g, m, g)
        return (jax.tree.map(lambda p, m: p - lr * m, p, m), m, t + 1, key), value

    p = net(784, 256, 256, 10)
    return step, (p, zeros(p), jnp.float32(0), jax.random.key(1)), lambda rows: (pixels[rows], labels[rows])


def vae():
    def loss(p, x, key):
        x = x.astype(jnp.float32) / 255
        h = jnp.tanh(linear(x, p["enc"]))
        mean, logvar = linear(h, p["mu"]), jnp.clip(linear(h, p["lv"]), -30, 20)
        z = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
        logits = linear(jnp.tanh(linear(z, p["dec"])), p["out"])
        recon = (x * logits - jax.nn.softplus(logits)).sum(1)
        return (0.5 * (mean**2 + jnp.exp(logvar) - 1 - logvar).sum(1) - recon).mean()

    def step(state, x):
        p, m, v, t, key = state
        key, k = jax.random.split(key)
        value, g = jax.value_and_grad(loss)(p, x, k)
        p, m, v = adam(p, g, m, v, t, 1e-3, 0.9)
        return (p, m, v, t + 1, key), value

    p = {"enc": dense(784, 400), "mu": dense(400, 20), "lv": dense(400, 20), "dec": dense(20, 400), "out": dense(400, 784)}
    return step, (p, zeros(p), zeros(p), jnp.float32(1), jax.random.key(1)), lambda rows: (pixels[rows],)


def gan():
    def fake(g, z):
        return jnp.tanh(linear(jax.nn.relu(linear(jax.nn.relu(linear(z, g[0])), g[1])), g[2]))

    def logit(d, x):
        return linear(jax.nn.leaky_relu(linear(jax.nn.leaky_relu(linear(x, d[0]), 0.2), d[1]), 0.2), d[2])

    def d_loss(d, g, x, z):
        return jax.nn.softplus(-logit(d, x)).mean() + jax.nn.softplus(logit(d, fake(g, z))).mean()

    def g_loss(g, d, z):
        return jax.nn.softplus(-logit(d, fake(g, z))).mean()

    def step(state, x):
        d, g, md, vd, mg, vg, t, key = state
        key, k1, k2 = jax.random.split(key, 3)
        x = x.astype(jnp.float32) / 127.5 - 1
        value_d, grad = jax.value_and_grad(d_loss)(d, g, x, jax.random.normal(k1, (BATCH, 64)))
        d, md, vd = adam(d, grad, md, vd, t, 2e-4, 0.5)
        value_g, grad = jax.value_and_grad(g_loss)(g, d, jax.random.normal(k2, (BATCH, 64)))
        g, mg, vg = adam(g, grad, mg, vg, t, 2e-4, 0.5)
        return (d, g, md, vd, mg, vg, t + 1, key), (value_d, value_g)

    g, d = net(64, 256, 512, 784), net(784, 512, 256, 1)
    return step, (d, g, zeros(d), zeros(d), zeros(g), zeros(g), jnp.float32(1), jax.random.key(1)), lambda rows: (pixels[rows],)


def critic():
    """The critic of a Wasserstein GAN with gradient penalty on a ring: its loss holds a derivative."""
    def through(layers, h):
        for layer in layers[:-1]:
            h = jax.nn.relu(linear(h, layer))
        return linear(h, layers[-1])

    def loss(d, g, key):
        k = jax.random.split(key, 5)
        angle = jnp.pi / 4 * jnp.floor(8 * jax.random.uniform(k[0], (256,)))
        real = 2 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1) + 0.05 * jax.random.normal(k[1], (256, 2))
        fake = through(g, jax.random.normal(k[2], (256, 2)))
        mix = fake + (real - fake) * jax.random.uniform(k[3], (256, 1))
        slope = jax.grad(lambda x: through(d, x).sum())(mix)
        square = (slope**2).sum(1)
        norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
        return 0.1 * ((norm - 1) ** 2).mean() - (through(d, real).mean() - through(d, fake).mean())

    def step(state):
        d, g, m, v, t, key = state
        key, k = jax.random.split(key)
        value, grad = jax.value_and_grad(loss)(d, g, k)
        d, m, v = adam(d, grad, m, v, t, 1e-3, 0.5, 0.9)
        return (d, g, m, v, t + 1, key), value

    d, g = net(2, 128, 128, 128, 1), net(2, 128, 128, 128, 2)
    return step, (d, g, zeros(d), zeros(d), jnp.float32(1), jax.random.key(1)), lambda rows: ()


def small():
    def loss(p, x, y):
        h = x.astype(jnp.float32) / 255
        for layer in p[:2]:
            h = jax.nn.relu(linear(h, layer))
        return -jnp.take_along_axis(jax.nn.log_softmax(linear(h, p[2])), y[:, None], 1).mean()

    def step(state, x, y):
        p, m, v, t = state
        value, g = jax.value_and_grad(loss)(p, x, y)
        p, m, v = adam(p, g, m, v, t, 1e-3, 0.9)
        return (p, m, v, t + 1), value

    p, features = net(64, 64, 64, 10), pixels[:, :64].copy()
    return step, (p, zeros(p), zeros(p), jnp.float32(1)), lambda rows: (features[rows], labels[rows])


def discount():
    """benchmarks/models/discount.smelt: a discounted sum by lax.scan, and its gradient by gamma."""
    rewards = jnp.asarray(rng.standard_normal(100_000), jnp.float32)

    def total(gamma):
        return jax.lax.scan(lambda sum, reward: (gamma * sum + reward, None), jnp.float32(0), rewards)[0]

    def step(gamma):
        value, slope = jax.value_and_grad(total)(gamma)
        return gamma - 1e-20 * slope, value

    return step, jnp.float32(0.9999), lambda rows: ()


def clipped(g):
    norm = jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(g)))
    return jax.tree.map(lambda leaf: leaf * jnp.minimum(1, 1 / (norm + 1e-6)), g)


def cross_entropy(logits, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1).mean()


def sequences(loss, p, window, decay=0.0):
    def step(state, x, y):
        p, m, v, t = state
        value, g = jax.value_and_grad(loss)(p, x, y)
        p = jax.tree.map(lambda leaf: leaf * (1 - 1e-3 * decay), p)
        p, m, v = adam(p, clipped(g), m, v, t, 1e-3, 0.9)
        return (p, m, v, t + 1), value

    text = rng.integers(0, 256, (60000, window + 1)).astype(np.int32)
    return step, (p, zeros(p), zeros(p), jnp.float32(1)), lambda rows: (text[rows, :-1], text[rows, 1:])


def gpt(width=256, depth=4, heads=4, window=128):
    """examples/gpt.smelt"""
    def norm(h, p):
        h = h - h.mean(-1, keepdims=True)
        return h * jax.lax.rsqrt((h**2).mean(-1, keepdims=True) + 1e-5) * p[0] + p[1]

    def block(h, p):
        q, k, v = jnp.split(linear(norm(h, p["norm1"]), p["qkv"]), 3, -1)
        q, k, v = (part.reshape(*h.shape[:2], heads, width // heads) for part in (q, k, v))
        h = h + linear(jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(h.shape), p["out"])
        return h + linear(jax.nn.gelu(linear(norm(h, p["norm2"]), p["up"]), approximate=False), p["down"])

    def loss(p, x, y):
        h = p["table"][x] + p["positions"]
        for layer in p["blocks"]:
            h = block(h, layer)
        return cross_entropy(norm(h, p["norm"]) @ p["table"].T, y)

    def ones():
        return [jnp.ones(width), jnp.zeros(width)]

    def weight(*shape):
        return jnp.asarray(0.02 * rng.standard_normal(shape), jnp.float32)

    blocks = [{"norm1": ones(), "norm2": ones(), "qkv": dense(width, 3 * width), "out": dense(width, width),
               "up": dense(width, 4 * width), "down": dense(4 * width, width)} for _ in range(depth)]
    return sequences(loss, {"table": weight(256, width), "positions": weight(window, width), "blocks": blocks, "norm": ones()}, window, 0.1)


def lstm(width=256, window=64):
    """examples/charlm_lstm.smelt"""
    def layer(h, p):
        def step(carry, x):
            h, c = carry
            i, f, g, o = jnp.split(x + h @ p[1], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = jnp.zeros((h.shape[0], width))
        return jax.lax.scan(step, (start, start), linear(h, [p[0], p[2]]).swapaxes(0, 1))[1].swapaxes(0, 1)

    def loss(p, x, y):
        h = layer(layer(p["table"][x], p["one"]), p["two"])
        return cross_entropy(linear(h, p["out"]), y)

    def recurrent():
        w, b = dense(width, 4 * width)
        return [w, dense(width, 4 * width)[0], b]

    p = {"table": jnp.asarray(rng.standard_normal((256, width)), jnp.float32), "one": recurrent(), "two": recurrent(), "out": dense(width, 256)}
    return sequences(loss, p, window)


WORKLOADS = {"mlp": mlp, "vae": vae, "gan": gan, "critic": critic, "discount": discount, "gpt": gpt, "lstm": lstm, "small1": small, "small8": small, "small32": small}
if WORKLOAD not in WORKLOADS:
    sys.exit(f"{WORKLOAD} is not written in JAX")
step, state, batch = WORKLOADS[WORKLOAD]()
start = time.perf_counter()
step = jax.jit(step, donate_argnums=0).lower(state, *batch(order[:BATCH])).compile()
compile_ms = (time.perf_counter() - start) * 1e3
count = 0


def run(steps):
    global count, state
    times = []
    for _ in range(steps):
        at = count * BATCH % (60000 - BATCH)
        start = time.perf_counter()
        state, value = step(state, *batch(order[at:at + BATCH]))
        jax.block_until_ready((state, value))
        times.append((time.perf_counter() - start) * 1e3)
        count += 1
    return times


run(3 if WORKLOAD in ("gpt", "lstm") else 20)
print(f"ready {compile_ms}", flush=True)
for line in sys.stdin:
    cpu = time.process_time()
    times = run(int(line))
    print(json.dumps({"ms": times, "cpu_ms": (time.process_time() - cpu) * 1e3 / len(times)}), flush=True)
