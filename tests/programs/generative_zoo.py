"""Vector quantisation with a straight-through step, a coupling flow, a mixture density network, a masked autoregressive net."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class VectorQuantizer(nn.Module):
    def __init__(self, num_embeddings, embedding_dim, commitment_cost):
        super().__init__()
        self._embedding_dim, self._num_embeddings = embedding_dim, num_embeddings
        self._embedding = nn.Embedding(num_embeddings, embedding_dim)
        self._embedding.weight.data.uniform_(-1 / num_embeddings, 1 / num_embeddings)
        self._commitment_cost = commitment_cost

    def forward(self, inputs):
        flat_input = inputs.view(-1, self._embedding_dim)
        distances = (
            torch.sum(flat_input**2, dim=1, keepdim=True)
            + torch.sum(self._embedding.weight**2, dim=1)
            - 2 * torch.matmul(flat_input, self._embedding.weight.t())
        )
        encoding_indices = torch.argmin(distances, dim=1).unsqueeze(1)
        encodings = torch.zeros(encoding_indices.shape[0], self._num_embeddings, device=inputs.device)
        encodings.scatter_(1, encoding_indices, 1)
        quantized = torch.matmul(encodings, self._embedding.weight).view(inputs.shape)
        e_latent_loss = F.mse_loss(quantized.detach(), inputs)
        q_latent_loss = F.mse_loss(quantized, inputs.detach())
        loss = q_latent_loss + self._commitment_cost * e_latent_loss
        quantized = inputs + (quantized - inputs).detach()
        avg_probs = torch.mean(encodings, dim=0)
        perplexity = torch.exp(-torch.sum(avg_probs * torch.log(avg_probs + 1e-10)))
        return loss, quantized, perplexity


class RealNVP(nn.Module):
    def __init__(self, mask, hidden=16):
        super().__init__()
        self.mask = nn.Parameter(mask, requires_grad=False)
        net = lambda last: nn.Sequential(nn.Linear(2, hidden), nn.LeakyReLU(), nn.Linear(hidden, 2), *last)
        self.t = torch.nn.ModuleList([net([]) for _ in range(len(mask))])
        self.s = torch.nn.ModuleList([net([nn.Tanh()]) for _ in range(len(mask))])

    def g(self, z):
        x = z
        for i in range(len(self.t)):
            x_ = x * self.mask[i]
            s = self.s[i](x_) * (1 - self.mask[i])
            t = self.t[i](x_) * (1 - self.mask[i])
            x = x_ + (1 - self.mask[i]) * (x * torch.exp(s) + t)
        return x

    def f(self, x):
        log_det_J, z = x.new_zeros(x.shape[0]), x
        for i in reversed(range(len(self.t))):
            z_ = self.mask[i] * z
            s = self.s[i](z_) * (1 - self.mask[i])
            t = self.t[i](z_) * (1 - self.mask[i])
            z = (1 - self.mask[i]) * (z - t) * torch.exp(-s) + z_
            log_det_J -= s.sum(dim=1)
        return z, log_det_J

    def log_prob(self, x):
        z, logp = self.f(x)
        return -0.5 * (z**2).sum(1) - math.log(2 * math.pi) + logp


class MaskedLinear(nn.Linear):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__(in_features, out_features, bias)
        self.register_buffer("mask", torch.ones(out_features, in_features))

    def set_mask(self, mask):
        self.mask.data.copy_(torch.from_numpy(mask.astype(np.uint8).T))

    def forward(self, input):
        return F.linear(input, self.mask * self.weight, self.bias)


torch.manual_seed(0)
np.random.seed(0)
enc, dec, vq = nn.Linear(8, 6), nn.Linear(6, 8), VectorQuantizer(8, 3, 0.25)
opt = torch.optim.Adam([p for m in (enc, dec, vq) for p in m.parameters()], lr=1e-2, amsgrad=False)
data = torch.tanh(torch.randn(64, 3) @ torch.randn(3, 8))
data_variance = torch.var(data)
for i in range(20):
    opt.zero_grad()
    vq_loss, quantized, perplexity = vq(enc(data))
    recon_error = F.mse_loss(dec(quantized), data) / data_variance
    (recon_error + vq_loss).backward()
    opt.step()
    if (i + 1) % 5 == 0:
        print("%d recon_error: %.3f perplexity: %.3f" % (i + 1, recon_error.item(), perplexity.item()))

masks = torch.from_numpy(np.array([[0, 1], [1, 0]] * 2).astype(np.float32))
flow = RealNVP(masks)
opt = torch.optim.Adam([p for p in flow.parameters() if p.requires_grad == True], lr=5e-3)
x = torch.randn(96, 2) * torch.tensor([1.0, 0.3]) + torch.tensor([0.0, 1.0])
x[:, 1] += x[:, 0] ** 2
for t in range(15):
    loss = -flow.log_prob(x).mean()
    opt.zero_grad()
    loss.backward(retain_graph=True)
    opt.step()
    if t % 5 == 0:
        print("iter %s:" % t, "loss = %.3f" % loss)
with torch.no_grad():
    z, ld = flow.f(x[:4])
    print(torch.allclose(flow.g(z), x[:4], atol=1e-5), ld)

mdn = nn.Sequential(nn.Linear(1, 12), nn.Tanh())
pi, mu, sigma = nn.Linear(12, 3), nn.Linear(12, 3), nn.Linear(12, 3)
params = [p for m in (mdn, pi, mu, sigma) for p in m.parameters()]
opt = torch.optim.RMSprop(params, lr=1e-3, centered=True)
y = torch.rand(80, 1) * 2 - 1
x1 = y + 0.3 * torch.sin(2 * torch.pi * y) + 0.05 * torch.randn_like(y)
for epoch in range(20):
    h = mdn(x1)
    log_pi, m, s = F.log_softmax(pi(h), dim=-1), mu(h), torch.exp(sigma(h).clamp(-5, 3))
    log_gauss = -0.5 * ((y.expand_as(m) - m) / s).pow(2) - torch.log(s) - 0.5 * np.log(2 * np.pi)
    loss = -torch.logsumexp(log_pi + log_gauss, dim=1).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if epoch % 5 == 0:
        print(epoch, loss.data.tolist())
with torch.no_grad():
    k = torch.multinomial(log_pi.exp(), 1).view(-1)
    sample = torch.normal(m, s)[torch.arange(len(k)), k]
    print(k[:10], sample[:3])

n = 5
m0, m1 = np.arange(n), np.random.randint(0, n - 1, size=16)
l1, l2 = MaskedLinear(n, 16), MaskedLinear(16, n)
l1.set_mask(m0[:, None] <= m1[None, :])
l2.set_mask(m1[:, None] < m0[None, :])
made = nn.Sequential(l1, nn.ReLU(), l2)
bits = (torch.rand(32, n) < torch.linspace(0.1, 0.9, n)).float()
opt = torch.optim.Adam(made.parameters(), 1e-2)
for step in range(10):
    loss = F.binary_cross_entropy_with_logits(made(bits), bits, reduction="none").sum(-1).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss, l1.weight.grad[0], made)
xb = torch.zeros(1, n, requires_grad=True)
J = torch.stack([torch.autograd.grad(made(xb)[0, j], xb, retain_graph=True)[0][0] for j in range(n)])
print((J != 0).int().triu().sum(), J.shape)
