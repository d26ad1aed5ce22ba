"""minigrad.explain.plots: what is drawn is the numbers, texts are drawn as they are, and wrong input is told what is wrong."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.explain import plots
from minigrad.gpt import GPT, GPTConfig
from minigrad.nn.positions import KINDS

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import look_inside
import train_gpt

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(5)
HOSTILE = [
    "$x_1$",
    "a\nb",
    "\U0001fae0",
    "<b>&",
    "你好",
    "\u202eabc",
    "\ud800",
    " the ",
    "",
    "_x",
    "\\frac{",
    "%d {}",
    "x" * 99,
]
AS_SHOWN = ["$x_1$", r"a\nb", r"\U0001fae0", "<b>&", r"\u4f60\u597d", r"\u202eabc", r"\ud800", "␣the␣", "", "_x", "\\frac{",
            "%d {}", "x" * 15 + "…"]  # fmt: skip


def image(figure: Figure, panel: int = 0) -> np.ndarray:
    """The numbers of a panel's heat map, NaN where it is blank."""
    return np.ma.filled(figure.axes[panel].images[0].get_array().astype(float), np.nan)


def drawn(figure: Figure) -> Figure:
    """Rendered, where any warning, say of a glyph that is missing, is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure._repr_png_().startswith(b"\x89PNG")
    return figure


def texts(labels: Any) -> list[str]:
    return [label.get_text() for label in labels]


# ------------------------------------------------------------------------------------------------------------- heat maps


def test_heat_map_is_the_table_in_colours_centred_at_zero() -> None:
    table = RNG.normal(size=(5, 3))
    table[2, 1] = -7
    figure = drawn(plots.heat_map(table, list("abcde"), rows="token"))
    assert_array_equal(image(figure), table)
    assert figure.axes[0].images[0].get_clim() == (-7, 7)
    assert texts(figure.axes[0].get_yticklabels()) == list("abcde")
    assert figure.axes[0].get_ylabel() == "token" and figure.axes[-1].get_ylabel() == "value"
    assert "token" in figure.get_suptitle()


def test_tables_side_by_side_share_their_colours() -> None:
    small, big = RNG.normal(size=(4, 3)), 9 * RNG.normal(size=(4, 6))
    figure = drawn(plots.heat_map({"before": small, "after": big}, title="mine"))
    assert_array_equal(image(figure), small)
    assert_array_equal(image(figure, 1), big)
    assert [a.images[0].get_clim() for a in figure.axes[:2]] == [(-np.abs(big).max(), np.abs(big).max())] * 2
    assert [a.get_title() for a in figure.axes[:2]] == ["before", "after"] and figure.get_suptitle() == "mine"


def test_what_is_not_finite_is_blank() -> None:
    table = np.array([[1.0, math.nan], [-2.0, math.inf]])
    figure = drawn(plots.heat_map(table))
    assert_array_equal(image(figure), [[1, math.nan], [-2, math.nan]])
    assert figure.axes[0].images[0].get_clim() == (-2, 2)
    drawn(plots.heat_map(np.full((2, 2), math.nan)))
    assert drawn(plots.heat_map(np.zeros((2, 2)))).axes[0].images[0].get_clim() == (-1, 1)


def test_long_tables_say_what_they_leave_out() -> None:
    figure = drawn(plots.heat_map(np.arange(2400.0).reshape(1200, 2), range(1200)))
    assert image(figure).shape == (1000, 2) and "the first 1,000 of 1,200 rows" in figure.get_suptitle()
    assert texts(figure.axes[0].get_yticklabels()) == [str(i) for i in range(0, 1000, 25)]
    assert figure.axes[0].get_ylabel() == "row (40 of 1000 texts shown)"
    figure = plots.cosines(RNG.normal(size=(1001, 2)))
    assert image(figure).shape == (1000, 1000) and "of 1,001 rows" in figure.get_suptitle()


@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64, mg.int64, mg.bool])
def test_tensors_of_every_dtype_and_device(dtype: Any, device: str) -> None:
    x = mg.tensor([[1, 0, 1], [0, 1, 1]], dtype=dtype, device=device)
    if x.is_floating_point():
        x.requires_grad_()
    before = x.detach().clone()
    assert_array_equal(image(plots.heat_map(x)), [[1, 0, 1], [0, 1, 1]])
    assert_array_equal(image(plots.heat_map([x[0], x[1]])), [[1, 0, 1], [0, 1, 1]])
    assert mg.equal(x.detach(), before) and x.device == before.device
    if x.is_floating_point():
        assert x.requires_grad and x.grad is None and x.is_leaf


def test_a_layer_stands_for_its_table(device: str) -> None:
    layer = mg.nn.Embedding(4, 3, device=device)
    assert_array_equal(image(plots.heat_map(layer)), layer.weight.numpy(force=True))
    assert_array_equal(image(plots.heat_map({"a": layer})), layer.weight.numpy(force=True))


# --------------------------------------------------------------------------------------------------------------- cosines


def test_cosines() -> None:
    table = RNG.normal(size=(4, 3))
    table[3] = -5 * table[0]
    figure = drawn(plots.cosines(table, list("abcd"), rows="token"))
    found = image(figure)
    expected = [[x @ y / math.sqrt((x @ x) * (y @ y)) for y in table] for x in table]
    assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert_allclose(found[0, 3], -1)
    assert np.abs(found).max() <= 1 and figure.axes[0].images[0].get_clim() == (-1, 1)
    assert texts(figure.axes[0].get_xticklabels()) == texts(figure.axes[0].get_yticklabels()) == list("abcd")
    zero = image(drawn(plots.cosines(np.array([[0.0, 0], [3, 4]]))))  # a row of zeros has no direction
    assert_array_equal(zero, [[math.nan, math.nan], [math.nan, 1]])


# ------------------------------------------------------------------------------------------------------------ projection


def test_projection_is_the_plane_of_most_variance() -> None:
    table = RNG.normal(size=(9, 5)) * [1, 4, 1, 9, 1] + 3
    figure = drawn(plots.projection(table, list("abcdefghi")))
    points = np.asarray(figure.axes[0].collections[0].get_offsets())
    values, vectors = np.linalg.eigh(np.cov(table.T))  # ascending
    for i, direction in enumerate(vectors.T[:-3:-1]):
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        assert_allclose(points[:, i], (table - table.mean(axis=0)) @ direction, atol=1e-10)
    assert f"{values[-1] / values.sum():.0%}" in figure.axes[0].get_xlabel()
    assert f"{values[-2] / values.sum():.0%}" in figure.axes[0].get_ylabel()
    assert texts(figure.axes[0].texts) == list("abcdefghi")
    assert_allclose([t.xy for t in figure.axes[0].texts], points)
    again = np.asarray(plots.projection(table.copy("F")).axes[0].collections[0].get_offsets())
    assert_allclose(again, points, atol=1e-10)


def test_movement_is_seen_in_one_plane() -> None:
    """Both tables by the last one's centre and directions, in the same axes, with lines from where rows were."""
    before, after = RNG.normal(size=(6, 4)), 5 * RNG.normal(size=(6, 4)) + 1
    figure = drawn(plots.projection({"before": before, "after": after}, list("abcdef"), groups=list("xyxyyz")))
    centre, directions, _ = plots.plane(after)
    left, right = figure.axes[:2]
    of_group = [[0, 2], [1, 3, 4], [5]]
    for axes, table in ((left, before), (right, after)):
        expected = (table - centre) @ directions.T
        assert len(axes.collections) == 3
        for scatter, rows in zip(axes.collections, of_group, strict=True):
            assert_allclose(np.asarray(scatter.get_offsets()), expected[rows])
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    moved = [line.get_xydata() for line in right.lines if line.get_color() == "0.8"]
    assert_allclose(moved, np.stack([before - centre, after - centre], axis=1) @ directions.T)
    assert not [line for line in left.lines if line.get_color() == "0.8"]
    assert texts(figure.legends[0].get_texts()) == ["x", "y", "z"]
    marks = [scatter.get_paths()[0].vertices.tobytes() for scatter in right.collections]
    assert len(set(marks)) == 3, "groups are told apart by colour alone"


def test_only_so_many_texts_are_written() -> None:
    figure = drawn(plots.projection(RNG.normal(size=(57, 3)), range(57)))
    assert texts(figure.axes[0].texts) == [str(i) for i in range(40)]
    assert len(figure.axes[0].collections[0].get_offsets()) == 57 and "40 of 57 texts shown" in figure.get_suptitle()
    drawn(plots.projection(np.ones((3, 2))))  # no variance at all


# ----------------------------------------------------------------------------------------------------------------- losses


def test_loss_curves() -> None:
    train, held_out = [3.0, 2.5, 2.25], np.array([[1, 3.5], [3, 2.75]])
    figure = drawn(plots.loss_curve({"training": train, "held out": held_out}, unit="bits a letter"))
    axes = figure.axes[0]
    assert_array_equal(axes.lines[0].get_xydata(), [[1, 3], [2, 2.5], [3, 2.25]])
    assert_array_equal(axes.lines[1].get_xydata(), held_out)
    assert texts(axes.get_legend().get_texts()) == ["training", "held out"]
    assert (
        axes.get_ylabel() == "loss (bits a letter)"
        and axes.get_title() == "Loss at the end: training 2.250, held out 2.750"
    )
    assert len({line.get_color() for line in axes.lines}) == len({line.get_linestyle() for line in axes.lines}) == 2


def test_losses_as_they_come_out_of_training(device: str) -> None:
    losses = [mg.tensor(x, device=device, requires_grad=True) for x in (2.0, 1.0, math.nan)]
    figure = drawn(plots.loss_curve({"_run $1$": losses}))
    assert_array_equal(figure.axes[0].lines[0].get_ydata(), [2, 1, math.nan])
    assert texts(figure.axes[0].get_legend().get_texts()) == ["_run $1$ (1 of 3 not finite)"]
    alone = drawn(plots.loss_curve([2.0, 1.0]))
    assert alone.axes[0].get_legend() is None and alone.axes[0].get_title() == "Loss at the end: 1.000"


# ------------------------------------------------------------------------------------------------------------- attention


def softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_attention_maps() -> None:
    later = ~np.tri(5, dtype=bool)
    weights = softmax(np.where(later, -np.inf, RNG.normal(size=(2, 3, 5, 5))))
    figure = drawn(plots.attention(weights, list("abcde")))
    panels = figure.axes[:6]
    for i, axes in enumerate(panels):
        assert_array_equal(image(figure, i), np.where(later, math.nan, weights[i // 3, i % 3]))
        assert axes.get_title() == f"layer {i // 3 + 1}, head {i % 3 + 1}" and axes.images[0].get_clim() == (0, 1)
    assert texts(panels[0].get_yticklabels()) == texts(panels[3].get_xticklabels()) == list("abcde")
    assert panels[0].get_ylabel() == "query" and panels[3].get_xlabel() == "key"
    both_ways = softmax(RNG.normal(size=(5, 5)))
    figure = drawn(plots.attention(both_ways))
    assert_array_equal(image(figure), both_ways)
    assert "before" not in figure.get_suptitle()
    assert [a.get_title() for a in plots.attention(weights[0]).axes[:3]] == ["head 1", "head 2", "head 3"]


@pytest.mark.parametrize("kind", KINDS)
def test_attention_weights_are_those_the_model_used(kind: str, device: str) -> None:
    """They times the values, through the projection, is what each attention layer gave; Shaw's values come on top of that."""
    mg.manual_seed(3)
    model = GPT(GPTConfig(9, 6, 8, 2, 2, drop_rate=0.5, positions=kind)).to(device)
    for p in model.parameters():
        mg.nn.init.normal_(p, std=0.5)
    ids = mg.tensor([[3, 1, 4, 1, 5]], device=device)
    model.blocks[1].eval()
    modes = [m.training for m in model.modules()]
    random = mg.get_rng_state()
    weights = plots.attention_weights(model, ids)
    assert [m.training for m in model.modules()] == modes and mg.equal(mg.get_rng_state(), random)
    assert not any(m._pre_hooks for m in model.modules()) and not weights.requires_grad
    assert tuple(weights.shape) == (2, 2, 5, 5) and weights.device.type == device
    w = weights.cpu().numpy()
    assert_allclose(w.sum(axis=-1), 1, atol=1e-6)
    assert not w[..., ~np.tri(5, dtype=bool)].any()
    assert mg.equal(weights, plots.attention_weights(model, [3, 1, 4, 1, 5]))
    model.eval()
    seen: list[tuple[Any, Any]] = []
    for block in model.blocks:
        block.attention.register_forward_hook(lambda m, args, y: seen.append((args[0], y)))
    with mg.no_grad():
        model(ids)
        for block, (x, y), used in zip(model.blocks, seen, weights, strict=True):
            _, _, v = block.attention.queries_keys_values(x)
            collected = used[None] @ v
            if kind == "shaw-values":
                table, far = block.attention.positions.value.weight, block.attention.positions.left
                distance = np.clip(np.arange(5) - np.arange(5)[:, None], -far, 0) + far
                rows = table[mg.tensor(distance, device=device)]  # (query, key, head_dim)
                collected = collected + (used[:, :, :, None] * rows).sum(dim=2)[None]
            expected = block.attention.projection(collected.transpose(1, 2).reshape(x.shape))
            assert_allclose(y.cpu().numpy(), expected.cpu().numpy(), rtol=1e-4, atol=1e-5)
    plots.attention(weights, "abcde")


# ------------------------------------------------------------------------------------------------ texts, files, what fails


def test_texts_are_drawn_as_they_are() -> None:
    table, count = RNG.normal(size=(len(HOSTILE), 3)), len(HOSTILE)
    figure = drawn(plots.heat_map({"$a$": table}, HOSTILE, title="$b_$ \\x"))
    assert texts(figure.axes[0].get_yticklabels()) == AS_SHOWN and figure.axes[0].get_title() == "$a$"
    plane = drawn(plots.projection(table, HOSTILE, groups=HOSTILE))
    assert texts(plane.axes[0].texts) == texts(plane.legends[0].get_texts()) == AS_SHOWN
    curves = drawn(plots.loss_curve({text: [1.0, 2.0] for text in HOSTILE})).axes[0].get_legend().get_texts()
    assert texts(curves) == [*AS_SHOWN[:-1], "x" * 39 + "…"]
    titles = [figure.axes[0].title, figure._suptitle, *plane.axes[0].texts, *plane.legends[0].get_texts(), *curves]
    assert not any(text.get_parse_math() for text in titles)
    figure = drawn(plots.attention(np.eye(count), HOSTILE))
    assert texts(figure.axes[0].get_xticklabels()) == AS_SHOWN
    labels = [*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels()]
    assert not any(label.get_parse_math() for label in labels)
    drawn(plots.cosines(table, HOSTILE))
    assert plots.shown(b" caf\xc3\xa9\xff") == r"␣café\xff"


def test_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.svg", "c.PDF"):
        figure = plots.heat_map(np.ones((2, 2)), ["<script>", "$x$"], path=tmp_path / name)
        assert isinstance(figure, Figure)
    assert imread(tmp_path / "a.png").ndim == 3 and "<script>" not in (tmp_path / "b.svg").read_text()
    assert (tmp_path / "c.PDF").read_bytes().startswith(b"%PDF")
    before = (tmp_path / "a.png").read_bytes()
    figure.savefig = lambda *args, **options: 1 / 0  # a failure in the middle
    with pytest.raises(ZeroDivisionError):
        plots.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    for wrong in ("a", "a.txt"):
        with pytest.raises(ValueError, match=r"what kind of picture: .*\.png"):
            plots.heat_map(np.ones((2, 2)), path=tmp_path / wrong)
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        plots.heat_map(np.ones((2, 2)), path=tmp_path / "nowhere" / "a.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.svg", "c.PDF"]
    assert pickle.loads(pickle.dumps(plots.loss_curve([1.0])))._repr_png_().startswith(b"\x89PNG")


E23 = np.ones((2, 3))
W = np.eye(3)


@pytest.mark.parametrize(
    ("call", "kind", "fact"),
    [
        (lambda: plots.heat_map(np.ones(3)), ValueError, "(rows, columns), got shape (3,)"),
        (lambda: plots.heat_map(np.ones((2, 3, 4))), ValueError, "x[0]"),
        (lambda: plots.heat_map(np.ones((0, 4))), ValueError, "at least 1 rows"),
        (lambda: plots.heat_map({}), ValueError, "no table"),
        (lambda: plots.heat_map([[1, 2], [3]]), ValueError, "different lengths"),
        (lambda: plots.heat_map("text"), TypeError, "numbers are drawn"),
        (lambda: plots.heat_map(None), TypeError, "NoneType"),
        (lambda: plots.heat_map(E23 * 1j), TypeError, "complex128"),
        (lambda: plots.heat_map(GPT(GPTConfig(3, 2, 2, 1, 1))), TypeError, "model.embedding.token"),
        (lambda: plots.heat_map({"a": E23, "b": W}), ValueError, "got 2 and 3"),
        (lambda: plots.heat_map(E23, ["a"]), ValueError, "one text for each of the 2 rows, got 1"),
        (lambda: plots.heat_map({"t": np.ones(2)}), ValueError, "table 't'"),
        (lambda: plots.cosines(E23 * math.nan), ValueError, "2 of 2 rows hold NaN"),
        (lambda: plots.projection({"a": E23, "b": E23 * math.inf}), ValueError, "2 of 2 rows of 'b'"),
        (lambda: plots.projection(np.ones((5, 1))), ValueError, "at least 2 rows and 2 columns"),
        (lambda: plots.projection({"a": E23, "b": np.ones((2, 4))}), ValueError, "(2, 3) and (2, 4)"),
        (lambda: plots.projection(E23, groups=["a"]), ValueError, "one group for each of the 2 rows"),
        (lambda: plots.loss_curve([]), ValueError, "got shape (0,)"),
        (lambda: plots.loss_curve({}), ValueError, "no losses"),
        (lambda: plots.loss_curve(3.0), ValueError, "got shape ()"),
        (lambda: plots.loss_curve(np.ones((3, 4))), ValueError, "{name: losses}"),
        (lambda: plots.attention(np.ones((2, 3))), ValueError, "(heads, T, T)"),
        (lambda: plots.attention(np.ones(3)), ValueError, "(heads, T, T)"),
        (lambda: plots.attention(3 * W), ValueError, "after the softmax"),
        (lambda: plots.attention(W - 1), ValueError, "after the softmax"),
        (lambda: plots.attention(W * math.nan), ValueError, "after the softmax"),
        (lambda: plots.attention(W / 2), ValueError, "without dropout"),
        (lambda: plots.attention(W, "ab"), ValueError, "each of the 3 tokens, got 2"),
        (lambda: plots.attention_weights(mg.nn.Linear(2, 2), [1]), TypeError, "got Linear"),
        (lambda: plots.attention_weights(GPT(GPTConfig(3, 2, 2, 1, 1)), [[0], [1]]), ValueError, "got (2, 1)"),
        (lambda: plots.attention_weights(GPT(GPTConfig(3, 2, 2, 1, 1)), [7]), IndexError, "7"),
        (lambda: plots.attention_weights(GPT(GPTConfig(3, 2, 2, 1, 1)), [1.5]), TypeError, "integers"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(call: Any, kind: type[Exception], fact: str) -> None:
    with pytest.raises(kind) as error:
        call()
        mg.cuda.synchronize()
    assert fact in str(error.value)


@pytest.mark.cpu_only("programs of their own")
def test_matplotlib_is_imported_when_something_is_drawn(tmp_path: Path) -> None:
    code = (
        "import sys, minigrad, minigrad.explain.plots as plots; assert 'matplotlib' not in sys.modules; "
        "plots.loss_curve([1.0]); assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('No module named matplotlib')")
    hidden = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for draw in (
        "heat_map([[1]])",
        "cosines([[1]])",
        "projection([[1, 2]] * 2, 'ab')",
        "loss_curve([1])",
        "attention([[1]])",
    ):
        code = f"from minigrad.explain import plots\ntry: plots.{draw}\nexcept ImportError as e: print(e)"
        done = subprocess.run([sys.executable, "-c", code], env=hidden, capture_output=True, text=True)
        assert "pip install -e '.[plot]'" in done.stdout, done.stdout + done.stderr
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "look_inside.py")],
        env=hidden, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "pip install -e '.[plot]'" in done.stderr and not (tmp_path / "runs").exists()


# --------------------------------------------------------------------------------------------------------- the examples

TEXT = "One fish, two fish, red fish, blue fish. Black fish, old fish: 12 ATE 30 of them! " * 40


def test_look_inside(tmp_path: Path, capsys: pytest.CaptureFixture[str], device: str) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    options = ["--text", str(tmp_path / "text.txt"), "--device", device, "--sentence", "red fish"]
    told = []
    for out in ("a", "b"):
        look_inside.main([*options, "--steps", "3", "--out", str(tmp_path / out)])
        told.append(capsys.readouterr().out.replace(str(tmp_path / out), ""))
    assert told[0] == told[1] and "of 3 steps" in told[0] and f"{math.log(len(set(TEXT))):.3f}" in told[0]
    names = ["attention.png", "cosines.png", "letters.png", "loss.png", "positions.png", "tokens.png"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == names
    for name in names:
        assert name in told[0] and (imread(tmp_path / "a" / name)[..., :3].std(axis=2) > 0.1).mean() > 1e-3, name


def test_what_look_inside_tells() -> None:
    table = mg.tensor([[1.0, 0], [0.9, 0.1], [-1, 0], [-1, 0.2]])
    assert look_inside.nearest(table).tolist() == [1, 0, 3, 2]
    cosines = plots.cosine_similarities(table.cpu().numpy().astype(np.float64))
    assert_allclose(look_inside.neighbours(table), [np.diagonal(cosines, d).mean() for d in (1, 2)], rtol=1e-5)
    letters = look_inside.Letters(TEXT)
    assert [look_inside.group(c) for c in "abA1 ß"] == ["vowel", "consonant", "capital", "digit", "other", "other"]
    shown = [letters.alphabet[i] for i in letters.shown]
    assert shown[:5] == sorted("aeiou", key=letters.id_of.__getitem__) and len(set(shown)) == len(shown) <= 40
    assert "".join(letters.alphabet[i] for i in letters.encode("blue fish")) == "blue fish"


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["--steps", "0"], "positive"),
        (["--sentence", ""], "1 to 32"),
        (["--sentence", "x" * 33], "got 33"),
        (["--sentence", "ℵ"], "no letter 'ℵ'"),
        (["--text", "nowhere.txt"], "nowhere.txt"),
        (["--text", "short.txt"], "too short"),
    ],
)
def test_look_inside_refuses(
    tmp_path: Path, arguments: list[str], fact: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(SystemExit) as stopped:
        look_inside.main(arguments)
    assert stopped.value.code == 2 and fact in capsys.readouterr().err


def test_train_gpt_draws_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Figure] = []
    save = plots.save
    monkeypatch.setattr(plots, "save", lambda figure, path: found.append(figure) or save(figure, path))
    train_gpt.draw([(5, 3.0, 4.0), (10, 2.0, 3.5)], tmp_path / "loss.png")
    lines = found[0].axes[0].lines
    assert_array_equal(lines[0].get_xydata(), [[5, 3], [10, 2]])
    assert_array_equal(lines[1].get_xydata(), [[5, 4], [10, 3.5]])
    assert (tmp_path / "loss.png").exists()
