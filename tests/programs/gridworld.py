"""A corridor world: DQN with a replay buffer and a target network, then REINFORCE with multinomial and a baseline."""

import random
from collections import deque, namedtuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

seed = 0
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)
Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))
device = torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


class GridWorld:
    size = 3

    def reset(self):
        self.pos = [0, 0]
        self.t = 0
        return self._obs()

    def _obs(self):
        obs = np.zeros(self.size**2, dtype=np.float32)
        obs[self.pos[0] * self.size + self.pos[1]] = 1
        return obs

    def step(self, a):
        d = [(-1, 0), (1, 0), (0, -1), (0, 1)][a]
        self.pos = [min(max(p + q, 0), self.size - 1) for p, q in zip(self.pos, d)]
        self.t += 1
        done = self.pos == [self.size - 1, self.size - 1]
        return self._obs(), 1.0 if done else -0.05, done, self.t >= 20


class ReplayMemory(object):
    def __init__(self, capacity):
        self.memory = deque([], maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return random.sample(self.memory, batch_size)

    def __len__(self):
        return len(self.memory)


class DQN(nn.Module):
    def __init__(self, n_observations, n_actions):
        super().__init__()
        self.layer1 = nn.Linear(n_observations, 24)
        self.layer2 = nn.Linear(24, 24)
        self.layer3 = nn.Linear(24, n_actions)

    def forward(self, x):
        x = F.relu(self.layer1(x))
        x = F.relu(self.layer2(x))
        return self.layer3(x)


BATCH_SIZE, GAMMA, TAU, LR = 16, 0.9, 0.05, 1e-3
env = GridWorld()
policy_net, target_net = DQN(9, 4).to(device), DQN(9, 4).to(device)
target_net.load_state_dict(policy_net.state_dict())
optimizer = optim.AdamW(policy_net.parameters(), lr=LR, amsgrad=True)
memory = ReplayMemory(500)
steps_done = 0


def select_action(state):
    global steps_done
    eps_threshold = 0.05 + 0.85 * np.exp(-1.0 * steps_done / 100)
    steps_done += 1
    if random.random() > eps_threshold:
        with torch.no_grad():
            return policy_net(state).max(1).indices.view(1, 1)
    return torch.tensor([[random.randrange(4)]], device=device, dtype=torch.long)


def optimize_model():
    if len(memory) < BATCH_SIZE:
        return None
    transitions = memory.sample(BATCH_SIZE)
    batch = Transition(*zip(*transitions))
    non_final_mask = torch.tensor(
        tuple(map(lambda s: s is not None, batch.next_state)), device=device, dtype=torch.bool
    )
    non_final_next_states = torch.cat([s for s in batch.next_state if s is not None])
    state_batch = torch.cat(batch.state)
    action_batch = torch.cat(batch.action)
    reward_batch = torch.cat(batch.reward)
    state_action_values = policy_net(state_batch).gather(1, action_batch)
    next_state_values = torch.zeros(BATCH_SIZE, device=device)
    with torch.no_grad():
        next_state_values[non_final_mask] = target_net(non_final_next_states).max(1)[0]
    expected = (next_state_values * GAMMA) + reward_batch
    criterion = nn.SmoothL1Loss()
    loss = criterion(state_action_values, expected.unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
    optimizer.step()
    return loss.item()


for i_episode in range(12):
    state = torch.tensor(env.reset(), dtype=torch.float32, device=device).unsqueeze(0)
    total, losses = 0.0, []
    while True:
        action = select_action(state)
        observation, reward, terminated, truncated = env.step(action.item())
        total += reward
        reward = torch.tensor([reward], device=device)
        next_state = None if terminated else torch.tensor(observation, dtype=torch.float32).unsqueeze(0)
        memory.push(state, action, next_state, reward)
        state = next_state
        loss = optimize_model()
        if loss is not None:
            losses.append(loss)
        target_sd, policy_sd = target_net.state_dict(), policy_net.state_dict()
        for key in policy_sd:
            target_sd[key] = policy_sd[key] * TAU + target_sd[key] * (1 - TAU)
        target_net.load_state_dict(target_sd)
        if terminated or truncated:
            break
    if i_episode % 3 == 0:
        print(f"episode {i_episode} return {total:.2f} loss {np.mean(losses) if losses else 0:.5f}")
with torch.no_grad():
    q = policy_net(torch.eye(9))
    print(q.argmax(dim=1).reshape(3, 3))
    print(q[0])


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(9, 16)
        self.dropout = nn.Dropout(p=0.1)
        self.action_head = nn.Linear(16, 4)
        self.value_head = nn.Linear(16, 1)

    def forward(self, x):
        x = torch.tanh(self.dropout(self.affine1(x)))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


policy = Policy()
optimizer = optim.Adam(policy.parameters(), lr=3e-2)
eps = np.finfo(np.float32).eps.item()
for episode in range(12):
    state, log_probs, values, rewards, entropies = env.reset(), [], [], [], []
    while True:
        probs, value = policy(torch.from_numpy(state).float().unsqueeze(0))
        action = torch.multinomial(probs, 1).item()
        log_probs.append(torch.log(probs.squeeze(0)[action]))
        entropies.append(-(probs * probs.log()).sum())
        values.append(value)
        state, reward, done, truncated = env.step(action)
        rewards.append(reward)
        if done or truncated:
            break
    R, returns = 0, deque()
    for r in rewards[::-1]:
        R = r + 0.95 * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    if len(returns) > 1:
        returns = (returns - returns.mean()) / (returns.std() + eps)
    policy_losses, value_losses = [], []
    for log_prob, value, R in zip(log_probs, values, returns):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([[R]])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum() - 0.01 * torch.stack(entropies).mean()
    loss.backward()
    optimizer.step()
    if episode % 3 == 0:
        print("Episode {}\tLength {}\tReturn {:.2f}\tLoss {:.3f}".format(episode, len(rewards), sum(rewards), loss))
