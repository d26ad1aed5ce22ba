"""Mixture of experts: noisy top-k gate, index_add_, scatter, load balancing with one_hot; and the dense einsum variant."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Expert(nn.Module):
    def __init__(self, d, mult=2):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d, mult * d), nn.ReLU(), nn.Linear(mult * d, d), nn.Dropout(0.1))

    def forward(self, x):
        return self.net(x)


class NoisyTopkRouter(nn.Module):
    def __init__(self, n_embed, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.topkroute_linear = nn.Linear(n_embed, num_experts)
        self.noise_linear = nn.Linear(n_embed, num_experts)

    def forward(self, mh_output):
        logits = self.topkroute_linear(mh_output)
        noise_logits = self.noise_linear(mh_output)
        noise = torch.randn_like(logits) * F.softplus(noise_logits)
        noisy_logits = logits + noise
        top_k_logits, indices = noisy_logits.topk(self.top_k, dim=-1)
        zeros = torch.full_like(noisy_logits, float("-inf"))
        sparse_logits = zeros.scatter(-1, indices, top_k_logits)
        return F.softmax(sparse_logits, dim=-1), indices


class SparseMoE(nn.Module):
    def __init__(self, n_embed, num_experts, top_k):
        super().__init__()
        self.router = NoisyTopkRouter(n_embed, num_experts, top_k)
        self.experts = nn.ModuleList([Expert(n_embed) for _ in range(num_experts)])

    def forward(self, x):
        gating_output, indices = self.router(x)
        final_output = torch.zeros_like(x)
        flat_x = x.view(-1, x.size(-1))
        flat_gating_output = gating_output.view(-1, gating_output.size(-1))
        for i, expert in enumerate(self.experts):
            expert_mask = (indices == i).any(dim=-1)
            flat_mask = expert_mask.view(-1)
            if flat_mask.any():
                expert_output = expert(flat_x[flat_mask])
                gating_scores = flat_gating_output[flat_mask, i].unsqueeze(1)
                final_output[expert_mask] += (expert_output * gating_scores).squeeze(1)
        return final_output


class MixtralMoE(nn.Module):
    def __init__(self, hidden_dim, num_experts, top_k):
        super().__init__()
        self.num_experts, self.top_k = num_experts, top_k
        self.gate = nn.Linear(hidden_dim, num_experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(num_experts))

    def forward(self, hidden_states):
        batch_size, sequence_length, hidden_dim = hidden_states.shape
        hidden_states = hidden_states.view(-1, hidden_dim)
        router_logits = self.gate(hidden_states)
        routing_weights = F.softmax(router_logits, dim=1, dtype=torch.float)
        routing_weights, selected_experts = torch.topk(routing_weights, self.top_k, dim=-1)
        routing_weights /= routing_weights.sum(dim=-1, keepdim=True)
        final = torch.zeros((batch_size * sequence_length, hidden_dim), dtype=hidden_states.dtype)
        expert_mask = F.one_hot(selected_experts, num_classes=self.num_experts).permute(2, 1, 0)
        for expert_idx in range(self.num_experts):
            idx, top_x = torch.where(expert_mask[expert_idx])
            current_state = hidden_states[None, top_x].reshape(-1, hidden_dim)
            current = self.experts[expert_idx](current_state) * routing_weights[top_x, idx, None]
            final.index_add_(0, top_x, current.to(hidden_states.dtype))
        tokens_per_expert = torch.mean(F.one_hot(selected_experts, self.num_experts).float(), dim=0)
        router_prob = torch.mean(F.softmax(router_logits, -1), dim=0)
        aux = torch.sum(tokens_per_expert * router_prob.unsqueeze(0)) * self.num_experts
        z_loss = torch.logsumexp(router_logits, dim=-1).square().mean()
        return final.reshape(batch_size, sequence_length, hidden_dim), aux, z_loss


torch.manual_seed(1337)
x = torch.randn(4, 8, 16)
target = torch.sin(x).flip(-1)
sparse_moe = SparseMoE(16, 4, 2)
final_output = sparse_moe(x)
print("Shape of the final output:", final_output.shape, final_output.mean())
opt = torch.optim.Adam(sparse_moe.parameters(), lr=5e-3)
for step in range(12):
    loss = F.mse_loss(sparse_moe(x), target)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 4 == 0:
        print(step, loss.item())
moe = MixtralMoE(16, 4, 2)
opt = torch.optim.SGD(moe.parameters(), lr=0.3)
for step in range(12):
    out, aux, z = moe(x)
    loss = F.mse_loss(out, target) + 0.01 * aux + 0.001 * z
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 4 == 0:
        print(f"{step} loss {loss:.4f} aux {aux:.4f} z {z:.4f}")
with torch.no_grad():
    weights, chosen = F.softmax(moe.gate(x), dim=-1).max(dim=-1)
    print(torch.bincount(chosen.flatten(), minlength=4), weights.mean(dim=1))
    W = torch.stack([e.weight for e in moe.experts])
    dense = torch.einsum("bti,eoi->bteo", x, W) + torch.stack([e.bias for e in moe.experts])
    combined = (dense * F.softmax(moe.gate(x), -1).unsqueeze(-1)).sum(dim=2)
    print(combined[0, 0, :4], torch.zeros(4, 3).scatter_(1, torch.tensor([[0], [2], [1], [0]]), 1.0))
    counts = torch.zeros(4).scatter_add_(0, chosen.view(-1), torch.ones(chosen.numel()))
    print(counts, counts.sort(descending=True).indices)
