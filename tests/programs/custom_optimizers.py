"""Optimizers and schedulers that people write themselves: Lion, SAM, an orthogonalised momentum, a Noam schedule; grokking."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        if not 0.0 <= lr:
            raise ValueError("Invalid learning rate: {}".format(lr))
        defaults = dict(lr=lr, betas=betas, weight_decay=weight_decay)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                grad, state = p.grad, self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                exp_avg = state["exp_avg"]
                beta1, beta2 = group["betas"]
                update = exp_avg * beta1 + grad * (1 - beta1)
                p.add_(torch.sign(update), alpha=-group["lr"])
                exp_avg.mul_(beta2).add_(grad, alpha=1 - beta2)
        return loss


class SAM(torch.optim.Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        defaults = dict(rho=rho, **kwargs)
        super(SAM, self).__init__(params, defaults)
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        norm = torch.norm(
            torch.stack([p.grad.norm(p=2) for g in self.param_groups for p in g["params"] if p.grad is not None]), p=2
        )
        for group in self.param_groups:
            scale = group["rho"] / (norm + 1e-12)
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.state[p]["old_p"] = p.data.clone()
                p.add_(p.grad * scale.to(p))
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()


def zeropower_via_newtonschulz5(G, steps=5):
    assert len(G.shape) == 2
    a, b, c = (3.4445, -4.7750, 2.0315)
    X = G.float()
    if G.size(0) > G.size(1):
        X = X.T
    X = X / (X.norm() + 1e-7)
    for _ in range(steps):
        A = X @ X.T
        B = b * A + c * A @ A
        X = a * X + B @ X
    if G.size(0) > G.size(1):
        X = X.T
    return X


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr=0.02, momentum=0.95):
        super().__init__(params, dict(lr=lr, momentum=momentum))

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(g)
                buf = state["momentum_buffer"]
                buf.lerp_(g, 1 - group["momentum"])
                g = g.lerp_(buf, group["momentum"])
                g = zeropower_via_newtonschulz5(g) * max(1, g.size(0) / g.size(1)) ** 0.5
                p.data.add_(g, alpha=-group["lr"])


class NoamLR(LRScheduler):
    def __init__(self, optimizer, warmup_steps, last_epoch=-1):
        self.warmup_steps = warmup_steps
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        last_epoch = max(1, self.last_epoch)
        scale = self.warmup_steps**0.5 * min(last_epoch ** (-0.5), last_epoch * self.warmup_steps ** (-1.5))
        return [base_lr * scale for base_lr in self.base_lrs]


class ModAdd(nn.Module):
    def __init__(self, p=7, d=16):
        super().__init__()
        self.W_E = nn.Parameter(torch.randn(d, p) / math.sqrt(d))
        self.up, self.down = nn.Linear(2 * d, 32), nn.Linear(32, d, bias=False)
        self.W_U = nn.Parameter(torch.randn(d, p) / d**0.5)

    def forward(self, x):
        e = torch.einsum("dbp -> bpd", self.W_E[:, x]).flatten(1)
        return self.down(F.relu(self.up(e))) @ self.W_U


p = 7
a, b = torch.meshgrid(torch.arange(p), torch.arange(p), indexing="ij")
pairs = torch.stack([a.reshape(-1), b.reshape(-1)], dim=1)
labels = (pairs[:, 0] + pairs[:, 1]) % p
torch.manual_seed(598)
perm = torch.randperm(p * p)
train, test = perm[: int(0.7 * p * p)], perm[int(0.7 * p * p) :]
print(pairs[train[:4]], labels[train[:4]])


def loss_of(model, idx):
    return F.cross_entropy(model(pairs[idx]).to(torch.float64), labels[idx])


model = ModAdd()
opt = Lion(model.parameters(), lr=3e-3, weight_decay=0.1)
sched = NoamLR(opt, warmup_steps=5)
for step in range(20):

    def closure():
        opt.zero_grad()
        loss = loss_of(model, train)
        loss.backward()
        return loss

    loss = opt.step(closure)
    sched.step()
    if step % 5 == 0:
        with torch.no_grad():
            print(
                f"lion {step}: {loss.item():.4f} test {loss_of(model, test).item():.4f} lr {sched.get_last_lr()[0]:.5f}"
            )
print(opt)
print(len(opt.state), sorted(opt.state_dict()["param_groups"][0].items()))

torch.manual_seed(1)
model = ModAdd()
sam = SAM(model.parameters(), torch.optim.SGD, lr=0.2, momentum=0.9)
for step in range(12):
    loss = loss_of(model, train)
    loss.backward()
    sam.first_step(zero_grad=True)
    loss_of(model, train).backward()
    sam.second_step(zero_grad=True)
    if step % 4 == 0:
        print(f"sam {step}: {loss.item():.4f}")

torch.manual_seed(2)
model = ModAdd()
matrices = [q for q in model.parameters() if q.ndim == 2]
others = [q for q in model.parameters() if q.ndim != 2]
opts = [Muon(matrices, lr=0.02), torch.optim.Adam(others, lr=1e-2)]
for step in range(10):
    loss = loss_of(model, train)
    loss.backward()
    for o in opts:
        o.step()
    model.zero_grad(set_to_none=True)
    if step % 3 == 0:
        print(f"muon {step}: {loss.item():.4f}")
w = torch.zeros(3, requires_grad=True)
gd = torch.optim.SGD([w], lr=0.1, maximize=True)
for _ in range(3):
    gd.zero_grad()
    (-((w - torch.tensor([1.0, 2.0, 3.0])) ** 2)).sum().backward()
    gd.step()
print(w, gd.state_dict())
for g in gd.param_groups:
    g["lr"] *= 0.1
gd.add_param_group({"params": torch.ones(1, requires_grad=True), "lr": 3.0})
print([g["lr"] for g in gd.param_groups])
with torch.no_grad():
    E = model.W_E
    fourier = torch.stack(
        [torch.ones(p)]
        + [f(2 * torch.pi * k * torch.arange(p) / p) for k in range(1, 4) for f in (torch.cos, torch.sin)]
    )
    fourier /= fourier.norm(dim=-1, keepdim=True)
    print((E @ fourier.T).norm(dim=0))
