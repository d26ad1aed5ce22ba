"""Reversing sequences: an encoder-decoder with masks made by hand, then nn.TransformerEncoder and nn.MultiheadAttention."""

import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def clones(module, N):
    return nn.ModuleList([copy.deepcopy(module) for _ in range(N)])


def subsequent_mask(size):
    attn_shape = (1, size, size)
    return torch.triu(torch.ones(attn_shape), diagonal=1).type(torch.uint8) == 0


def attention(query, key, value, mask=None, dropout=None):
    d_k = query.size(-1)
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    p_attn = scores.softmax(dim=-1)
    if dropout is not None:
        p_attn = dropout(p_attn)
    return torch.matmul(p_attn, value), p_attn


class MultiHeadedAttention(nn.Module):
    def __init__(self, h, d_model, dropout=0.1):
        super().__init__()
        self.d_k, self.h = d_model // h, h
        self.linears = clones(nn.Linear(d_model, d_model), 4)
        self.attn = None
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, query, key, value, mask=None):
        if mask is not None:
            mask = mask.unsqueeze(1)
        nbatches = query.size(0)
        query, key, value = [
            lin(x).view(nbatches, -1, self.h, self.d_k).transpose(1, 2)
            for lin, x in zip(self.linears, (query, key, value))
        ]
        x, self.attn = attention(query, key, value, mask=mask, dropout=self.dropout)
        x = x.transpose(1, 2).contiguous().view(nbatches, -1, self.h * self.d_k)
        return self.linears[-1](x)


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout, max_len=50):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        pe = torch.zeros(max_len, d_model)
        position = torch.arange(0, max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * -(math.log(10000.0) / d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        pe = pe.unsqueeze(0)
        self.register_buffer("pe", pe)

    def forward(self, x):
        x = x + self.pe[:, : x.size(1)].requires_grad_(False)
        return self.dropout(x)


class SublayerConnection(nn.Module):
    def __init__(self, size, dropout):
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(size), nn.Dropout(dropout)

    def forward(self, x, sublayer):
        return x + self.dropout(sublayer(self.norm(x)))


class DecoderLayer(nn.Module):
    def __init__(self, size, self_attn, src_attn, ff, dropout):
        super().__init__()
        self.self_attn, self.src_attn, self.ff = self_attn, src_attn, ff
        self.sublayer = clones(SublayerConnection(size, dropout), 3)

    def forward(self, x, memory, src_mask, tgt_mask):
        x = self.sublayer[0](x, lambda x: self.self_attn(x, x, x, tgt_mask))
        if self.src_attn is not None:
            x = self.sublayer[1](x, lambda x: self.src_attn(x, memory, memory, src_mask))
        return self.sublayer[2](x, self.ff)


class Seq2Seq(nn.Module):
    def __init__(self, vocab, d=24, h=4, N=1, dropout=0.1):
        super().__init__()
        c = copy.deepcopy
        attn, pos = MultiHeadedAttention(h, d), PositionalEncoding(d, dropout)
        ff = nn.Sequential(nn.Linear(d, 2 * d), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * d, d))
        self.encoder = clones(DecoderLayer(d, c(attn), None, c(ff), dropout), N)
        self.decoder = clones(DecoderLayer(d, c(attn), c(attn), c(ff), dropout), N)
        self.src_embed, self.tgt_embed = nn.Embedding(vocab, d), nn.Embedding(vocab, d)
        self.pos, self.d = pos, d
        self.generator = nn.Linear(d, vocab)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)

    def encode(self, src, src_mask):
        x = self.pos(self.src_embed(src) * math.sqrt(self.d))
        for layer in self.encoder:
            x = layer(x, None, None, src_mask)
        return x

    def decode(self, memory, src_mask, tgt, tgt_mask):
        x = self.pos(self.tgt_embed(tgt) * math.sqrt(self.d))
        for layer in self.decoder:
            x = layer(x, memory, src_mask, tgt_mask)
        return F.log_softmax(self.generator(x), dim=-1)


class LabelSmoothing(nn.Module):
    def __init__(self, size, padding_idx, smoothing=0.0):
        super().__init__()
        self.criterion = nn.KLDivLoss(reduction="sum")
        self.padding_idx, self.confidence, self.smoothing, self.size = padding_idx, 1.0 - smoothing, smoothing, size

    def forward(self, x, target):
        true_dist = x.data.clone()
        true_dist.fill_(self.smoothing / (self.size - 2))
        true_dist.scatter_(1, target.data.unsqueeze(1), self.confidence)
        true_dist[:, self.padding_idx] = 0
        mask = torch.nonzero(target.data == self.padding_idx)
        if mask.dim() > 0:
            true_dist.index_fill_(0, mask.squeeze(), 0.0)
        return self.criterion(x, true_dist.clone().detach())


def rate(step, model_size, factor, warmup):
    if step == 0:
        step = 1
    return factor * (model_size ** (-0.5) * min(step ** (-0.5), step * warmup ** (-1.5)))


def make_batch(n, V=11, L=6):
    src = torch.randint(1, V, size=(n, L))
    src[: n // 2, -1] = 0
    tgt = torch.cat([torch.ones(n, 1, dtype=torch.long), src.flip(dims=[1])], dim=1)
    return src, tgt


torch.manual_seed(3)
V = 11
print(subsequent_mask(4))
model = Seq2Seq(V)
crit = LabelSmoothing(V, padding_idx=0, smoothing=0.1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.5, betas=(0.9, 0.98), eps=1e-9)
sched = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda step: rate(step, 24, factor=1.0, warmup=100))
for step in range(20):
    src, tgt = make_batch(8)
    src_mask = (src != 0).unsqueeze(-2)
    tgt_in, tgt_y = tgt[:, :-1], tgt[:, 1:]
    tgt_mask = (tgt_in != 0).unsqueeze(-2) & subsequent_mask(tgt_in.size(-1)).type_as(src_mask.data)
    ntokens = (tgt_y != 0).data.sum()
    out = model.decode(model.encode(src, src_mask), src_mask, tgt_in, tgt_mask)
    loss = crit(out.contiguous().view(-1, out.size(-1)), tgt_y.contiguous().view(-1)) / ntokens
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    sched.step()
    if step % 5 == 0:
        print("Step: %3d | Loss: %6.2f | Learning Rate: %6.1e" % (step, loss, optimizer.param_groups[0]["lr"]))
model.eval()
src = torch.arange(1, 7)[None]
src_mask = torch.ones(1, 1, 6)
memory = model.encode(src, src_mask)
ys = torch.zeros(1, 1).fill_(1).type_as(src.data)
for i in range(5):
    prob = model.decode(memory, src_mask, ys, subsequent_mask(ys.size(1)).type_as(src.data))[:, -1]
    _, next_word = torch.max(prob, dim=1)
    next_word = next_word.data[0]
    ys = torch.cat([ys, torch.zeros(1, 1).type_as(src.data).fill_(next_word)], dim=1)
print(ys, model.decoder[0].src_attn.attn.shape)

layer = nn.TransformerEncoderLayer(
    d_model=16, nhead=2, dim_feedforward=32, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
)
encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
head, emb = nn.Linear(16, V), nn.Embedding(V, 16, padding_idx=0)
opt = torch.optim.Adam([*encoder.parameters(), *head.parameters(), *emb.parameters()], lr=1e-2)
for step in range(8):
    src, _ = make_batch(8)
    pad = src == 0
    out = encoder(emb(src) + model.pos.pe[:, :6, :16], src_key_padding_mask=pad)
    loss = F.cross_entropy(
        head(out).view(-1, V), src.sort(dim=1, descending=True).values.view(-1), label_smoothing=0.05
    )
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 3 == 0:
        print(step, f"{loss.item():.4f}")
mha = nn.MultiheadAttention(16, 4, batch_first=True, dropout=0.0)
x = torch.randn(2, 5, 16)
causal = torch.triu(torch.full((5, 5), float("-inf")), diagonal=1)
y, w = mha(x, x, x, attn_mask=causal, need_weights=True, average_attn_weights=False)
print(y.shape, w.shape, w[0, 0], causal.dtype)
y, none = mha(x, x, x, need_weights=False)
print(none, y[1, 2, :4])
