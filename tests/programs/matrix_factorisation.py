"""Recommending: user and item embeddings with biases, trained by batches with weight decay; RMSE; top items per user."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class RatingDataset(Dataset):
    def __init__(self, users, items, ratings):
        self.users, self.items, self.ratings = users, items, ratings

    def __len__(self):
        return self.users.shape[0]

    def __getitem__(self, idx):
        return {"user": self.users[idx], "item": self.items[idx], "rating": self.ratings[idx]}


class MatrixFactorization(nn.Module):
    def __init__(self, n_users, n_items, n_factors=6):
        super().__init__()
        self.user_factors = nn.Embedding(n_users, n_factors)
        self.item_factors = nn.Embedding(n_items, n_factors)
        self.user_biases = nn.Embedding(n_users, 1)
        self.item_biases = nn.Embedding(n_items, 1)
        self.mu = nn.Parameter(torch.tensor(3.0))
        self.user_factors.weight.data.uniform_(-0.05, 0.05)
        self.item_factors.weight.data.uniform_(-0.05, 0.05)
        torch.nn.init.zeros_(self.user_biases.weight)
        torch.nn.init.zeros_(self.item_biases.weight)

    def forward(self, user, item):
        dot = (self.user_factors(user) * self.item_factors(item)).sum(dim=1, keepdim=True)
        pred = dot + self.user_biases(user) + self.item_biases(item)
        return pred.squeeze(-1) + self.mu


torch.manual_seed(2024)
n_users, n_items = 25, 30
U, V = torch.randn(n_users, 3), torch.randn(n_items, 3)
full = torch.clamp(torch.round(3 + U @ V.T), 1, 5)
observed = torch.rand_like(full) < 0.4
users, items = observed.nonzero(as_tuple=True)
ratings = full[users, items]
print(observed.sum(), ratings.mean(), ratings.unique(return_counts=True))
perm = torch.randperm(len(ratings))
cut = int(0.8 * len(perm))
train_idx, test_idx = perm[:cut], perm[cut:]
ds = RatingDataset(users[train_idx], items[train_idx], ratings[train_idx])
loader = DataLoader(ds, batch_size=32, shuffle=True)
model = MatrixFactorization(n_users, n_items)
opt = torch.optim.AdamW(model.parameters(), lr=2e-2, weight_decay=1e-3, amsgrad=True)
sched = torch.optim.lr_scheduler.ExponentialLR(opt, gamma=0.9)
loss_fn = nn.MSELoss()
for epoch in range(6):
    total = 0
    for batch in loader:
        opt.zero_grad()
        out = model(batch["user"], batch["item"])
        loss = loss_fn(out, batch["rating"])
        loss.backward()
        opt.step()
        total += loss.item() * len(out)
    sched.step()
    model.eval()
    with torch.no_grad():
        pred = model(users[test_idx], items[test_idx])
        rmse = torch.sqrt(((pred - ratings[test_idx]) ** 2).mean())
        mae = nn.functional.l1_loss(pred, ratings[test_idx])
    model.train()
    print(
        f"Epoch {epoch}: train {total / len(ds):.4f} | RMSE {rmse:.4f} | MAE {mae:.4f} | lr {opt.param_groups[0]['lr']:.5f}"
    )
with torch.no_grad():
    scores = model.user_factors.weight @ model.item_factors.weight.T + model.item_biases.weight.T
    scores = scores.masked_fill(observed, float("-inf"))
    top = torch.topk(scores, k=3, dim=1)
    print(top.indices[:4], top.values[0])
    rank = scores[0].argsort(descending=True)
    print(rank[:5].tolist(), torch.isinf(scores).sum().item())
    print(torch.where(pred > 3.5, 1, 0).float().mean(), torch.round(pred[:5]).long())
