"""Low-rank adapters: freeze, replace nn.Linear by attribute surgery, train a few parameters, save only those, merge."""

import io
import math
import os
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F


class LoRALayer(nn.Module):
    def __init__(self, in_dim, out_dim, rank, alpha):
        super().__init__()
        self.A = nn.Parameter(torch.empty(in_dim, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.B = nn.Parameter(torch.zeros(rank, out_dim))
        self.alpha, self.rank = alpha, rank

    def forward(self, x):
        return (self.alpha / self.rank) * (x @ self.A @ self.B)


class LinearWithLoRA(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear
        self.lora = LoRALayer(linear.in_features, linear.out_features, rank, alpha)

    def forward(self, x):
        return self.linear(x) + self.lora(x)


def replace_linear_with_lora(model, rank, alpha):
    for name, module in model.named_children():
        if isinstance(module, nn.Linear):
            setattr(model, name, LinearWithLoRA(module, rank, alpha))
        else:
            replace_linear_with_lora(module, rank, alpha)


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.up = nn.Linear(d, 2 * d)
        self.act = nn.GELU(approximate="tanh")
        self.down = nn.Linear(2 * d, d, bias=False)

    def forward(self, x):
        return x + self.down(self.act(self.up(self.norm(x))))


torch.manual_seed(123)
model = nn.Sequential(nn.Linear(6, 16), Block(16), Block(16), nn.Linear(16, 3))
X = torch.randn(64, 6)
y = (X[:, 0] + X[:, 1] > 0).long() + (X[:, 2] > 1).long()
opt = torch.optim.AdamW(model.parameters(), lr=1e-2)
for _ in range(20):
    loss = F.cross_entropy(model(X), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
print(f"pretrained {loss.item():.4f}")
total_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
print(f"Total trainable parameters before: {total_params:,}")
for param in model.parameters():
    param.requires_grad = False
print(sum(p.numel() for p in model.parameters() if p.requires_grad))
before = model(X)
replace_linear_with_lora(model, rank=4, alpha=8)
after = model(X)
print(torch.equal(before, after), torch.testing.assert_close(before, after))
total_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
print(f"Total trainable LoRA parameters: {total_params:,}")
print(model)
y2 = (y + 1) % 3
optimizer = torch.optim.AdamW(filter(lambda p: p.requires_grad, model.parameters()), lr=2e-2, weight_decay=0.1)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda s: min(1.0, (s + 1) / 5))
for step in range(25):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(X), y2)
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 5 == 0:
        print(step, round(loss.item(), 4), scheduler.get_last_lr())
print(model[0].linear.weight.grad is None, model[0].lora.B.grad.norm())
lora_state = {k: v for k, v in model.state_dict().items() if "lora" in k}
print(len(lora_state), list(lora_state)[:2])
path = os.path.join(tempfile.gettempdir(), f"lora_{os.getpid()}.pt")
torch.save(lora_state, path)
loaded = torch.load(path, weights_only=True)
os.remove(path)
with torch.no_grad():
    for n, p in model.named_parameters():
        if "lora.B" in n:
            p.zero_()
missing, unexpected = model.load_state_dict(loaded, strict=False)
print(len(missing), unexpected, F.cross_entropy(model(X), y2).item())
buffer = io.BytesIO()
torch.save(model.state_dict(), buffer)
buffer.seek(0)
print(len(torch.load(buffer)))
try:
    model.load_state_dict({"nothing": torch.ones(1)})
except RuntimeError as e:
    print(str(e)[:40], "Missing key(s)" in str(e), "Unexpected key(s)" in str(e))


def merge(module):
    for name, child in module.named_children():
        if isinstance(child, LinearWithLoRA):
            lin = child.linear
            lin.weight.data += (child.lora.A @ child.lora.B).T * (child.lora.alpha / child.lora.rank)
            setattr(module, name, lin)
        else:
            merge(child)


out = model(X)
merge(model)
print(torch.allclose(out, model(X), atol=1e-5), (out - model(X)).abs().max() < 1e-5)
print(model.get_submodule("1.up"), model[-1].extra_repr(), [type(m).__name__ for m in model.modules()][:4])
