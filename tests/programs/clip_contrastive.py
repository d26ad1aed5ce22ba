"""Two towers trained with the symmetric contrastive loss; SimCLR's NT-Xent; a triplet loss."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class ProjectionHead(nn.Module):
    def __init__(self, embedding_dim, projection_dim, dropout=0.1):
        super().__init__()
        self.projection = nn.Linear(embedding_dim, projection_dim)
        self.gelu = nn.GELU()
        self.fc = nn.Linear(projection_dim, projection_dim)
        self.dropout = nn.Dropout(dropout)
        self.layer_norm = nn.LayerNorm(projection_dim)

    def forward(self, x):
        projected = self.projection(x)
        x = self.gelu(projected)
        x = self.fc(x)
        x = self.dropout(x)
        x = x + projected
        return self.layer_norm(x)


class CLIP(nn.Module):
    def __init__(self, d_img=12, d_txt=10, d=8):
        super().__init__()
        self.visual = ProjectionHead(d_img, d)
        self.textual = ProjectionHead(d_txt, d)
        self.logit_scale = nn.Parameter(torch.ones([]) * np.log(1 / 0.07))

    def forward(self, image, text):
        image_features = self.visual(image)
        text_features = self.textual(text)
        image_features = image_features / image_features.norm(dim=1, keepdim=True)
        text_features = text_features / text_features.norm(dim=-1, keepdim=True)
        logit_scale = self.logit_scale.exp()
        logits_per_image = logit_scale * image_features @ text_features.t()
        return logits_per_image, logits_per_image.t()


def nt_xent(z1, z2, temperature=0.5):
    n = z1.shape[0]
    z = F.normalize(torch.cat([z1, z2], dim=0), dim=1)
    sim = z @ z.T / temperature
    mask = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    sim = sim.masked_fill(mask, -9e15)
    pos_mask = mask.roll(shifts=n, dims=0)
    nll = -sim[pos_mask] + torch.logsumexp(sim, dim=-1)
    return nll.mean(), (sim.argsort(dim=-1, descending=True).argmin(dim=-1) * 0 + sim.argmax(-1))


torch.manual_seed(0)
latent = torch.randn(24, 4)
A, B = torch.randn(4, 12), torch.randn(4, 10)
images, texts = latent @ A + 0.1 * torch.randn(24, 12), latent.mm(B) + 0.1 * torch.randn(24, 10)
model = CLIP()
params = [
    {"params": model.visual.parameters(), "lr": 1e-2},
    {"params": list(model.textual.parameters()) + [model.logit_scale], "lr": 5e-3},
]
optimizer = torch.optim.AdamW(params, weight_decay=1e-3)
print(optimizer.param_groups[0]["lr"], len(optimizer.param_groups), model.logit_scale)
labels = torch.arange(24, device=images.device, dtype=torch.long)
for step in range(16):
    logits_i, logits_t = model(images, texts)
    loss = (F.cross_entropy(logits_i, labels) + F.cross_entropy(logits_t, labels)) / 2.0
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, np.log(100))
    if step % 5 == 0:
        acc = (logits_i.argmax(dim=1) == labels).float().mean()
        print(f"step {step}: loss {loss.item():.4f} acc {acc:.3f} scale {model.logit_scale.exp().item():.3f}")
model.eval()
with torch.no_grad():
    li, lt = model(images[:4], texts[:4])
    probs = li.softmax(dim=-1).cpu().numpy()
    print("Label probs:", probs.round(3))
    values, indices = lt[0].topk(2)
    for v, i in zip(values, indices):
        print(f"{i.item()}: {100 * v.item():.2f}")
    loss, nearest = nt_xent(model.visual(images), model.textual(texts))
    print(loss, nearest)
anchor, positive, negative = (torch.randn(5, 3, requires_grad=True) for _ in range(3))
d_ap = ((anchor - positive + 1e-6) ** 2).sum(1) ** 0.5
triplet = F.relu(d_ap - (anchor - negative).pow(2).sum(1).sqrt() + 1.0).mean()
triplet.backward()
print(triplet.item(), anchor.grad[0])
print(F.cosine_similarity(anchor[None], positive[:, None], dim=2)[0])
