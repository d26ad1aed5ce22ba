"""The chapters from tokens to pretraining in one script, as a reader of "Build a Large Language Model (From Scratch)" writes it.

GPT-2's tokens, sliding windows, causal attention with dropout by hand, layer norm and GELU by formula, AdamW, a sample.
"""
# tolerance: 1e-5

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

from minigrad.data import gpt2_tokenizer, offline_text  # text and vocabulary, which need no torch

STEPS, CONTEXT, WIDTH, HEADS, LAYERS, DROP = 50, 32, 48, 4, 2, 0.1


class Windows(Dataset):
    def __init__(self, ids, length, stride):
        starts = range(0, len(ids) - length, stride)
        self.inputs = [torch.tensor(ids[i : i + length]) for i in starts]
        self.targets = [torch.tensor(ids[i + 1 : i + length + 1]) for i in starts]

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, i):
        return self.inputs[i], self.targets[i]


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        mean = x.mean(dim=-1, keepdim=True)
        variance = x.var(dim=-1, keepdim=True, unbiased=False)
        return self.scale * (x - mean) / torch.sqrt(variance + 1e-5) + self.shift


class Gelu(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1 + torch.tanh(torch.sqrt(torch.tensor(2.0 / torch.pi)) * (x + 0.044715 * torch.pow(x, 3))))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(DROP)
        self.register_buffer("mask", torch.triu(torch.ones(CONTEXT, CONTEXT), diagonal=1))

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (f(x).view(b, t, HEADS, WIDTH // HEADS).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = q @ k.transpose(2, 3)
        scores.masked_fill_(self.mask.bool()[:t, :t], -torch.inf)
        weights = self.dropout(torch.softmax(scores / k.shape[-1] ** 0.5, dim=-1))
        return self.out((weights @ v).transpose(1, 2).contiguous().view(b, t, WIDTH))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.norm1, self.norm2 = Attention(), Norm(WIDTH), Norm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), Gelu(), nn.Linear(4 * WIDTH, WIDTH))
        self.dropout = nn.Dropout(DROP)

    def forward(self, x):
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.mlp(self.norm2(x)))


class Model(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.dropout = nn.Dropout(DROP)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.head = Norm(WIDTH), nn.Linear(WIDTH, vocabulary, bias=False)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        return self.head(self.norm(self.blocks(self.dropout(x))))


def loss_of(batch, model):
    inputs, targets = (x.to(device) for x in batch)
    return nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def mean_loss(loader, model, batches):
    model.eval()
    with torch.no_grad():
        losses = [loss_of(batch, model).item() for _, batch in zip(range(batches), loader)]
    model.train()
    return sum(losses) / len(losses)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
tokenizer = gpt2_tokenizer()
text = offline_text()[:24_000]
ids = tokenizer.encode(text)
known = sorted(set(ids))
numbers = {old: new for new, old in enumerate(known)}
ids = [numbers[i] for i in ids]
split = int(0.9 * len(ids))
torch.manual_seed(123)
train = DataLoader(Windows(ids[:split], CONTEXT, CONTEXT), batch_size=4, shuffle=True, drop_last=True, num_workers=0)
held_out = DataLoader(
    Windows(ids[split:], CONTEXT, CONTEXT), batch_size=4, shuffle=False, drop_last=False, num_workers=0
)
torch.manual_seed(123)
model = Model(len(known)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-4, weight_decay=0.1)
print(len(train), len(held_out), sum(p.numel() for p in model.parameters()))
step = 0
while step < STEPS:
    model.train()
    for batch in train:
        optimizer.zero_grad()
        loss = loss_of(batch, model)
        loss.backward()
        optimizer.step()
        print(step, loss.item())
        if step % 10 == 0:
            print("train", mean_loss(train, model, 3), "held out", mean_loss(held_out, model, 3))
        step += 1
        if step == STEPS:
            break
model.eval()
idx = torch.tensor(ids[:3]).unsqueeze(0)
for _ in range(20):
    with torch.no_grad():
        logits = model(idx[:, -CONTEXT:])[:, -1, :]
    least = torch.topk(logits, 10).values[:, -1]
    logits = torch.where(logits < least, torch.tensor(float("-inf")).to(logits.device), logits)
    following = torch.multinomial(torch.softmax(logits / 1.4, dim=-1), num_samples=1)
    idx = torch.cat((idx, following), dim=1)
print(repr(tokenizer.decode([known[i] for i in idx.squeeze(0).tolist()])))
