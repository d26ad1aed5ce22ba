"""Data-parallel training as torch's tutorials write it: sampler, epochs, accumulation, buffers, all_reduce of the loss."""

import os
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler


class Letters(Dataset):
    def __init__(self, n):
        self.ids = torch.randint(0, 20, (n, 9), generator=torch.Generator().manual_seed(3))

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return self.ids[i, :-1], self.ids[i, 1:]


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 12)
        self.hidden = nn.Linear(12, 16)
        self.norm = nn.BatchNorm1d(16)
        self.head = nn.Linear(16, 20)

    def forward(self, ids):
        x = F.gelu(self.hidden(self.embedding(ids)))
        return self.head(self.norm(x.transpose(1, 2)).transpose(1, 2))


dist.init_process_group(backend="gloo", timeout=timedelta(seconds=60))
rank, world_size, local_rank = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
assert (rank, world_size) == (dist.get_rank(), dist.get_world_size()) and dist.is_initialized() and dist.is_available()
torch.manual_seed(100 + rank)  # DDP gives every rank the weights of rank 0
model = DDP(Model())
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
data = Letters(45)
sampler = DistributedSampler(data, shuffle=True, seed=5)
loader = DataLoader(data, batch_size=4, sampler=sampler)
for epoch in range(3):
    sampler.set_epoch(epoch)
    total = torch.zeros(2)
    for step, (x, y) in enumerate(loader):
        model.require_backward_grad_sync = step % 2 == 1 or step == len(loader) - 1
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        total += torch.tensor([loss.item(), 1.0])
        if model.require_backward_grad_sync:
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    dist.all_reduce(total, op=dist.ReduceOp.SUM)
    if rank == 0:
        print(f"epoch {epoch}: loss {total[0] / total[1]:.4f}, last norm {norm:.4f}")
with model.no_sync():
    (model(x) ** 2).sum().backward()
alone = sum(p.grad.abs().sum() for p in model.parameters())
most, least, first = alone.clone(), alone.clone(), alone.clone()
dist.all_reduce(most, dist.ReduceOp.MAX)
dist.all_reduce(least, dist.ReduceOp.MIN)
dist.broadcast(first, src=0)
dist.barrier()
if rank == 0:
    print(f"{alone.item():.1f} {most.item():.1f} {least.item():.1f} {first.item():.1f}")
    print([name for name in model.state_dict()][:3], isinstance(model, DDP), len(list(model.module.parameters())))
    print(f"{model.module.norm.running_mean.sum().item():.4f} {model.module.norm.num_batches_tracked.item()}")
dist.destroy_process_group()
