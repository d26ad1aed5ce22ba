"""The random stream against torch's: every value and, after every call, all 5056 bytes of the state."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigrad import random as mrandom

# Elsewhere torch rounds a float32 logarithm, sine and cosine as the machine's C library does.
cephes = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"), reason="normals are those of torch's AVX2 kernel"
)


@dataclass
class Call:
    """The same draw from both generators; `text` is what hypothesis prints."""

    text: str
    ours: Callable[[mrandom.Generator], np.ndarray]
    theirs: Callable[[torch.Generator], torch.Tensor]

    def __repr__(self) -> str:
        return self.text


def check(calls: list[Call], ours: mrandom.Generator, theirs: torch.Generator) -> None:
    """Draw from both and compare bit for bit, -0 and 0 included."""
    for call in calls:
        got, want = call.ours(ours), call.theirs(theirs).numpy()
        assert (got.shape, got.dtype) == (want.shape, want.dtype), call
        assert got.flags.c_contiguous and got.flags.writeable, call
        assert got.tobytes() == want.tobytes(), call
        assert ours.get_state().tobytes() == theirs.get_state().numpy().tobytes(), call


def generators(seed: int) -> tuple[mrandom.Generator, torch.Generator]:
    return mrandom.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)


def torch_dtype(dtype: str) -> torch.dtype:
    return getattr(torch, dtype)


# ---------------------------------------------------------------------------------------------------------------- the calls


def uniform(n: int, low: float, high: float, dtype: str) -> Call:
    return Call(
        f"uniform({n}, {low}, {high}, {dtype})",
        lambda g: g.uniform(n, low, high, dtype),
        lambda g: torch.empty(n, dtype=torch_dtype(dtype)).uniform_(low, high, generator=g),
    )


def normal(n: int, mean: float, std: float, dtype: str) -> Call:
    return Call(
        f"normal({n}, {mean}, {std}, {dtype})",
        lambda g: g.normal(n, mean, std, dtype),
        lambda g: torch.empty(n, dtype=torch_dtype(dtype)).normal_(mean, std, generator=g),
    )


def scattered_normal(n: int, mean: float, std: float, dtype: str) -> Call:
    return Call(
        f"normal({n}, {mean}, {std}, {dtype}, contiguous=False)",
        lambda g: g.normal(n, mean, std, dtype, contiguous=False),
        lambda g: torch.empty(n, 2, dtype=torch_dtype(dtype))[:, 0].normal_(mean, std, generator=g),
    )


def bernoulli(n: int, p: float) -> Call:
    return Call(
        f"bernoulli({n}, {p})",
        lambda g: g.bernoulli(n, p),
        lambda g: torch.empty(n, dtype=torch.bool).bernoulli_(p, generator=g),
    )


def bernoulli_from(p: np.ndarray) -> Call:
    return Call(
        f"bernoulli_from({p!r})",
        lambda g: g.bernoulli_from(p),
        lambda g: torch.bernoulli(torch.from_numpy(p), generator=g),
    )


def exponential(n: int, lambd: float, dtype: str) -> Call:
    return Call(
        f"exponential({n}, {lambd}, {dtype})",
        lambda g: g.exponential(n, lambd, dtype),
        lambda g: torch.empty(n, dtype=torch_dtype(dtype)).exponential_(lambd, generator=g),
    )


def multinomial(p: np.ndarray, num_samples: int, replacement: bool) -> Call:
    return Call(
        f"multinomial({p!r}, {num_samples}, {replacement})",
        lambda g: g.multinomial(p, num_samples, replacement),
        lambda g: torch.multinomial(torch.from_numpy(p), num_samples, replacement, generator=g),
    )


def randint(n: int, low: int, high: int, dtype: str) -> Call:
    return Call(
        f"randint({low}, {high}, {n}, {dtype})",
        lambda g: g.randint(low, high, n, dtype),
        lambda g: torch.randint(low, high, (n,), generator=g, dtype=torch_dtype(dtype)),
    )


def integers(n: int, dtype: str) -> Call:
    return Call(
        f"random({n}, {dtype})",
        lambda g: g.random(n, dtype),
        lambda g: torch.empty(n, dtype=torch_dtype(dtype)).random_(generator=g),
    )


def randperm(n: int) -> Call:
    return Call(f"randperm({n})", lambda g: g.randperm(n), lambda g: torch.randperm(n, generator=g))


FLOATS = st.sampled_from(["float32", "float64"])
NUMBERS = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]
SIZES = st.integers(0, 40) | st.sampled_from([47, 48, 49, 63, 64, 65, 311, 312, 313, 623, 624, 625, 1000])
SHIFTS = st.sampled_from([0.0, -0.0, 1.0]) | st.floats(-100, 100, width=32)
SCALES = st.sampled_from([0.0, 0.02, 1.0]) | st.floats(2**-20, 100, width=32)
SEEDS = st.integers(-(2**63), 2**64 - 1)


@st.composite
def weights(draw: st.DrawFn, rows: bool, dtype: str) -> np.ndarray:
    """Of shape (V,) or (B, V), some of them 0, one at least above 0 in every row."""
    shape = ((draw(st.integers(1, 4)),) if rows else ()) + (draw(st.integers(1, 40)),)
    p = np.random.default_rng(draw(st.integers(0, 2**32))).random(shape) ** draw(st.integers(1, 8))
    p[..., : draw(st.integers(0, shape[-1] - 1))] = 0
    return (p * draw(st.sampled_from([1, 1e-3, 1e6])) + 1e-30 * (p > 0)).astype(dtype)


@st.composite
def multinomials(draw: st.DrawFn) -> Call:
    p, replacement = draw(weights(draw(st.booleans()), draw(FLOATS))), draw(st.booleans())
    above_zero = int((p > 0).sum(axis=-1).min())  # torch does not define which of the others comes when they run out
    return multinomial(p, draw(st.integers(1, 9 if replacement else above_zero)), replacement)


@st.composite
def randints(draw: st.DrawFn) -> Call:
    dtype = draw(st.sampled_from(NUMBERS))
    least, most = mrandom._integers(np.dtype(dtype))
    low = draw(st.integers(least, most))
    ranges = st.sampled_from([1, 2, 2**28 - 1, 2**28, 2**28 + 1, 2**32]) | st.integers(1, 2**64)
    high = min(low + draw(ranges), most + 1, 2**63 - 1)
    return randint(draw(SIZES), min(low, high - 1), high, dtype)


@st.composite
def uniforms(draw: st.DrawFn) -> Call:
    low, high = sorted((draw(SHIFTS), draw(SHIFTS)))
    return uniform(draw(SIZES), low, high, draw(FLOATS))


CALLS = st.one_of(
    uniforms(),
    st.builds(uniform, SIZES, st.just(0.0), st.just(1.0), FLOATS),
    st.builds(scattered_normal, SIZES, SHIFTS, SCALES, FLOATS),
    st.builds(normal, st.integers(0, 15), SHIFTS, SCALES, FLOATS),
    st.builds(normal, SIZES, SHIFTS, SCALES, st.just("float64")),
    st.builds(bernoulli, SIZES, st.sampled_from([0, 1, 0.1, 0.9]) | st.floats(0, 1)),
    st.builds(bernoulli_from, FLOATS.flatmap(lambda dtype: weights(True, dtype)).map(lambda p: p / (1 + p))),
    st.builds(exponential, SIZES, st.floats(1e-3, 1e3), FLOATS),
    multinomials(),
    randints(),
    st.builds(integers, SIZES, st.sampled_from(NUMBERS)),
    st.builds(randperm, SIZES),
)
EVERYWHERE = st.lists(CALLS, min_size=1, max_size=12)
WITH_CEPHES = st.lists(CALLS | st.builds(normal, SIZES, SHIFTS, SCALES, st.just("float32")), min_size=1, max_size=12)


# ---------------------------------------------------------------------------------------------------------- values and state


often = settings(max_examples=4 * settings().max_examples)


@often
@given(SEEDS, EVERYWHERE)
def test_any_calls_in_any_order(seed: int, calls: list[Call]) -> None:
    check(calls, *generators(seed))


@cephes
@often
@given(SEEDS, WITH_CEPHES)
def test_any_calls_in_any_order_with_float32_normals(seed: int, calls: list[Call]) -> None:
    check(calls, *generators(seed))


BLOCK = mrandom._BLOCK
LARGE = [
    uniform(2 * BLOCK + 3, -0.036, 0.036, "float32"),
    uniform(BLOCK + 1, -0.3, 1.1, "float64"),
    normal(BLOCK + 24, 1.37, 0.77, "float64"),
    scattered_normal(30_001, 1.37, 0.77, "float32"),
    scattered_normal(30_001, 0.0, 1.0, "float64"),
    bernoulli(2 * BLOCK + 1, 0.9),
    exponential(BLOCK + 1, 3.7, "float32"),
    exponential(BLOCK + 1, 1.0, "float64"),
    multinomial(np.random.default_rng(0).random(50257, np.float32), 1, False),
    multinomial(np.random.default_rng(0).random((3, 50257), np.float32), 40, False),
    multinomial(np.random.default_rng(0).random((3, 50257), np.float32), 1000, True),
    randint(BLOCK + 1, 0, 50257, "int64"),
    randperm(BLOCK + 2),
]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_exchanges_that_meet_are_done_one_after_another(seed: int, n: int, near: int) -> None:
    rng = np.random.default_rng(seed)
    start = int(rng.integers(0, n))
    i = np.arange(start, rng.integers(start, n + 1))
    others = np.minimum(i + rng.integers(0, near, len(i)), n - 1)
    out = rng.permutation(n)
    one_by_one = out.tolist()
    for a, b in zip(i.tolist(), others.tolist(), strict=True):
        one_by_one[a], one_by_one[b] = one_by_one[b], one_by_one[a]
    mrandom._exchange(out, start, others)
    assert out.tolist() == one_by_one


@pytest.mark.parametrize("call", LARGE, ids=str)
def test_large(call: Call) -> None:
    check([call, integers(3, "int32")], *generators(7))


@cephes
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shift", [1e-30, -1e-30, 1e-20, 1e-17, -1e-12, 1e-9, 1e-7])
def test_a_mean_that_only_decides_ties(shift: float, dtype: str) -> None:
    """Every eighth product with 2.5 lies halfway between two numbers: the fused multiply-add rounds it to the mean's side."""
    calls = [
        normal(1000, shift, 2.5, dtype),
        normal(8, shift, 2.5, dtype),
        uniform(1000, shift, 2.5, dtype),
        uniform(1000, shift, 3, dtype),
    ]
    check(calls, *generators(0))


@pytest.mark.parametrize("call", [uniform(99, -1e308, 0, "float64"), normal(99, 1e300, 1e299, "float64")], ids=str)
def test_beyond_2_to_the_900_the_multiply_add_is_not_fused(call: Call) -> None:
    ours, theirs = generators(7)
    np.testing.assert_allclose(call.ours(ours), call.theirs(theirs).numpy(), rtol=0, atol=1e308 * 2**-52)


@cephes
@pytest.mark.parametrize("n", [BLOCK - 16, BLOCK, BLOCK + 16, 2 * BLOCK + 7, 7 * BLOCK + 1000, 2_000_003])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.0, 0.02), (1.37, 0.77)])
def test_large_float32_normals(n: int, mean: float, std: float) -> None:
    check([normal(n, mean, std, "float32")] * 2, *generators(n))


@cephes
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_the_number_of_threads_does_not_show(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mrandom.os, "cpu_count", lambda: workers)
    monkeypatch.setattr(mrandom, "_BLOCK", 64)
    check([normal(n, 0.5, 2.0, "float32") for n in (16, 64, 80, 6407)], *generators(3))


@given(SEEDS, st.permutations([0, 1, 2]), st.tuples(*[st.integers(0, 5)] * 3), FLOATS, st.booleans())
def test_a_transposed_tensor_is_drawn_in_memory_order(
    seed: int, axes: list[int], shape: tuple[int, ...], dtype: str, gaps: bool
) -> None:
    def view() -> torch.Tensor:
        memory = torch.empty(*shape[:2], 2 * shape[2] if gaps else shape[2], dtype=torch_dtype(dtype))
        return memory[:, :, ::2] if gaps else memory

    def theirs(g: torch.Generator, draw: Any) -> torch.Tensor:
        return draw(view().permute(*axes), g).permute(*np.argsort(axes).tolist()).contiguous()

    scattered = not view().permute(*axes).is_contiguous()
    if not scattered and np.prod(shape) >= 16:
        return
    calls = [
        Call(
            "normal",
            lambda g: g.normal(shape, 1.0, 2.0, dtype, contiguous=not scattered),
            lambda g: theirs(g, lambda x, g: x.normal_(1.0, 2.0, generator=g)),
        ),
        Call(
            "uniform",
            lambda g: g.uniform(shape, -1.0, 2.0, dtype),
            lambda g: theirs(g, lambda x, g: x.uniform_(-1.0, 2.0, generator=g)),
        ),
    ]
    check(calls, *generators(seed))


def state_of(word: int, waiting: float | None = None) -> torch.Tensor:
    """A state from which 600 equal words will come."""
    tempered = {0: 0, 0xFFFFFFFF: 0x12DD9BB3}[word]
    state = np.zeros(1, mrandom._STATE)
    state[0] = (5, 624, 1, 1, np.full(624, tempered), waiting or 0.0, waiting is not None)
    return torch.from_numpy(state.view(np.uint8))


@pytest.mark.parametrize("word", [0, 0xFFFFFFFF])
@pytest.mark.parametrize(
    "call",
    [
        uniform(20, low, low + width, d)
        for low in (0, -0.036, 1, 100)
        for width in (0, 1, 3)
        for d in ("float32", "float64")
    ]
    + [normal(n, mean, 2.0, "float64") for n in (3, 16) for mean in (0, 1)]
    + [pytest.param(normal(n, mean, 2.0, "float32"), marks=cephes) for n in (3, 16, 32) for mean in (0, 1)]
    + [bernoulli(20, p) for p in (0, 2**-53, 0.5, 1 - 2**-53, 1)]
    + [bernoulli_from(np.full(9, p, d)) for p in (0, 2**-24, 1 - 2**-24, 1) for d in ("float32", "float64")]
    + [
        exponential(20, 2.0, "float32"),
        exponential(20, 2.0, "float64"),
        randint(9, 0, 2**63 - 1, "int64"),
        randperm(20),
    ]
    + [integers(20, d) for d in NUMBERS]
    + [multinomial(np.array([0, 1, 0, 3, 0], d), 3, True) for d in ("float32", "float64")],
    ids=str,
)
def test_the_smallest_and_the_largest_words(word: int, call: Call) -> None:
    """u = 0 and the greatest u below 1: zeros keep torch's sign, what rounds up to `high` becomes `low`."""
    ours, theirs = mrandom.Generator(), torch.Generator()
    ours.set_state(state_of(word).numpy())
    theirs.set_state(state_of(word))
    check([call], ours, theirs)


PAIRS = mrandom.Generator._pairs
MUTANTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "25 bits": ("Generator._unit", lambda self, n, dtype=None: (self.words(n) & 0x1FFFFFF) * np.float32(2**-25)),
    "halves exchanged": ("Generator._words64", lambda self, n: self.words(2 * n).view("<u8")),
    "two roundings": ("_affine", lambda x, scale, shift: np.add(x * x.dtype.type(scale), x.dtype.type(shift), out=x)),
    "sine and cosine exchanged": ("_polar", lambda log, t, axis: np.stack([np.sin(t), np.cos(t)], axis)),
    "log of 1 - u": ("_libm", lambda f, x: np.log(1 + x) if f is mrandom.math.log1p else np.vectorize(f)(x)),
    "nothing waits": (
        "Generator._pairs",
        lambda self, n: (PAIRS(self, n), setattr(self, "_waiting", None))[0],
    ),
    "polynomials in float64": ("_round", lambda y, y32: y32.__setitem__(..., y)),
}


@cephes
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_check_catches(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [call for n in (3, 100) for call in (normal(n, 1.37, 0.77, "float32"), normal(n, 1.37, 0.77, "float64"))]
    calls += [uniform(100, -0.3, 1.1, "float32"), uniform(100, -0.3, 1.1, "float64"), exponential(100, 3.7, "float64")]
    check(calls, *generators(0))
    where, wrong = MUTANTS[mutant]
    monkeypatch.setattr(f"minigrad.random.{where}", wrong)
    with pytest.raises(AssertionError):
        check(calls, *generators(0))


# ------------------------------------------------------------------------------------------------------------ seeds and states


@given(SEEDS, EVERYWHERE, EVERYWHERE)
def test_states_can_be_exchanged(seed: int, before: list[Call], after: list[Call]) -> None:
    ours, theirs = generators(seed)
    check(before, ours, theirs)
    new_ours, new_theirs = mrandom.Generator(), torch.Generator()
    new_ours.set_state(theirs.get_state().numpy())
    new_theirs.set_state(torch.from_numpy(ours.get_state()))
    assert new_ours.initial_seed() == new_theirs.initial_seed() == seed % 2**64
    check(after, new_ours, new_theirs)


def test_the_second_of_a_pair_waits_through_everything_but_a_seed() -> None:
    between = [uniform(5, 0, 1, "float32"), normal(16, 0, 1, "float64"), randperm(5), exponential(3, 1, "float32")]
    ours, theirs = generators(1)
    check([normal(3, 0, 1, "float64"), *between, normal(0, 0, 1, "float64"), normal(4, 0, 1, "float32")], ours, theirs)
    check([normal(1, 0, 1, "float64")], ours, theirs)
    ours.manual_seed(1), theirs.manual_seed(1)
    check([normal(1, 0, 1, "float64")], ours, theirs)


@given(st.integers(1, 40))
def test_copies_continue_alike_and_apart(n: int) -> None:
    original, theirs = generators(4)
    check([normal(n, 0, 1, "float64")], original, theirs)
    before = original.get_state()
    copies = [original.clone_state(), copy.deepcopy(original), pickle.loads(pickle.dumps(original))]
    for g in copies:
        state = theirs.get_state()
        check([normal(3, 0, 1, "float64"), randperm(9)], g, theirs)
        theirs.set_state(state)
    assert original.get_state().tobytes() == before.tobytes()


@pytest.mark.parametrize("seed", [0, 1, -1, 2**31, 2**32, 2**32 + 1, 2**63, 2**64 - 1, -(2**63)])
def test_seeds(seed: int) -> None:
    ours, theirs = generators(seed)
    assert ours.initial_seed() == theirs.initial_seed()
    check([integers(700, "int32")], ours, theirs)


def test_a_new_generator_is_torchs() -> None:
    check([uniform(3, 0, 1, "float32")], mrandom.Generator(), torch.Generator())
    assert mrandom.Generator("cpu").initial_seed() == torch.Generator("cpu").initial_seed() == 67280421310721


def test_seed_takes_entropy() -> None:
    g = mrandom.Generator()
    first, second = g.seed(), g.seed()
    assert first != second == g.initial_seed()
    check([uniform(3, 0, 1, "float32")], g, torch.Generator().manual_seed(second))


def test_words() -> None:
    g, h = generators(3)
    words = g.words(1000)
    assert words.dtype == np.uint32
    np.testing.assert_array_equal(words & 0x7FFFFFFF, torch.empty(1000, dtype=torch.int32).random_(generator=h).numpy())


@pytest.mark.parametrize("seed", [5, True, 2.9, "12", np.int64(-3), 2**64 - 1])
def test_the_default_stream(seed: Any) -> None:
    before, torchs = mrandom.get_rng_state(), torch.get_rng_state()
    try:
        assert mrandom.manual_seed(seed) is mrandom.default_generator
        torch.manual_seed(seed)
        assert mrandom.initial_seed() == torch.initial_seed()
        assert mrandom.get_rng_state().tobytes() == torch.get_rng_state().numpy().tobytes()
        np.testing.assert_array_equal(mrandom.default_generator.uniform((2, 3)), torch.rand(2, 3).numpy())
        assert mrandom.seed() == mrandom.initial_seed() == mrandom.default_generator.initial_seed()
        mrandom.set_rng_state(torch.get_rng_state().numpy())
        np.testing.assert_array_equal(mrandom.default_generator.randperm(9), torch.randperm(9).numpy())
    finally:
        mrandom.set_rng_state(before)
        torch.set_rng_state(torchs)


@given(st.lists(st.integers(0, 4), max_size=3), FLOATS)
@example([], "float32")
def test_shapes_are_filled_in_order(shape: list[int], dtype: str) -> None:
    for name in ("uniform", "normal", "exponential", "bernoulli", "random"):
        dtypes = {} if name == "bernoulli" else {"dtype": dtype}
        got = getattr(mrandom.Generator(), name)(tuple(shape), **dtypes)
        flat = getattr(mrandom.Generator(), name)(int(np.prod(shape)), **dtypes)
        assert got.shape == tuple(shape)
        np.testing.assert_array_equal(got.reshape(-1), flat)


# ------------------------------------------------------------------------------------------------------------------- errors

F32, F64, I64 = torch.empty(3), torch.empty(3, dtype=torch.float64), torch.empty(3, dtype=torch.int64)
nan, inf = float("nan"), float("inf")


def p(*values: float, dtype: str = "float32") -> Any:
    return np.array(values, dtype)


ERRORS: list[tuple[str, Callable[[mrandom.Generator], Any], Callable[[], Any]]] = [
    ("normal: std .* -1", lambda g: g.normal(3, 0, -1), lambda: F32.normal_(0, -1)),
    ("normal: std .* nan", lambda g: g.normal(3, 0, nan), lambda: F32.normal_(0, nan)),
    ("normal: mean .* str", lambda g: g.normal(3, "1"), lambda: F32.normal_("1")),
    ("normal: std .* NoneType", lambda g: g.normal(3, 0, None), lambda: F32.normal_(0, None)),
    ("normal: dtype .* int64", lambda g: g.normal(3, dtype=np.int64), lambda: I64.normal_()),
    ("normal: shape .* -1", lambda g: g.normal((2, -1)), lambda: torch.randn(2, -1)),
    ("uniform: .* low=1.0, high=0.0", lambda g: g.uniform(3, 1, 0), lambda: F32.uniform_(1, 0)),
    ("uniform: .*nan", lambda g: g.uniform(3, nan, 1), lambda: F32.uniform_(nan, 1)),
    ("uniform: .*inf", lambda g: g.uniform(3, 0, inf), lambda: F32.uniform_(0, inf)),
    ("uniform: .*float32", lambda g: g.uniform(3, -1e300, 0), lambda: F32.uniform_(-1e300, 0)),
    ("uniform: .*", lambda g: g.uniform(3, -3e38, 3e38), lambda: F32.uniform_(-3e38, 3e38)),
    ("uniform: .*", lambda g: g.uniform(3, -1e308, 1e308, "float64"), lambda: F64.uniform_(-1e308, 1e308)),
    ("uniform: dtype .* int64", lambda g: g.uniform(3, dtype="int64"), lambda: I64.uniform_()),
    ("uniform: high .* str", lambda g: g.uniform(3, 0, "1"), lambda: F32.uniform_(0, "1")),
    ("bernoulli: p .* -0.1", lambda g: g.bernoulli(3, -0.1), lambda: F32.bernoulli_(-0.1)),
    ("bernoulli: p .* 1.1", lambda g: g.bernoulli(3, 1.1), lambda: F32.bernoulli_(1.1)),
    ("bernoulli: p .* nan", lambda g: g.bernoulli(3, nan), lambda: F32.bernoulli_(nan)),
    ("bernoulli: p .* str", lambda g: g.bernoulli(3, "0.5"), lambda: F32.bernoulli_("0.5")),
    ("bernoulli_from: p", lambda g: g.bernoulli_from(p(0, 1.5)), lambda: torch.bernoulli(torch.tensor([0, 1.5]))),
    ("bernoulli_from: p", lambda g: g.bernoulli_from(p(-0.5)), lambda: torch.bernoulli(torch.tensor([-0.5]))),
    ("bernoulli_from: p", lambda g: g.bernoulli_from(p(nan)), lambda: torch.bernoulli(torch.tensor([nan]))),
    ("bernoulli_from: dtype", lambda g: g.bernoulli_from(p(1, dtype="int64")), lambda: torch.bernoulli(I64)),
    ("exponential: lambd .* 0", lambda g: g.exponential(3, 0), lambda: F32.exponential_(0)),
    ("exponential: lambd .* -1", lambda g: g.exponential(3, -1), lambda: F32.exponential_(-1)),
    ("exponential: lambd .* nan", lambda g: g.exponential(3, nan), lambda: F32.exponential_(nan)),
    ("exponential: dtype", lambda g: g.exponential(3, dtype="int64"), lambda: I64.exponential_()),
    ("randint: .* low=5, high=5", lambda g: g.randint(5, 5, 3), lambda: torch.randint(5, 5, (3,))),
    ("randint: uint8 .* low=-1", lambda g: g.randint(-1, 5, 3, "uint8"), lambda: I64.byte().random_(-1, 5)),
    ("randint: uint8 .* high=257", lambda g: g.randint(0, 257, 3, "uint8"), lambda: I64.byte().random_(0, 257)),
    ("randint: bool .* high=3", lambda g: g.randint(0, 3, 3, "bool"), lambda: I64.bool().random_(0, 3)),
    ("randint: high .* int64", lambda g: g.randint(0, 2**63, 3), lambda: torch.randint(0, 2**63, (3,))),
    ("randint: low .* int64", lambda g: g.randint(-(2**63) - 1, 0, 3), lambda: torch.randint(-(2**63) - 1, 0, (3,))),
    ("randint: high .* float", lambda g: g.randint(0, 2.5, 3), lambda: torch.randint(0, 2.5, (3,))),
    ("randint: low .* bool", lambda g: g.randint(True, 5, 3), lambda: torch.randint(True, 5, (3,))),
    ("random: dtype .* uint16", lambda g: g.random(3, "uint16"), lambda: torch.empty(3, dtype=torch.uint16).random_()),
    ("randperm: n .* -1", lambda g: g.randperm(-1), lambda: torch.randperm(-1)),
    ("randperm: n .* float", lambda g: g.randperm(2.0), lambda: torch.randperm(2.0)),
    ("randperm: n .* bool", lambda g: g.randperm(True), lambda: torch.randperm(True)),
    ("manual_seed: seed .* 2", lambda g: g.manual_seed(2**64), lambda: torch.Generator().manual_seed(2**64)),
    ("manual_seed: ", lambda g: g.manual_seed(-(2**63) - 1), lambda: torch.Generator().manual_seed(-(2**63) - 1)),
    ("manual_seed: .* float", lambda g: g.manual_seed(1.0), lambda: torch.Generator().manual_seed(1.0)),
    ("manual_seed: .* bool", lambda g: g.manual_seed(True), lambda: torch.Generator().manual_seed(True)),
    ("manual_seed: .* str", lambda g: g.manual_seed("1"), lambda: torch.Generator().manual_seed("1")),
    ("invalid literal", lambda g: mrandom.manual_seed("x"), lambda: torch.manual_seed("x")),
    ("manual_seed", lambda g: mrandom.manual_seed(2**64), lambda: torch.manual_seed(2**64)),
    ("NoneType", lambda g: mrandom.manual_seed(None), lambda: torch.manual_seed(None)),
    ("Generator: device .* 'meta'", lambda g: mrandom.Generator("meta"), lambda: torch.Generator("meta")),
]


def multinomial_error(message: str, values: Any, *arguments: Any) -> tuple[str, Any, Any]:
    values = np.asarray(values)
    return (
        f"multinomial: .*{message}",
        lambda g: g.multinomial(values, *arguments),
        lambda: torch.multinomial(torch.from_numpy(values), *arguments),
    )


ERRORS += [
    multinomial_error("5 of 3 categories", p(1, 2, 3), 5),
    multinomial_error("0 of 3 categories", p(1, 2, 3), 0),
    multinomial_error("-1 of 3 categories", p(1, 2, 3), -1, True),
    multinomial_error("1 of 0 categories", np.ones((2, 0), "float32"), 1),
    multinomial_error("1 of 0 categories", np.ones((2, 0), "float32"), 1, True),
    multinomial_error("weights", p(0, 0), 1),
    multinomial_error("weights", np.array([[1.0, 0], [0, 0]]), 1),
    multinomial_error("num_samples .* float", p(1, 2), 1.0),
    multinomial_error("num_samples .* bool", p(1, 2), True),
    multinomial_error("dtype .* int64", p(1, 2, dtype="int64"), 1),
    multinomial_error("dimensions, got 0", np.array(1.0), 1),
    multinomial_error("dimensions, got 3", np.ones((2, 2, 2)), 1),
]
ERRORS += [multinomial_error("weights", p(1, bad, 3), *a) for bad in (-1, nan, inf) for a in ((1,), (2, True), (2,))]


def broken_state(**fields: int) -> np.ndarray:
    state = mrandom.Generator().get_state().view(mrandom._STATE)
    for name, value in fields.items():
        state[name] = value
    return state.view(np.uint8)


def state_error(message: str, state: Any) -> tuple[str, Any, Any]:
    theirs = torch.from_numpy(state) if isinstance(state, np.ndarray) else state
    return f"set_state: .*{message}", lambda g: g.set_state(state), lambda: torch.Generator().set_state(theirs)


ERRORS += [
    state_error("5056 bytes, got 5055", np.zeros(5055, np.uint8)),
    state_error("uint8 array, got float32", np.zeros(5056, np.float32)),
    state_error("uint8 array, got list", [0] * 5056),
    state_error("MT19937", np.zeros(5056, np.uint8)),
    state_error("left=0", broken_state(left=0)),
    state_error("left=625", broken_state(left=625)),
    state_error("seeded=0", broken_state(seeded=0)),
    state_error("next=625", broken_state(next=625)),
]


@pytest.mark.parametrize(("message", "ours", "theirs"), ERRORS, ids=[f"{i} {e[0]}" for i, e in enumerate(ERRORS)])
def test_errors_are_torchs_and_draw_nothing(message: str, ours: Any, theirs: Any) -> None:
    with pytest.raises(Exception) as torchs:
        theirs()
    g = mrandom.Generator()
    before = g.get_state().tobytes(), mrandom.get_rng_state().tobytes()
    with pytest.raises(torchs.type, match=message):
        ours(g)
    assert (g.get_state().tobytes(), mrandom.get_rng_state().tobytes()) == before


@pytest.mark.parametrize(
    ("message", "ours"),
    [
        ("float16", lambda g: g.normal(3, dtype=np.float16)),
        ("float16", lambda g: g.multinomial(np.ones(3, np.float16), 1)),
        ("214748364", lambda g: g.randperm(2**32 // 20)),
        ("16777216", lambda g: g.randint(0, 2**24 + 2, 3, "float32")),
        ("left=5, next=0", lambda g: g.set_state(broken_state(left=5))),
    ],
)
def test_what_torch_can_and_we_cannot_says_so(message: str, ours: Any) -> None:
    with pytest.raises(RuntimeError, match=message):
        ours(mrandom.Generator())
