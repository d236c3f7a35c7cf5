"""Makes multivariate.json: log density, entropy and divergence of multivariate normals with their gradients, from PyTorch in f64.

    python tests/numeric/stored/make_multivariate.py

Read by tests/unit/api/linalg_test.cpp. Matrices are row by row.
"""
import json
import pathlib

import torch
from torch.distributions import MultivariateNormal, kl_divergence

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)
B, X = 3, 4
raw = torch.randn(B, X, X)
mean, chol = torch.randn(B, X), torch.linalg.cholesky(raw @ raw.mT + 0.1 * torch.eye(X))
x = torch.randn(B, X)
other_mean, other_chol = torch.randn(X), torch.linalg.cholesky(raw[0].mT @ raw[0] + 0.2 * torch.eye(X))
for t in (mean, chol, x):
    t.requires_grad_()
q = MultivariateNormal(mean, scale_tril=chol)
p = MultivariateNormal(other_mean, scale_tril=other_chol)
log_prob, entropy, kl = q.log_prob(x), q.entropy(), kl_divergence(q, p)


def grad(of, by):
    (g,) = torch.autograd.grad(of.sum(), by, retain_graph=True, allow_unused=True)
    return torch.tril(g) if by is chol else g


def flat(t):
    return t.detach().flatten().tolist()


pathlib.Path(__file__).with_name("multivariate.json").write_text(json.dumps({
    "mean": flat(mean), "chol": flat(chol), "x": flat(x), "other_mean": flat(other_mean), "other_chol": flat(other_chol),
    "log_prob": flat(log_prob), "entropy": flat(entropy), "kl": flat(kl),
    "log_prob_by_x": flat(grad(log_prob, x)), "log_prob_by_chol": flat(grad(log_prob, chol)),
    "entropy_by_chol": flat(grad(entropy, chol)), "kl_by_mean": flat(grad(kl, mean)), "kl_by_chol": flat(grad(kl, chol)),
}, indent=1) + "\n")
