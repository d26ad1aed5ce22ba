"""Skip-gram with negative sampling: sparse embeddings, SparseAdam, a unigram table raised to 3/4, nearest words by cosine."""

from collections import Counter

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(123)
np.random.seed(123)
corpus = """the king rules the land and the queen rules the land the dog chases the cat and the cat chases the mouse
a king and a queen live in a castle a dog and a cat live in a house""".lower().split()
word_counts = Counter(corpus)
vocab = sorted(word_counts, key=lambda w: (-word_counts[w], w))
word2idx = {w: i for i, w in enumerate(vocab)}
freqs = torch.tensor([word_counts[w] for w in vocab], dtype=torch.float)
noise_dist = freqs.pow(0.75) / freqs.pow(0.75).sum()
print(len(vocab), noise_dist[:5])


class SkipGramDataset(Dataset):
    def __init__(self, tokens, window=2):
        self.pairs = []
        for i, w in enumerate(tokens):
            for j in range(max(0, i - window), min(len(tokens), i + window + 1)):
                if i != j:
                    self.pairs.append((word2idx[w], word2idx[tokens[j]]))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, idx):
        c, o = self.pairs[idx]
        return torch.tensor([c]), torch.tensor([o])


class SkipGram(nn.Module):
    def __init__(self, vocab_size, dim, sparse=True):
        super().__init__()
        self.u = nn.Embedding(vocab_size, dim, sparse=sparse)
        self.v = nn.Embedding(vocab_size, dim, sparse=sparse)
        initrange = 1.0 / dim
        nn.init.uniform_(self.u.weight.data, -initrange, initrange)
        nn.init.constant_(self.v.weight.data, 0)

    def forward(self, pos_u, pos_v, neg_v):
        emb_u = self.u(pos_u)
        emb_v = self.v(pos_v)
        emb_neg_v = self.v(neg_v)
        score = torch.sum(torch.mul(emb_u, emb_v), dim=1)
        score = torch.clamp(score, max=10, min=-10)
        score = -F.logsigmoid(score)
        neg_score = torch.bmm(emb_neg_v, emb_u.unsqueeze(2)).squeeze()
        neg_score = torch.clamp(neg_score, max=10, min=-10)
        neg_score = -torch.sum(F.logsigmoid(-neg_score), dim=1)
        return torch.mean(score + neg_score)


loader = DataLoader(SkipGramDataset(corpus), batch_size=16, shuffle=True)
model = SkipGram(len(vocab), 8)
optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=0.05)
for epoch in range(5):
    running_loss = 0.0
    for i, (center, context) in enumerate(loader):
        center, context = center.squeeze(1), context.squeeze(1)
        neg = torch.multinomial(noise_dist, center.size(0) * 5, replacement=True).view(center.size(0), 5)
        optimizer.zero_grad()
        loss = model.forward(center, context, neg)
        loss.backward()
        if epoch == 0 and i == 0:
            grad = model.u.weight.grad
            print(grad.is_sparse, grad.coalesce().indices().shape, grad.to_dense().shape)
        optimizer.step()
        running_loss = running_loss * 0.9 + loss.item() * 0.1
    print(f"epoch {epoch} loss {running_loss:.4f}")
emb = model.u.weight.detach()
normed = F.normalize(emb, p=2, dim=1)
sim = torch.mm(normed, normed.t())
sim.fill_diagonal_(-1)
for w in ("king", "dog"):
    values, indices = sim[word2idx[w]].topk(3)
    print(w, [(vocab[i], round(v, 3)) for v, i in zip(values.tolist(), indices.tolist())])
print(F.cosine_similarity(emb[word2idx["king"]], emb[word2idx["queen"]], dim=0).item())
print((emb[0] - emb[1]).norm())
np.savez_compressed if False else None
print(emb.cpu().numpy().mean(axis=0).round(3))
