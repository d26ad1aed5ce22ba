"""Recurrent cells from Linear layers: a name classifier (RNN), a character LSTM with state carried over, a GRU with teacher forcing."""

import random
import string

import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(0)
torch.manual_seed(0)
all_letters = string.ascii_lowercase + " .'"
n_letters = len(all_letters)
category_lines = {
    "Dutch": ["bakker", "dejong", "vries", "vandijk"],
    "Greek": ["pappas", "nikolaou", "vlahos", "samaras"],
    "Irish": ["obrien", "murphy", "byrne", "walsh"],
}
all_categories = list(category_lines)


def line_to_tensor(line):
    tensor = torch.zeros(len(line), 1, n_letters)
    for li, letter in enumerate(line):
        tensor[li][0][all_letters.find(letter)] = 1
    return tensor


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(RNN, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = torch.tanh(self.i2h(combined))
        output = self.softmax(self.i2o(combined))
        return output, hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


rnn = RNN(n_letters, 16, len(all_categories))
criterion = nn.NLLLoss()
current_loss = 0
for it in range(1, 61):
    category = random.choice(all_categories)
    line = random.choice(category_lines[category])
    category_tensor = torch.tensor([all_categories.index(category)], dtype=torch.long)
    line_tensor = line_to_tensor(line)
    hidden = rnn.initHidden()
    rnn.zero_grad()
    for i in range(line_tensor.size()[0]):
        output, hidden = rnn(line_tensor[i], hidden)
    loss = criterion(output, category_tensor)
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-0.02)
    current_loss += loss.item()
    if it % 15 == 0:
        top_n, top_i = output.topk(1)
        guess = all_categories[top_i[0].item()]
        correct = "✓" if guess == category else "✗ (%s)" % category
        print("%d %d%% %.4f %s / %s %s" % (it, it / 60 * 100, current_loss / 15, line, guess, correct))
        current_loss = 0


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x2h = nn.Linear(input_size, 4 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 4 * hidden_size)
        self.reset_parameters(hidden_size)

    def reset_parameters(self, hidden_size):
        std = 1.0 / hidden_size**0.5
        for w in self.parameters():
            w.data.uniform_(-std, std)

    def forward(self, x, state=None):
        if state is None:
            z = x.new_zeros(x.size(0), self.h2h.in_features)
            state = (z, z)
        hx, cx = state
        gates = self.x2h(x) + self.h2h(hx)
        input_gate, forget_gate, cell_gate, output_gate = gates.chunk(4, 1)
        i_t, f_t, o_t = torch.sigmoid(input_gate), torch.sigmoid(forget_gate), torch.sigmoid(output_gate)
        cy = cx * f_t + i_t * torch.tanh(cell_gate)
        hy = o_t * torch.tanh(cy)
        return hy, cy


class CharLSTM(nn.Module):
    def __init__(self, vocab, hidden, layers=2):
        super().__init__()
        self.emb = nn.Embedding(vocab, hidden)
        self.cells = nn.ModuleList([LSTMCell(hidden, hidden) for _ in range(layers)])
        self.out = nn.Linear(hidden, vocab)
        self.out.weight = self.emb.weight

    def forward(self, x, states=None):
        states = states or [None] * len(self.cells)
        outs = []
        for t in range(x.size(1)):
            inp = self.emb(x[:, t])
            for k, cell in enumerate(self.cells):
                states[k] = cell(inp, states[k])
                inp = states[k][0]
            outs.append(inp)
        return self.out(torch.stack(outs, dim=1)), states


def repackage_hidden(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return list(repackage_hidden(v) for v in h)


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    return data.view(bsz, -1).t().contiguous()


text = "a rose is a rose is a rose. " * 12
ids = torch.tensor([all_letters.index(ch) for ch in text])
data = batchify(ids, 4)
print(data.shape, data.stride(), data.is_contiguous())
model = CharLSTM(n_letters, 20)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
states, bptt = None, 10
for epoch in range(3):
    total = 0.0
    for i in range(0, data.size(0) - 1, bptt):
        seq_len = min(bptt, len(data) - 1 - i)
        x, y = data[i : i + seq_len].t(), data[i + 1 : i + 1 + seq_len].t()
        if states is not None:
            states = [repackage_hidden(s) for s in states]
        optimizer.zero_grad()
        logits, states = model(x, states)
        loss = F.cross_entropy(logits.reshape(-1, n_letters), y.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        total += loss.item() * seq_len
    print(f"epoch {epoch} ppl {torch.exp(torch.tensor(total / (data.size(0) - 1))):.3f}")
model.eval()
with torch.no_grad():
    inp, states, out = torch.tensor([[0]]), None, []
    for _ in range(20):
        logits, states = model(inp, states)
        word_weights = logits.squeeze().div(0.7).exp()
        word_idx = torch.multinomial(word_weights, 1)[0]
        inp.fill_(word_idx)
        out.append(all_letters[word_idx])
    print(repr("".join(out)))


class GRUCell(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.W = nn.Parameter(torch.Tensor(3, d, h).uniform_(-0.2, 0.2))
        self.U = nn.Parameter(torch.empty(3, h, h))
        nn.init.xavier_normal_(self.U.data)
        self.b = nn.Parameter(torch.zeros(3, h))

    def forward(self, x, h):
        r = torch.sigmoid(x @ self.W[0] + h @ self.U[0] + self.b[0])
        z = torch.sigmoid(x @ self.W[1] + h @ self.U[1] + self.b[1])
        n = torch.tanh(x @ self.W[2] + r * (h @ self.U[2]) + self.b[2])
        return torch.lerp(n, h, z)


gru, out = GRUCell(1, 12), nn.Linear(12, 1)
series = torch.sin(torch.arange(0, 20, 0.25))
params = list(gru.parameters()) + list(out.parameters())
opt = torch.optim.Adam(params, lr=0.01)
for it in range(12):
    h, losses, inp = torch.zeros(1, 12), [], series[0].view(1, 1)
    for t in range(1, 30):
        h = gru(inp, h)
        pred = out(h)
        losses.append((pred - series[t]).squeeze() ** 2)
        inp = series[t].view(1, 1) if random.random() < 0.5 else pred.detach()
    loss = sum(losses) / len(losses)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 4 == 0:
        print(it, loss.item())
