"""Clipped policy updates on a bandit with contexts: log-probabilities by gather, advantage normalised, minibatches by randperm."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def layer_init(layer, std=2**0.5, bias_const=0.0):
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias_const)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(layer_init(nn.Linear(5, 16)), nn.Tanh(), layer_init(nn.Linear(16, 1), std=1.0))
        self.actor = nn.Sequential(layer_init(nn.Linear(5, 16)), nn.Tanh(), layer_init(nn.Linear(16, 4), std=0.01))

    def get_action_and_value(self, x, action=None):
        logits = self.actor(x)
        logp_all = logits - logits.logsumexp(dim=-1, keepdim=True)
        probs = F.softmax(logits, dim=-1)
        if action is None:
            action = torch.multinomial(probs, 1).squeeze(-1)
        logp = logp_all.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        entropy = -(probs * logp_all).sum(-1)
        return action, logp, entropy, self.critic(x)


torch.manual_seed(1)
torch.backends.cudnn.deterministic = True
agent = Agent()
optimizer = torch.optim.Adam(agent.parameters(), lr=2.5e-3, eps=1e-5)
best = torch.randint(0, 4, (5,))
print("best", best)
for update in range(1, 7):
    frac = 1.0 - (update - 1.0) / 6
    optimizer.param_groups[0]["lr"] = frac * 2.5e-3
    obs = F.one_hot(torch.randint(5, (64,)), 5).float()
    with torch.no_grad():
        actions, logprobs, _, values = agent.get_action_and_value(obs)
        values = values.flatten()
    rewards = (actions == best[obs.argmax(1)]).float()
    advantages = torch.zeros_like(rewards)
    lastgaelam = 0
    for t in reversed(range(64)):
        delta = rewards[t] - values[t]
        advantages[t] = lastgaelam = delta + 0.2 * lastgaelam
    returns = advantages + values
    clipfracs = []
    for epoch in range(2):
        b_inds = torch.randperm(64)
        for start in range(0, 64, 16):
            mb = b_inds[start : start + 16]
            _, newlogprob, entropy, newvalue = agent.get_action_and_value(obs[mb], actions[mb])
            logratio = newlogprob - logprobs[mb]
            ratio = logratio.exp()
            with torch.no_grad():
                approx_kl = ((ratio - 1) - logratio).mean()
                clipfracs += [((ratio - 1.0).abs() > 0.2).float().mean().item()]
            adv = advantages[mb]
            adv = (adv - adv.mean()) / (adv.std() + 1e-8)
            pg_loss = torch.max(-adv * ratio, -adv * torch.clamp(ratio, 1 - 0.2, 1 + 0.2)).mean()
            newvalue = newvalue.view(-1)
            v_clipped = values[mb] + torch.clamp(newvalue - values[mb], -0.2, 0.2)
            v_loss = 0.5 * torch.max((newvalue - returns[mb]) ** 2, (v_clipped - returns[mb]) ** 2).mean()
            loss = pg_loss - 0.01 * entropy.mean() + v_loss * 0.5
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
    y_pred, y_true = values, returns
    explained = 1 - torch.var(y_true - y_pred) / torch.var(y_true)
    print(
        f"update={update} reward={rewards.mean():.3f} v_loss={v_loss.item():.4f} kl={approx_kl:.5f} ev={explained:.3f} clip={sum(clipfracs) / len(clipfracs):.3f}"
    )
print(agent.actor(torch.eye(5)).argmax(-1), torch.minimum(torch.tensor([1.0, 4.0]), torch.tensor(2.0)))
