"""torch.distributions, as far as policies and variational models need them: samples from torch's stream, and densities."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from .dtypes import Number, Size, default_float, finfo
from .grad_mode import no_grad
from .nn.functional import binary_cross_entropy_with_logits, softplus
from .ops.arrange import broadcast_tensors
from .ops.creation import arange, bernoulli, empty, multinomial, normal, rand, randn, tensor
from .ops.elementwise import log
from .tensor import Tensor

Parameter = Tensor | Number


class Distribution:
    """Base of all (torch.distributions.Distribution): batch_shape independent distributions of things of event_shape.

    Args:
        validate_args: raise ValueError for parameters and values that cannot be; the default.
    """

    names: ClassVar[tuple[str, ...]] = ()
    """The parameters, as printed."""
    has_rsample: ClassVar[bool] = False

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        self._validate = validate_args is not False
        self._require_arguments()

    @property
    def batch_shape(self) -> Size:
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of shape sample_shape + batch_shape + event_shape, without gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws as a function of the parameters, which gradients flow into; NotImplementedError where there is none."""
        raise NotImplementedError(
            f"{type(self).__name__}: its samples are no differentiable function of the parameters"
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at a value."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def entropy(self) -> Tensor:
        """E[-log_prob], in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def perplexity(self) -> Tensor:
        return self.entropy().exp()

    def _extended(self, sample_shape: Any) -> Size:
        return Size(sample_shape) + self.batch_shape + self.event_shape

    def _require_arguments(self) -> None:
        """Subclasses call _require for each of their parameters."""

    def _require(self, what: str, value: Tensor, holds: Tensor, constraint: str) -> None:
        if self._validate and not bool(holds.all()):
            raise ValueError(
                f"{type(self).__name__}: expected {what} of shape {tuple(value.shape)} to be {constraint}, but found "
                f"invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        given = {name: vars(self)[name] for name in self.names if name in vars(self)}
        shown = (f"{name}: {x if x.numel() == 1 else x.size()}" for name, x in given.items())
        return f"{type(self).__name__}({', '.join(shown)})"


def _together(*values: Parameter) -> tuple[Tensor, ...]:
    """Parameters as tensors of one shape; numbers take the tensors' dtype and device."""
    like = next((x for x in values if isinstance(x, Tensor)), None)
    how = {"dtype": default_float()} if like is None else {"dtype": like.dtype, "device": like.device}
    return broadcast_tensors(*(x if isinstance(x, Tensor) else tensor(x, **how) for x in values))


def _one_of(kind: type, probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError(f"{kind.__name__}: Either `probs` or `logits` must be specified, but not both.")


def _inside(probs: Tensor) -> Tensor:
    eps = finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


class Categorical(Distribution):
    """0 .. K - 1 with probabilities probs (..., K), or softmax(logits) (torch.distributions.Categorical)."""

    names = ("probs", "logits")

    def __init__(self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None):
        _one_of(Categorical, probs, logits)
        given: Any = logits if probs is None else probs
        if given.ndim < 1:
            raise ValueError("Categorical: the parameter must be at least one-dimensional")
        if probs is None:
            self.logits = given - given.logsumexp(-1, keepdim=True)
        else:
            self.probs = given / given.sum(-1, keepdim=True)
        super().__init__(given.shape[:-1], validate_args=validate_args)

    def _require_arguments(self) -> None:
        if "probs" in vars(self):
            self._require("probs", self.probs, self.probs >= 0, "at least 0, and in sum more")
        else:
            self._require("logits", self.logits, self.logits.eq(self.logits), "numbers")

    @cached_property
    def probs(self) -> Tensor:
        return self.logits.softmax(-1)

    @cached_property
    def logits(self) -> Tensor:
        return log(_inside(self.probs))

    @property
    def mean(self) -> Tensor:
        return self.probs.new_full(self.batch_shape, math.nan)

    variance = mean

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        rows = self.probs.detach().reshape(-1, self.probs.shape[-1])
        return multinomial(rows, Size(sample_shape).numel(), True).T.reshape(self._extended(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        index = value.long()
        self._require("value", value, (index >= 0) & (index < self.probs.shape[-1]) & (index == value), "a category")
        index, logits = broadcast_tensors(index.unsqueeze(-1), self.logits)
        return logits.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.logits.clamp(min=finfo(self.logits.dtype).min) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values, (K, ...)."""
        values = arange(self.probs.shape[-1], device=self.probs.device).reshape(-1, *(1,) * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values


class Bernoulli(Distribution):
    """1 with probability probs, or sigmoid(logits), else 0 (torch.distributions.Bernoulli)."""

    names = ("probs", "logits")

    def __init__(
        self, probs: Parameter | None = None, logits: Parameter | None = None, validate_args: bool | None = None
    ):
        _one_of(Bernoulli, probs, logits)
        (given,) = _together(logits if probs is None else probs)  # type: ignore[arg-type]
        setattr(self, "logits" if probs is None else "probs", given)
        super().__init__(given.shape, validate_args=validate_args)

    def _require_arguments(self) -> None:
        if "probs" in vars(self):
            self._require("probs", self.probs, (self.probs >= 0) & (self.probs <= 1), "from 0 to 1")
        else:
            self._require("logits", self.logits, self.logits.eq(self.logits), "numbers")

    @cached_property
    def probs(self) -> Tensor:
        return self.logits.sigmoid()

    @cached_property
    def logits(self) -> Tensor:
        p = _inside(self.probs)
        return log(p) - (-p).log1p()

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return bernoulli(self.probs.detach().expand(self._extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._require("value", value, (value == 0) | (value == 1), "0 or 1")
        logits, value = _together(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Normal(Distribution):
    """Density exp(-(x - loc)² / 2 scale²) / √(2π) scale (torch.distributions.Normal)."""

    names = ("loc", "scale")
    has_rsample = True

    def __init__(self, loc: Parameter, scale: Parameter, validate_args: bool | None = None):
        self.loc, self.scale = _together(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def _require_arguments(self) -> None:
        self._require("loc", self.loc, self.loc.eq(self.loc), "numbers")
        self._require("scale", self.scale, self.scale > 0, "greater than 0")

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale**2

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        return normal(self.loc.detach().expand(shape), self.scale.detach().expand(shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + randn(self._extended(sample_shape), dtype=self.loc.dtype, device=self.loc.device) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        if isinstance(value, Tensor):
            self._require("value", value, value.eq(value), "numbers")
        squares = (value - self.loc) ** 2
        return -squares / (2 * self.variance) - log(self.scale) - math.log(math.sqrt(2 * math.pi))

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + log(self.scale)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of numbers up to value."""
        return 0.5 * (1 + ((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)).erf())


class Uniform(Distribution):
    """Density 1 / (high - low) on [low, high) (torch.distributions.Uniform)."""

    names = ("low", "high")
    has_rsample = True

    def __init__(self, low: Parameter, high: Parameter, validate_args: bool | None = None):
        self.low, self.high = _together(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    def _require_arguments(self) -> None:
        self._require("high", self.high, self.low < self.high, "greater than low")

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / 12**0.5

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = rand(self._extended(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        self._require("value", value, (self.low <= value) & (value <= self.high), "from low to high")
        inside = ((self.low <= value) & (value < self.high)).type_as(self.low)
        return log(inside) - log(self.high - self.low)

    def entropy(self) -> Tensor:
        return log(self.high - self.low)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of numbers up to value."""
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)


class Exponential(Distribution):
    """Density rate · exp(-rate x) for x >= 0 (torch.distributions.Exponential)."""

    names = ("rate",)
    has_rsample = True

    def __init__(self, rate: Parameter, validate_args: bool | None = None):
        (self.rate,) = _together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def _require_arguments(self) -> None:
        self._require("rate", self.rate, self.rate > 0, "greater than 0")

    @property
    def mean(self) -> Tensor:
        return self.rate.reciprocal()

    stddev = mean

    @property
    def variance(self) -> Tensor:
        return self.rate**-2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        return empty(shape, dtype=self.rate.dtype, device=self.rate.device).exponential_() / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        self._require("value", value, value >= 0, "at least 0")
        return log(self.rate) - self.rate * value

    def entropy(self) -> Tensor:
        return 1.0 - log(self.rate)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of numbers up to value."""
        return 1 - (-self.rate * value).exp()


class Independent(Distribution):
    """The last n batch dimensions of another distribution taken as one event (torch.distributions.Independent)."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ):
        self.base_dist, self.n = base_distribution, reinterpreted_batch_ndims
        shape = base_distribution.batch_shape + base_distribution.event_shape
        at = len(base_distribution.batch_shape) - reinterpreted_batch_ndims
        if at < 0:
            raise ValueError(
                f"Independent: expected reinterpreted_batch_ndims of at most {at + self.n}, the batch dimensions, got {self.n}"
            )
        self.has_rsample = base_distribution.has_rsample  # type: ignore[misc]
        super().__init__(shape[:at], shape[at:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return _summed(self.base_dist.log_prob(value), self.n)

    def entropy(self) -> Tensor:
        return _summed(self.base_dist.entropy(), self.n)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.n})"


def _summed(x: Tensor, n: int) -> Tensor:
    return x.sum(tuple(range(-n, 0))) if n else x


# ----------------------------------------------------------------------------------------------- from one to another


def _normals(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - log(ratio))


def _categoricals(p: Categorical, q: Categorical) -> Tensor:
    t = p.probs * (p.logits - q.logits)
    t = t.masked_fill((q.probs == 0).expand_as(t), math.inf)
    return t.masked_fill((p.probs == 0).expand_as(t), 0).sum(-1)


def _bernoullis(p: Bernoulli, q: Bernoulli) -> Tensor:
    ones = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    zeros = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    ones = ones.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0)
    return ones + zeros.masked_fill(q.probs == 1, math.inf).masked_fill(p.probs == 1, 0)


def _exponentials(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return -log(ratio) + ratio - 1


def _independents(p: Independent, q: Independent) -> Tensor:
    if p.n != q.n:
        raise NotImplementedError(f"kl_divergence of Independent with {p.n} and {q.n} dimensions")
    return _summed(kl_divergence(p.base_dist, q.base_dist), p.n)


_KL: dict[type, Callable[[Any, Any], Tensor]] = {
    Normal: _normals,
    Categorical: _categoricals,
    Bernoulli: _bernoullis,
    Exponential: _exponentials,
    Independent: _independents,
}


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """E[log p - log q] under p, of two distributions of one kind (torch.distributions.kl_divergence).

    Raises:
        NotImplementedError: of two kinds, or of a kind for which it is not written.
    """
    if type(p) is not type(q) or type(p) not in _KL:
        known = ", ".join(kind.__name__ for kind in _KL)
        raise NotImplementedError(f"kl_divergence is for two of {known}, got {type(p).__name__} and {type(q).__name__}")
    return _KL[type(p)](p, q)


__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Independent",
    "Normal",
    "Uniform",
    "kl_divergence",
]
