"""save and load: everything comes back, torch reads it and is read, and no accident leaves half a file."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import numpy_of, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg

DTYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
]


def identical(a: Any, b: Any) -> bool:
    """Equal, types included, nan being nan and -0 not 0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, mg.Tensor):
        return a.requires_grad == b.requires_grad and identical(numpy_of(a.detach()), numpy_of(b.detach()))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            identical(i, j) and identical(x, y) for (i, x), (j, y) in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, set):
        return a == b
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(identical, a, b))
    return repr(a) == repr(b)


def through(obj: Any, **options: Any) -> Any:
    stream = io.BytesIO()
    mg.save(obj, stream)
    stream.seek(0)
    return mg.load(stream, **options)


def model(L: Any = mg) -> Any:
    L.manual_seed(7)
    net = L.nn.Sequential(L.nn.Embedding(5, 4), L.nn.Tanh(), L.nn.Linear(4, 5, bias=False))
    net[2].weight = net[0].weight
    return net


def trained(L: Any, name: str = "AdamW", steps: int = 3, **options: Any) -> tuple[Any, Any]:
    net = model(L)
    optimizer = getattr(L.optim, name)(net.parameters(), lr=0.01, **options)
    train(L, net, optimizer, 0, steps)
    return net, optimizer


def train(L: Any, net: Any, optimizer: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        optimizer.zero_grad()
        c = L.tensor(np.random.default_rng(i).standard_normal((3, 5)).astype(np.float32))
        (net(L.tensor([1, i % 5, 2])) * c).sum().backward()
        optimizer.step()


# ------------------------------------------------------------------------------------------------------------ round trips

numbers = (
    st.none() | st.booleans() | st.integers() | st.integers(-(2**200), 2**200) | st.floats() | st.text() | st.binary()
)
arrays = hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
leaves = (
    numbers
    | arrays
    | arrays.map(mg.from_numpy)
    | arrays.filter(lambda a: a.dtype.kind == "f").map(lambda a: mg.nn.Parameter(mg.from_numpy(a)))
    | arrays.map(lambda a: a.reshape(-1)[0] if a.size else np.float32(0.1))
    | st.sampled_from([mg.float32, mg.bool, mg.device("cpu"), mg.device("cuda", 1), mg.Size((2, 3))])
)
keys = st.text(max_size=4) | st.integers() | st.booleans() | st.none() | st.tuples(st.integers(), st.text(max_size=2))
structures = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4).map(OrderedDict)
        | st.sets(st.integers(), max_size=3)
        | st.dictionaries(st.integers(), st.integers(), max_size=3).map(Counter)
    ),
    max_leaves=12,
)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(structures)
def test_whatever_is_saved_comes_back(obj: Any) -> None:
    assert identical(through(obj), obj)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_training_checkpoint_comes_back(tmp_path: Path, mmap: bool) -> None:
    net, optimizer = trained(mg)
    checkpoint = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": 12,
        "best": math.inf,
        "args": {"lr": 6e-4, "betas": (0.9, 0.95), "compile": False, "name": "größe", "seed": 2**80, "none": None},
        "rng": mg.get_rng_state(),
        "losses": [4.25, math.nan, -0.0, 0.1 + 0.2],
    }
    for path in (tmp_path / "a.pt", str(tmp_path / "b")):
        mg.save(checkpoint, path)
        back = mg.load(path, mmap=mmap)
        assert identical(back, checkpoint) and list(back) == list(checkpoint)
    assert list(back["optimizer"]["state"]) == [0] and type(back["args"]["betas"]) is tuple
    mg.set_rng_state(back["rng"])
    assert sorted(os.listdir(tmp_path)) == ["a.pt", "b"]


@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop"])
def test_a_resumed_run_continues_bit_for_bit(tmp_path: Path, name: str) -> None:
    """Order of the data, noise, learning rate and all: three epochs, or one, a file, and two more in new objects."""

    def start() -> dict[str, Any]:
        net = model()
        optimizer = getattr(mg.optim, name)(net.parameters(), lr=0.05)
        scheduler = mg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
        return {"net": net, "optimizer": optimizer, "scheduler": scheduler}

    def epoch(net: Any, optimizer: Any, scheduler: Any) -> None:
        for ids in mg.data.DataLoader(range(5), 2, shuffle=True):
            optimizer.zero_grad()
            (net(ids) * mg.randn(len(ids), 5)).sum().backward()
            mg.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
            scheduler.step()

    whole = start()
    epoch(**whole)
    mg.save({k: v.state_dict() for k, v in whole.items()} | {"rng": mg.get_rng_state()}, tmp_path / "f")
    for _ in range(2):
        epoch(**whole)
    resumed = start()
    checkpoint = mg.load(tmp_path / "f")
    for k, v in resumed.items():
        v.load_state_dict(checkpoint[k])
    mg.set_rng_state(checkpoint["rng"])
    for _ in range(2):
        epoch(**resumed)
    assert resumed["net"][0].weight is resumed["net"][2].weight
    assert identical(*([v.state_dict() for v in run.values()] for run in (whole, resumed)))


@pytest.mark.cpu_only("counts the host's memory, to which a GPU's tensors are copied")
def test_no_copy_more_than_needed(tmp_path: Path) -> None:
    state = {str(i): mg.ones(1_000_000) for i in range(10)}
    size = 40_000_000

    def peak(f: Callable[[], Any]) -> float:
        tracemalloc.start()
        try:
            f()
            return tracemalloc.get_traced_memory()[1] / size
        finally:
            tracemalloc.stop()

    assert peak(lambda: mg.save(state, tmp_path / "f")) < 1.1
    assert peak(lambda: mg.load(tmp_path / "f")) < 1.1  # what it returns
    assert peak(lambda: mg.load(tmp_path / "f", mmap=True)) < 0.01


def test_tensors_that_are_one_memory_are_stored_once_and_share_again(tmp_path: Path) -> None:
    state = model().state_dict()
    assert list(state) == ["0.weight", "2.weight"]
    mg.save({"net": state, "copy": state["0.weight"].clone()}, tmp_path / "f")
    back = mg.load(tmp_path / "f")
    a, b = back["net"].values()
    assert a.data_ptr() == b.data_ptr() != back["copy"].data_ptr()
    b.fill_(2.0)
    assert a.tolist() == b.tolist() != back["copy"].tolist()
    with safetensors.safe_open(tmp_path / "f", "np") as f:
        assert sorted(f.keys()) == ["copy", "net.0.weight"]


def test_views_and_other_layouts_come_back_equal() -> None:
    x = mg.arange(12.0).reshape(3, 4)
    big_endian, reversed_ = np.arange(3, dtype=">f4"), np.arange(4)[::-1]
    back = through({"x": x, "t": x.t(), "row": x[1], "steps": x[:, ::2], "big": big_endian, "reversed": reversed_})
    assert [v.tolist() for v in back.values()] == [
        x.tolist(), x.t().tolist(), x[1].tolist(), x[:, ::2].tolist(), [0, 1, 2], [3, 2, 1, 0],
    ]  # fmt: skip
    back["row"].fill_(0.0)
    assert back["x"].tolist() == x.tolist()  # partly overlapping: independent now, as documented


def test_names_that_collide_or_are_reserved() -> None:
    x, y, z = (mg.full((2,), float(i)) for i in range(3))
    for obj in (
        {"a.b": x, "a": {"b": y}, "a~": z},
        {"__metadata__": x, "": y},
        {1: x, "1": y, (1,): z},
        {"\ud800": x},
        x,
        [x, [y]],
    ):
        assert identical(through(obj), obj)


def test_a_tensor_with_history_is_saved_without() -> None:
    w = mg.ones(2, requires_grad=True)
    back = through([w, w * 2, mg.nn.Parameter(mg.ones(1), requires_grad=False)])
    assert [x.requires_grad for x in back] == [True, True, False] and all(x.is_leaf for x in back)


def test_map_location() -> None:
    for where in (None, "cpu", mg.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage):
        assert through(mg.ones(2), map_location=where).device.type == "cpu"
    if not mg.cuda.is_available():
        with pytest.raises(mg.BackendUnavailable):
            through(mg.ones(2), map_location="cuda")
    with pytest.raises(RuntimeError, match="device must be"):
        through(mg.ones(2), map_location="gpu")


def test_a_tensor_of_a_mapped_file_can_be_written_and_the_file_stays(tmp_path: Path) -> None:
    mg.save({"w": mg.ones(3)}, tmp_path / "f")
    before = (tmp_path / "f").read_bytes()
    mapped = mg.load(tmp_path / "f", mmap=True)["w"]
    mapped.add_(1.0)
    mg.save({"w": mg.zeros(3)}, tmp_path / "g")
    os.replace(tmp_path / "g", tmp_path / "f")
    assert mapped.tolist() == [2.0] * 3 and before != (tmp_path / "f").read_bytes()
    with pytest.raises(ValueError, match="needs the path"):
        through(mg.ones(1), mmap=True)


# ------------------------------------------------------------------------------------------------------------------ torch


def test_torch_reads_a_state_dict_under_the_same_names(tmp_path: Path) -> None:
    state = {f"layer.{d}": mg.tensor(np.arange(6).reshape(2, 3) % 2, dtype=getattr(mg, d)) for d in DTYPES}
    state |= {"scalar": mg.tensor(2.5), "empty": mg.zeros(0, 3)}
    mg.save(state, tmp_path / "f")
    theirs = safetensors.torch.load_file(tmp_path / "f")
    assert set(theirs) == set(state)
    for name, x in state.items():
        same(x, theirs[name], exact=True, what=name)


def test_torch_reads_tied_weights_under_the_first_name_and_nested_ones_under_dotted_names(tmp_path: Path) -> None:
    net, optimizer = trained(mg)
    mg.save(net.state_dict(), tmp_path / "f")
    theirs = safetensors.torch.load_file(tmp_path / "f")
    assert list(theirs) == ["0.weight"]
    same(net[0].weight, theirs["0.weight"], exact=True)
    mg.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "f")
    assert {"model.0.weight", "optimizer.state.0.exp_avg"} <= set(safetensors.torch.load_file(tmp_path / "f"))


def test_files_of_torch_are_read(tmp_path: Path) -> None:
    state = {"b.weight": torch.randn(3, 2).t().contiguous(), "a": torch.arange(3), "half": torch.randn(2).half()}
    state |= {"bf16": torch.tensor([1.5, -3e38, 1e-40, math.inf, math.nan, -0.0]).bfloat16(), "empty": torch.ones(0)}
    for metadata in (None, {"format": "pt", "other": "entry"}):
        safetensors.torch.save_file(state, tmp_path / "f", metadata)
        for source in (tmp_path / "f", io.BytesIO((tmp_path / "f").read_bytes())):
            ours = mg.load(source)
            assert type(ours) is dict and set(ours) == set(state)
            for name, x in state.items():
                same(ours[name], x.float() if x.dtype == torch.bfloat16 else x, exact=True, what=name)
    safetensors.torch.save_file({"f8": torch.ones(2).to(torch.float8_e4m3fn)}, tmp_path / "f")
    with pytest.raises(RuntimeError, match="'f8' is F8_E4M3"):
        mg.load(tmp_path / "f")


# --------------------------------------------------------------------------------------------------------- what is refused

Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "obj, fact",
    [
        (mg.nn.Linear(1, 1), r"obj is a Linear.*save\(model.state_dict\(\)"),
        ({"a": [1, (mg.nn.ReLU(),)]}, r"obj\['a'\]\[1\]\[0\] is a ReLU"),
        ({"f": len}, r"obj\['f'\] is a builtin_function"),
        ({3: lambda: 0}, r"obj\[3\] is a function"),
        ({"o": mg.optim.SGD([mg.ones(1)], lr=1.0)}, r"obj\['o'\] is a SGD.*\.state_dict\(\)"),
        ([Point(1, 2)], r"obj\[0\] is a Point"),
        ({"a": np.array(["x"])}, r"obj\['a'\] is an array of <U1"),
        ({"a": np.array([None])}, r"obj\['a'\] is an array of object"),
        ({"a": 1 + 2j}, r"obj\['a'\] is a complex"),
        ({Point(1, 2): 1}, "is a Point"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_kept_is_named(tmp_path: Path, obj: Any, fact: str) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(TypeError, match=fact):
        mg.save(obj, tmp_path / "f")
    assert os.listdir(tmp_path) == ["f"] and (tmp_path / "f").read_bytes() == b"old"


def test_a_structure_inside_itself_is_refused() -> None:
    loop: dict[str, Any] = {"a": [1]}
    loop["a"].append(loop)
    with pytest.raises(ValueError, match=r"obj\['a'\]\[1\] contains itself"):
        mg.save(loop, io.BytesIO())
    twice = [1]
    assert through([twice, twice]) == [[1], [1]]


def test_lists_too_long_for_the_format_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigrad.checkpoint._HEADER", 10_000)
    mg.save({"losses": [0.5] * 1000, "w": mg.ones(10_000)}, tmp_path / "f")
    with pytest.raises(ValueError, match="make tensors of long lists"):
        mg.save({"losses": [0.5] * 10_000}, tmp_path / "f")
    assert len(mg.load(tmp_path / "f")["losses"]) == 1000 and os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("kind", ["zip", "legacy", "tar", "pickle"])
def test_a_pickle_is_refused_and_never_opened(tmp_path: Path, kind: str) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "was here"),)

    path = tmp_path / "f.pt"
    if kind == "tar":
        import tarfile

        with tarfile.open(path, "w") as tar:
            tar.add(__file__, "pickle")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
    else:
        torch.save(Evil(), path, _use_new_zipfile_serialization=kind == "zip")
    for weights_only in (True, False):
        for source in (path, io.BytesIO(path.read_bytes())):
            with pytest.raises(RuntimeError, match=r"is a pickle.*save_file\(torch.load\(path, weights_only=True\)"):
                mg.load(source, weights_only=weights_only)
    assert os.listdir(tmp_path) == ["f.pt"]


def raw(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
CORRUPT = {
    "empty": b"",
    "one byte": b"\x00",
    "text": b"hello, this is no checkpoint at all",
    "only a length": (2).to_bytes(8, "little"),
    "a length beyond the file": (10**6).to_bytes(8, "little") + b"{}",
    "a length beyond memory": (2**63).to_bytes(8, "little") + b"{}",
    "a length too short": (5).to_bytes(8, "little") + b'{"a":1}',
    "not JSON": raw(b"{nothing}"),
    "not UTF-8": raw(b'{"\xff\xfe": 1}'),
    "JSON of another kind": raw(b"{}  ") + b"rest",
    "no offsets": raw({"a": {"dtype": "F32", "shape": [1]}}, b"1234"),
    "overlapping": raw({"a": F32, "b": F32}, b"1234"),
    "a hole": raw({"a": F32, "b": {**F32, "data_offsets": [8, 12]}}, b"123456789012"),
    "data missing": raw({"a": F32}, b"12"),
    "data too long": raw({"a": F32}, b"12345678"),
    "offsets that do not fit the shape": raw({"a": {**F32, "shape": [2]}}, b"1234"),
    "offsets turned round": raw({"a": {**F32, "data_offsets": [4, 0]}}, b"1234"),
    "a negative size": raw({"a": {**F32, "shape": [-1]}}, b"1234"),
    "an unknown dtype": raw({"a": {**F32, "dtype": "F33"}}, b"1234"),
    "the same name twice": raw(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b"12345678",
    ),
    "structure without checksum": raw({"__metadata__": {"minigrad": "1"}}),
    "checksum without structure": raw({"__metadata__": {"minigrad.crc32": "1"}, "a": F32}, b"1234"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRUPT)
@pytest.mark.parametrize("mmap", [False, True])
def test_a_corrupt_file_is_refused_by_name(tmp_path: Path, name: str, mmap: bool) -> None:
    path = tmp_path / "the checkpoint"
    path.write_bytes(CORRUPT[name])
    with pytest.raises(RuntimeError, match="the checkpoint"):
        mg.load(path, mmap=mmap)
    with pytest.raises(RuntimeError, match="BytesIO"):
        mg.load(io.BytesIO(CORRUPT[name]))


def structure_only(structure: Any) -> bytes:
    text = structure if isinstance(structure, str) else json.dumps(structure)
    from minigrad.checkpoint import _checksum

    return raw({"__metadata__": {"minigrad": text, "minigrad.crc32": _checksum(text, {})}})


@pytest.mark.parametrize(
    "structure",
    [
        "{", {"tensor": "missing"}, {"code": "import os"}, {}, {"dict": [1]}, {"dict": [[[1], 2]]}, {"tuple": 3},
        {"scalar": ["object", 1]}, {"dtype": "object"}, {"int": "12x"}, {"float": []}, "[" * 100_000,
    ],
    ids=lambda s: str(s)[:20],
)  # fmt: skip
def test_a_structure_that_makes_no_sense_is_refused(structure: Any) -> None:
    with pytest.raises(RuntimeError, match="BytesIO"):
        mg.load(io.BytesIO(structure_only(structure)))


def test_every_flipped_bit_and_every_truncation_is_noticed() -> None:
    stream = io.BytesIO()
    obj = {"w": mg.tensor([1.0, 2.0]), "tied": [0.001, {"n": 3}]}
    obj["again"] = obj["w"].detach()
    mg.save(obj, stream)
    whole = stream.getvalue()
    for n in range(len(whole)):
        with pytest.raises(RuntimeError):
            mg.load(io.BytesIO(whole[:n]))
    for n in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[n] ^= 1 << bit
            try:
                back = mg.load(io.BytesIO(bytes(damaged)))
            except RuntimeError:
                continue
            assert identical(back, obj), (n, bit)  # a bit that says nothing, as in "format"


def test_what_is_not_there(tmp_path: Path) -> None:
    for L in (mg, torch):
        with pytest.raises(FileNotFoundError, match="none"):
            L.load(tmp_path / "none")
        with pytest.raises(IsADirectoryError):
            L.load(tmp_path)
        with pytest.raises(RuntimeError, match="does not exist"):
            L.save({"a": L.ones(1)}, tmp_path / "no folder" / "f")
    with pytest.raises(OSError, match="is not a file"):
        mg.save(mg.ones(1), tmp_path)


def test_a_bad_load_changes_nothing(tmp_path: Path) -> None:
    net, optimizer = trained(mg)
    other = mg.nn.Sequential(mg.nn.Embedding(6, 4), mg.nn.Tanh(), mg.nn.Linear(4, 5))
    mg.save({"model": other.state_dict(), "optimizer": trained(mg, "SGD")[1].state_dict()}, tmp_path / "f")
    whole = (tmp_path / "f").read_bytes()
    (tmp_path / "g").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = through([net.state_dict(), optimizer.state_dict()])
    with pytest.raises(RuntimeError, match="checksum"):
        net.load_state_dict(mg.load(tmp_path / "g")["model"])
    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.weight") as error:
        net.load_state_dict(mg.load(tmp_path / "f")["model"])
    assert "Unexpected key(s)" in str(error.value)
    assert identical([net.state_dict(), optimizer.state_dict()], before)


# --------------------------------------------------------------------------------------------------- accidents while saving


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    mg.save({"a": 1}, path)
    for name in ("fsync", "replace"):
        with monkeypatch.context() as m:
            m.setattr(os, name, lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
            with pytest.raises(OSError, match="No space left"):
                mg.save({"a": 2}, path)
        assert mg.load(path) == {"a": 1} and os.listdir(tmp_path) == ["f"]


def test_what_another_process_left_is_overwritten_and_links_and_modes_stay(tmp_path: Path) -> None:
    path = tmp_path / "f"
    (tmp_path / ".f.saving").write_bytes(b"half" * 10_000)
    mg.save({"a": 1}, path)
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    mg.save({"a": 2}, tmp_path / "link")
    assert sorted(os.listdir(tmp_path)) == ["f", "link"] and (tmp_path / "link").is_symlink()
    assert mg.load(path) == {"a": 2} and path.stat().st_mode & 0o777 == 0o640


def test_many_writers_take_turns(tmp_path: Path) -> None:
    path, failed = tmp_path / "f", []

    def write(i: int) -> None:
        try:
            for _ in range(10):
                mg.save({"i": i, "w": mg.full((1000 * (i + 1),), float(i))}, path)
                found = mg.load(path)
                assert found["w"].tolist() == [found["i"]] * (1000 * (found["i"] + 1))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed and os.listdir(tmp_path) == ["f"]


def test_killed_while_saving(tmp_path: Path) -> None:
    """Ten times kill -9 at some moment of a loop that saves: what is there is one whole save, none older than before."""
    script = textwrap.dedent("""
        import sys, minigrad as mg
        step = int(sys.argv[2])
        while True:
            mg.save({"step": step, "w": mg.full((200_000,), float(step))}, sys.argv[1])
            step += 1
            print(step, flush=True)
    """)
    path, step, random = tmp_path / "f", 0, np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(path), str(step)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(random.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        back = mg.load(path)
        assert back["step"] >= step and back["w"].tolist() == [back["step"]] * 200_000
        assert set(os.listdir(tmp_path)) <= {"f", ".f.saving"}
        step = back["step"] + 1
    mg.save({"step": step}, path)
    assert os.listdir(tmp_path) == ["f"]
