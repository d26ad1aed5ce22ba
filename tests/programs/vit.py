"""A vision transformer on tiny images: patches by unfold and by reshape/permute, a class token, position embedding by Parameter."""

import torch
import torch.nn.functional as F
from torch import nn


def pair(t):
    return t if isinstance(t, tuple) else (t, t)


class FeedForward(nn.Module):
    def __init__(self, dim, hidden_dim, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, hidden_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x):
        return self.net(x)


class Attention(nn.Module):
    def __init__(self, dim, heads=4, dim_head=8, dropout=0.0):
        super().__init__()
        inner_dim = dim_head * heads
        project_out = not (heads == 1 and dim_head == dim)
        self.heads, self.scale = heads, dim_head**-0.5
        self.norm = nn.LayerNorm(dim)
        self.attend = nn.Softmax(dim=-1)
        self.dropout = nn.Dropout(dropout)
        self.to_qkv = nn.Linear(dim, inner_dim * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner_dim, dim), nn.Dropout(dropout)) if project_out else nn.Identity()

    def forward(self, x):
        x = self.norm(x)
        b, n, _ = x.shape
        qkv = self.to_qkv(x).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        dots = torch.einsum("bhid,bhjd->bhij", q, k) * self.scale
        attn = self.dropout(self.attend(dots))
        out = torch.einsum("bhij,bhjd->bhid", attn, v).transpose(1, 2).reshape(b, n, -1)
        return self.to_out(out)


class ViT(nn.Module):
    def __init__(
        self, *, image_size, patch_size, num_classes, dim, depth, heads, mlp_dim, channels=3, dropout=0.1, pool="cls"
    ):
        super().__init__()
        ih, iw = pair(image_size)
        ph, pw = self.patch = pair(patch_size)
        assert ih % ph == 0 and iw % pw == 0, "Image dimensions must be divisible by the patch size."
        num_patches, patch_dim = (ih // ph) * (iw // pw), channels * ph * pw
        assert pool in {"cls", "mean"}
        self.embed = nn.Linear(patch_dim, dim)
        self.pos_embedding = nn.Parameter(torch.randn(1, num_patches + 1, dim))
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList([])
        for _ in range(depth):
            self.layers.append(nn.ModuleList([Attention(dim, heads), FeedForward(dim, mlp_dim, dropout)]))
        self.pool, self.to_latent = pool, nn.Identity()
        self.mlp_head = nn.Linear(dim, num_classes)

    def patchify(self, img):
        b, c, h, w = img.shape
        ph, pw = self.patch
        x = img.view(b, c, h // ph, ph, w // pw, pw)
        return x.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, ph * pw * c)

    def forward(self, img):
        x = self.embed(self.patchify(img))
        b, n, _ = x.shape
        cls_tokens = self.cls_token.expand(b, -1, -1)
        x = torch.cat((cls_tokens, x), dim=1)
        x += self.pos_embedding[:, : (n + 1)]
        x = self.dropout(x)
        for attn, ff in self.layers:
            x = attn(x) + x
            x = ff(x) + x
        x = x.mean(dim=1) if self.pool == "mean" else x[:, 0]
        return self.mlp_head(self.to_latent(x))


torch.manual_seed(0)
imgs = torch.rand(24, 3, 8, 8)
labels = (imgs[:, 0].mean(dim=(-2, -1)) > imgs[:, 1].mean(dim=(-2, -1))).long()
mean, std = imgs.mean(dim=(0, 2, 3), keepdim=True), imgs.std(dim=(0, 2, 3), keepdim=True)
imgs = (imgs - mean) / std
print(mean.flatten(), std.squeeze(), labels.sum())
v = ViT(image_size=8, patch_size=4, num_classes=2, dim=16, depth=2, heads=4, mlp_dim=32)
print(sum(p.numel() for p in v.parameters()), v.patchify(imgs).shape, v(imgs).shape)
u = imgs.unfold(2, 4, 4).unfold(3, 4, 4)
print(u.shape, torch.equal(u.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2), v.patchify(imgs)))
opt = torch.optim.Adam(v.parameters(), lr=3e-3)
warm = torch.optim.lr_scheduler.LinearLR(opt, start_factor=0.1, total_iters=4)
cos = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=8)
sched = torch.optim.lr_scheduler.SequentialLR(opt, schedulers=[warm, cos], milestones=[4])
for epoch in range(12):
    v.train()
    for xb, yb in zip(imgs.split(8), labels.split(8)):
        opt.zero_grad()
        loss = F.cross_entropy(v(xb), yb)
        loss.backward()
        opt.step()
    sched.step()
    if epoch % 3 == 0:
        v.eval()
        with torch.no_grad():
            preds = v(imgs)
            acc = (preds.argmax(dim=-1) == labels).float().mean().item()
            print(
                f"epoch {epoch} | loss {F.cross_entropy(preds, labels):.4f} | acc {acc:.3f} | lr {sched.get_last_lr()[0]:.2e}"
            )
flipped = torch.flip(imgs, dims=(3,))
print(v(flipped).detach().softmax(-1)[:3], imgs[0, 0].t().flip(0)[0, :3])
