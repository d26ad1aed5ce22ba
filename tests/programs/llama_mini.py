"""RMSNorm, rotary positions, SwiGLU, grouped queries and a key/value cache; cached and uncached logits agree."""

from dataclasses import dataclass
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class ModelArgs:
    dim: int = 32
    n_layers: int = 2
    n_heads: int = 4
    n_kv_heads: Optional[int] = 2
    vocab_size: int = 29
    multiple_of: int = 8
    norm_eps: float = 1e-5
    max_seq_len: int = 24


class RMSNorm(torch.nn.Module):
    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def forward(self, x):
        output = self._norm(x.float()).type_as(x)
        return output * self.weight


def precompute_rope(dim: int, end: int, theta: float = 10000.0) -> Tuple[Tensor, Tensor]:
    freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: (dim // 2)].float() / dim))
    t = torch.arange(end, device=freqs.device)
    freqs = torch.outer(t, freqs).float()
    return torch.cos(freqs), torch.sin(freqs)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    x_r, x_i = x.float().reshape(x.shape[:-1] + (-1, 2)).unbind(-1)
    shape = [d if i in (1, x_r.ndim - 1) else 1 for i, d in enumerate(x_r.shape)]
    cos, sin = cos.view(*shape), sin.view(shape)
    out = torch.stack([x_r * cos - x_i * sin, x_r * sin + x_i * cos], dim=-1).flatten(3)
    return out.type_as(x)


def rotate_half(x):
    x1, x2 = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


def repeat_kv(x: Tensor, n_rep: int) -> Tensor:
    bs, slen, n_kv_heads, head_dim = x.shape
    if n_rep == 1:
        return x
    return (
        x[:, :, :, None, :]
        .expand(bs, slen, n_kv_heads, n_rep, head_dim)
        .reshape(bs, slen, n_kv_heads * n_rep, head_dim)
    )


class Attention(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.n_kv_heads = args.n_heads if args.n_kv_heads is None else args.n_kv_heads
        self.n_heads, self.n_rep = args.n_heads, args.n_heads // self.n_kv_heads
        self.head_dim = args.dim // args.n_heads
        self.wq = nn.Linear(args.dim, args.n_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(args.dim, self.n_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(args.dim, self.n_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(args.n_heads * self.head_dim, args.dim, bias=False)
        self.cache_k = self.cache_v = None

    def forward(self, x, cos, sin, start_pos=None):
        bsz, seqlen, _ = x.shape
        xq, xk, xv = self.wq(x), self.wk(x), self.wv(x)
        xq = xq.view(bsz, seqlen, self.n_heads, self.head_dim)
        xk = xk.view(bsz, seqlen, self.n_kv_heads, self.head_dim)
        xv = xv.view(bsz, seqlen, self.n_kv_heads, self.head_dim)
        xq, xk = apply_rotary(xq, cos, sin), apply_rotary(xk, cos, sin)
        if start_pos is not None:
            if self.cache_k is None:
                self.cache_k = torch.zeros(bsz, 24, self.n_kv_heads, self.head_dim).to(xq)
                self.cache_v = torch.zeros(bsz, 24, self.n_kv_heads, self.head_dim).to(xq)
            self.cache_k[:bsz, start_pos : start_pos + seqlen] = xk
            self.cache_v[:bsz, start_pos : start_pos + seqlen] = xv
            xk, xv = self.cache_k[:bsz, : start_pos + seqlen], self.cache_v[:bsz, : start_pos + seqlen]
        keys = torch.repeat_interleave(xk, self.n_rep, dim=2)
        values = repeat_kv(xv, self.n_rep)
        xq, keys, values = (t.transpose(1, 2) for t in (xq, keys, values))
        total = keys.shape[-2]
        mask = torch.full((seqlen, total), float("-inf"), device=x.device)
        mask = torch.triu(mask, diagonal=total - seqlen + 1)
        scores = torch.matmul(xq, keys.transpose(2, 3)) / self.head_dim**0.5 + mask
        scores = F.softmax(scores.float(), dim=-1).type_as(xq)
        output = torch.matmul(scores, values).transpose(1, 2).contiguous().view(bsz, seqlen, -1)
        return self.wo(output)


class FeedForward(nn.Module):
    def __init__(self, dim, hidden_dim, multiple_of):
        super().__init__()
        hidden_dim = int(2 * hidden_dim / 3)
        hidden_dim = multiple_of * ((hidden_dim + multiple_of - 1) // multiple_of)
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class TransformerBlock(nn.Module):
    def __init__(self, layer_id, args):
        super().__init__()
        self.attention, self.layer_id = Attention(args), layer_id
        self.feed_forward = FeedForward(args.dim, 4 * args.dim, args.multiple_of)
        self.attention_norm, self.ffn_norm = (
            RMSNorm(args.dim, eps=args.norm_eps),
            nn.RMSNorm(args.dim, eps=args.norm_eps),
        )

    def forward(self, x, cos, sin, start_pos):
        h = x + self.attention(self.attention_norm(x), cos, sin, start_pos)
        return h + self.feed_forward(self.ffn_norm(h))


class Transformer(nn.Module):
    last_loss: Optional[torch.Tensor]

    def __init__(self, params: ModelArgs):
        super().__init__()
        self.params = params
        self.tok_embeddings = nn.Embedding(params.vocab_size, params.dim)
        self.layers = torch.nn.ModuleList()
        for layer_id in range(params.n_layers):
            self.layers.append(TransformerBlock(layer_id, params))
        self.norm = RMSNorm(params.dim, eps=params.norm_eps)
        self.output = nn.Linear(params.dim, params.vocab_size, bias=False)
        self.tok_embeddings.weight = self.output.weight
        cos, sin = precompute_rope(params.dim // params.n_heads, params.max_seq_len)
        self.register_buffer("freqs_cos", cos, persistent=False)
        self.register_buffer("freqs_sin", sin, persistent=False)
        self.apply(self._init_weights)

    def _init_weights(self, m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            torch.nn.init.trunc_normal_(m.weight, mean=0.0, std=0.02)

    def forward(self, tokens: Tensor, targets: Optional[Tensor] = None, start_pos: Optional[int] = None) -> Tensor:
        _bsz, seqlen = tokens.shape
        h = self.tok_embeddings(tokens)
        s = start_pos or 0
        cos, sin = self.freqs_cos[s : s + seqlen], self.freqs_sin[s : s + seqlen]
        for layer in self.layers:
            h = layer(h, cos, sin, start_pos)
        logits = self.output(self.norm(h)).float()
        if targets is not None:
            self.last_loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits


torch.manual_seed(0)
model = Transformer(ModelArgs())
print(
    "params:",
    sum(p.numel() for p in model.parameters()),
    [k for k, _ in model.named_buffers()],
    len(model.state_dict()),
)
data = (torch.arange(400) * 7 % 29 + torch.arange(400) // 29) % 29
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=False)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=3e-4)
for step in range(30):
    ix = torch.randint(len(data) - 16, (4,))
    x = torch.stack([data[i : i + 16] for i in ix])
    y = torch.stack([data[i + 1 : i + 17] for i in ix])
    model(x, y)
    loss = model.last_loss
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    if step % 6 == 0:
        print(f"{step} {loss.item():.4f} {scheduler.get_last_lr()[0]:.3e}")
model.eval()
with torch.inference_mode():
    prompt = data[None, :6]
    full = model(prompt)
    cached = torch.cat(
        [model(prompt[:, :4], start_pos=0)] + [model(prompt[:, i : i + 1], start_pos=i) for i in (4, 5)], dim=1
    )
    print(torch.allclose(full, cached, atol=1e-5), full[0, -1, :5])
    tokens, logits = prompt, cached
    for pos in range(6, 20):
        nxt = torch.argmax(logits[:, -1], dim=-1, keepdim=True)
        tokens = torch.cat([tokens, nxt], dim=-1)
        logits = model(nxt, start_pos=pos)
    print(tokens)
    x = torch.randn(1, 2, 4, 8)
    ang = torch.einsum("i,j->ij", torch.arange(4.0), 1.0 / 10000 ** (torch.arange(0, 8, 2) / 8))
    ang = torch.cat((ang, ang), dim=-1)
    print((x * ang.cos() + rotate_half(x) * ang.sin()).norm(dim=-1) - x.norm(dim=-1) < 1e-5)
    probs = torch.softmax(logits[:, -1] / 0.7, dim=-1)
    probs_sort, probs_idx = torch.sort(probs, dim=-1, descending=True)
    mask = torch.cumsum(probs_sort, dim=-1) - probs_sort > 0.9
    probs_sort[mask] = 0.0
    probs_sort.div_(probs_sort.sum(dim=-1, keepdim=True))
    next_token = torch.gather(probs_idx, -1, torch.multinomial(probs_sort, num_samples=1))
    print(next_token.reshape(-1), (~mask).sum())
