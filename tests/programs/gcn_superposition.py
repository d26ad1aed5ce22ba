"""A graph network on a small ring of cliques, attention over edges, toy superposition with several models in one einsum, a sparse autoencoder."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.parameter import Parameter


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.empty(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.empty(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / np.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input, adj):
        support = torch.mm(input, self.weight)
        output = torch.matmul(adj, support)
        return output + self.bias if self.bias is not None else output

    def __repr__(self):
        return self.__class__.__name__ + " (" + str(self.in_features) + " -> " + str(self.out_features) + ")"


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super().__init__()
        self.gc1, self.gc2 = GraphConvolution(nfeat, nhid), GraphConvolution(nhid, nclass, bias=False)
        self.dropout = dropout

    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.dropout, training=self.training)
        return F.log_softmax(self.gc2(x, adj), dim=1)


class EdgeAttention(nn.Module):
    def __init__(self, d, out):
        super().__init__()
        self.W = nn.Linear(d, out, bias=False)
        self.a = nn.Parameter(torch.zeros(2 * out))
        nn.init.normal_(self.a)

    def forward(self, x, edge_index):
        src, dst = edge_index
        h = self.W(x)
        e = F.leaky_relu((torch.cat([h[src], h[dst]], dim=-1) * self.a).sum(-1), negative_slope=0.2)
        e = torch.exp(e - e.max())
        denom = torch.zeros(x.size(0)).scatter_add_(0, dst, e)
        alpha = e / (denom[dst] + 1e-16)
        return torch.zeros_like(h).index_add_(0, dst, h[src] * alpha[:, None]), alpha


torch.manual_seed(5)
N, K = 12, 3
community = torch.arange(N) // 4
adj = (community[:, None] == community[None, :]).float()
for k in range(K):
    adj[4 * k, (4 * k + 5) % N] = adj[(4 * k + 5) % N, 4 * k] = 1
deg = adj.sum(1)
d_inv_sqrt = torch.diag(deg.pow(-0.5))
adj_norm = d_inv_sqrt @ adj @ d_inv_sqrt
features = torch.eye(N) + 0.1 * torch.randn(N, N)
idx_train, idx_test = torch.tensor([0, 1, 4, 5, 8, 9]), torch.tensor([2, 3, 6, 7, 10, 11])
model = GCN(N, 8, K, 0.2)
print(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=5e-4)
for epoch in range(15):
    model.train()
    optimizer.zero_grad()
    output = model(features, adj_norm)
    loss_train = F.nll_loss(output[idx_train], community[idx_train])
    loss_train.backward()
    optimizer.step()
    if epoch % 5 == 0:
        model.eval()
        output = model(features, adj_norm)
        acc = output[idx_test].max(1)[1].type_as(community).eq(community[idx_test]).double().sum() / len(idx_test)
        print(
            "Epoch: {:04d}".format(epoch + 1),
            "loss_train: {:.4f}".format(loss_train.item()),
            "acc_test: {:.4f}".format(acc.item()),
        )
edge_index = adj.nonzero().t().contiguous()
gat = EdgeAttention(N, 4)
out, alpha = gat(features, edge_index)
out.pow(2).sum().backward()
print(edge_index.shape, out[0], alpha[:4], gat.a.grad[:3], gat.W.weight.grad.norm())
print(torch.zeros(N).index_add(0, edge_index[1], alpha)[:4])

# superposition: several models side by side, one sparsity each
n_instances, n_features, n_hidden = 3, 5, 2
W = nn.Parameter(torch.empty((n_instances, n_features, n_hidden)))
nn.init.xavier_normal_(W)
b_final = nn.Parameter(torch.zeros((n_instances, n_features)))
importance = (0.9 ** torch.arange(n_features))[None, :]
probability = (20 ** -torch.linspace(0, 1, n_instances))[:, None]
opt = torch.optim.AdamW([W, b_final], lr=1e-2)
for step in range(40):
    opt.zero_grad(set_to_none=True)
    feat = torch.rand((64, n_instances, n_features))
    batch = torch.where(torch.rand((64, n_instances, n_features)) <= probability, feat, torch.zeros(()))
    hidden = torch.einsum("...if,ifh->...ih", batch, W)
    out = F.relu(torch.einsum("...ih,ifh->...if", hidden, W) + b_final)
    error = importance * (batch.abs() - out) ** 2
    loss = error.mean(dim=(0, 2)).sum()
    loss.backward()
    opt.step()
    if step % 10 == 0:
        print(step, f"{loss.item() / n_instances:.5f}")
with torch.no_grad():
    WtW = torch.einsum("ifh,igh->ifg", W, W)
    print(WtW[0], torch.linalg.norm(W, 2, dim=-1))
    norms = W / (1e-5 + torch.linalg.norm(W, 2, dim=-1, keepdim=True))
    interference = torch.einsum("ifh,igh->ifg", norms, W)
    interference[:, torch.arange(n_features), torch.arange(n_features)] = 0
    print(torch.linalg.norm(interference, dim=-1))


class SAE(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.W_enc = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(d, m)))
        self.W_dec = nn.Parameter(self.W_enc.detach().t().clone())
        self.b_enc, self.b_dec = nn.Parameter(torch.zeros(m)), nn.Parameter(torch.zeros(d))

    def forward(self, x):
        acts = F.relu((x - self.b_dec) @ self.W_enc + self.b_enc)
        x_rec = acts @ self.W_dec + self.b_dec
        l2 = (x_rec.float() - x.float()).pow(2).sum(-1).mean(0)
        l1 = 3e-2 * acts.float().abs().sum()
        return l2 + l1, acts, l2

    @torch.no_grad()
    def make_decoder_weights_and_grad_unit_norm(self):
        W_dec_normed = self.W_dec / self.W_dec.norm(dim=-1, keepdim=True)
        W_dec_grad_proj = (self.W_dec.grad * W_dec_normed).sum(-1, keepdim=True) * W_dec_normed
        self.W_dec.grad -= W_dec_grad_proj
        self.W_dec.data = W_dec_normed


sae = SAE(6, 12)
opt = torch.optim.Adam(sae.parameters(), lr=1e-2, betas=(0.9, 0.99))
x = (torch.rand(64, 10) < 0.2).float() @ torch.randn(10, 6)
for step in range(12):
    loss, acts, l2 = sae(x)
    loss.backward()
    sae.make_decoder_weights_and_grad_unit_norm()
    opt.step()
    opt.zero_grad()
    if step % 4 == 0:
        print(
            f"{step} {loss.item():.4f} {l2.item():.4f} L0 {(acts > 0).float().sum(-1).mean():.3f} dead {(acts.sum(0) == 0).sum()}"
        )
