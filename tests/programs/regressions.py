"""Fitting sin(x) with a cubic five ways, from numpy to an optimizer; linear and logistic regression; a custom Function."""

import math

import numpy as np
import torch
import torch.nn.functional as F

dtype = torch.float
device = torch.device("cpu")
# device = torch.device("cuda:0")
torch.manual_seed(0)
x = torch.linspace(-math.pi, math.pi, 200, device=device, dtype=dtype)
y = torch.sin(x)
a, b, c, d = (torch.randn((), device=device, dtype=dtype) for _ in range(4))
learning_rate = 1e-5
for t in range(60):
    y_pred = a + b * x + c * x**2 + d * x**3
    loss = (y_pred - y).pow(2).sum().item()
    if t % 20 == 19:
        print(t, loss)
    grad_y_pred = 2.0 * (y_pred - y)
    grad_a = grad_y_pred.sum()
    grad_b = (grad_y_pred * x).sum()
    grad_c = (grad_y_pred * x**2).sum()
    grad_d = (grad_y_pred * x**3).sum()
    a -= learning_rate * grad_a
    b -= learning_rate * grad_b
    c -= learning_rate * grad_c
    d -= learning_rate * grad_d
print(f"Result: y = {a.item():.4f} + {b.item():.4f} x + {c.item():.4f} x^2 + {d.item():.4f} x^3")

w = [torch.randn((), device=device, dtype=dtype, requires_grad=True) for _ in range(4)]
for t in range(60):
    y_pred = w[0] + w[1] * x + w[2] * x**2 + w[3] * x**3
    loss = (y_pred - y).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        for p in w:
            p -= learning_rate * p.grad
            p.grad = None
print(t, loss.item(), loss, w[0])


class LegendrePolynomial3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


a = torch.full((), 0.0, device=device, dtype=dtype, requires_grad=True)
b = torch.full((), -1.0, device=device, dtype=dtype, requires_grad=True)
c = torch.full((), 0.0, device=device, dtype=dtype, requires_grad=True)
d = torch.full((), 0.3, device=device, dtype=dtype, requires_grad=True)
P3 = LegendrePolynomial3.apply
for t in range(60):
    y_pred = a + b * P3(c + d * x)
    loss = (y_pred - y).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        a -= 5e-6 * a.grad
        b -= 5e-6 * b.grad
        c -= 5e-6 * c.grad
        d -= 5e-6 * d.grad
        a.grad, b.grad, c.grad, d.grad = None, None, None, None
print(f"y = {a.item():.6f} + {b.item():.6f} * P3({c.item():.6f} + {d.item():.6f} x)")


class GradReverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, lambd):
        ctx.lambd = lambd
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output.neg() * ctx.lambd, None


class Clamp01(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_non_differentiable()
        return (x > 0.5).float()

    @staticmethod
    def backward(ctx, g):
        return g.clamp(-1, 1)


z = torch.tensor([0.2, 0.7], requires_grad=True)
(GradReverse.apply(z, 0.5) * torch.tensor([1.0, 3.0]) + 2 * Clamp01.apply(z)).sum().backward()
print(z.grad, GradReverse.apply(z, 1.0))

p = torch.tensor([1, 2, 3])
xx = x.unsqueeze(-1).pow(p)
print(x.shape, xx.shape)
model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0, 1))
loss_fn = torch.nn.MSELoss(reduction="sum")
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
for t in range(60):
    y_pred = model(xx)
    loss = loss_fn(y_pred, y)
    if t % 20 == 19:
        print(t, loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
linear_layer = model[0]
print(f"Result: y = {linear_layer.bias.item():.4f} + {linear_layer.weight[:, 0].item():.4f} x")
for param in model.parameters():
    print(type(param), param.size(), param.dtype, param.is_leaf, param.grad_fn)


class DynamicNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.randn(()))
        self.b = torch.nn.Parameter(torch.randn(()))
        self.e = torch.nn.Parameter(torch.zeros((), requires_grad=True))

    def forward(self, x):
        y = self.a + self.b * x
        for exp in range(4, 6):
            y = y + self.e * x**exp
        return y

    def string(self):
        return f"y = {self.a.item():.3f} + {self.b.item():.3f} x + {self.e.item():.5f} x^4 ?"


model = DynamicNet()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-8, momentum=0.9)
for t in range(40):
    loss = torch.nn.MSELoss(reduction="sum")(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(model.string(), loss)

# linear regression, numpy in and out
rng = np.random.default_rng(0)
x_np = rng.random((100, 1))
y_np = 1 + 2 * x_np + 0.1 * rng.standard_normal((100, 1))
idx = np.arange(100)
rng.shuffle(idx)
x_train, y_train = torch.from_numpy(x_np[idx[:80]]).float(), torch.from_numpy(y_np[idx[:80]]).float()
print(x_train.dtype, torch.from_numpy(x_np).dtype, torch.as_tensor(y_np[:2]), x_train.type())
lin = torch.nn.Linear(1, 1).double()
with torch.no_grad():
    lin.weight[:], lin.bias[:] = 0.5, 0.0
opt = torch.optim.SGD(lin.parameters(), lr=0.3)
for epoch in range(50):
    yhat = lin(torch.from_numpy(x_np))
    loss = F.mse_loss(yhat, torch.tensor(y_np))
    loss.backward()
    opt.step()
    opt.zero_grad()
print(lin.state_dict())
print(np.allclose(yhat.detach().numpy(), y_np, atol=0.5), yhat.data.numpy()[:2].ravel(), loss.double())

# logistic regression by hand
X = torch.randn(80, 2)
t = ((X @ torch.tensor([2.0, -1.0]) + 0.5) > 0).float()
w, bias = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
sigmoid = lambda z: 1 / (1 + torch.exp(-z))
for epoch in range(40):
    prob = sigmoid(X.mv(w) + bias)
    loss = -(t * prob.log() + (1 - t) * (1 - prob).log()).mean()
    gw, gb = torch.autograd.grad(loss, (w, bias))
    with torch.no_grad():
        w.sub_(gw, alpha=0.5)
        bias.add_(gb, alpha=-0.5)
pred = prob.ge(0.5).view(-1)
acc = (pred == t.byte()).sum().float() / len(t)
print(w, bias, loss.item(), f"accuracy {acc:.3f}")
H = torch.stack(
    [
        torch.autograd.grad(g, w, retain_graph=True)[0]
        for g in torch.autograd.grad(F.binary_cross_entropy_with_logits(X @ w, t), w, create_graph=True)[0]
    ]
)
print(H, H.diagonal(), torch.trace(H))
