"""Preference optimisation against a frozen reference, and distilling a teacher with a softened KL divergence."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


class TinyLM(nn.Module):
    def __init__(self, vocab=17, d=16, hidden=None):
        super().__init__()
        self.emb = nn.Embedding(vocab, d, padding_idx=0)
        self.ff = nn.Sequential(nn.Linear(d, hidden or 2 * d), nn.Tanh(), nn.Linear(hidden or 2 * d, vocab))

    def forward(self, idx):
        h = self.emb(idx)
        h = h.cumsum(dim=1) / torch.arange(1, idx.shape[1] + 1).view(1, -1, 1)
        return self.ff(h)


def compute_logprobs(logits, labels, selection_mask=None):
    labels = labels[:, 1:].clone()
    logits = logits[:, :-1, :]
    log_probs = F.log_softmax(logits, dim=-1)
    selected = torch.gather(input=log_probs, dim=-1, index=labels.unsqueeze(-1)).squeeze(-1)
    if selection_mask is not None:
        mask = selection_mask[:, 1:].clone()
        selected = selected * mask
        return selected.sum(-1) / mask.sum(-1)
    return selected.mean(-1)


def dpo_loss(pc, pr, rc, rr, beta=0.1):
    logits = (pc - pr) - (rc - rr)
    losses = -F.logsigmoid(beta * logits)
    chosen_rewards = (pc - rc).detach()
    rejected_rewards = (pr - rr).detach()
    return losses.mean(), chosen_rewards.mean(), rejected_rewards.mean()


torch.manual_seed(7)
chosen = torch.randint(1, 17, (8, 10))
rejected = torch.randint(1, 17, (8, 10))
lengths = torch.randint(5, 11, (8,))
mask = torch.arange(10).expand(8, 10) < lengths.unsqueeze(1)
chosen[~mask] = 0
rejected = rejected * mask
print(chosen[0], mask.sum(dim=1), chosen.eq(0).sum())
policy = TinyLM()
reference = copy.deepcopy(policy)
reference.eval()
for p in reference.parameters():
    p.requires_grad_(False)
optimizer = torch.optim.RMSprop(policy.parameters(), lr=5e-3)
for step in range(10):
    pc, pr = compute_logprobs(policy(chosen), chosen, mask), compute_logprobs(policy(rejected), rejected, mask)
    with torch.no_grad():
        rc, rr = (
            compute_logprobs(reference(chosen), chosen, mask),
            compute_logprobs(reference(rejected), rejected, mask),
        )
    loss, cr, rej = dpo_loss(pc, pr, rc, rr, beta=0.5)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 3 == 0:
        print(f"{step}: loss {loss:.4f} margin {(cr - rej).item():.4f} acc {(pc > pr).float().mean().item():.2f}")
print(policy.emb.weight[0], policy.emb.weight.grad[0].abs().sum())

teacher, student = TinyLM(d=24), TinyLM(d=8, hidden=12)
teacher.requires_grad_(False).eval()
T, alpha = 2.0, 0.7
opt = torch.optim.SGD(student.parameters(), lr=0.5, momentum=0.9)
lr_sched = torch.optim.lr_scheduler.MultiStepLR(opt, milestones=[6, 9], gamma=0.1)
kd = nn.KLDivLoss(reduction="batchmean")
for step in range(12):
    with torch.no_grad():
        t_logits = teacher(chosen)
    s_logits = student(chosen)
    soft = kd(F.log_softmax(s_logits / T, dim=-1), F.softmax(t_logits / T, dim=-1)) * (T**2)
    hard = F.cross_entropy(s_logits[:, :-1].transpose(1, 2), chosen[:, 1:], ignore_index=0)
    loss = alpha * soft + (1 - alpha) * hard
    opt.zero_grad()
    loss.backward()
    grad_norm = nn.utils.clip_grad_norm_(student.parameters(), max_norm=1.0)
    opt.step()
    lr_sched.step()
    if step % 3 == 0:
        print(
            step,
            f"soft={soft.item():.4f} hard={hard.item():.4f} gn={grad_norm.item():.4f} lr={opt.param_groups[0]['lr']:.3f}",
        )
p, q = F.softmax(s_logits[0, 0], -1), F.softmax(t_logits[0, 0], -1)
print(F.kl_div(p.log(), q, reduction="sum"), (q * (q / p).log()).sum())
print(F.kl_div(p.log(), q.log(), log_target=True), nn.NLLLoss()(p.log()[None], torch.tensor([3])))
