"""torch's CPU random stream, in NumPy: the same seed gives the same bits.

A `Generator` is one Mersenne Twister (MT19937, Matsumoto & Nishimura 1998). It yields 32-bit words, and every sampler
below turns them into numbers exactly as the CPU kernels of torch 2.13 do, and leaves the twister where torch leaves it:

    sampler                                   words for n elements
    uniform                                   n for float32, 2n for float64
    normal, n >= 16 and contiguous            as uniform, and 16 elements more if n % 16 != 0
    normal, n < 16 or not contiguous          4 for each pair; an odd value waits for the next such call
    bernoulli, dropout, exponential           2n
    bernoulli_from                            as uniform of p's dtype
    multinomial                               2 per category; with replacement and k > 1, 2k per row
    randint                                   n, or 2n if high - low >= 2^28
    random                                    n, or 2n for 8-byte dtypes
    randperm                                  n - 1

Elements are drawn in memory order. All arrays live on the host and are new; nothing here knows about tensors.
"""

from __future__ import annotations

import math
import operator
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.generic]
Shape = int | tuple[int, ...]

_FLOATS = "float32 float64"
_NUMBERS = "bool uint8 int8 int16 int32 int64 float32 float64"
_BLOCK = 1 << 16  # elements worked on at once: few enough to stay in the cache, enough to forget the cost of a call

# The 5056 bytes of torch.Generator.get_state(): ATen/CPUGeneratorImpl.cpp keeps the layout of Lua Torch for old files.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "words", "normal", "has_normal"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", 624), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class Generator:
    """The stream of `torch.Generator('cpu')`, bit for bit; a new one starts at torch's seed 67280421310721.

    Samplers return new C-ordered arrays. For a tensor whose memory order is not its index order (a transposed one), draw
    the shape as it lies in memory and transpose. RuntimeError: a distribution's parameter out of range, a negative
    shape; NotImplementedError (a RuntimeError too): a dtype that the sampler does not offer.
    """

    def __init__(self, device: object = "cpu") -> None:
        if str(device).partition(":")[0] != "cpu":
            raise RuntimeError(f"Generator: random numbers are drawn on the host; device must be 'cpu', got {device!r}")
        self._twister = np.random.RandomState(0)
        self.manual_seed(67280421310721)

    # -- seed and state

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream. A negative seed counts down from 2^64; the twister sees the low 32 bits."""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise RuntimeError(f"manual_seed: seed must be an int, got {type(seed).__name__}")
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: seed must be at least -2^63 and less than 2^64, got {seed}")
        self._seed = int(seed) % 2**64
        self._twister.seed(self._seed % 2**32)
        self._fresh = True  # no word drawn yet: only the state's bytes tell this from the end of a round of 624
        self._waiting: float | None = None  # the second normal of a pair
        return self

    def seed(self) -> int:
        """Restart the stream at 64 bits of the operating system's entropy, and return them."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the stream started from, 0 <= seed < 2^64."""
        return self._seed

    def get_state(self) -> NDArray[np.uint8]:
        """The 5056 bytes of `torch.Generator.get_state()`."""
        _, words, position, *_ = self._twister.get_state(legacy=True)
        state = np.zeros(1, _STATE)
        state["seed"], state["seeded"], state["words"] = self._seed, 1, words
        state["next"] = 0 if self._fresh else position
        state["left"] = 625 - position
        if self._waiting is not None:
            state["normal"], state["has_normal"] = self._waiting, 1
        return state.view(np.uint8)

    def set_state(self, state: NDArray[np.uint8]) -> None:
        """Continue from 5056 bytes of `get_state`, ours or torch's."""
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            raise TypeError(
                f"set_state: state must be a uint8 array, got {getattr(state, 'dtype', type(state).__name__)}"
            )
        if state.size != _STATE.itemsize:
            raise RuntimeError(f"set_state: state must have {_STATE.itemsize} bytes, got {state.size}")
        s = np.ascontiguousarray(state).reshape(-1).view(_STATE)[0]
        left, position = int(s["left"]), int(s["next"])
        fresh = (left, position) == (1, 0)
        if not s["seeded"] or not 1 <= left <= 624 or not (fresh or left + position == 625):
            raise RuntimeError(f"set_state: not a state of MT19937 (seeded={s['seeded']}, {left=}, next={position})")
        self._seed, self._fresh = int(s["seed"]), fresh
        self._waiting = float(s["normal"]) if s["has_normal"] else None
        self._twister.set_state(("MT19937", s["words"].astype(np.uint32), 624 if fresh else position))

    def clone_state(self) -> Generator:
        """A second generator that will draw the same numbers."""
        clone = Generator()
        clone.set_state(self.get_state())
        return clone

    # -- words and unit intervals

    def words(self, n: int) -> NDArray[np.uint32]:
        """The next n 32-bit words."""
        self._fresh &= n == 0
        return self._twister.randint(0, 2**32, n, dtype=np.uint32)

    def _words64(self, n: int) -> NDArray[np.uint64]:
        """n 64-bit words w0·2^32 + w1: the first of two words is the high half."""
        pairs = self.words(2 * n).view("<u8")
        return pairs << np.uint64(32) | pairs >> np.uint64(32)

    def _unit(self, n: int, dtype: np.dtype | type = np.float64) -> Array:
        """n uniforms in [0, 1): (w mod 2^24)·2^-24 in float32, (w mod 2^53)·2^-53 in float64."""
        if dtype == np.float32:
            return (self.words(n) & 0xFFFFFF).view(np.int32).astype(np.float32) * np.float32(2**-24)
        return (self._words64(n) & np.uint64(2**53 - 1)).view(np.int64) * 2.0**-53

    # -- samplers

    def uniform(self, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float32) -> Array:
        """low + u·(high - low), fused, u in [0, 1); a result that rounds up to high becomes low."""
        out = _empty("uniform", shape, dtype, _FLOATS)
        limit = float(np.finfo(out.dtype).max)
        for name, bound in ("low", low), ("high", high):
            if not abs(bound) <= limit:
                raise RuntimeError(f"uniform: {name} must be a finite {out.dtype}, got {bound}")
        if low > high or high - low > limit:
            raise RuntimeError(f"uniform: must have 0 <= high - low <= {limit:.7g}, got {low=} and {high=}")
        start, stop = out.dtype.type(low), out.dtype.type(high)
        for block in _blocks(out):
            block[...] = _affine(self._unit(len(block), out.dtype), stop - start, start)
            block[block == stop] = start
        return out

    def normal(
        self,
        shape: Shape,
        mean: float = 0.0,
        std: float = 1.0,
        dtype: DTypeLike = np.float32,
        contiguous: bool = True,
    ) -> Array:
        """mean + std·x, fused, x ~ N(0, 1) by Box & Muller (1958): r cos t and r sin t, r² = -2 ln a, t = 2π b.

        In blocks of 16 for 16 elements or more, in pairs for fewer. `contiguous=False` asks for pairs at any size, as
        torch does for a tensor that is not contiguous; they come in memory order.
        """
        out = _empty("normal", shape, dtype, _FLOATS)
        if not std >= 0:
            raise RuntimeError(f"normal: std must be at least 0, got {std}")
        flat = out.reshape(-1)
        if not contiguous or len(flat) < 16:
            flat[...] = _affine(self._paired_normals(len(flat)), std, mean)
        else:
            whole = len(flat) // 16 * 16
            fill = self._fill_normals32 if out.dtype == np.float32 else self._fill_normals64
            fill(flat[:whole], mean, std)
            if whole < len(flat):
                self._unit(len(flat) - whole, out.dtype)  # torch draws for the short block, then takes 16 anew
                fill(flat[-16:], mean, std)
        return out

    def _paired_normals(self, n: int) -> NDArray[np.float64]:
        """n of the values r cos t, r sin t, …: r² = -2 log1p(-u1), t = 2π u0. A sine left over waits for the next call."""
        waiting = [] if self._waiting is None else [self._waiting]
        u = self._unit(2 * ((n - len(waiting) + 1) // 2)).reshape(-1, 2)
        values = np.append(waiting, _polar(_libm(math.log1p, -u[:, 1]), 2 * math.pi * u[:, 0], axis=1))
        self._waiting = float(values[n]) if len(values) > n else None
        return values[:n]

    def _fill_normals64(self, out: NDArray[np.float64], mean: float, std: float) -> None:
        """In every 16 elements, j is r cos t and j + 8 is r sin t: r² = -2 ln(1 - u[j]), t = 2π u[j + 8]."""
        for block in _blocks(out):
            u = self._unit(len(block)).reshape(-1, 2, 8)
            normals = _polar(_libm(math.log, 1 - u[:, 0]), 2 * math.pi * u[:, 1], axis=1)
            block[...] = _affine(normals.reshape(-1), std, mean)

    def _fill_normals32(self, out: NDArray[np.float32], mean: float, std: float) -> None:
        """As `_fill_normals64`, by torch's float32 polynomials, in a few threads."""
        blocks = _blocks(out)
        turn = threading.Lock()  # words come in order; what is made of them need not

        def work() -> None:
            room = _Room(min(len(out), _BLOCK) // 2)
            while True:
                with turn:
                    block = next(blocks, None)
                    if block is None:
                        return
                    words = self.words(len(block))
                _box_muller(words, block, room)
                block[...] = _affine(block, std, mean)

        workers = min(4, os.cpu_count() or 1, -(-len(out) // _BLOCK))
        if workers == 1:
            return work()
        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(work) for _ in range(workers)]:
                done.result()

    def bernoulli(self, shape: Shape, p: float = 0.5) -> NDArray[np.bool_]:
        """True with probability p: u < p, u of 53 bits. This is dropout's mask, for p the probability to keep."""
        out = _empty("bernoulli", shape, np.bool_, "bool")
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli: p must lie in [0, 1], got {p}")
        for block in _blocks(out):
            block[...] = self._unit(len(block)) < p
        return out

    def bernoulli_from(self, p: Array) -> Array:
        """1 with probability p[i], else 0, in p's dtype: u[i] < p[i], u as `uniform` draws it in that dtype."""
        out = _empty("bernoulli_from", p.shape, p.dtype, _FLOATS)
        if not ((p >= 0) & (p <= 1)).all():
            raise RuntimeError("bernoulli_from: every element of p must lie in [0, 1]")
        np.less(self._unit(p.size, p.dtype).reshape(p.shape), p, out=out, casting="unsafe")
        return out

    def exponential(self, shape: Shape, lambd: float = 1.0, dtype: DTypeLike = np.float32) -> Array:
        """-log1p(-u) / lambd, u of 53 bits."""
        out = _empty("exponential", shape, dtype, _FLOATS)
        if not lambd > 0:
            raise RuntimeError(f"exponential: lambd must be greater than 0, got {lambd}")
        for block in _blocks(out):
            block[...] = -1 / lambd * _libm(math.log1p, -self._unit(len(block)))
        return out

    def multinomial(self, p: Array, num_samples: int, replacement: bool = False) -> NDArray[np.int64]:
        """num_samples indices along the last axis of p, (V,) or (B, V), in proportion to its weights.

        With replacement, the first index whose cumulative weight reaches u. Without, the order of arrival in a race of
        exponentials of rate p: the largest p / q, q ~ Exp(1). Weights of zero arrive last, in order of their index.
        """
        _empty("multinomial", 0, p.dtype, _FLOATS)
        if p.ndim not in (1, 2):
            raise RuntimeError(f"multinomial: p must have 1 or 2 dimensions, got shape {p.shape}")
        num_samples, categories = _integer("multinomial", "num_samples", num_samples), p.shape[-1]
        if num_samples <= 0 or categories == 0 or (num_samples > categories and not replacement):
            most = "" if replacement else f" and at most {categories}, the number of categories"
            raise RuntimeError(
                f"multinomial: num_samples must be at least 1{most}, got {num_samples} for shape {p.shape}"
            )
        if not ((p >= 0) & (p < np.inf)).all() or not (p > 0).any(axis=-1).all():
            raise RuntimeError("multinomial: weights must be finite and at least 0, with one above 0 in every row")
        if num_samples == 1 or not replacement:
            arrival = p / self.exponential(p.shape, dtype=p.dtype)
            if num_samples == 1:
                return arrival.argmax(axis=-1, keepdims=True)
            return np.argsort(-arrival, axis=-1, kind="stable")[..., :num_samples]
        cumulative = np.cumsum(p, axis=-1, dtype=p.dtype)
        cumulative /= cumulative[..., -1:]
        u = self._unit(p.size // categories * num_samples).reshape(*p.shape[:-1], num_samples)
        if p.ndim == 1:
            return cumulative.searchsorted(u)
        return np.stack([row.searchsorted(ur) for row, ur in zip(cumulative, u, strict=True)])

    def randint(self, low: int, high: int, shape: Shape, dtype: DTypeLike = np.int64) -> Array:
        """low + w mod (high - low); 64-bit words from a range of 2^28 on."""
        out = _empty("randint", shape, dtype, _NUMBERS)
        low, high = _integer("randint", "low", low), _integer("randint", "high", high)
        if low >= high:
            raise RuntimeError(f"randint: low must be less than high, got {low=} and {high=}")
        least, most = _exact_integers(out.dtype)
        if low < least or high - 1 > most:
            raise RuntimeError(f"randint: {out.dtype} holds integers from {least} to {most}, got {low=} and {high=}")
        words = self.words(out.size) if high - low < 2**28 else self._words64(out.size)
        offset = (words % (high - low)).astype(np.uint64)
        out.reshape(-1)[...] = (offset + np.uint64(low % 2**64)).view(np.int64)
        return out

    def random(self, shape: Shape, dtype: DTypeLike = np.int64) -> Array:
        """Integers from 0 to the largest that dtype counts to without a gap: torch's `random_()` without bounds."""
        out = _empty("random", shape, dtype, _NUMBERS)
        words = self._words64(out.size) if out.dtype.itemsize == 8 else self.words(out.size)
        out.reshape(-1)[...] = words % (_exact_integers(out.dtype)[1] + 1)
        return out

    def randperm(self, n: int) -> NDArray[np.int64]:
        """A permutation of 0..n-1 (Fisher & Yates): for i = 0..n-2 swap i with i + w mod (n - i)."""
        n = _integer("randperm", "n", n)
        if not 0 <= n < 2**32 // 20:
            kind = RuntimeError if n < 0 else NotImplementedError
            raise kind(f"randperm: n must be at least 0 and less than {2**32 // 20}, got {n}")
        out = np.arange(n)
        swap = memoryview(out)  # indexes single elements several times faster than the array does
        for i in _blocks(np.arange(n - 1)):
            partners = i + self.words(len(i)) % (n - i)
            for a, b in zip(i.tolist(), partners.tolist(), strict=True):
                swap[a], swap[b] = swap[b], swap[a]
        return out


# -- what came, and what is allowed


def _empty(sampler: str, shape: Shape, dtype: DTypeLike, dtypes: str) -> Array:
    """A new array for the sampler to fill."""
    dtype = np.dtype(dtype)
    if dtype.name not in dtypes.split():
        raise NotImplementedError(f"{sampler}: dtype must be one of {dtypes}, got {dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(size < 0 for size in sizes):
        raise RuntimeError(f"{sampler}: shape must have no negative size, got {sizes}")
    return np.empty(sizes, dtype)


def _integer(sampler: str, name: str, value: int) -> int:
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{sampler}: {name} must be an int, got {type(value).__name__}")
    value = operator.index(value)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{sampler}: {name} must fit int64, got {value}")
    return value


def _exact_integers(dtype: np.dtype) -> tuple[int, int]:
    """The least and greatest integer between which dtype holds every integer."""
    if dtype.kind == "f":
        most = 2 ** (np.finfo(dtype).nmant + 1)
        return -most, most
    return (0, 1) if dtype == np.bool_ else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _blocks(out: Array) -> Iterator[Array]:
    """out's elements in memory order, a cacheful at a time."""
    flat = out.reshape(-1)
    return (flat[i : i + _BLOCK] for i in range(0, len(flat), _BLOCK))


# -- float64, as the C library and a fused multiply-add round it


def _libm(function: Callable[[float], float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """function(x) by the C library: NumPy's vector log and log1p differ in the last bit on some processors."""
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _polar(log: NDArray[np.float64], t: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """r cos t and r sin t, r = √(-2 log), stacked along axis."""
    r = np.sqrt(-2 * log)
    return np.stack([r * _libm(math.cos, t), r * _libm(math.sin, t)], axis)


def _affine(x: Array, scale: float, shift: float) -> Array:
    """scale·x + shift in x's dtype, rounded once, as a fused multiply-add does."""
    scale, shift = float(x.dtype.type(scale)), float(x.dtype.type(shift))
    if shift == 0:
        return x * scale + 0.0  # the sum turns -0 into 0
    if x.dtype == np.float32:
        return (x.astype(np.float64) * scale + shift).astype(np.float32)
    (x1, x0), (scale1, scale0) = _halves(x), _halves(scale)
    product = x * scale
    product_error = x0 * scale0 - (((product - x1 * scale1) - x1 * scale0) - x0 * scale1)  # exact: Dekker 1971
    total = product + shift
    part = total - product
    total_error = (product - (total - part)) + (shift - part)  # exact: Knuth
    return total + (product_error + total_error)


def _halves(x: Any) -> tuple[Any, Any]:
    """x = high + low of 26 bits each, whose products are exact (Veltkamp)."""
    shifted = (2.0**27 + 1) * x
    high = shifted - (shifted - x)
    return high, x - high


# -- float32 normals, as torch's AVX2 kernel rounds them: Cephes logf, sinf and cosf in fused multiply-adds. A product of
# two float32 is exact in float64, so multiply and add there, then round to float32: one fused step. All in place, since
# arrays that are used again and again stay in the cache.

_LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1)
_LOG += (2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_QUARTER_PI = 0.78515625 + 2.4187564849853515625e-4 + float(np.float32(3.77489497744594108e-8))
_SQRT_HALF = int(np.float32(math.sqrt(0.5)).view(np.int32))


class _Room:
    """Space to work on one block of pairs."""

    def __init__(self, pairs: int) -> None:
        self.int32 = np.empty((2, pairs), np.int32)
        self.float32 = np.empty((4, pairs), np.float32)
        self.float64 = np.empty((3, pairs), np.float64)


def _box_muller(words: NDArray[np.uint32], out: NDArray[np.float32], room: _Room) -> None:
    """In every 16, words a and b eight apart: r = √(-2 ln(1 - a)), t = 2π b; out r cos t and r sin t, eight apart."""
    pairs = len(words) // 2
    k, r, t, s, c = room.int32[0, :pairs], *room.float32[:, :pairs]
    eights, eights_out = words.view("V32"), out.view("V32")
    k.view("V32")[...] = eights[0::2]
    k &= 0xFFFFFF
    np.subtract(2**24, k, out=k)
    r[...] = k
    _radius(r, room)
    k.view("V32")[...] = eights[1::2]
    k &= 0xFFFFFF
    t[...] = k
    t *= np.float32(2 * math.pi) * np.float32(2**-24)
    _sine_cosine(t, s, c, room)
    s *= r
    c *= r
    eights_out[0::2] = c.view("V32")
    eights_out[1::2] = s.view("V32")


def _radius(r: NDArray[np.float32], room: _Room) -> None:
    """r ← √(-2 ln(r 2^-24)): r = m 2^e with √½ <= m < √2, z = m - 1, ln m = z - z²/2 + z³ P(z)."""
    exponent, shifted = room.int32[:, : len(r)]
    _, e, square, narrow = room.float32[:, : len(r)]
    z64, y, other = room.float64[:, : len(r)]
    bits = r.view(np.int32)
    np.subtract(bits, _SQRT_HALF, out=exponent)
    exponent >>= 23
    np.left_shift(exponent, 23, out=shifted)
    bits -= shifted
    z = r
    z -= 1
    e[...] = exponent
    e -= 24
    np.multiply(z, z, out=square)
    z64[...] = z
    _horner(_LOG, z64, y, narrow)
    y *= z64
    _round(y, narrow)
    other[...] = square
    y *= other
    np.multiply(e, _LN2_LOW, out=narrow)
    other[...] = narrow
    y += other
    narrow[...] = y
    square *= 0.5
    narrow -= square
    z += narrow
    e *= _LN2_HIGH  # exact: 9 bits times 5
    z += e
    z *= -2
    np.sqrt(z, out=r)


def _sine_cosine(t: NDArray[np.float32], s: NDArray[np.float32], c: NDArray[np.float32], room: _Room) -> None:
    """s, c ← sin t, cos t: t = j π/4 + x with j even, sin x = x + x³ P(x²), cos x = 1 - x²/2 + x⁴ Q(x²)."""
    j, swap = room.int32[:, : len(t)]
    x, z, y = room.float64[:, : len(t)]
    np.multiply(t, np.float32(4 / math.pi), out=s)
    j[...] = s
    j += 1
    j &= ~1
    y[...] = j
    y *= _QUARTER_PI  # exact: 45 bits times 3
    x[...] = t
    x -= y
    _round(x, t)
    np.multiply(t, t, out=s)
    z[...] = s
    _horner(_SIN, z, y, s)
    y *= z
    _round(y, s)
    y *= x
    y += x
    s[...] = y
    _horner(_COS, z, y, c)
    y *= z
    _round(y, c)
    y *= z
    z *= 0.5
    y -= z
    c[...] = y
    c += 1
    # Every second quadrant exchanges the two; the sign of the sine is bit 2 of j, that of the cosine bit 2 ^ bit 1.
    sine, cosine, both = s.view(np.int32), c.view(np.int32), t.view(np.int32)
    np.left_shift(j, 30, out=swap)
    swap >>= 31
    np.bitwise_xor(sine, cosine, out=both)
    both &= swap
    sine ^= both
    cosine ^= both
    j <<= 29
    j &= -(2**31)
    swap <<= 31
    sine ^= j
    cosine ^= j
    cosine ^= swap


def _horner(constants: tuple[float, ...], z: NDArray[np.float64], y: NDArray[np.float64], narrow: Array) -> None:
    """y ← (…(c0 z + c1) z + …) z + cn, every step rounded to float32."""
    y[...] = np.float32(constants[0])
    for c in constants[1:]:
        y *= z
        y += float(np.float32(c))
        _round(y, narrow)


def _round(x: NDArray[np.float64], narrow: Array) -> None:
    """x and narrow ← x to the nearest float32."""
    narrow[...] = x
    x[...] = narrow


# -- the default stream, which everything draws from that is not given another

default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Restart the default stream; any seed that int() takes, as torch does."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Restart the default stream at a seed from the operating system, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default stream started from."""
    return default_generator.initial_seed()


def get_rng_state() -> NDArray[np.uint8]:
    """The state of the default stream: 5056 bytes, as torch lays them out."""
    return default_generator.get_state()


def set_rng_state(new_state: NDArray[np.uint8]) -> None:
    """Continue the default stream from `get_rng_state`'s bytes."""
    default_generator.set_state(new_state)
