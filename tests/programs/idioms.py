"""Odds and ends of training scripts: hooks, accumulation, freezing, schedules, state of optimizers, printing, seeds, checkpointing."""

import copy
import itertools
import math
import os
import random
import tempfile
from collections import OrderedDict
from typing import Dict, List

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.utils.checkpoint
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset, TensorDataset, WeightedRandomSampler


def seed_everything(seed: int = 42) -> None:
    random.seed(seed)
    os.environ["PYTHONHASHSEED"] = str(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high")
    torch.set_num_threads(1)


seed_everything(0)
torch.autograd.set_detect_anomaly(False)
print(
    torch.__version__ != "",
    torch.cuda.device_count(),
    torch.initial_seed(),
    torch.finfo(torch.float32).eps,
    torch.iinfo(torch.int64).max,
)


class Residual(nn.Module):
    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn
        self.scale = nn.Parameter(torch.full((1,), 0.5))
        self.register_parameter("unused", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.fn(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(OrderedDict([("fc", nn.Linear(4, 8)), ("act", nn.Tanh())]))
        self.body = nn.ModuleList()
        self.body.extend([Residual(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.SiLU())) for _ in range(2)])
        self.body.append(nn.Identity())
        self.heads = nn.ModuleDict({"cls": nn.Linear(8, 3), "reg": nn.Linear(8, 1)})
        self.params = nn.ParameterList([nn.Parameter(torch.zeros(2))])
        self.table = nn.ParameterDict({"a": nn.Parameter(torch.ones(1))})

    def forward(self, x, head="cls", use_ckpt=False):
        x = self.stem(x)
        for blk in self.body:
            x = torch.utils.checkpoint.checkpoint(blk, x, use_reentrant=False) if use_ckpt else blk(x)
        return self.heads[head](x)


net = Net()
print(net)
print(
    [n for n, _ in net.named_children()],
    len(list(net.parameters())),
    net.heads.keys(),
    "cls" in net.heads,
    net.body[-1],
)
activations: Dict[str, torch.Tensor] = {}


def get_activation(name):
    def hook(module, input, output):
        activations[name] = output.detach()

    return hook


handles: List = [
    m.register_forward_hook(get_activation(n)) for n, m in net.named_modules() if isinstance(m, nn.LayerNorm)
]
grads = []
handle = net.stem.fc.weight.register_hook(lambda g: grads.append(g.norm().item()) or g * 2)
pre = net.stem.register_forward_pre_hook(lambda m, args: (args[0] * 1.5,))
X, y = torch.randn(32, 4), torch.randint(3, (32,))
with torch.set_grad_enabled(True):
    F.cross_entropy(net(X), y).backward()
print({k: (tuple(v.shape), round(v.std().item(), 4)) for k, v in activations.items()})
print(grads[0], net.stem.fc.weight.grad.norm())
handle.remove()
pre.remove()
for h in handles:
    h.remove()
net.zero_grad()
net.eval()
l1 = F.cross_entropy(net(X, use_ckpt=True), y)
l1.backward()
g1 = [p.grad.clone() if p.grad is not None else None for p in net.parameters()]
net.zero_grad(set_to_none=True)
F.cross_entropy(net(X), y).backward()
print(all(torch.allclose(a, p.grad) for a, p in zip(g1, net.parameters()) if a is not None), sum(g is None for g in g1))
net.train()

ds = ConcatDataset([TensorDataset(X[:20], y[:20]), TensorDataset(X[20:], y[20:])])
weights = 1.0 / torch.bincount(y).float()[y]
sampler = WeightedRandomSampler(weights, num_samples=32, replacement=True)
loader = DataLoader(ds, batch_size=4, sampler=sampler, worker_init_fn=None, persistent_workers=False)
no_decay = ["bias", "norm"]
groups = [
    {"params": [p for n, p in net.named_parameters() if not any(nd in n for nd in no_decay)], "weight_decay": 0.01},
    {
        "params": [p for n, p in net.named_parameters() if any(nd in n for nd in no_decay)],
        "weight_decay": 0.0,
        "lr": 5e-3,
    },
]
optimizer = AdamW(groups, lr=1e-2, eps=1e-8)


def get_cosine_schedule_with_warmup(optimizer, num_warmup_steps, num_training_steps, num_cycles=0.5):
    def lr_lambda(step):
        if step < num_warmup_steps:
            return float(step) / float(max(1, num_warmup_steps))
        progress = float(step - num_warmup_steps) / float(max(1, num_training_steps - num_warmup_steps))
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress)))

    return LambdaLR(optimizer, lr_lambda, -1)


scheduler = get_cosine_schedule_with_warmup(optimizer, 2, 12)
accumulation_steps, history = 2, []
for epoch in range(3):
    optimizer.zero_grad()
    for i, (xb, yb) in enumerate(loader):
        loss = F.cross_entropy(net(xb), yb) / accumulation_steps
        loss.backward()
        if (i + 1) % accumulation_steps == 0 or (i + 1) == len(loader):
            total_norm = (
                sum(p.grad.detach().data.norm(2).item() ** 2 for p in net.parameters() if p.grad is not None) ** 0.5
            )
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        history.append(loss.item() * accumulation_steps)
    print(
        f"epoch {epoch}: {np.mean(history[-8:]):.4f} norm {total_norm:.4f} lrs {[f'{g:.5f}' for g in scheduler.get_last_lr()]}"
    )
    if torch.isnan(loss) or not torch.isfinite(loss):
        raise RuntimeError("diverged")

path = os.path.join(tempfile.mkdtemp(), "last.ckpt")
torch.save(
    {
        "epoch": epoch,
        "model_state_dict": net.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng": torch.get_rng_state(),
        "history": history,
        "name": "run-1",
    },
    path,
)
before = (torch.rand(2), copy.deepcopy(net))
ck = torch.load(path, map_location=torch.device("cpu"), weights_only=False)
net2 = Net()
net2.load_state_dict(ck["model_state_dict"])
opt2 = AdamW([{"params": g["params"]} for g in [{"params": list(net2.parameters())}]], lr=1)
try:
    opt2.load_state_dict(ck["optimizer_state_dict"])
except ValueError as e:
    print("ValueError", "parameter group" in str(e))
torch.set_rng_state(ck["rng"])
print(
    torch.equal(torch.rand(2), before[0]),
    ck["epoch"],
    ck["name"],
    len(ck["history"]),
    all(torch.equal(a, b) for a, b in zip(net2.parameters(), net.parameters())),
)
sd = optimizer.state_dict()
print(sorted(sd), sorted(sd["param_groups"][0]), sorted(sd["state"][0]), sd["state"][0]["step"])
print(optimizer)


class Stream(IterableDataset):
    def __iter__(self):
        for i in itertools.islice(itertools.count(), 7):
            yield {"x": torch.full((2,), float(i)), "name": f"n{i}", "pair": (i, np.float32(i) / 2)}


for batch in DataLoader(Stream(), batch_size=3):
    print(batch)
print(
    DataLoader(Subset(ds, range(5)), batch_size=2).batch_size,
    next(iter(DataLoader(list(range(10)), batch_size=5, shuffle=True))),
)
swa = copy.deepcopy(net)
with torch.no_grad():
    for (n, p), (_, q) in zip(swa.named_parameters(), net2.named_parameters()):
        p.data.mul_(0.5).add_(q.data, alpha=0.5)
vec = nn.utils.parameters_to_vector(net.parameters())
print(vec.shape, vec.norm(), torch.cat([p.view(-1) for p in net.parameters()]).equal(vec))
torch.set_printoptions(precision=2, threshold=10, edgeitems=2, linewidth=60)
print(
    torch.arange(40.0).view(4, 10) / 7,
    torch.randn(3, dtype=torch.float64),
    torch.tensor([1e-8, 1.0]),
    torch.tensor([True, False]),
    torch.tensor([]),
)
torch.set_printoptions(profile="default")
print(
    torch.tensor(3.14159),
    f"{torch.tensor(3.14159):.2f} {torch.tensor(7)} {torch.tensor([1, 2])} {torch.tensor(5):>4d}",
    repr(torch.tensor(1e10)),
    str(torch.float32),
    torch.Size([1, 2]),
)
print(torch.isnan(torch.tensor([1.5, float("nan")])))
for bad in ("torch.ones(2, 3) @ torch.ones(2, 3)", "torch.ones(2) + torch.ones(3)", "torch.ones(4).view(3)", "nn.Linear(3, 2)(torch.ones(2, 2))", "torch.ones(2)[5]", "torch.ones(2, requires_grad=True).numpy()", "torch.tensor([1, 2]).requires_grad_()", "F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3]))", "nn.Embedding(3, 2)(torch.tensor([3]))", "torch.ones(3, requires_grad=True).backward()", "if torch.ones(2): pass", "torch.zeros(2).item()"):  # fmt: skip
    try:
        exec(bad)
    except Exception as e:
        print(type(e).__name__)
