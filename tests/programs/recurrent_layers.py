"""nn.LSTM / nn.GRU / nn.RNN / cells / packing as everybody uses them."""

import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.randn(2, 5, 3)
for cls in (nn.RNN, nn.GRU, nn.LSTM):
    m = cls(3, 4, num_layers=2, batch_first=True)
    out, h = m(x)
    print(cls.__name__, out.shape, out[0, -1])
    out.sum().backward()
    print(m.weight_ih_l0.grad[0])
print(nn.LSTMCell(3, 4)(x[:, 0])[0])
print(nn.GRUCell(3, 4)(x[:, 0]))
