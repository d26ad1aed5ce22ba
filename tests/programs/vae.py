"""A plain and a variational autoencoder on little striped images; nn.Flatten, BCE with logits, reparametrisation, KL."""

import torch
import torch.nn.functional as F
import torch.utils.data
from torch import nn, optim

torch.manual_seed(1)
device = "cuda" if torch.cuda.is_available() else "cpu"
SIDE = 6


class Stripes(torch.utils.data.Dataset):
    def __init__(self, n, transform=None):
        g = torch.Generator()
        g.manual_seed(7)
        self.rows = torch.randint(0, SIDE, (n,), generator=g)
        self.vertical = torch.rand(n, generator=g) > 0.5
        self.transform = transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        img = torch.zeros(1, SIDE, SIDE)
        if self.vertical[i]:
            img[0, :, self.rows[i]] = 1.0
        else:
            img[0, self.rows[i], :] = 1
        if self.transform:
            img = self.transform(img)
        return img, int(self.vertical[i])


class Autoencoder(nn.Module):
    def __init__(self, latent_dim=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 16), nn.LeakyReLU(0.1), nn.Linear(16, latent_dim))
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 16), nn.ELU(), nn.Linear(16, SIDE**2), nn.Sigmoid(), nn.Unflatten(1, (1, SIDE, SIDE))
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(SIDE * SIDE, 20)
        self.fc21 = nn.Linear(20, 3)
        self.fc22 = nn.Linear(20, 3)
        self.fc3 = nn.Linear(3, 20)
        self.fc4 = nn.Linear(20, SIDE * SIDE)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return eps.mul(std).add_(mu)

    def decode(self, z):
        return self.fc4(F.relu(self.fc3(z)))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, SIDE * SIDE))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy_with_logits(recon_x, x.view(-1, SIDE * SIDE), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


kwargs = {"num_workers": 0, "pin_memory": False}
train_loader = torch.utils.data.DataLoader(Stripes(96), batch_size=16, shuffle=True, **kwargs)
images, labels = next(iter(train_loader))
print(f"Feature batch shape: {images.size()}")
print(f"Labels batch shape: {labels.size()} {labels.dtype}")
print(images[0].squeeze(), labels[:4])

ae = Autoencoder().to(device)
opt = optim.Adam(ae.parameters(), lr=1e-2, weight_decay=1e-5)
mse = nn.MSELoss()
for epoch in range(4):
    for img, _ in train_loader:
        recon = ae(img)
        loss = mse(recon, img)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(f"Epoch:{epoch + 1}, Loss:{loss.item():.4f}")
print(ae(images)[0, 0, 0].detach(), ae.encoder(images[:2]).shape)

model = VAE().to(device)
optimizer = optim.Adam(model.parameters(), lr=1e-2)


def train(epoch):
    model.train()
    train_loss = 0
    for batch_idx, (data, _) in enumerate(train_loader):
        data = data.to(device)
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
        if batch_idx % 3 == 0:
            print(
                "Train Epoch: {} [{}/{} ({:.0f}%)]\tLoss: {:.6f}".format(
                    epoch,
                    batch_idx * len(data),
                    len(train_loader.dataset),
                    100.0 * batch_idx / len(train_loader),
                    loss.item() / len(data),
                )
            )
    print("====> Epoch: {} Average loss: {:.4f}".format(epoch, train_loss / len(train_loader.dataset)))


for epoch in range(1, 4):
    train(epoch)
with torch.no_grad():
    sample = torch.sigmoid(model.decode(torch.randn(4, 3).to(device))).cpu()
    grid = sample.view(4, 1, SIDE, SIDE)
    print(grid.shape, grid.mean((1, 2, 3)), grid[0].amax().item())
    print((grid[1, 0] > 0.5).int())
    mu, logvar = model.encode(images.flatten(start_dim=1))
    print(mu[:2], logvar.exp().sqrt()[:2])
    print(F.binary_cross_entropy(torch.sigmoid(model.decode(mu)), images.flatten(1)).item())
