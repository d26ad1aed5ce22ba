"""Tables of vectors, looked up by id."""

from __future__ import annotations

from typing import Any

from ..grad_mode import no_grad
from ..ops.creation import empty
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, Parameter


class _Table(Module):
    """A table of vectors (num_embeddings, embedding_dim) as a parameter."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(
                    f"Padding_idx must be within num_embeddings: {padding_idx} is not in [{-num_embeddings}, {num_embeddings})"
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype), not _freeze)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise AssertionError(
                    f"Shape of weight {tuple(_weight.shape)} does not match num_embeddings and embedding_dim"
                )
            self.weight = Parameter(_weight, not _freeze)

    @no_grad()
    def reset_parameters(self) -> None:
        """Draw the table anew: normal numbers, zeros in the padding row."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight[self.padding_idx] = 0

    def _told(self, *names: str) -> list[str]:
        """The sizes, and those of the named options that are not the default."""
        values = {name: getattr(self, name) for name in names}
        default = {"norm_type": 2, "padding_idx": None, "max_norm": None}
        told = [f"{name}={value}" for name, value in values.items() if value != default.get(name, False)]
        return [f"{self.num_embeddings}, {self.embedding_dim}", *told]


class Embedding(_Table):
    """A table of vectors, looked up by id (torch.nn.Embedding): ids (...) give (..., embedding_dim).

    The gradient of the table is kept as the rows that were used, and looks dense in weight.grad.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: length of a row.
        padding_idx: this row starts as zeros and receives no gradient.
        max_norm, norm_type: rows that are looked up are first scaled down to this p-norm.
        scale_grad_by_freq: divide each id's gradient by how often it occurs in the batch.
        sparse: show weight.grad as rows.

    Raises:
        AssertionError: padding_idx outside the table (torch's choice of class).
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer around an existing (V, D) table, not trained unless freeze=False.

        Raises:
            AssertionError: embeddings is not 2-dimensional.
        """
        if embeddings.ndim != 2:
            raise AssertionError(
                f"Embeddings parameter is expected to be 2-dimensional, got shape {tuple(embeddings.shape)}"
            )
        rows, dim = embeddings.shape
        return cls(
            rows, dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight=embeddings, _freeze=freeze
        )

    def extra_repr(self) -> str:
        return ", ".join([*self._told("padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")])


def only_looks_up(table: Module) -> bool:
    """True if calling this module does nothing but look rows up: it is an Embedding, and no option or hook changes that."""
    if not isinstance(table, Embedding) or type(table).forward is not Embedding.forward or "forward" in vars(table):
        return False
    options = table.padding_idx, table.max_norm, table.scale_grad_by_freq, table.sparse
    return options == (None, None, False, False) and not (table._hooks or table._pre_hooks)


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the vectors of each bag of ids (torch.nn.EmbeddingBag): (B, L) give (B, embedding_dim).

    Args:
        mode: "sum", "mean" or "max".
        include_last_offset: offsets end with the number of ids.
        padding_idx: this row starts as zeros and counts in no bag.
        num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, sparse: as in Embedding.

    Raises:
        AssertionError: padding_idx outside the table (torch's choice of class).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ):
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        super().__init__(num_embeddings, embedding_dim, *options, _weight, device=device, dtype=dtype)
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """What `functional.embedding_bag` gives for ids (B, L), or (N,) with offsets (B,)."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> EmbeddingBag:
        """A layer around an existing (V, D) table, not trained unless freeze=False; options as the layer's."""
        if embeddings.ndim != 2:
            raise AssertionError(
                f"Embeddings parameter is expected to be 2-dimensional, got shape {tuple(embeddings.shape)}"
            )
        rows, dim = embeddings.shape
        bag = cls(rows, dim, _weight=embeddings, **options)
        bag.weight.requires_grad = not freeze
        return bag

    def extra_repr(self) -> str:
        told = [*self._told("max_norm", "norm_type", "scale_grad_by_freq"), f"mode={self.mode!r}"]
        return ", ".join(told + ([] if self.padding_idx is None else [f"padding_idx={self.padding_idx}"]))
