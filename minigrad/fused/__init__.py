"""Fast forms that carry their definition.

A fused op computes in one go, with few passes over memory, what its `definition` says in small ops. The definition is its
documentation, the oracle of its tests and, unless the op has a formula in ops at hand, what is differentiated when the
gradient itself must be differentiable (create_graph=True). The engine chooses when backward runs; the caller does not.
"""

from .activation import GELU, GELUTanh, SiLU, gelu, silu
from .attention import Attention, attention
from .base import Fused
from .cross_entropy import CrossEntropy, cross_entropy, nll_loss
from .norm import LayerNorm, RMSNorm, batch_norm, group_norm, layer_norm, rms_norm
from .softmax import LogSoftmax, Softmax, log_softmax, softmax

__all__ = [
    "Attention",
    "CrossEntropy",
    "Fused",
    "GELU",
    "GELUTanh",
    "LayerNorm",
    "LogSoftmax",
    "RMSNorm",
    "SiLU",
    "Softmax",
    "attention",
    "batch_norm",
    "cross_entropy",
    "gelu",
    "group_norm",
    "layer_norm",
    "log_softmax",
    "nll_loss",
    "rms_norm",
    "silu",
    "softmax",
]
