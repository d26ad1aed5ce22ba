"""What a GPU adds: nobody waits for it unasked, errors come late but come, sums are in one order, and the CPU's numbers come out.

On the CPU alone most of this has no meaning; it runs on the fake, on the emulator and on a GPU: see conftest.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_report import unordered
from helpers import numpy_of

import minigrad as mg
from minigrad import backend
from minigrad.gpt import GPT, GPTConfig, KVCache
from minigrad.nn import functional as F
from minigrad.nn.positions import KINDS

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.fixture
def cuda(device: str) -> None:
    if device != "cuda":
        pytest.skip("about the device cuda: run with --backend=fakecupy, cupysim or cupy")


@contextmanager
def nobody_waits() -> Iterator[None]:
    """Within the block, what waits for the GPU raises."""
    import cupyx

    with cupyx.allow_synchronize(False):
        yield


CONFIG = GPTConfig(vocab_size=61, context_length=8, emb_dim=16, n_heads=2, n_layers=2, drop_rate=0.0)


def batches(count: int, rows: int = 2) -> list[tuple[mg.Tensor, mg.Tensor]]:
    """Inputs and targets, on the CPU, where a loader makes them; some ids come often."""
    rng = np.random.default_rng(0)
    tokens = [np.minimum(rng.zipf(1.5, (rows, CONFIG.context_length + 1)) - 1, 60) for _ in range(count)]
    return [(mg.from_numpy(t[:, :-1].copy()), mg.from_numpy(t[:, 1:].copy())) for t in tokens]


class Training:
    """A GPT and AdamW on one device, from one seed."""

    def __init__(self, where: str, config: GPTConfig = CONFIG) -> None:
        mg.manual_seed(123)
        self.where, self.model = where, GPT(config).to(where)
        self.optimizer = mg.optim.AdamW(self.model.parameters(), lr=1e-3)

    def step(self, inputs: mg.Tensor, targets: mg.Tensor) -> mg.Tensor:
        self.optimizer.zero_grad()
        loss = self.model.loss(inputs.to(self.where), targets.to(self.where))
        loss.backward()
        mg.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss


# ---------------------------------------------------------------------------------------------------- the CPU's numbers


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_learned_positions_are_looked_up_where_the_vectors_are(where: str) -> None:
    layer = mg.nn.positions.LearnedPositions(5, 4).to(where)
    y = layer.embed(mg.ones(2, 3, 4, device=where))
    assert y.device.type == where
    np.testing.assert_array_equal(y.detach().cpu().numpy()[1], 1 + layer.weight.detach().cpu().numpy()[:3])


def test_a_gpt_trains_as_on_the_cpu() -> None:
    """Weights and dropout are drawn on the host for both, so the losses differ by roundings alone."""
    config = GPTConfig(vocab_size=61, context_length=8, emb_dim=16, n_heads=2, n_layers=2, drop_rate=0.1)
    losses = []
    for where in ("cpu", "cuda"):
        training = Training(where, config)
        losses.append([training.step(*batch).item() for batch in batches(6)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert losses[0][0] > losses[0][-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_table_is_the_cpus_bit_for_bit(dtype: str) -> None:
    rng = np.random.default_rng(1)
    table, g = rng.standard_normal((61, 5)).astype(dtype), rng.standard_normal((7, 8, 5)).astype(dtype)
    ids = np.minimum(rng.zipf(1.3, (7, 8)) - 1, 60)
    found = []
    for where in ("cpu", "cuda"):
        weight = mg.tensor(table, device=where, requires_grad=True)
        F.embedding(mg.from_numpy(ids).to(where), weight).backward(mg.tensor(g, device=where))
        found.append(numpy_of(weight.grad))
    assert found[0].tobytes() == found[1].tobytes()


def test_rows_that_are_not_contiguous_are_summed() -> None:
    rng = np.random.default_rng(2)
    g, ids = rng.standard_normal((3, 7)), np.array([1, 0, 1, 4, 4, 1, 0])
    weight = mg.zeros(5, 3, dtype=mg.float64, requires_grad=True)
    F.embedding(mg.from_numpy(ids).to("cuda"), weight).backward(mg.tensor(g).T)
    expected = np.zeros((5, 3))
    np.add.at(expected, ids, g.T)
    assert numpy_of(weight.grad).tobytes() == expected.tobytes()


REPEATED: dict[str, Callable[[mg.Tensor, mg.Tensor, mg.Tensor], mg.Tensor]] = {
    "scatter_add": lambda x, ids, y: x.scatter_add(0, ids, y),
    "index_add": lambda x, ids, y: x.index_add(0, ids, y),
    "index_put": lambda x, ids, y: x.index_put([ids], y, accumulate=True),
    **{f"scatter_reduce, {how}": lambda x, ids, y, how=how: x.scatter_reduce(0, ids, y, how) for how in ("mean", "amax", "amin")},
    "a lookup": lambda x, ids, y: x[ids] * y,
}  # fmt: skip


@pytest.mark.parametrize("name", REPEATED)
def test_an_id_that_is_repeated_counts_every_time(name: str) -> None:
    rng = np.random.default_rng(3)
    arrays, ids, found = [rng.standard_normal(7), rng.standard_normal(40)], rng.integers(0, 7, 40), []
    for where in ("cpu", "cuda"):
        x, y = (mg.tensor(a, device=where, requires_grad=True) for a in arrays)
        z = REPEATED[name](x, mg.tensor(ids, device=where), y)
        (z * z).sum().backward()
        found.append([numpy_of(a) for a in (z, x.grad, y.grad)])
    for on_cpu, on_cuda in zip(*found, strict=True):
        np.testing.assert_allclose(on_cuda, on_cpu, rtol=1e-13, atol=1e-14)


# ------------------------------------------------------------------------------------------------- nobody waits unasked


def test_a_training_step_does_not_wait_for_the_gpu() -> None:
    """Loss, backward, clipping and AdamW: a step is queued while the one before it runs. Only loss.item() waits."""
    training = Training("cuda")
    with nobody_waits():
        losses = [training.step(*batch) for batch in batches(3)]
        with pytest.raises(Exception, match=r"[Ss]ynchron"):
            losses[-1].item()
    assert all(np.isfinite(loss.item()) for loss in losses)


def rows_step(optimizer: Callable[..., Any], **options: Any) -> None:
    table = mg.nn.Embedding(9, 4, device="cuda", **options)
    table(mg.tensor([[1, 2, 1]])).sum().backward()
    optimizer(table.parameters(), lr=0.1).step()


@pytest.mark.parametrize("kind", KINDS)
def test_nor_does_it_with_any_positions(kind: str) -> None:
    """Neither in training nor behind a cache, and the CPU's numbers come out."""
    config, found = replace(CONFIG, positions=kind), []
    for where in ("cuda", "cpu"):
        training = Training(where, config)
        with nobody_waits() if where == "cuda" else nullcontext():
            losses = [training.step(*batch) for batch in batches(3)]
            cache, (ids, _) = KVCache(config), batches(1)[0]
            with mg.no_grad():
                pieces = [
                    training.model(part.to(where), cache)[:, -1] for part in (ids[:, :4], ids[:, 4:7], ids[:, 7:])
                ]
        found.append([numpy_of(x) for x in (mg.stack(losses), mg.stack(pieces))])
    for on_cuda, on_cpu in zip(*found, strict=True):
        np.testing.assert_allclose(on_cuda, on_cpu, rtol=1e-4, atol=1e-4)


WAITS_NOT: dict[str, Callable[[], Any]] = {
    "an embedding, dense SGD": lambda: rows_step(mg.optim.SGD),
    "an embedding, Adam": lambda: rows_step(mg.optim.Adam),
    "padding": lambda: rows_step(mg.optim.AdamW, padding_idx=1),
    "gather": lambda: mg.gather(mg.ones(2, 3), 1, mg.tensor([[0, 2], [1, 1]])),
    "an index that is a tensor": lambda: mg.ones(4, 3, requires_grad=True)[mg.tensor([1, -1, 1])].sum().backward(),
    "dropout": lambda: F.dropout(mg.ones(4, 3, requires_grad=True), 0.5).sum().backward(),
    "attention": lambda: F.scaled_dot_product_attention(*(mg.rand(1, 2, 4, 8) for _ in range(3)), is_causal=True),
    "cross_entropy": lambda: F.cross_entropy(mg.rand(4, 7, requires_grad=True), mg.tensor([1, -100, 6, 0])).backward(),
    "class weights": lambda: F.cross_entropy(mg.rand(4, 7), mg.tensor([1, 2, 6, 0]), weight=mg.rand(7)),
    "nll_loss": lambda: F.nll_loss(mg.rand(4, 7), mg.tensor([1, 2, 6, 0])),
    "masked_fill": lambda: mg.ones(3).masked_fill(mg.tensor([True, False, True]), 2.0),
    "where": lambda: mg.where(mg.tensor([True, False]), mg.ones(2), 0.0),
    "sort": lambda: mg.sort(mg.rand(5)),
    "clip_grad_value_": lambda: mg.nn.utils.clip_grad_value_([mg.ones(2, requires_grad=True)], 1.0),
    "a batch norm in training": lambda: F.batch_norm(mg.rand(4, 3), mg.zeros(3), mg.ones(3), training=True),
    "use_deterministic_algorithms(False)": lambda: without_order(lambda: rows_step(mg.optim.Adam)),
}
WAITS: dict[str, Callable[[], Any]] = {
    "item": lambda: mg.ones(1).item(),
    "float": lambda: float(mg.ones(1)),
    "if": lambda: bool(mg.ones(1) > 0),
    "tolist": lambda: mg.ones(2).tolist(),
    "print": lambda: repr(mg.ones(2)),
    "cpu": lambda: mg.ones(2).cpu(),
    "a mask": lambda: mg.ones(2)[mg.tensor([True, False])],
    "nonzero": lambda: mg.ones(2).nonzero(),
    "unique": lambda: mg.ones(2).unique(),
    "rows on demand": lambda: rows_step(mg.optim.SparseAdam, sparse=True),
}


def without_order(f: Callable[[], Any]) -> None:
    with unordered():
        f()


@pytest.mark.parametrize("name", WAITS_NOT)
def test_does_not_wait(name: str) -> None:
    with nobody_waits():
        WAITS_NOT[name]()
        with pytest.raises(Exception, match=r"[Ss]ynchron"):  # who waits would be noticed
            mg.ones(1).item()


@pytest.mark.parametrize("name", WAITS)
def test_waits(name: str) -> None:
    """The places where a program waits for the GPU, all of which ask for a number or for a size that depends on numbers."""
    with nobody_waits(), pytest.raises(Exception, match=r"[Ss]ynchron"):
        WAITS[name]()
    backend._unread.clear()


# ------------------------------------------------------------------------------------------------ ids that are out of range


def test_ids_from_the_host_are_checked_at_once() -> None:
    table = mg.nn.Embedding(5, 2)
    ids = mg.from_numpy(np.array([[0, 7], [1, 2]])).to("cuda")
    with pytest.raises(IndexError, match=r"ids\[0, 1\] = 7, but the table has rows 0..4"):
        table(ids)
    with pytest.raises(IndexError, match=r"= 7, but the table"):
        table(ids[0])  # a view of them
    good = mg.from_numpy(np.array([0, 4])).to("cuda")
    with nobody_waits():
        table(good)
    assert not backend._unread  # no flag either


LATER: dict[str, Callable[[mg.Tensor], Any]] = {
    "embedding": lambda ids: F.embedding(ids, mg.ones(5, 2)),
    "index": lambda ids: mg.ones(5, 2)[ids],
    "two indices": lambda ids: mg.ones(5, 2)[ids, ids * 0],
    "gather": lambda ids: mg.ones(5).gather(0, ids),
    "index_select": lambda ids: mg.ones(5, 2).index_select(0, ids),
    "scatter_add": lambda ids: mg.ones(5).scatter_add(0, ids, mg.ones(3)),
    "scatter": lambda ids: mg.ones(5).scatter(0, ids, 2.0),
    "index_add": lambda ids: mg.ones(5).index_add(0, ids, mg.ones(3)),
    "index_fill": lambda ids: mg.ones(5).index_fill(0, ids, 2.0),
    "take": lambda ids: mg.ones(5).take(ids),
    "assignment": lambda ids: mg.ones(5).__setitem__(ids, 2.0),
    "cross_entropy": lambda ids: F.cross_entropy(mg.rand(3, 5), ids),
    "nll_loss": lambda ids: F.nll_loss(mg.rand(3, 5), ids),
}


@pytest.mark.parametrize("name", LATER)
def test_ids_that_only_the_gpu_knows_are_named_at_the_next_copy(name: str) -> None:
    ids = mg.tensor([0, 1, 4]) + mg.tensor([0, 0, 3])  # computed there
    with nobody_waits():
        LATER[name](ids)
    with pytest.raises((IndexError, RuntimeError), match=r"7.* out of (range|bounds)|out of (range|bounds).*7|= 7"):
        mg.ones(1).item()
    assert mg.ones(1).item() == 1  # once is enough
    LATER[name](ids - mg.tensor([0, 0, 3]))
    mg.cuda.synchronize()


def test_ids_that_only_the_gpu_knows_may_count_from_the_end() -> None:
    table = mg.zeros(5, 2, requires_grad=True)
    with nobody_waits():
        table[mg.tensor([1, 2]) - mg.tensor([0, 3])].sum().backward()
    assert table.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0], [1, 1]]


def test_ids_that_were_changed_since_their_copy_are_looked_at_again() -> None:
    ids = mg.from_numpy(np.array([0, 1])).to("cuda")
    ids.add_(6)
    F.embedding(ids, mg.ones(5, 2))
    with pytest.raises(IndexError, match="6, but the table has rows"):
        mg.cuda.synchronize()


def test_a_view_may_hold_less_than_the_whole() -> None:
    pairs = mg.tensor([[0, 7], [1, 9]])
    F.embedding(pairs[:, 0], mg.ones(3, 2))
    mg.cuda.synchronize()
    with pytest.raises(IndexError, match=r"= 9, but the table has rows 0\.\.8"):
        F.embedding(pairs[:, 1], mg.ones(9, 2))


def test_ids_that_were_written_through_data_are_looked_at_again() -> None:
    ids = mg.tensor([0, 1])
    ids.data[0] = 99
    F.embedding(ids, mg.ones(3, 2))
    with pytest.raises(IndexError, match="99"):
        mg.cuda.synchronize()


def test_ids_that_are_gone_when_their_error_comes() -> None:
    ids = mg.tensor([0, 1]) + 5
    F.embedding(ids, mg.ones(3, 2))
    ids.fill_(0)
    with pytest.raises(IndexError, match=r"outside \[0, 3\)"):
        mg.cuda.synchronize()


def test_ids_back_on_the_cpu_are_looked_at() -> None:
    ids = mg.tensor([0, 1]).cpu()
    ids.numpy()[0] = 99
    with pytest.raises(IndexError, match="99"):
        F.embedding(ids, mg.ones(3, 2, device="cpu"))


def test_targets_from_the_host_need_no_flag() -> None:
    for target in (mg.tensor([[1, 2], [0, 4]]), mg.from_numpy(np.array([[1, 2], [0, 4]])).to("cuda")):
        F.cross_entropy(mg.rand(4, 5), target.flatten())
        assert not backend._unread


def test_flags_do_not_pile_up() -> None:
    ids = mg.tensor([0, 1]) + 0
    for _ in range(1005):
        F.embedding(ids, mg.ones(5, 2))
    assert len(backend._unread) < 1000


# ------------------------------------------------------------------------------------------------- where results are


def test_mixed_devices_are_refused_naming_both_and_nothing_is_moved() -> None:
    x, y = mg.ones(2, device="cuda"), mg.ones(2, device="cpu")
    for f in (lambda a, b: a + b, lambda a, b: mg.cat([a, b]), lambda a, b: a @ b, lambda a, b: mg.where(a > 0, a, b)):
        for pair in ((x, y), (y, x)):
            with pytest.raises(RuntimeError, match=r"cuda:0.*cpu|cpu.*cuda:0"):
                f(*pair)
    with pytest.raises(RuntimeError, match="cuda:0"):
        mg.nn.Linear(2, 2)(y)
    q = mg.ones(1, 2, 4)
    for mask in (mg.ones(2, 2, device="cpu"), mg.ones(2, 2, dtype=mg.bool, device="cpu")):
        with pytest.raises(RuntimeError, match=r"cuda:0.*cpu"):
            F.scaled_dot_product_attention(q, q, q, attn_mask=mask)
        with pytest.raises(RuntimeError, match=r"cpu.*cuda:0"):
            F.scaled_dot_product_attention(*[q.cpu()] * 3, attn_mask=mask.to("cuda"))
    with pytest.raises(RuntimeError, match="cuda:0"):
        F.embedding(mg.tensor([1], device="cpu"), mg.ones(2, 2))


def test_positions_are_where_the_queries_are_and_two_devices_are_refused() -> None:
    positions = mg.nn.positions
    q = {where: mg.ones(1, 2, 3, 4, device=where) for where in ("cuda", "cpu")}
    for kind in ("ALiBi", "RoPE"):
        made = positions.ALiBi(2) if kind == "ALiBi" else positions.RoPE(4, layout="halves")
        for where in ("cuda", "cpu", "cuda"):
            y = made.bias(q[where], q[where]) if kind == "ALiBi" else made.rotate(q[where])
            assert y.device == q[where].device
        with pytest.raises(RuntimeError, match=r"cuda:0.*cpu|cpu.*cuda:0"):
            made.attend(q["cuda"], q["cpu"], q["cpu"])
    with_weights = positions.T5Bias(2), positions.ShawPositions(4), positions.TransformerXLPositions(8, 2)
    for kind in with_weights:
        with pytest.raises(RuntimeError, match="cuda:0"):
            kind.attend(*[q["cpu"]] * 3)
        assert kind.cpu().attend(*[q["cpu"]] * 3).device == mg.device("cpu")
    with pytest.raises(RuntimeError, match="cuda:0"):
        positions.LearnedPositions(5, 4).embed(q["cpu"])
    angles = [mg.ones(3, 2, device="cpu")] * 2
    with pytest.raises(RuntimeError, match=r"cuda:0.*cpu|cpu.*cuda:0"):
        mg.ops.positions.rotate(q["cuda"], *angles, "halves")


def test_the_default_device_is_for_new_tensors_only() -> None:
    y = mg.ones(2, device="cpu", requires_grad=True)
    z = (y * 2).sum()
    z.backward()
    assert {str(t.device) for t in (y, z, y.grad, mg.zeros_like(y), y.new_ones(3))} == {"cpu"}
    made = [
        mg.tensor([1.0]),
        mg.zeros(1),
        mg.arange(2),
        mg.rand(1),
        mg.randint(3, (1,)),
        mg.eye(2),
        mg.linspace(0, 1, 2),
    ]
    made += [mg.nn.Linear(1, 1).weight, mg.nn.Embedding(1, 1).weight, mg.randperm(3), mg.full((1,), 2), mg.empty(1)]
    assert {str(t.device) for t in made} == {"cuda:0"}


def test_a_model_generates_where_it_is() -> None:
    """In two pieces, so that the second asks for a mask that is not square."""
    for where in ("cpu", "cuda"):
        model = GPT(CONFIG).to(where).eval()
        ids = mg.tensor([[1, 2, 3, 4]], device=where)
        with mg.no_grad():
            cache = KVCache(CONFIG)
            pieces = [model(ids[:, :2], cache), model(ids[:, 2:], cache)]
            np.testing.assert_allclose(numpy_of(mg.cat(pieces, dim=1)), numpy_of(model(ids)), rtol=1e-4, atol=1e-5)
        assert str(model.generate(ids, 3).device) == ("cpu" if where == "cpu" else "cuda:0")


def test_a_module_and_its_optimizer_move_together() -> None:
    model = mg.nn.Linear(2, 2).cpu()
    optimizer = mg.optim.AdamW(model.parameters())
    model.to("cuda")
    model(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    assert {str(p.device) for p in model.parameters()} == {"cuda:0"}
    assert {str(v.device) for state in optimizer.state.values() for k, v in state.items() if k != "step"} == {"cuda:0"}


# ------------------------------------------------------------------------------------------------------- in any order

GRADIENTS = """
import hashlib, sys
from cupy_without_gpu import emulator
emulator.install()
import minigrad as mg
mg.set_default_device("cuda")
sys.path.insert(0, "tests")
from test_cuda import Training, batches
training = Training("cuda")
for batch in batches(2):
    training.step(*batch)
hashes = [hashlib.sha256(p.grad.cpu().numpy().tobytes()).hexdigest() for p in training.model.parameters()]
print(*hashes, *[hashlib.sha256(p.detach().cpu().numpy().tobytes()).hexdigest() for p in training.model.parameters()])
"""


def test_the_order_of_threads_changes_no_bit_of_any_gradient(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--backend") != "cupysim":
        pytest.skip("only the emulator can choose the order of threads; gpu_report.py runs twice and compares")
    here = Path(__file__).parent
    found = []
    for order in ("0", "1", "7"):
        environment = {**os.environ, "SIM_ORDER": order, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
        done = subprocess.run(
            [sys.executable, "-c", GRADIENTS], env=environment, cwd=here.parent, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.split())
    assert len(found[0]) > 20 and found[0] == found[1] == found[2]


# ------------------------------------------------------------------------------------------------------------ the examples


def run_example(request: pytest.FixtureRequest, where: str, *arguments: str) -> str:
    """What an example prints on a device: a program of its own, on the emulator where the tests are."""
    here, name = Path(__file__).parent, request.config.getoption("--backend")
    if name == "fakecupy":
        pytest.skip("a program of its own does not find the fake; the emulator and a GPU run it")
    runner = [str(here / "cupy_without_gpu" / "emulator")] if (name, where) == ("cupysim", "cuda") else []
    command = [sys.executable, *runner, *arguments, "--device", where]
    done = subprocess.run(command, cwd=here.parent, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", [["token_embeddings.py", "--steps", "4"], ["draw_gather.py"], ["check_your_op.py"]])
def test_an_example_prints_the_cpus_numbers(example: list[str], request: pytest.FixtureRequest) -> None:
    cpu, cuda = (run_example(request, where, f"examples/{example[0]}", *example[1:]) for where in ("cpu", "cuda"))
    assert "device='cuda:0'" in cuda
    assert " ".join(cuda.replace(", device='cuda:0'", "").split()) == " ".join(cpu.split())


def test_twenty_steps_of_a_nano_gpt_have_the_cpus_losses(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    histories = []
    for where in ("cpu", "cuda"):
        options = ["--steps", "20", "--eval-every", "5", "--batch-size", "4", "--out", str(tmp_path / where)]
        run_example(request, where, "examples/train_gpt.py", *options)
        histories.append(mg.load(tmp_path / where / "checkpoint.safetensors")["history"])
    (cpu_steps, cpu, cpu_held_out), (steps, cuda, held_out) = (zip(*history, strict=True) for history in histories)
    assert steps == cpu_steps
    np.testing.assert_allclose(cuda, cpu, rtol=1e-5)
    # after the last step; Adam's first steps are as long for a gradient of mere roundings as for any other
    np.testing.assert_allclose(held_out, cpu_held_out, rtol=5e-5)
    assert len(histories[0]) == 4 and histories[0][0][1] > histories[0][-1][1]
