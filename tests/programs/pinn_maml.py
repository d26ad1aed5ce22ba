"""Derivatives inside the loss: a network that solves u'' = -u, then meta-learning of sine waves through an inner gradient step."""

import argparse
import logging
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
logger = logging.getLogger(__name__)


class FCN(nn.Module):
    def __init__(self, N_INPUT: int, N_OUTPUT: int, N_HIDDEN: int, N_LAYERS: int) -> None:
        super().__init__()
        activation = nn.Tanh
        self.fcs = nn.Sequential(*[nn.Linear(N_INPUT, N_HIDDEN), activation()])
        self.fch = nn.Sequential(
            *[nn.Sequential(*[nn.Linear(N_HIDDEN, N_HIDDEN), activation()]) for _ in range(N_LAYERS - 1)]
        )
        self.fce = nn.Linear(N_HIDDEN, N_OUTPUT)

    def forward(self, x: Tensor) -> Tensor:
        return self.fce(self.fch(self.fcs(x)))


def maml_net(x: Tensor, weights: "list[torch.Tensor]") -> Tensor:
    x = F.relu(F.linear(x, weights[0], weights[1]))
    x = F.relu(F.linear(x, weights[2], weights[3]))
    return F.linear(x, weights[4], weights[5])


def main(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    rng = np.random.RandomState(args.seed)
    pinn = FCN(1, 1, 16, 2)
    t_boundary = torch.tensor(0.0).view(-1, 1).requires_grad_(True)
    t_physics = torch.linspace(0, 1, 20).view(-1, 1).requires_grad_(True)
    optimiser = torch.optim.Adam(pinn.parameters(), lr=args.lr)
    for i in range(31):
        optimiser.zero_grad()
        u = pinn(t_boundary)
        loss1 = (torch.squeeze(u) - 1) ** 2
        dudt = torch.autograd.grad(u, t_boundary, torch.ones_like(u), create_graph=True)[0]
        loss2 = (torch.squeeze(dudt) - 0) ** 2
        u = pinn(t_physics)
        dudt = torch.autograd.grad(u, t_physics, torch.ones_like(u), create_graph=True)[0]
        d2udt2 = torch.autograd.grad(dudt, t_physics, torch.ones_like(dudt), create_graph=True)[0]
        loss3 = torch.mean((d2udt2 + u) ** 2)
        loss = loss1 + 1e-1 * loss2 + 1e-1 * loss3
        loss.backward()
        optimiser.step()
        if i % 10 == 0:
            logger.info("step %d loss %.5f (%.5f %.5f %.5f)", i, loss, loss1.item(), loss2.item(), loss3.item())
    t_test = torch.linspace(0, 1, 5).unsqueeze(1)
    print(torch.cat([pinn(t_test), torch.cos(t_test)], dim=1).detach())

    net = FCN(1, 1, 20, 2)
    weights = list(net.parameters())
    meta_opt = torch.optim.Adam(weights, lr=1e-2)
    for iteration in range(9):
        meta_loss = 0
        for task in range(3):
            amp, phase = rng.uniform(0.5, 2.0), rng.uniform(0, np.pi)
            xs = torch.from_numpy(rng.uniform(-3, 3, size=(10, 1)).astype(np.float32))
            ys = amp * torch.sin(xs + phase)
            temp = [w.clone() for w in weights]
            for _ in range(2):
                inner = F.mse_loss(maml_net(xs[:5], temp), ys[:5])
                grads = torch.autograd.grad(inner, temp, create_graph=True)
                temp = [w - 0.05 * g for w, g in zip(temp, grads)]
            meta_loss = meta_loss + F.mse_loss(maml_net(xs[5:], temp), ys[5:])
        meta_opt.zero_grad()
        (meta_loss / 3).backward()
        meta_opt.step()
        if iteration % 3 == 0:
            logger.info(f"meta {iteration}: {meta_loss.item() / 3:.4f} {weights[0].grad.norm():.4f}")
    # a gradient penalty on the inputs, and a Hessian-vector product
    x = torch.randn(6, 1, requires_grad=True)
    out = net(x).sum()
    (gx,) = torch.autograd.grad(out, x, create_graph=True)
    gx.pow(2).mean().backward()
    print([round(p.grad.abs().sum().item(), 4) if p.grad is not None else None for p in net.parameters()])
    g = torch.autograd.grad(F.mse_loss(net(x.detach()), torch.zeros(6, 1)), weights, create_graph=True)
    v = [torch.ones_like(w) for w in weights]
    hvp = torch.autograd.grad(sum((a * b).sum() for a, b in zip(g, v)), weights, allow_unused=True)
    print([None if h is None else f"{h.norm():.4f}" for h in hvp])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="derivatives")
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--no-cuda", action="store_true", default=False)
    args = parser.parse_args()
    args.cuda = not args.no_cuda and torch.cuda.is_available()
    main(args)
