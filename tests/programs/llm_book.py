"""Chapters two to seven of building a small language model: a sliding-window loader, attention by hand, GPT, sampling, weights by assign, fine-tuning."""

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

text = ("Every small machine learns by repeating. It looks at a word, guesses the next, and is corrected. " * 8).strip()
chars = sorted(set(text))
encode = lambda s: [chars.index(c) for c in s]
decode = lambda ids: "".join(chars[i] for i in ids)


class GPTDataset(Dataset):
    def __init__(self, txt, max_length, stride):
        self.input_ids, self.target_ids = [], []
        token_ids = encode(txt)
        assert len(token_ids) > max_length, "Number of tokenized inputs must at least be equal to max_length+1"
        for i in range(0, len(token_ids) - max_length, stride):
            self.input_ids.append(torch.tensor(token_ids[i : i + max_length]))
            self.target_ids.append(torch.tensor(token_ids[i + 1 : i + max_length + 1]))

    def __len__(self):
        return len(self.input_ids)

    def __getitem__(self, idx):
        return self.input_ids[idx], self.target_ids[idx]


def create_dataloader(txt, batch_size=4, max_length=16, stride=16, shuffle=True, drop_last=True, num_workers=0):
    return DataLoader(
        GPTDataset(txt, max_length, stride),
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=drop_last,
        num_workers=num_workers,
    )


inputs = torch.tensor(
    [[0.4, 0.1, 0.8], [0.5, 0.8, 0.6], [0.5, 0.8, 0.6], [0.2, 0.5, 0.3], [0.7, 0.2, 0.1], [0.0, 0.8, 0.5]]
)
query = inputs[1]
attn_scores_2 = torch.empty(inputs.shape[0])
for i, x_i in enumerate(inputs):
    attn_scores_2[i] = torch.dot(x_i, query)
print(attn_scores_2)
attn_weights_2 = torch.softmax(attn_scores_2, dim=0)
print("Attention weights:", attn_weights_2, "\nSum:", attn_weights_2.sum())
context_vec_2 = torch.zeros(query.shape)
for i, x_i in enumerate(inputs):
    context_vec_2 += attn_weights_2[i] * x_i
print(context_vec_2, torch.softmax(inputs @ inputs.T, dim=-1) @ inputs)
torch.manual_seed(123)
W_query, W_key, W_value = (nn.Parameter(torch.rand(3, 2), requires_grad=False) for _ in range(3))
queries, keys, values = inputs @ W_query, inputs @ W_key, inputs @ W_value
attn_scores = queries @ keys.T
mask = torch.triu(torch.ones(6, 6), diagonal=1)
masked = attn_scores.masked_fill(mask.bool(), -torch.inf)
print(masked)
attn_weights = torch.softmax(masked / keys.shape[-1] ** 0.5, dim=-1)
torch.manual_seed(123)
dropout = torch.nn.Dropout(0.5)
print(dropout(torch.ones(6, 6)), dropout(attn_weights))


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        assert d_out % num_heads == 0, "d_out must be divisible by num_heads"
        self.d_out, self.num_heads, self.head_dim = d_out, num_heads, d_out // num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", torch.triu(torch.ones(context_length, context_length), diagonal=1))

    def forward(self, x):
        b, num_tokens, d_in = x.shape
        keys = self.W_key(x).view(b, num_tokens, self.num_heads, self.head_dim).transpose(1, 2)
        queries = self.W_query(x).view(b, num_tokens, self.num_heads, self.head_dim).transpose(1, 2)
        values = self.W_value(x).view(b, num_tokens, self.num_heads, self.head_dim).transpose(1, 2)
        attn_scores = queries @ keys.transpose(2, 3)
        mask_bool = self.mask.bool()[:num_tokens, :num_tokens]
        attn_scores.masked_fill_(mask_bool, -torch.inf)
        attn_weights = torch.softmax(attn_scores / keys.shape[-1] ** 0.5, dim=-1)
        attn_weights = self.dropout(attn_weights)
        context_vec = (attn_weights @ values).transpose(1, 2)
        return self.out_proj(context_vec.contiguous().view(b, num_tokens, self.d_out))


class LayerNorm(nn.Module):
    def __init__(self, emb_dim):
        super().__init__()
        self.eps = 1e-5
        self.scale = nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x):
        mean = x.mean(dim=-1, keepdim=True)
        var = x.var(dim=-1, keepdim=True, unbiased=False)
        return self.scale * ((x - mean) / torch.sqrt(var + self.eps)) + self.shift


class GELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1 + torch.tanh(torch.sqrt(torch.tensor(2.0 / torch.pi)) * (x + 0.044715 * torch.pow(x, 3))))


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d = cfg["emb_dim"]
        self.att = MultiHeadAttention(d, d, cfg["context_length"], cfg["drop_rate"], cfg["n_heads"], cfg["qkv_bias"])
        self.ff = nn.Sequential(nn.Linear(d, 4 * d), GELU(), nn.Linear(4 * d, d))
        self.norm1, self.norm2 = LayerNorm(d), LayerNorm(d)
        self.drop_shortcut = nn.Dropout(cfg["drop_rate"])

    def forward(self, x):
        shortcut = x
        x = self.drop_shortcut(self.att(self.norm1(x))) + shortcut
        shortcut = x
        return self.drop_shortcut(self.ff(self.norm2(x))) + shortcut


class GPTModel(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.tok_emb = nn.Embedding(cfg["vocab_size"], cfg["emb_dim"])
        self.pos_emb = nn.Embedding(cfg["context_length"], cfg["emb_dim"])
        self.drop_emb = nn.Dropout(cfg["drop_rate"])
        self.trf_blocks = nn.Sequential(*[TransformerBlock(cfg) for _ in range(cfg["n_layers"])])
        self.final_norm = LayerNorm(cfg["emb_dim"])
        self.out_head = nn.Linear(cfg["emb_dim"], cfg["vocab_size"], bias=False)

    def forward(self, in_idx):
        batch_size, seq_len = in_idx.shape
        x = self.tok_emb(in_idx) + self.pos_emb(torch.arange(seq_len, device=in_idx.device))
        return self.out_head(self.final_norm(self.trf_blocks(self.drop_emb(x))))


def generate(model, idx, max_new_tokens, context_size, temperature=0.0, top_k=None, eos_id=None):
    for _ in range(max_new_tokens):
        idx_cond = idx[:, -context_size:]
        with torch.no_grad():
            logits = model(idx_cond)
        logits = logits[:, -1, :]
        if top_k is not None:
            top_logits, _ = torch.topk(logits, top_k)
            min_val = top_logits[:, -1]
            logits = torch.where(logits < min_val, torch.tensor(float("-inf")).to(logits.device), logits)
        if temperature > 0.0:
            logits = logits / temperature
            logits = logits - logits.max(dim=-1, keepdim=True).values
            idx_next = torch.multinomial(torch.softmax(logits, dim=-1), num_samples=1)
        else:
            idx_next = torch.argmax(logits, dim=-1, keepdim=True)
        if idx_next == eos_id:
            break
        idx = torch.cat((idx, idx_next), dim=1)
    return idx


CFG = {
    "vocab_size": len(chars),
    "context_length": 16,
    "emb_dim": 24,
    "n_heads": 2,
    "n_layers": 2,
    "drop_rate": 0.1,
    "qkv_bias": False,
}
torch.manual_seed(123)
model = GPTModel(CFG)
print(f"Total number of parameters: {sum(p.numel() for p in model.parameters()):,}")
split_idx = int(0.9 * len(text))
torch.manual_seed(123)
train_loader, val_loader = (
    create_dataloader(text[:split_idx]),
    create_dataloader(text[split_idx:], batch_size=2, shuffle=False, drop_last=False),
)


def calc_loss_batch(input_batch, target_batch, model, device):
    input_batch, target_batch = input_batch.to(device), target_batch.to(device)
    logits = model(input_batch)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), target_batch.flatten())


def calc_loss_loader(data_loader, model, device, num_batches=None):
    total_loss = 0.0
    num_batches = len(data_loader) if num_batches is None else min(num_batches, len(data_loader))
    for i, (input_batch, target_batch) in enumerate(data_loader):
        if i >= num_batches:
            break
        total_loss += calc_loss_batch(input_batch, target_batch, model, device).item()
    return total_loss / num_batches


device = torch.device("cpu")
optimizer = torch.optim.AdamW(model.parameters(), lr=0.004, weight_decay=0.1)
tokens_seen, global_step = 0, -1
for epoch in range(2):
    model.train()
    for input_batch, target_batch in train_loader:
        optimizer.zero_grad()
        loss = calc_loss_batch(input_batch, target_batch, model, device)
        loss.backward()
        optimizer.step()
        tokens_seen += input_batch.numel()
        global_step += 1
        if global_step % 6 == 0:
            model.eval()
            with torch.no_grad():
                tl, vl = (
                    calc_loss_loader(train_loader, model, device, 3),
                    calc_loss_loader(val_loader, model, device, 3),
                )
            model.train()
            print(
                f"Ep {epoch + 1} (Step {global_step:06d}): Train loss {tl:.3f}, Val loss {vl:.3f}, tokens {tokens_seen}"
            )
model.eval()
ids = torch.tensor(encode("Every")).unsqueeze(0)
print(decode(generate(model, ids, 10, 16).squeeze(0).tolist()))
torch.manual_seed(123)
print(decode(generate(model, ids, 10, 16, temperature=1.4, top_k=5).squeeze(0).tolist()))


def assign(left, right):
    if left.shape != right.shape:
        raise ValueError(f"Shape mismatch. Left: {left.shape}, Right: {right.shape}")
    return torch.nn.Parameter(torch.tensor(right))


params = {k: v.detach().numpy() for k, v in model.state_dict().items()}
gpt = GPTModel({**CFG, "drop_rate": 0.0})
gpt.eval()
gpt.pos_emb.weight = assign(gpt.pos_emb.weight, params["pos_emb.weight"])
gpt.tok_emb.weight = assign(gpt.tok_emb.weight, params["tok_emb.weight"])
gpt.out_head.weight = assign(gpt.out_head.weight, params["out_head.weight"])
try:
    gpt.final_norm.scale = assign(gpt.final_norm.scale, params["pos_emb.weight"])
except ValueError as e:
    print(e)
print(gpt.load_state_dict({k: torch.as_tensor(v) for k, v in params.items()}), torch.allclose(gpt(ids), model(ids)))

for param in model.parameters():
    param.requires_grad = False
torch.manual_seed(123)
model.out_head = torch.nn.Linear(in_features=CFG["emb_dim"], out_features=2)
for param in model.trf_blocks[-1].parameters():
    param.requires_grad = True
for param in model.final_norm.parameters():
    param.requires_grad = True
X = torch.randint(0, len(chars), (16, 12))
y = (X[:, -1] > len(chars) // 2).long()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
for step in range(8):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(X)[:, -1, :], y)
    loss.backward()
    optimizer.step()
predicted_labels = torch.argmax(model(X)[:, -1, :], dim=-1)
print(f"classification {loss.item():.4f} accuracy {(predicted_labels == y).sum().item() / len(y):.2f}")


def custom_collate_fn(batch, pad_token_id=0, ignore_index=-100, allowed_max_length=None, device="cpu"):
    batch_max_length = max(len(item) + 1 for item in batch)
    inputs_lst, targets_lst = [], []
    for item in batch:
        new_item = item.copy()
        new_item += [pad_token_id]
        padded = new_item + [pad_token_id] * (batch_max_length - len(new_item))
        inputs = torch.tensor(padded[:-1])
        targets = torch.tensor(padded[1:])
        mask = targets == pad_token_id
        indices = torch.nonzero(mask).squeeze()
        if indices.numel() > 1:
            targets[indices[1:]] = ignore_index
        if allowed_max_length is not None:
            inputs, targets = inputs[:allowed_max_length], targets[:allowed_max_length]
        inputs_lst.append(inputs)
        targets_lst.append(targets)
    return torch.stack(inputs_lst).to(device), torch.stack(targets_lst).to(device)


from functools import partial

loader = DataLoader(
    [[5, 1, 2, 3, 4], [5, 6], [7, 8, 9]], batch_size=3, collate_fn=partial(custom_collate_fn, allowed_max_length=8)
)
for a, b in loader:
    print(a, b, sep="\n")
    print(nn.functional.cross_entropy(gpt(a).flatten(0, 1), b.flatten()))
