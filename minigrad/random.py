"""torch's CPU random stream, in NumPy: the same seed, the same bits.

A `Generator` is one Mersenne Twister (MT19937, Matsumoto & Nishimura 1998). Every sampler makes numbers of its 32-bit
words w exactly as the CPU kernels of torch 2.13 do, and leaves the twister exactly where torch leaves it:

    n elements                            words drawn
    uniform                               n in float32, 2n in float64
    normal, n >= 16 and contiguous        as uniform, and for 16 elements more if n % 16 != 0
    normal, else                          4 for every pair; the second of a pair waits for the next such call
    bernoulli, exponential                2n
    bernoulli_from                        as uniform in p's dtype
    multinomial                           2 for every weight; with replacement and k > 1, 2k for every row
    randint                               n; 2n from a range of 2^28 on
    random                                n; 2n for dtypes of 8 bytes
    randperm                              n - 1

Everything is drawn on the host, in memory order, by plain arrays: nothing here knows about tensors or devices.
"""

from __future__ import annotations

import math
import operator
import os
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Shape = int | tuple[int, ...]

_FLOATS = ("float32", "float64")
_NUMBERS = ("bool", "uint8", "int8", "int16", "int32", "int64", *_FLOATS)
_BLOCK = 1 << 17  # elements worked on at once: few enough for the cache, enough that threads seldom meet

# torch.Generator.get_state(): ATen/CPUGeneratorImpl.cpp keeps a layout of 5056 bytes in which CPU kernels use these.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "words", "normal", "has_normal"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", 624), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class Generator:
    """The stream of `torch.Generator('cpu')`; a new one starts at torch's seed, 67280421310721.

    Samplers return new arrays in C order. For a tensor that lies in memory in another order, draw the shape as it lies
    there and transpose. Errors are torch's: RuntimeError for a parameter out of range, NotImplementedError for a dtype.
    """

    def __init__(self, device: object = "cpu") -> None:
        if str(device).partition(":")[0] != "cpu":
            raise RuntimeError(f"Generator: device must be 'cpu', where all random numbers are drawn; got {device!r}")
        self.share: tuple[int, int, int] | None = None  # see bernoulli
        self.manual_seed(67280421310721)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed, -2^63 <= seed < 2^64, of which the twister sees the low 32 bits."""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise RuntimeError(f"manual_seed: seed must be an int, got {type(seed).__name__}")
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: seed must be at least -2^63 and less than 2^64, got {seed}")
        self._seed = int(seed) % 2**64
        if "_twister" in vars(self):
            self._twister.seed(self._seed % 2**32)
        self._fresh = True  # no word drawn yet; torch's bytes tell this from the end of a round of 624 words
        self._waiting: float | None = None  # the second normal of a pair
        return self

    @cached_property
    def _twister(self) -> np.random.RandomState:  # made when asked for: importing numpy.random takes a while
        return np.random.RandomState(self._seed % 2**32)

    def seed(self) -> int:
        """Start again from 64 bits of the operating system's entropy, and return them."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little")).initial_seed()

    def initial_seed(self) -> int:
        """The seed this stream started from, 0 <= seed < 2^64."""
        return self._seed

    def get_state(self) -> NDArray[np.uint8]:
        """The bytes of `torch.Generator.get_state()`."""
        twister: Any = self._twister.get_state(legacy=False)["state"]
        position = 0 if self._fresh else twister["pos"]
        normal = 0.0 if self._waiting is None else self._waiting
        state = np.zeros(1, _STATE)
        state[0] = (self._seed, 625 - twister["pos"], 1, position, twister["key"], normal, self._waiting is not None)
        return state.view(np.uint8)

    def set_state(self, new_state: NDArray[np.uint8]) -> None:
        """Continue from the bytes of `get_state`, ours or torch's."""
        if not isinstance(new_state, np.ndarray) or new_state.dtype != np.uint8:
            kind = getattr(new_state, "dtype", type(new_state).__name__)
            raise TypeError(f"set_state: new_state must be a uint8 array, got {kind}")
        if new_state.size != _STATE.itemsize:
            raise RuntimeError(f"set_state: new_state must have {_STATE.itemsize} bytes, got {new_state.size}")
        state = np.ascontiguousarray(new_state).reshape(-1).view(_STATE)[0]
        seed, left, seeded, position, key, normal, has_normal = state
        fresh = left == 1 and position == 0
        if not seeded or not 1 <= left <= 624 or not (fresh or left + position == 625):
            raise RuntimeError(f"set_state: not a state of MT19937: {seeded=!s}, {left=!s}, next={position}")
        self._seed, self._fresh, self._waiting = int(seed), bool(fresh), float(normal) if has_normal else None
        self._twister.set_state(("MT19937", key.astype(np.uint32), 624 if fresh else int(position), 0, 0.0))

    def clone_state(self) -> Generator:
        """A new generator in the same state."""
        clone = Generator()
        clone.set_state(self.get_state())
        return clone

    # ------------------------------------------------------------------------------------------------ words and uniforms

    def words(self, n: int) -> NDArray[np.uint32]:
        """The next n words."""
        self._fresh = self._fresh and n == 0
        return self._twister.randint(0, 2**32, n, dtype=np.uint32)

    def _words64(self, n: int) -> NDArray[np.uint64]:
        """n times w0·2^32 + w1."""
        pairs = self.words(2 * n).view("<u8")
        return pairs << np.uint64(32) | pairs >> np.uint64(32)

    def _unit(self, n: int, dtype: Any = np.float64) -> Array:
        """u in [0, 1): (w mod 2^24)·2^-24 in float32, (w0·2^32 + w1 mod 2^53)·2^-53 in float64."""
        if dtype == np.float32:
            return (self.words(n) & 0xFFFFFF).view(np.int32).astype(np.float32) * np.float32(2**-24)
        return (self._words64(n) & np.uint64(2**53 - 1)).view(np.int64) * 2.0**-53

    def uniform(self, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float32) -> Array:
        """low + (high - low) u; what rounds up to high becomes low."""
        out = _empty("uniform", shape, dtype, _FLOATS)
        low, high, most = _real("uniform", "low", low), _real("uniform", "high", high), float(np.finfo(out.dtype).max)
        if not (-most <= low <= high <= most and high - low <= most):
            raise RuntimeError(
                f"uniform: low and high must be finite {out.dtype} with 0 <= high - low <= {most:.4g}, got {low=}, {high=}"
            )
        low, high = out.dtype.type(low), out.dtype.type(high)
        for block in _blocks(out):
            block[...] = self._unit(len(block), out.dtype)
            _affine(block, high - low, low)
            block[block == high] = low
        return out

    # ----------------------------------------------------------------------------------------------------------- normals

    def normal(
        self,
        shape: Shape,
        mean: float = 0.0,
        std: float = 1.0,
        dtype: DTypeLike = np.float32,
        contiguous: bool = True,
    ) -> Array:
        """mean + std x, x ~ N(0, 1): pairs r cos t, r sin t with r = √(-2 ln a), t = 2π b (Box & Muller 1958).

        Fewer than 16 elements, and any number if `contiguous` is False, which says that they are for a tensor that is
        not contiguous, come pair by pair. More come by 16: 8 cosines, then their sines.
        """
        out = _empty("normal", shape, dtype, _FLOATS)
        mean, std = _real("normal", "mean", mean), _real("normal", "std", std)
        if not std >= 0:
            raise RuntimeError(f"normal: std must be at least 0, got {std}")
        flat = out.reshape(-1)
        if len(flat) < 16 or not contiguous:
            normals = self._pairs(len(flat))
            _affine(normals, std, mean)
            flat[...] = normals
            return out
        fill = self._fill_float32 if out.dtype == np.float32 else self._fill_float64
        short = len(flat) % 16
        fill(flat[: len(flat) - short], mean, std)
        if short:
            self._unit(short, out.dtype)  # drawn by torch, and then not used: the last 16 elements are drawn again
            fill(flat[-16:], mean, std)
        return out

    def _pairs(self, n: int) -> NDArray[np.float64]:
        """r cos t, r sin t, …: r = √(-2 log1p(-u1)), t = 2π u0. Of an odd number the last sine waits."""
        waiting = np.array([] if self._waiting is None else [self._waiting])
        u = self._unit(2 * ((n - len(waiting) + 1) // 2)).reshape(-1, 2)
        values = np.append(waiting, _polar(_libm(math.log1p, -u[:, 1]), 2 * math.pi * u[:, 0], axis=1))
        self._waiting = float(values[n]) if len(values) > n else None
        return values[:n]

    def _fill_float64(self, out: NDArray[np.float64], mean: float, std: float) -> None:
        """Every 16: r cos t (8), r sin t (8), with r = √(-2 ln(1 - u)) by the first 8 uniforms, t = 2π u by the others."""
        for block in _blocks(out):
            u = self._unit(len(block)).reshape(-1, 2, 8)
            block[...] = _polar(_libm(math.log, 1 - u[:, 0]), 2 * math.pi * u[:, 1], axis=1).ravel()
            _affine(block, std, mean)

    def _fill_float32(self, out: NDArray[np.float32], mean: float, std: float) -> None:
        """The same by torch's own float32 polynomials, in a few threads."""
        blocks, turn = _blocks(out), threading.Lock()

        def work() -> None:
            room = _room(min(len(out), _BLOCK) // 2)
            while True:
                with turn:  # words are drawn in order; what is made of them can take its time
                    block = next(blocks, None)
                    if block is None:
                        return
                    words = self.words(len(block))
                _box_muller(words, block, room)
                _affine(block, std, mean)

        workers = min(4, os.cpu_count() or 1, -(-len(out) // _BLOCK))
        if workers == 1:
            return work()
        from concurrent.futures import ThreadPoolExecutor  # logging and all: a tenth of importing minigrad

        with ThreadPoolExecutor(workers) as pool:
            for worker in [pool.submit(work) for _ in range(workers)]:
                worker.result()

    # ------------------------------------------------------------------------------------------------ other distributions

    def bernoulli(self, shape: Shape, p: float = 0.5) -> NDArray[np.bool_]:
        """u < p, True with probability p: the mask of dropout for the probability p to keep.

        Where ranks train together, `share` = (rank, ranks, rows) says that this rank has rows rank, rank + ranks, ... of every
        batch, `rows` of them. What has that many rows, or a multiple, then takes one number from the stream, the same on every
        rank, and for each row begins a stream of its own, which that number and the row's place in the whole batch seed. So
        the masks do not depend on how many ranks there are (they are torch's where share is None).
        """
        out = _empty("bernoulli", shape, np.bool_, ("bool",))
        if not 0 <= _real("bernoulli", "p", p) <= 1:
            raise RuntimeError(f"bernoulli: p must be at least 0 and at most 1, got {p}")
        if self.share is not None and out.ndim and len(out) % self.share[2] == 0:
            rank, ranks, rows = self.share
            seed, stream = int(self.random((), np.int32)), Generator()  # making one takes longer than many a row
            for i, row in enumerate(out.reshape(rows, -1)):
                row[...] = stream.manual_seed(seed + rank + i * ranks).bernoulli(row.size, p)
            return out
        for block in _blocks(out):
            block[...] = self._unit(len(block)) < p
        return out

    def bernoulli_from(self, p: Array) -> Array:
        """u[i] < p[i], as 0 and 1 of p's dtype, in which u is drawn."""
        out = _empty("bernoulli_from", p.shape, p.dtype, _FLOATS)
        if not ((p >= 0) & (p <= 1)).all():
            raise RuntimeError("bernoulli_from: p must be at least 0 and at most 1 everywhere")
        out[...] = self._unit(p.size, p.dtype).reshape(p.shape) < p
        return out

    def exponential(self, shape: Shape, lambd: float = 1.0, dtype: DTypeLike = np.float32) -> Array:
        """-log1p(-u) / lambd."""
        out = _empty("exponential", shape, dtype, _FLOATS)
        if not _real("exponential", "lambd", lambd) > 0:
            raise RuntimeError(f"exponential: lambd must be greater than 0, got {lambd}")
        for block in _blocks(out):
            block[...] = -1 / lambd * _libm(math.log1p, -self._unit(len(block)))
        return out

    def multinomial(self, p: Array, num_samples: int, replacement: bool = False) -> NDArray[np.int64]:
        """Indices into the last axis of the weights p, (V,) or (B, V) -> (num_samples,) or (B, num_samples).

        With replacement: the first index whose cumulative weight, of a total of 1, reaches u. Without, or for a single
        sample: a race with arrival times q/p, q exponential; weights of 0 come last, in the order of their indices.
        """
        _empty("multinomial", 0, p.dtype, _FLOATS)
        num_samples = _integer("multinomial", "num_samples", num_samples)
        if p.ndim not in (1, 2):
            raise RuntimeError(f"multinomial: p must have 1 or 2 dimensions, got {p.ndim}")
        if num_samples < 1 or p.shape[-1] < (1 if replacement else num_samples):
            raise RuntimeError(f"multinomial: cannot take {num_samples} of {p.shape[-1]} categories, {replacement=}")
        if not ((p >= 0) & (p < np.inf)).all() or not (p > 0).any(axis=-1).all():
            raise RuntimeError("multinomial: weights must be finite and at least 0, with one above 0 in every row")
        if num_samples == 1 or not replacement:
            speed = p / self.exponential(p.shape, dtype=p.dtype)
            if num_samples == 1:
                return speed.argmax(axis=-1, keepdims=True)
            return np.argsort(-speed, axis=-1, kind="stable")[..., :num_samples].copy()
        cumulative = np.cumsum(p, axis=-1, dtype=p.dtype)
        cumulative /= cumulative[..., -1:]
        rows = cumulative.reshape(-1, p.shape[-1])
        u = self._unit(len(rows) * num_samples).reshape(len(rows), num_samples)
        indices = [row.searchsorted(u_row) for row, u_row in zip(rows, u, strict=True)]
        return np.array(indices, np.int64).reshape(*p.shape[:-1], num_samples)

    def randint(self, low: int, high: int, shape: Shape, dtype: DTypeLike = np.int64) -> Array:
        """low + w mod (high - low)."""
        out = _empty("randint", shape, dtype, _NUMBERS)
        low, high = _integer("randint", "low", low), _integer("randint", "high", high)
        least, most = _integers(out.dtype)
        if not least <= low < high <= most + 1:
            raise RuntimeError(f"randint: {out.dtype} needs {least} <= low < high <= {most + 1}, got {low=}, {high=}")
        draw = self.words if high - low < 2**28 else self._words64
        for block in _blocks(out):
            steps = (draw(len(block)) % (high - low)).astype(np.uint64)
            block[...] = (steps + np.uint64(low % 2**64)).view(np.int64)
        return out

    def random(self, shape: Shape, dtype: DTypeLike = np.int64) -> Array:
        """w mod (m + 1), m the greatest integer up to which dtype has them all: torch's `random_()` without bounds."""
        out = _empty("random", shape, dtype, _NUMBERS)
        draw = self._words64 if out.dtype.itemsize == 8 else self.words
        for block in _blocks(out):
            block[...] = draw(len(block)) % (_integers(out.dtype)[1] + 1)
        return out

    def randperm(self, n: int) -> NDArray[np.int64]:
        """0 … n - 1 shuffled: for i = 0 … n - 2 exchange i and i + w mod (n - i) (Fisher & Yates)."""
        n = _integer("randperm", "n", n)
        if n < 0:
            raise RuntimeError(f"randperm: n must be at least 0, got {n}")
        if n >= 2**32 // 20:
            raise NotImplementedError(f"randperm: from n = {2**32 // 20} on torch has another method; got {n}")
        out, start = np.arange(n), 0
        while start < n - 1:  # blocks small against what is left, so that few exchanges of one meet
            i = np.arange(start, min(start + min(max((n - start) // 8, 2048), 8192), n - 1))
            _exchange(out, start, i + self.words(len(i)) % (n - i))
            start += len(i)
        return out

    def skip(self, n: int) -> None:
        """Draw n words that nobody needs."""
        for start in range(0, n, _BLOCK):
            self.words(min(_BLOCK, n - start))


def _exchange(out: NDArray[np.int64], start: int, others: NDArray[np.int64]) -> None:
    """For k = 0, 1, … exchange out[start + k] and out[others[k]], others[k] >= start + k: all at once.

    Two exchanges meet where both have the same other place, or where one's other place is the next one's own.
    """
    steps, stop = np.arange(len(others)), start + len(others)
    own, found = out[start:stop].copy(), out[others]
    out[others] = steps
    winner = out[others]
    meets = winner != steps
    meets[winner[meets]] = True
    meet = np.flatnonzero(meets)
    meet = meet[np.argsort(others[meet], kind="stable")]
    same = others[meet[1:]] == others[meet[:-1]]
    former, latter = meet[:-1][same], meet[1:][same]
    last = np.ones(len(steps), bool)  # at its other place
    last[former] = False
    source = (
        steps.copy()
    )  # the step whose own element has come to this step's own place before it: itself, or one before
    inside = np.flatnonzero(last & (others < stop))
    source[others[inside] - start] = inside
    itself = others[latter] == latter + start
    source[latter[itself]] = former[itself]
    while (source != (further := source[source])).any():
        source = further
    own = own[source]
    found[latter] = own[former]
    out[others] = own
    latter = latter[last[latter]]
    out[others[latter]] = own[latter]
    out[start:stop] = found


# ------------------------------------------------------------------------------------------------- arguments and results


def _real(sampler: str, name: str, value: Any) -> float:
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{sampler}: {name} must be a number, got {type(value).__name__}")
    return float(value)


def _integer(sampler: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{sampler}: {name} must be an int, got {type(value).__name__}")
    if not -(2**63) <= operator.index(value) < 2**63:
        raise ValueError(f"{sampler}: {name} must fit int64, got {value}")
    return operator.index(value)


def _integers(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The least and the greatest integer between which dtype has them all."""
    if dtype.kind == "f":
        most = 2 ** (np.finfo(dtype).nmant + 1)
        return -most, most
    return (0, 1) if dtype == np.bool_ else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _empty(sampler: str, shape: Shape, dtype: DTypeLike, allowed: tuple[str, ...]) -> Array:
    dtype = np.dtype(dtype)
    if dtype.name not in allowed:
        raise NotImplementedError(f"{sampler}: dtype must be {' or '.join(allowed)}, got {dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if min(sizes, default=0) < 0:
        raise RuntimeError(f"{sampler}: shape must not have a negative size, got {sizes}")
    return np.empty(sizes, dtype)


def _blocks(out: Array) -> Iterator[Array]:
    """The elements of out, in order."""
    flat = out.reshape(-1)
    return (flat[i : i + _BLOCK] for i in range(0, len(flat), _BLOCK))


# ----------------------------------------------------------------------------------------------- float64, to the last bit


def _libm(function: Callable[[float], float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """function(x) by the C library, as in torch: NumPy's own log and log1p differ in the last bit on some processors."""
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _polar(log: NDArray[np.float64], t: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """r cos t and r sin t, r = √(-2 log), stacked along axis."""
    r = np.sqrt(-2 * log)
    return np.stack([r * _libm(math.cos, t), r * _libm(math.sin, t)], axis)


def _affine(x: Array, scale: float, shift: float) -> None:
    """x ← scale·x + shift, rounded once: a fused multiply-add."""
    scale, shift = float(x.dtype.type(scale)), float(x.dtype.type(shift))
    if shift == 0 or not abs(scale) + abs(shift) < 2.0**900:  # there the halves below overflow
        x *= scale
        x += shift  # -0 + 0 is 0
    elif x.dtype == np.float32:
        wide = x.astype(np.float64)
        wide *= scale  # exact; and so is the sum, unless the shift is far below the product
        x[...] = wide + shift if abs(shift) > abs(scale) * 2.0**-25 else _to_odd(*_sum(wide, shift))
    else:
        product = x * scale
        (x1, x0), (scale1, scale0) = _halves(x), _halves(scale)
        lost_by_product = x0 * scale0 - (((product - x1 * scale1) - x1 * scale0) - x0 * scale1)  # Dekker 1971
        total, lost_by_sum = _sum(product, shift)
        np.add(total, _to_odd(*_sum(lost_by_product, lost_by_sum)), out=x)


def _sum(x: Any, y: Any) -> tuple[Any, Any]:
    """x + y rounded, and what rounding lost (Knuth, The Art of Computer Programming 4.2.2)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _to_odd(total: NDArray[np.float64], lost: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum rounded to odd: rounded once more, to fewer digits, it is the exact sum rounded (Boldo and Melquiond 2008)."""
    even = (total.view(np.int64) & 1 == 0) & (lost != 0)
    return np.where(even, np.nextafter(total, np.copysign(np.inf, lost)), total)


def _halves(x: Any) -> tuple[Any, Any]:
    """x = high + low, 26 bits each, whose products are exact (Veltkamp)."""
    shifted = (2.0**27 + 1) * x
    high = shifted - (shifted - x)
    return high, x - high


# ----------------------------------------------------------------------------------------------- float32, to the last bit
#
# torch's AVX2 kernel evaluates the polynomials of Cephes' logf, sinf and cosf by fused multiply-adds (elsewhere torch
# asks the C library, and its normals differ by 2e-6 at most). A product of two float32 is exact in float64, so one such
# step is a multiply and an add there, rounded to float32 at the end.


def _single(*constants: float) -> list[float]:
    return [float(np.float32(c)) for c in constants]


_LOG = _single(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1)
_LOG += _single(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
_SIN = _single(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = _single(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_LN2 = np.float32(0.693359375), np.float32(-2.12194440e-4)  # ln 2 in two parts; the first times an exponent is exact
_QUARTER_PI = sum(_single(0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8))  # Cephes' three parts, exactly
_SQRT_HALF = int(np.float32(math.sqrt(0.5)).view(np.int32))


def _room(pairs: int) -> list[Array]:
    """Space to work on one block, the same for all blocks: memory that is asked for anew costs more than the arithmetic."""
    return [np.empty((rows, pairs), dtype) for rows, dtype in ((2, np.int32), (4, np.float32), (3, np.float64))]


def _box_muller(words: NDArray[np.uint32], out: NDArray[np.float32], room: list[Array]) -> None:
    """Every 16 words: 8 uniforms a, 8 uniforms b -> r cos t (8), r sin t (8), r = √(-2 ln(1 - a)), t = 2π b."""
    room = [rows[:, : len(words) // 2] for rows in room]
    (j, _), (r, s, c, t), _ = room
    words &= 0xFFFFFF
    eights, eights_out = words.view("V32"), out.view("V32")  # eight words as one item, which NumPy copies at once
    j.view("V32")[...] = eights[0::2]
    np.subtract(2**24, j, out=j)
    r[...] = j
    _log(room)
    r *= -2
    np.sqrt(r, out=r)
    j.view("V32")[...] = eights[1::2]
    t[...] = j
    t *= np.float32(2 * math.pi) * np.float32(2**-24)
    _sin_cos(room)
    s *= r
    c *= r
    eights_out[0::2], eights_out[1::2] = c.view("V32"), s.view("V32")


def _log(room: list[Array]) -> None:
    """r ← ln(r 2^-24) for r = m 2^e, √½ <= m < √2, z = m - 1: e ln 2 + z - z²/2 + z³ P(z)."""
    (exponent, shifted), (r, e, square, y32), (z, y, other) = room
    bits = r.view(np.int32)
    np.subtract(bits, _SQRT_HALF, out=exponent)
    exponent >>= 23
    np.left_shift(exponent, 23, out=shifted)
    bits -= shifted
    r -= 1
    z[...] = r
    e[...] = exponent
    e -= 24
    np.multiply(r, r, out=square)
    _polynomial(_LOG, z, y, y32)
    other[...] = square
    y *= other
    np.multiply(e, _LN2[1], out=y32)
    other[...] = y32
    y += other
    y32[...] = y
    square *= 0.5
    y32 -= square
    r += y32
    e *= _LN2[0]
    r += e


def _sin_cos(room: list[Array]) -> None:
    """s, c ← sin t, cos t for t = j π/4 + x, j even, |x| <= π/4: sin x = x + x³ P(x²), cos x = 1 - x²/2 + x⁴ Q(x²)."""
    (j, odd), (_, s, c, t), (x, y, z) = room
    np.multiply(t, np.float32(4 / math.pi), out=s)
    j[...] = s
    j += 1
    j &= ~1
    y[...] = j
    y *= _QUARTER_PI
    x[...] = t
    x -= y
    _round(x, t)
    t *= t
    z[...] = t
    _polynomial(_SIN, z, y, s)
    y *= x
    y += x
    s[...] = y
    _polynomial(_COS, z, y, c)
    y *= z
    z *= 0.5
    y -= z
    c[...] = y
    c += 1
    # Half the quadrants exchange the two; bit 2 of j is the sign of the sine, bit 2 ^ bit 1 that of the cosine.
    sine, cosine, exchange = s.view(np.int32), c.view(np.int32), t.view(np.int32)
    np.left_shift(j, 30, out=odd)
    odd >>= 31
    np.bitwise_xor(sine, cosine, out=exchange)
    exchange &= odd
    sine ^= exchange
    cosine ^= exchange
    j >>= 2
    j <<= 31
    odd <<= 31
    sine ^= j
    cosine ^= j
    cosine ^= odd


def _polynomial(constants: list[float], z: NDArray[np.float64], y: NDArray[np.float64], y32: Array) -> None:
    """y ← ((c0 z + c1) z + … + cn) z, every step rounded to float32."""
    np.multiply(z, constants[0], out=y)
    for c in constants[1:]:
        y += c
        _round(y, y32)
        y *= z
    _round(y, y32)


def _round(y: NDArray[np.float64], y32: Array) -> None:
    """y, y32 ← y to the nearest float32."""
    y32[...] = y
    y[...] = y32


# ----------------------------------------------------------------------------------------------------- the default stream

default_generator = Generator()
default_generator.seed()
seed = default_generator.seed
initial_seed = default_generator.initial_seed
get_rng_state = default_generator.get_state
set_rng_state = default_generator.set_state


def manual_seed(seed: Any) -> Generator:
    """Start the default stream again from int(seed), and return its generator."""
    return default_generator.manual_seed(int(seed))
