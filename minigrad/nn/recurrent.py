"""Recurrent layers: a state that each step of a sequence changes. RNN (Elman, 1990), LSTM (Hochreiter and Schmidhuber,
1997), GRU (Cho et al., 2014), and one step of each: RNNCell, LSTMCell, GRUCell.

All are one loop around a step, state = step(xᵢ Wᵀ + b, state); what the inputs contribute is one product for all steps.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..ops.creation import empty, zeros
from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.shape import cat, chunk, squeeze, stack, transpose, unbind, unsqueeze
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, Parameter

State = tuple[Tensor, ...]

# -------------------------------------------------------------------------------------------------------------- the steps


def tanh_step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """h' = tanh(x + W h + b)"""
    return (tanh(x + F.linear(state[0], weight, bias)),)


def relu_step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """h' = max(x + W h + b, 0)"""
    return (relu(x + F.linear(state[0], weight, bias)),)


def lstm_step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """(i, f, g, o) = x + W h + b; c' = σ(f) c + σ(i) tanh g; h' = σ(o) tanh c'"""
    h, c = state
    i, f, g, o = chunk(x + F.linear(h, weight, bias), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """(u, v, w) = W h + b; r = σ(x₁ + u), z = σ(x₂ + v), n = tanh(x₃ + r w); h' = (1 - z) n + z h"""
    (h,) = state
    (x1, x2, x3), (u, v, w) = chunk(x, 3, -1), chunk(F.linear(h, weight, bias), 3, -1)
    n = tanh(x3 + sigmoid(x1 + u) * w)
    return (n + sigmoid(x2 + v) * (h - n),)


class Kind(NamedTuple):
    """How many vectors of hidden_size a step reads of its input, how many make the state, and the step."""

    gates: int
    states: int
    step: Callable[[Tensor, State, Tensor, Tensor | None], State]


LSTM_KIND, GRU_KIND = Kind(4, 2, lstm_step), Kind(3, 1, gru_step)
RNN_KINDS = {"tanh": Kind(1, 1, tanh_step), "relu": Kind(1, 1, relu_step)}


def _rnn_kind(nonlinearity: str) -> Kind:
    if nonlinearity not in RNN_KINDS:
        raise ValueError(f"Unknown nonlinearity {nonlinearity!r}. Select from 'tanh' or 'relu'.")
    return RNN_KINDS[nonlinearity]


NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _Recurrent(Module):
    """What layers and cells have in common: their parameters, and states as a tensor or, for an LSTM, as two."""

    kind: Kind

    def __init__(self, input_size: int, hidden_size: int, bias: bool):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias

    def _add_step(self, suffix: str, width: int, options: dict[str, Any]) -> None:
        """The parameters of a step with inputs of that width."""
        rows = self.kind.gates * self.hidden_size
        shapes = [(rows, width), (rows, self.hidden_size)] + [(rows,), (rows,)] * self.bias
        for name, shape in zip(NAMES, shapes, strict=False):
            setattr(self, name + suffix, Parameter(empty(*shape, **options)))

    def reset_parameters(self) -> None:
        """Draw all parameters anew: uniform on ±1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _states(self, hx: Any, input: Tensor, shape: tuple[int, ...], batched: bool, wrong: type[Exception]) -> State:
        """hx as tensors of that shape, with an axis for the batch; zeros for None."""
        if hx is None:
            return (zeros(shape, dtype=input.dtype, device=input.device),) * self.kind.states
        states = tuple(hx) if self.kind.states > 1 else (hx,)
        if any(s.ndim != len(shape) - (not batched) for s in states):
            raise wrong(
                f"{type(self).__name__}: for a {input.ndim - (not batched)}-D input the states should be "
                f"{len(shape) - (not batched)}-D, got {' and '.join(f'{s.ndim}-D' for s in states)}"
            )
        states = states if batched else tuple(unsqueeze(s, -2) for s in states)
        if any(s.array.shape != shape for s in states):
            raise RuntimeError(
                f"{type(self).__name__}: Expected hidden size {shape}, got {[tuple(s.shape) for s in states]}"
            )
        return states

    def _returned(self, states: State, batched: bool) -> Any:
        states = states if batched else tuple(squeeze(s, -2) for s in states)
        return states if self.kind.states > 1 else states[0]


# ------------------------------------------------------------------------------------------------------------- the layers


class _Layers(_Recurrent):
    weight_ih_l0: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(input_size, hidden_size, bias)
        if hidden_size <= 0 or num_layers <= 0:
            raise ValueError(
                f"hidden_size and num_layers must be greater than zero, got {hidden_size} and {num_layers}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout should be a number in range [0, 1], got {dropout}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"dropout={dropout} acts between layers, and there is one layer only", stacklevel=3)
        self.num_layers, self.batch_first = num_layers, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        for layer in range(num_layers):
            for direction in self._directions():
                width = hidden_size * len(self._directions()) if layer else input_size
                self._add_step(f"_l{layer}{direction}", width, {"device": device, "dtype": dtype})
        self.reset_parameters()

    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def flatten_parameters(self) -> None:
        """Nothing: in torch, an arrangement of memory for cuDNN."""

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """The last layer's states h after every step, and the states of all layers after the last step.

        Args:
            input: (T, N, input_size), or (N, T, input_size) if batch_first, or (T, input_size).
            hx: the first states, (num_layers · directions, N, hidden_size), without N if input has none; zeros if not
                given. For an LSTM two of them, (h, c).

        Returns:
            (T, N, directions · hidden_size), arranged as input; the last states, as hx.

        Raises:
            ValueError: input of another dtype or another number of dimensions.
            RuntimeError: input or states of other sizes, or no steps.
            NotImplementedError: a packed sequence.
        """
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise NotImplementedError(
                f"{name}: packed sequences are not supported, pad them: got {type(input).__name__}"
            )
        if input.ndim not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        if input.dtype != (weight := self.weight_ih_l0).dtype:
            raise ValueError(f"{name}: input dtype ({input.dtype}) does not match weight dtype ({weight.dtype})")
        if input.array.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{name}: input.size(-1) must be input_size {self.input_size}, got {input.array.shape[-1]}"
            )
        batched, turned = input.ndim == 3, self.batch_first and input.ndim == 3
        x = transpose(input, 0, 1) if turned else input if batched else unsqueeze(input, 1)
        if not len(x):
            raise RuntimeError(f"{name}: Expected sequence length to be larger than 0")
        count = self.num_layers * len(self._directions())
        first = self._states(hx, x, (count, x.array.shape[1], self.hidden_size), batched, RuntimeError)
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            sides = []
            for direction in self._directions():
                outputs, state = self._run(x, tuple(s[len(last)] for s in first), f"_l{layer}{direction}")
                sides.append(outputs)
                last.append(state)
            x = sides[0] if len(sides) == 1 else cat(sides, -1)
        x = transpose(x, 0, 1) if turned else x if batched else squeeze(x, 1)
        return x, self._returned(tuple(stack(s) for s in zip(*last, strict=True)), batched)

    def _run(self, x: Tensor, state: State, suffix: str) -> tuple[Tensor, State]:
        """h after every step of x (T, N, ...), and the last state; from the last step to the first for _reverse."""
        parameters: Iterator[Any] = (getattr(self, name + suffix, None) for name in NAMES)
        w_ih, w_hh, b_ih, b_hh = parameters
        order = -1 if suffix.endswith("_reverse") else 1
        outputs = []
        for step in unbind(F.linear(x, w_ih, b_ih))[::order]:
            state = self.kind.step(step, state, w_hh, b_hh)
            outputs.append(state[0])
        return stack(outputs[::order]), state

    def extra_repr(self) -> str:
        default = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        told = [f"{name}={getattr(self, name)}" for name, value in default.items() if getattr(self, name) != value]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *told])


class RNN(_Layers):
    """h' = tanh(W x + b + V h + c), or with relu, in num_layers layers (torch.nn.RNN).

    Args:
        input_size, hidden_size: the widths of x and h.
        nonlinearity: "tanh" or "relu".
        batch_first: inputs and results (N, T, ...), not (T, N, ...); states stay (layers, N, hidden_size).
        dropout: in training, this share of what a layer gives to the next is zeroed.
        bidirectional: a second such step reads from the end; both results side by side.

    Raises:
        ValueError: sizes that are not positive, a share outside [0, 1], another nonlinearity.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **options: Any,
    ):
        self.kind, self.nonlinearity = _rnn_kind(nonlinearity), nonlinearity
        super().__init__(input_size, hidden_size, num_layers, *args, **options)


class LSTM(_Layers):
    """lstm_step in num_layers layers (torch.nn.LSTM); arguments as RNN's. States are pairs (h, c)."""

    kind = LSTM_KIND

    def __init__(self, input_size: int, hidden_size: int, *args: Any, proj_size: int = 0, **options: Any):
        if proj_size:
            raise NotImplementedError(f"LSTM: proj_size is not supported, got {proj_size}")
        super().__init__(input_size, hidden_size, *args, **options)


class GRU(_Layers):
    """gru_step in num_layers layers (torch.nn.GRU); arguments as RNN's."""

    kind = GRU_KIND


# -------------------------------------------------------------------------------------------------------------- the cells


class _Cell(_Recurrent):
    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias)
        self._add_step("", input_size, {"device": device, "dtype": dtype})
        for name in NAMES[2:] if not bias else ():
            self.register_parameter(name, None)
        self.reset_parameters()

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The state after input (N, input_size) or (input_size,), from state hx (N, hidden_size), by default zeros.

        Raises:
            ValueError: input or hx of another number of dimensions.
            RuntimeError: of other sizes.
        """
        if input.ndim not in (1, 2):
            raise ValueError(f"{type(self).__name__}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        batched = input.ndim == 2
        x = input if batched else unsqueeze(input, 0)
        state = self._states(hx, x, (len(x), self.hidden_size), batched, ValueError)
        w_ih, w_hh, b_ih, b_hh = (getattr(self, name) for name in NAMES)
        return self._returned(self.kind.step(F.linear(x, w_ih, b_ih), state, w_hh, b_hh), batched)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ", bias=False" * (not self.bias)


class RNNCell(_Cell):
    """h' = tanh(W x + b + V h + c), or with relu (torch.nn.RNNCell)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ):
        self.kind, self.nonlinearity = _rnn_kind(nonlinearity), nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def extra_repr(self) -> str:
        return super().extra_repr() + f", nonlinearity={self.nonlinearity}" * (self.nonlinearity != "tanh")


class LSTMCell(_Cell):
    """lstm_step (torch.nn.LSTMCell); the state is a pair (h, c)."""

    kind = LSTM_KIND


class GRUCell(_Cell):
    """gru_step (torch.nn.GRUCell)."""

    kind = GRU_KIND
