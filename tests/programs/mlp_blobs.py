"""Two spirals and a blob: TensorDataset, random_split, DataLoader, accuracy, confusion matrix, early stopping, EMA."""

import copy

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)
np.random.seed(0)
torch.set_printoptions(precision=3, sci_mode=False)
device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
print(device, device.type)

N, K = 100, 3
X = np.zeros((N * K, 2), dtype=np.float32)
y = np.zeros(N * K, dtype="uint8")
for j in range(K):
    ix = range(N * j, N * (j + 1))
    r = np.linspace(0.0, 1, N)
    t = np.linspace(j * 4, (j + 1) * 4, N) + np.random.randn(N) * 0.2
    X[ix] = np.c_[r * np.sin(t), r * np.cos(t)]
    y[ix] = j
X_t = torch.from_numpy(X)
y_t = torch.tensor(y, dtype=torch.long)
print(X_t.mean(dim=0), X_t.std(dim=0), y_t.bincount())
X_t = (X_t - X_t.mean(0)) / X_t.std(0)
dataset = TensorDataset(X_t, y_t)
train_set, val_set, test_set = random_split(dataset, [200, 50, 50], generator=torch.Generator().manual_seed(42))
print(len(train_set), len(val_set), type(train_set).__name__, train_set.indices[:5])
train_loader = DataLoader(train_set, batch_size=32, shuffle=True, drop_last=True)
val_loader = DataLoader(val_set, batch_size=50)
test_loader = DataLoader(test_set, batch_size=50, shuffle=False, num_workers=0)


class Net(nn.Module):
    def __init__(self, sizes=(2, 32, 32, 3), p=0.1):
        super(Net, self).__init__()
        layers = []
        for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:])):
            layers.append(nn.Linear(a, b))
            if i < len(sizes) - 2:
                layers += [nn.BatchNorm1d(b), nn.ReLU(inplace=True), nn.Dropout(p)]
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        return self.net(x)


def init_weights(m):
    if type(m) == nn.Linear:
        nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("relu"))
        m.bias.data.fill_(0.01)


model = Net().to(device)
model.apply(init_weights)
print(model)
print(f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,} trainable parameters")
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
ema = copy.deepcopy(model)
for p in ema.parameters():
    p.requires_grad_(False)


def evaluate(model, loader):
    model.eval()
    correct, total, loss_sum = 0, 0, 0.0
    with torch.no_grad():
        for inputs, labels in loader:
            inputs, labels = inputs.to(device), labels.to(device)
            outputs = model(inputs)
            loss_sum += criterion(outputs, labels).item() * inputs.size(0)
            _, predicted = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    return loss_sum / total, correct / total


best_loss, best_state, patience, bad = float("inf"), None, 3, 0
for epoch in range(15):
    model.train()
    running_loss = 0.0
    for i, data in enumerate(train_loader, 0):
        inputs, labels = data
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        with torch.no_grad():
            for pe, pm in zip(ema.parameters(), model.parameters()):
                pe.mul_(0.9).add_(pm, alpha=0.1)
            for be, bm in zip(ema.buffers(), model.buffers()):
                be.copy_(bm)
    scheduler.step()
    val_loss, val_acc = evaluate(model, val_loader)
    if epoch % 3 == 0:
        print(
            f"[{epoch + 1}] loss: {running_loss / len(train_loader):.3f} val {val_loss:.3f} acc {val_acc:.1%} lr {scheduler.get_last_lr()[0]:.4g}"
        )
    if val_loss < best_loss - 1e-4:
        best_loss, bad = val_loss, 0
        best_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
    else:
        bad += 1
        if bad >= patience:
            print(f"Early stopping at epoch {epoch}")
            break
model.load_state_dict(best_state)
print("test", evaluate(model, test_loader), "ema", evaluate(ema, test_loader))
with torch.inference_mode():
    logits = model(X_t)
    pred = logits.softmax(dim=-1).argmax(dim=-1)
confusion = torch.zeros(K, K, dtype=torch.int64)
for t, p in zip(y_t.view(-1), pred.view(-1)):
    confusion[t.long(), p.long()] += 1
print(confusion)
print(confusion.diag() / confusion.sum(1))
print(torch.bincount(y_t * K + pred, minlength=K**2).reshape(K, K))
print(logits[:2].numpy().round(2), model.net[0].weight.detach().numpy().shape)
print(list(model.state_dict().keys()))
print(model.state_dict()["net.1.num_batches_tracked"])
