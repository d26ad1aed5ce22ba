"""Masked language modelling with nn.TransformerEncoder, time first; next-step prediction of a series with the same encoder."""

import math

import torch
import torch.nn as nn
from torch.nn import TransformerEncoder, TransformerEncoderLayer
from torch.utils.data import DataLoader, Dataset

PAD, CLS, SEP, MASK = 0, 1, 2, 3


class PositionalEncoding(nn.Module):
    def __init__(self, d_model: int, dropout: float = 0.1, max_len: int = 64):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(max_len, 1, d_model)
        pe[:, 0, 0::2] = torch.sin(position * div_term)
        pe[:, 0, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.pe[: x.size(0)]
        return self.dropout(x)


class TransformerModel(nn.Module):
    def __init__(self, ntoken, d_model, nhead, d_hid, nlayers, dropout=0.1):
        super().__init__()
        self.model_type = "Transformer"
        self.pos_encoder = PositionalEncoding(d_model, dropout)
        encoder_layers = TransformerEncoderLayer(d_model, nhead, d_hid, dropout)
        self.transformer_encoder = TransformerEncoder(encoder_layers, nlayers)
        self.encoder = nn.Embedding(ntoken, d_model)
        self.d_model = d_model
        self.decoder = nn.Linear(d_model, ntoken)
        self.init_weights()

    def init_weights(self) -> None:
        initrange = 0.1
        self.encoder.weight.data.uniform_(-initrange, initrange)
        self.decoder.bias.data.zero_()
        self.decoder.weight.data.uniform_(-initrange, initrange)

    def forward(self, src, src_mask=None, pad=None):
        src = self.encoder(src) * math.sqrt(self.d_model)
        src = self.pos_encoder(src)
        output = self.transformer_encoder(src, src_mask, pad)
        return self.decoder(output)


def mask_tokens(inputs: torch.Tensor, p: float = 0.15):
    labels = inputs.clone()
    probability_matrix = torch.full(labels.shape, p)
    special = (inputs == PAD) | (inputs == CLS) | (inputs == SEP)
    probability_matrix.masked_fill_(special, value=0.0)
    masked_indices = torch.bernoulli(probability_matrix).bool()
    labels[~masked_indices] = -100
    indices_replaced = torch.bernoulli(torch.full(labels.shape, 0.8)).bool() & masked_indices
    inputs[indices_replaced] = MASK
    indices_random = torch.bernoulli(torch.full(labels.shape, 0.5)).bool() & masked_indices & ~indices_replaced
    random_words = torch.randint(4, 20, labels.shape, dtype=torch.long)
    inputs[indices_random] = random_words[indices_random]
    return inputs, labels


class Sentences(Dataset):
    def __init__(self, n=32):
        self.items = []
        for k in range(n):
            length = int(torch.randint(4, 9, (1,)))
            start = torch.randint(4, 12, (1,)).item()
            self.items.append([CLS] + [4 + (start + j) % 16 for j in range(length)] + [SEP])

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    width = max(map(len, batch))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    for r, row in enumerate(batch):
        ids[r, : len(row)] = torch.tensor(row)
    return ids, ids.eq(PAD)


torch.manual_seed(11)
loader = DataLoader(Sentences(), batch_size=8, shuffle=True, collate_fn=collate)
model = TransformerModel(20, 16, 2, 32, 2)
print(model)
criterion = nn.CrossEntropyLoss(ignore_index=-100)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1.0, gamma=0.95)
for epoch in range(1, 4):
    model.train()
    total_loss, hits, seen = 0.0, 0, 0
    for ids, pad in loader:
        inputs, labels = mask_tokens(ids.clone(), 0.3)
        output = model(inputs.t(), pad=pad).transpose(0, 1)
        loss = criterion(output.reshape(-1, 20), labels.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        total_loss += loss.item()
        chosen = labels.ne(-100)
        hits += (output.argmax(-1)[chosen] == labels[chosen]).sum().item()
        seen += chosen.sum().item()
    scheduler.step()
    print(
        f"| epoch {epoch:3d} | lr {scheduler.get_last_lr()[0]:02.3f} | loss {total_loss / len(loader):5.3f} | ppl {math.exp(total_loss / len(loader)):8.2f} | {hits}/{seen}"
    )

series = torch.sin(torch.arange(0, 12.0, 0.1)) + 0.1 * torch.randn(120)
windows = series.unfold(0, 13, 1)
print(windows.shape, windows[:, :-1].shape)


class Forecast(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.out = nn.Linear(1, 16), nn.Linear(16, 1)
        self.enc = nn.TransformerEncoderLayer(16, 4, dim_feedforward=32, dropout=0.0, batch_first=True)
        self.pos = nn.Parameter(torch.randn(1, 12, 16) * 0.02)

    def forward(self, x):
        sz = x.size(1)
        mask = torch.triu(torch.ones(sz, sz) * float("-inf"), diagonal=1)
        return self.out(self.enc(self.inp(x) + self.pos, src_mask=mask)).squeeze(-1)


net = Forecast()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(8):
    losses = []
    for idx in torch.randperm(100).split(50):
        x, y = windows[idx, :-1].unsqueeze(2), windows[idx, 1:]
        loss = nn.functional.huber_loss(net(x), y, delta=0.5)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    if epoch % 2 == 0:
        print(epoch, f"{sum(losses) / len(losses):.5f}")
net.eval()
with torch.no_grad():
    roll = windows[-1, 1:].clone()
    for _ in range(3):
        roll = torch.cat([roll[1:], net(roll[None, :, None])[0, -1:]])
    print(roll[-5:])
