"""The official text classification tutorial's model."""

import torch
from torch import nn

torch.manual_seed(0)
emb = nn.EmbeddingBag(10, 4, sparse=False)
emb.weight.data.uniform_(-0.5, 0.5)
text, offsets = torch.tensor([1, 2, 4, 5, 4, 3]), torch.tensor([0, 4])
out = emb(text, offsets)
print(out)
out.sum().backward()
print(emb.weight.grad)
print(nn.functional.embedding_bag(text.view(2, 3), emb.weight, mode="sum"))
