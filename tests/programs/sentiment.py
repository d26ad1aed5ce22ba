"""Spam or not: vocabulary, padding by a collate function, masks, mean pooling, class weights, ReduceLROnPlateau, F1."""

import random
import re
from collections import Counter, OrderedDict

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Subset
from torch.utils.data.sampler import SubsetRandomSampler

SEED = 1234
random.seed(SEED)
torch.manual_seed(SEED)
spam = [
    "win a free prize now",
    "free money click now",
    "you win cash prize",
    "claim your free cash",
    "click to claim a prize",
]
ham = [
    "are we meeting for lunch today",
    "see you at home",
    "the report is ready",
    "can you call me later",
    "lunch at noon with the team",
]
rows = [(random.choice(spam) + " " + random.choice(["today", "please", ""]), 1) for _ in range(20)]
rows += [(random.choice(ham) + " " + random.choice(["today", "please", ""]), 0) for _ in range(44)]
random.shuffle(rows)
tokenize = lambda s: re.findall(r"\w+", s.lower())
counter = Counter(tok for text, _ in rows for tok in tokenize(text))
vocab = OrderedDict([("<pad>", 0), ("<unk>", 1)])
for tok, n in sorted(counter.items(), key=lambda kv: (-kv[1], kv[0])):
    if n >= 2:
        vocab[tok] = len(vocab)
PAD = vocab["<pad>"]


class TextDataset(Dataset):
    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        text, label = self.rows[index]
        return torch.tensor([vocab.get(t, 1) for t in tokenize(text)], dtype=torch.int64), torch.tensor(
            label, dtype=torch.float32
        )


def collate_batch(batch):
    label_list, text_list, lengths = [], [], []
    for _text, _label in batch:
        label_list.append(_label)
        text_list.append(_text)
        lengths.append(_text.size(0))
    return pad_sequence(text_list, batch_first=True, padding_value=PAD), torch.stack(label_list), torch.tensor(lengths)


class Classifier(nn.Module):
    def __init__(self, vocab_size, emb_dim, hidden, out, pad_idx, dropout=0.2):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, emb_dim, padding_idx=pad_idx)
        self.fc = nn.Linear(emb_dim, hidden)
        self.out = nn.Linear(hidden, out)
        self.dropout = nn.Dropout(dropout)
        self.pad_idx = pad_idx

    def forward(self, text):
        mask = (text != self.pad_idx).float().unsqueeze(-1)
        emb = self.dropout(self.embedding(text))
        pooled = (emb * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        maxed = emb.masked_fill(mask == 0, -1e9).max(dim=1)[0]
        return self.out(torch.relu(self.fc(pooled + maxed))).squeeze(1)


dataset = TextDataset(rows)
indices = list(range(len(dataset)))
train_ds, val_ds = Subset(dataset, indices[:48]), Subset(dataset, indices[48:])
train_loader = DataLoader(
    train_ds, batch_size=8, shuffle=True, collate_fn=collate_batch, generator=torch.Generator().manual_seed(5)
)
val_loader = DataLoader(val_ds, batch_size=16, collate_fn=collate_batch)
texts, labels, lengths = next(iter(train_loader))
print(texts, labels, lengths, sep="\n")
model = Classifier(len(vocab), 12, 8, 1, PAD)
pretrained = torch.randn(len(vocab), 12) * 0.3
model.embedding.weight.data.copy_(pretrained)
model.embedding.weight.data[PAD] = torch.zeros(12)
n_pos = sum(l for _, l in rows)
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor((len(rows) - n_pos) / n_pos))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=0)


def binary_accuracy(preds, y):
    rounded_preds = torch.round(torch.sigmoid(preds))
    correct = (rounded_preds == y).float()
    return correct.sum() / len(correct)


def evaluate(loader):
    epoch_loss, epoch_acc, all_p, all_y = 0, 0, [], []
    model.eval()
    with torch.no_grad():
        for text, y, _ in loader:
            p = model(text)
            epoch_loss += criterion(p, y).item()
            epoch_acc += binary_accuracy(p, y).item()
            all_p.extend((p.sigmoid() > 0.5).int().tolist())
            all_y += y.int().tolist()
    return epoch_loss / len(loader), epoch_acc / len(loader), torch.tensor(all_p), torch.tensor(all_y)


for epoch in range(5):
    model.train()
    total = 0.0
    for text, y, _ in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(text), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        total += float(loss)
    val_loss, val_acc, p, y = evaluate(val_loader)
    scheduler.step(val_loss)
    print(
        f"| epoch {epoch:3d} | train {total / len(train_loader):.4f} | val {val_loss:.4f} | acc {val_acc * 100:.2f}% | lr {optimizer.param_groups[0]['lr']}"
    )
tp, fp, fn = ((p == 1) & (y == 1)).sum(), ((p == 1) & (y == 0)).sum(), ((p == 0) & (y == 1)).sum()
f1 = tp / (tp + 0.5 * (fp + fn))
print(tp, fp, fn, f1)

clf = nn.Sequential(nn.Linear(12, 2))
weights = torch.tensor([0.3, 0.7])
ce = nn.CrossEntropyLoss(weight=weights, label_smoothing=0.1)
opt = torch.optim.Adagrad(clf.parameters(), lr=0.1)
sampler = SubsetRandomSampler(indices[:32])
for _ in range(3):
    for text, y, lengths in DataLoader(dataset, batch_size=8, sampler=sampler, collate_fn=collate_batch):
        with torch.no_grad():
            feats = model.embedding(text).sum(1) / lengths.unsqueeze(1)
        loss = ce(clf(feats), y.long())
        opt.zero_grad()
        loss.backward()
        opt.step()
print(loss.item(), clf[0].weight.norm(dim=1), clf(feats).argmax(1))
inference = lambda s: torch.sigmoid(model(torch.tensor([[vocab.get(t, 1) for t in tokenize(s)]]))).item()
print(f"{inference('free prize now'):.4f} {inference('see you later'):.4f}")
print(nn.functional.cross_entropy(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([[0.3, 0.7], [1.0, 0.0]])))
