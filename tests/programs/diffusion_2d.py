"""Denoising diffusion on a two-moons cloud: betas by linspace, alphas by cumprod, a time embedding, ancestral sampling."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        device = x.device
        half_dim = self.dim // 2
        emb = math.log(10000) / (half_dim - 1)
        emb = torch.exp(torch.arange(half_dim, device=device) * -emb)
        emb = x[:, None] * emb[None, :]
        return torch.cat((emb.sin(), emb.cos()), dim=-1)


class Denoiser(nn.Module):
    def __init__(self, hidden=32, T=50):
        super().__init__()
        self.time_mlp = nn.Sequential(SinusoidalPosEmb(16), nn.Linear(16, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.inp = nn.Linear(2, hidden)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU()) for _ in range(2)])
        self.out = nn.Linear(hidden, 2)

    def forward(self, x, t):
        temb = self.time_mlp(t)
        h = self.inp(x) + temb
        for blk in self.blocks:
            h = h + blk(h + temb)
        return self.out(h)


class DDPM(nn.Module):
    def __init__(self, model, T=50, beta_1=1e-4, beta_T=0.05):
        super().__init__()
        self.model, self.T = model, T
        betas = torch.linspace(beta_1, beta_T, T)
        alphas = 1.0 - betas
        alphas_bar = torch.cumprod(alphas, dim=0)
        alphas_bar_prev = F.pad(alphas_bar[:-1], (1, 0), value=1.0)
        for name, v in {
            "betas": betas,
            "alphas": alphas,
            "sqrt_ab": alphas_bar.sqrt(),
            "sqrt_1mab": (1.0 - alphas_bar).sqrt(),
            "post_var": betas * (1.0 - alphas_bar_prev) / (1.0 - alphas_bar),
        }.items():
            self.register_buffer(name, v)

    @staticmethod
    def extract(a, t, x_shape):
        b, *_ = t.shape
        out = a.gather(-1, t)
        return out.reshape(b, *((1,) * (len(x_shape) - 1)))

    def loss(self, x0):
        t = torch.randint(0, self.T, (x0.shape[0],), device=x0.device).long()
        noise = torch.randn_like(x0)
        x_t = self.extract(self.sqrt_ab, t, x0.shape) * x0 + self.extract(self.sqrt_1mab, t, x0.shape) * noise
        return F.mse_loss(self.model(x_t, t), noise)

    @torch.no_grad()
    def sample(self, n):
        x = torch.randn(n, 2)
        for i in reversed(range(self.T)):
            t = torch.full((n,), i, dtype=torch.long)
            eps = self.model(x, t)
            coef = self.extract(self.betas, t, x.shape) / self.extract(self.sqrt_1mab, t, x.shape)
            mean = (x - coef * eps) / self.extract(self.alphas, t, x.shape).sqrt()
            x = mean + (self.extract(self.post_var, t, x.shape).sqrt() * torch.randn_like(x) if i > 0 else 0)
        return x


torch.manual_seed(42)
theta = torch.rand(256) * torch.pi
upper = torch.rand(256) < 0.5
pts = torch.stack([torch.cos(theta), torch.sin(theta)], dim=1)
pts[~upper] = torch.tensor([1.0, 0.5]) - pts[~upper]
pts += 0.05 * torch.randn(pts.shape)
mean, std = pts.mean(0), pts.std(0, unbiased=False)
pts = (pts - mean) / std
print(pts[:3], pts.var(dim=0))
ddpm = DDPM(Denoiser())
print(ddpm.sqrt_ab[::10], ddpm.post_var[-1])
optimizer = torch.optim.AdamW(ddpm.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=40)
loader = DataLoader(TensorDataset(pts), batch_size=64, shuffle=True)
for epoch in range(10):
    epoch_loss = 0.0
    for (x,) in loader:
        loss = ddpm.loss(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        epoch_loss += loss.detach() * x.shape[0]
    if epoch % 2 == 0:
        print(f"Epoch {epoch:3d} | Loss {epoch_loss / len(pts):.4f} | lr {scheduler.get_last_lr()[0]:.2e}")
ddpm.eval()
s = ddpm.sample(6)
print(s, s.shape, s.isfinite().all())
s = torch.clamp(s, -2, 2)
print((s - s.mean(0)).T @ (s - s.mean(0)) / 5)
