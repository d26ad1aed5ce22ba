"""Layers, and what trains them: modules that hold parameters, and functions that use them."""

from . import functional, init
from .containers import ModuleDict, ModuleList, Sequential
from .embedding import Embedding, TokenAndPositionEmbedding
from .layers import CrossEntropyLoss, Dropout, Identity, Linear, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .module import Module, Parameter

__all__ = [
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Identity",
    "Linear",
    "LogSoftmax",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "TokenAndPositionEmbedding",
    "functional",
    "init",
]
