"""Two networks against each other on one-dimensional data; then a critic with weight clipping and one with a gradient penalty."""

import torch
import torch.nn as nn
from torch import autograd, optim

torch.manual_seed(0)
mu, sigma = 4.0, 1.25
d_sampler = lambda n: torch.Tensor(mu + sigma * torch.randn(1, n))
g_sampler = lambda m, n: torch.rand(m, n)


class Generator(nn.Module):
    def __init__(self, input_size=1, hidden_size=8, output_size=1, f=torch.tanh):
        super().__init__()
        self.map1 = nn.Linear(input_size, hidden_size)
        self.map2 = nn.Linear(hidden_size, hidden_size)
        self.map3 = nn.Linear(hidden_size, output_size)
        self.f = f

    def forward(self, x):
        return self.map3(self.f(self.map2(self.f(self.map1(x)))))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(1, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, x):
        return self.main(x)


G, D = Generator(), Discriminator()
criterion = nn.BCELoss()
d_optimizer = optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.999))
g_optimizer = optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.999))
for epoch in range(40):
    D.zero_grad()
    real = d_sampler(16).t()
    d_real = D(real)
    d_real_error = criterion(d_real, torch.ones(16, 1))
    d_real_error.backward()
    fake = G(g_sampler(16, 1)).detach()
    d_fake = D(fake)
    d_fake_error = criterion(d_fake, torch.zeros([16, 1]))
    d_fake_error.backward()
    d_optimizer.step()
    G.zero_grad()
    dg = D(G(g_sampler(16, 1)))
    g_error = criterion(dg, torch.ones_like(dg))
    g_error.backward()
    g_optimizer.step()
    if epoch % 10 == 0:
        print(
            "Epoch %s: D (%.4f real, %.4f fake) G %.4f D(x) %.3f"
            % (epoch, d_real_error, d_fake_error, g_error, d_real.mean())
        )


def compute_gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1)
    interpolates = (alpha * real + ((1 - alpha) * fake)).requires_grad_(True)
    d_interpolates = critic(interpolates)
    gradients = autograd.grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=torch.ones(d_interpolates.size()),
        create_graph=True,
        retain_graph=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


critic = nn.Sequential(nn.Linear(1, 16), nn.Softplus(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
gen = nn.Sequential(nn.Linear(2, 16), nn.ReLU(True), nn.Linear(16, 1))
opt_c = optim.RMSprop(critic.parameters(), lr=1e-3)
opt_g = optim.RMSprop(gen.parameters(), lr=1e-3, alpha=0.9, momentum=0.1)
one = torch.tensor(1.0)
mone = one * -1
for it in range(15):
    for p in critic.parameters():
        p.requires_grad = True
    for _ in range(2):
        critic.zero_grad()
        real, z = mu + sigma * torch.randn(16, 1), torch.empty(16, 2).normal_()
        with torch.no_grad():
            fake = gen(z)
        c_real, c_fake = critic(real).mean(), critic(fake.data).mean()
        gp = compute_gradient_penalty(critic, real.data, fake.data)
        loss_c = c_fake - c_real + 10 * gp
        loss_c.backward()
        opt_c.step()
    for p in critic.parameters():
        p.requires_grad = False
    gen.zero_grad()
    loss_g = critic(gen(torch.randn(16, 2))).mean()
    loss_g.backward(mone)
    opt_g.step()
    if it % 5 == 0:
        print(f"[{it}] Loss_C: {loss_c.item():.4f} Loss_G: {-loss_g.item():.4f} GP: {gp.item():.4f}")
for p in critic.parameters():
    p.data.clamp_(-0.01, 0.01)
print(max(p.abs().max().item() for p in critic.parameters()))
print(nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))(torch.tensor([0.3, -1.0]), torch.tensor([1.0, 0.0])))
print(nn.MSELoss(reduction="none")(real[:2], fake[:2]), gen(torch.zeros(1, 2)))
