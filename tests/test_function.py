"""autograd.Function, hooks and the checks of torch.autograd: the same small programs in minigrad and in torch."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import same

import minigrad as mg

Program = Callable[[Any], Any]

# ------------------------------------------------------------------------------------------------------------ programs


def leaf(t: Any, *shape: int, seed: int = 0) -> Any:
    x = np.random.default_rng(seed).standard_normal(shape)
    return t.tensor(x, requires_grad=True)


def both_orders(t: Any, y: Any, *xs: Any) -> list[Any]:
    """y, its gradients under a cotangent that is not constant, and theirs."""
    g = t.arange(y.numel(), dtype=t.float64).reshape(y.shape) / 7 - 0.3
    first = t.autograd.grad(y, xs, g, create_graph=True)
    total = sum((gx * (gx + 1).detach()).sum() for gx in first)
    second = t.autograd.grad(total, xs, allow_unused=True) if total.requires_grad else ()
    return [y, *first, *(gx for gx in second if gx is not None)]


def square(t: Any) -> Any:
    class Square(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    return Square


def saves_an_input(t: Any) -> list[Any]:
    x = leaf(t, 2, 3)
    return both_orders(t, square(t).apply(x.sin()), x)


def saves_its_result(t: Any) -> list[Any]:
    class Exp(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    x = leaf(t, 4)
    return both_orders(t, Exp.apply(Exp.apply(x)), x)


def takes_other_arguments(t: Any) -> list[Any]:
    class Power(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, n, label=None):
            ctx.n, ctx.shape, ctx.label = n, x.shape, label
            ctx.save_for_backward(x, None)
            return x**n

        @staticmethod
        def backward(ctx, g):
            x, nothing = ctx.saved_tensors
            assert nothing is None and ctx.label == "cube"
            return (g * ctx.n * x ** (ctx.n - 1)).reshape(ctx.shape), None, None

    x = leaf(t, 3)
    return both_orders(t, Power.apply(x, 3, "cube"), x)


def has_a_context_set_up(t: Any) -> list[Any]:
    class Product(t.autograd.Function):
        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.seen = output.shape

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            assert g.shape == ctx.seen
            return g * y, g * x

    x, y = leaf(t, 2, 2), leaf(t, 2, 2, seed=1)
    return both_orders(t, Product.apply(x, y), x, y)


def several(t: Any) -> Any:
    class SinCos(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            s, c, sign = x.sin(), x.cos().sum(), x.sign()
            ctx.save_for_backward(x, s)
            ctx.mark_non_differentiable(sign)
            return s, "text", c, sign, (x > 0).long(), None

        @staticmethod
        def backward(ctx, gs, text, gc, gsign, glong, gnone):
            x, s = ctx.saved_tensors
            assert text is None and gnone is None and gsign.abs().sum() == 0 and glong.shape == x.shape
            return gs * x.cos() - gc * s

    return SinCos


def gives_several(t: Any) -> list[Any]:
    x = leaf(t, 2, 3)
    s, text, c, sign, whole, nothing = several(t).apply(x)
    kept = [s.requires_grad, c.requires_grad, sign.requires_grad, whole.requires_grad, text, nothing, s.is_leaf]
    return [*both_orders(t, s * c + sign, x), kept, sign, whole, str(s.grad_fn)[:9] != ""]


def one_of_several_is_used(t: Any) -> list[Any]:
    x = leaf(t, 2, 3)
    return both_orders(t, several(t).apply(x * 1)[2], x) + both_orders(t, several(t).apply(x)[0], x)


def one_of_several_is_changed(t: Any) -> list[Any]:
    x = leaf(t, 3)
    s, _, c, *_ = several(t).apply(x * 1)
    s = s * 1
    s.mul_(2)
    return both_orders(t, s * c, x)


def reverses(t: Any) -> list[Any]:
    class Reverse(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, rate):
            ctx.rate = rate
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            return g.neg() * ctx.rate, None

    x = leaf(t, 3)
    return both_orders(t, Reverse.apply(x, 0.5) * x, x)


def returns_its_argument(t: Any) -> list[Any]:
    class Same(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = leaf(t, 3)
    y = Same.apply(x)
    return [*both_orders(t, y * x, x), y is x, x.is_leaf, Same.apply(x.detach()).requires_grad]


def knows_what_is_needed(t: Any) -> list[Any]:
    seen = []

    class Linear(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, bias=None):
            seen.append((ctx.needs_input_grad, t.is_grad_enabled()))
            ctx.save_for_backward(x, weight, bias)
            y = x.mm(weight.t())
            return y if bias is None else y + bias.unsqueeze(0).expand_as(y)

        @staticmethod
        def backward(ctx, g):
            x, weight, bias = ctx.saved_tensors
            seen.append((ctx.needs_input_grad, t.is_grad_enabled()))
            gx = gw = gb = None
            if ctx.needs_input_grad[0]:
                gx = g.mm(weight)
            if ctx.needs_input_grad[1]:
                gw = g.t().mm(x)
            if bias is not None and ctx.needs_input_grad[2]:
                gb = g.sum(0)
            return gx, gw, gb

    x, w, b = leaf(t, 4, 3), leaf(t, 2, 3, seed=1), leaf(t, 2, seed=2)
    y = Linear.apply(x.detach(), w, b)
    y.backward(t.arange(8.0, dtype=t.float64).reshape(4, 2))
    with t.no_grad():
        quiet = Linear.apply(x, w)
    return [
        y,
        w.grad,
        b.grad,
        x.grad,
        quiet,
        quiet.requires_grad,
        *both_orders(t, Linear.apply(x, w, b), x, w, b),
        seen,
    ]


def is_summed_to_its_argument(t: Any) -> list[Any]:
    class AddBias(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, b):
            return x + b

        @staticmethod
        def backward(ctx, g):
            return g, g

    x, b = leaf(t, 4, 3), leaf(t, 1, 3, seed=1)
    return both_orders(t, AddBias.apply(x, b), x, b)


def differentiates_inside(t: Any) -> list[Any]:
    class Checkpoint(t.autograd.Function):
        @staticmethod
        def forward(ctx, f, x):
            ctx.f = f
            ctx.save_for_backward(x)
            return f(x)

        @staticmethod
        def backward(ctx, g):
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with t.enable_grad():
                y = ctx.f(x)
            return None, t.autograd.grad(y, x, g)[0]

    x = leaf(t, 3)
    Checkpoint.apply(lambda x: x.sin() * x, x * 2).backward(t.tensor([1.0, 2.0, 3.0], dtype=t.float64))
    return [x.grad]


def straight_through(t: Any) -> list[Any]:
    class Round(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        @t.autograd.function.once_differentiable
        def backward(ctx, g):
            return g

    x = leaf(t, 3)
    (Round.apply(x * 3) * x).sum().backward()
    return [x.grad]


def hooks_on_leaves(t: Any) -> list[Any]:
    x = leaf(t, 3)
    seen: list[Any] = []
    handle = x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: seen.append(g.clone()))
    (x * x + x).backward(t.tensor([1.0, 2.0, 3.0], dtype=t.float64))
    handle.remove()
    (x * 3).sum().backward()
    (g,) = t.autograd.grad((x * x).sum(), x)
    return [x.grad, g, *seen]


def hooks_on_results(t: Any) -> list[Any]:
    x = leaf(t, 3)
    seen: list[Any] = []
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g.clamp(-1, 1))
    y.register_hook(lambda g: seen.append(g.clone()))
    z = y * y + y
    z.register_hook(lambda g: g + 1)
    g = t.tensor([0.1, 2.0, -3.0], dtype=t.float64)
    z.backward(g, retain_graph=True)
    return [x.grad, y.grad, *t.autograd.grad(z, [y], g, retain_graph=True), *t.autograd.grad(z, [x], g), *seen]


def hooks_are_differentiated(t: Any) -> list[Any]:
    x = leaf(t, 3)
    y = x.sin()
    y.register_hook(lambda g: g * y)
    x.register_hook(lambda g: g**2)
    return both_orders(t, y * y, x)


def hooks_see_rows_as_a_table(t: Any) -> list[Any]:
    table = t.nn.Embedding(5, 2)
    table.weight.data.copy_(t.arange(10.0).reshape(5, 2))
    seen: list[Any] = []
    table.weight.register_hook(lambda g: seen.append(g.clone()))
    table.weight.register_hook(lambda g: g / 2)
    (table(t.tensor([1, 1, 3])) ** 2).sum().backward()
    return [table.weight.grad, *seen]


def hooks_may_write_into_what_they_get(t: Any) -> list[Any]:
    x, y = leaf(t, 3), leaf(t, 3, seed=1)
    x.register_hook(lambda g: g.mul_(0) if t is mg else g * 0)
    (x + y).sum().backward()
    return [x.grad, y.grad]


def hooks_after_accumulation(t: Any) -> list[Any]:
    x = leaf(t, 3)
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    seen: list[Any] = []

    def step(p: Any) -> None:
        with t.no_grad():
            p.sub_(p.grad * 0.1)
        p.grad = None

    (x * x).sum().backward()
    handle = x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    handle.remove()
    (x * x).sum().backward()
    return [x, x.grad, *seen]


def anomalies(t: Any) -> list[Any]:
    x = t.zeros(2, requires_grad=True)
    found = []
    for enabled in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with t.autograd.set_detect_anomaly(enabled):
                try:
                    ((x * 0) / x).sum().backward()
                except RuntimeError as error:
                    found.append(str(error))
            ((x * 0) / x).sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with t.autograd.detect_anomaly():
            (x * 2).sum().backward()
    return found


def jacobians(t: Any) -> list[Any]:
    x, y = leaf(t, 2, 3), leaf(t, 3, seed=1)
    functional = t.autograd.functional
    both = functional.jacobian(lambda x, y: (x * y, y.exp().sum()), (x, y))
    graph = functional.jacobian(lambda x: x.sin() * y, x, create_graph=True)
    return [
        functional.jacobian(lambda x: (x**2).sum(1), x),
        functional.jacobian(lambda x: x.detach() * 2, x),
        functional.jacobian(lambda x: (x**2).sum(1), x.detach()),
        *(block for row in both for block in row),
        graph,
        *t.autograd.grad((graph**2).sum(), [x, y]),
    ]


def hessians(t: Any) -> list[Any]:
    x, y = leaf(t, 2, 3), leaf(t, 3, seed=1)
    functional = t.autograd.functional
    return [
        functional.hessian(lambda x: (x**3).sum(), x),
        *(
            block
            for row in functional.hessian(lambda x, y: (x * x * y.exp()).sum().reshape(1), (x, y))
            for block in row
        ),
    ]


def variables(t: Any) -> list[Any]:
    x = t.autograd.Variable(t.ones(3), requires_grad=True)
    (x * 2).sum().backward()
    return [x, x.grad, x.is_leaf, t.autograd.Variable(t.ones(2)).requires_grad]


PROGRAMS = [f for name, f in list(vars().items()) if getattr(f, "__module__", "") == __name__ and callable(f)]
PROGRAMS = [f for f in PROGRAMS if f not in (leaf, both_orders, square, several)]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_as_in_torch(program: Program) -> None:
    ours, theirs = program(mg), program(torch)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(b, torch.Tensor):
            same(a, b, rtol=1e-12, atol=1e-12)
            assert a.requires_grad == b.requires_grad
        else:
            assert a == b


# -------------------------------------------------------------------------------------------------------------- errors


def broken(t: Any, backward: Callable[..., Any]) -> Any:
    class Broken(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

    Broken.backward = staticmethod(backward)
    x = leaf(t, 2)
    Broken.apply(x, 3).sum().backward()


def twice(t: Any) -> None:
    x = leaf(t, 2)
    y = square(t).apply(x)
    y.sum().backward()
    y.sum().backward()


def changed(t: Any) -> None:
    x = leaf(t, 2) * 1
    y = square(t).apply(x)
    x.add_(1)
    y.sum().backward()


def not_twice(t: Any) -> None:
    class Once(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @t.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    x = leaf(t, 2)
    (g,) = t.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    g.sum().backward()


def unwritten(t: Any, what: str) -> None:
    class Unwritten(t.autograd.Function):
        if what == "backward":
            forward = staticmethod(lambda ctx, x: x * 2)

    Unwritten.apply(leaf(t, 2)).sum().backward()


ERRORS: list[tuple[str, Program]] = [
    ("expected 2, got 1", lambda t: broken(t, lambda ctx, g: g)),
    ("expected 2, got 3", lambda t: broken(t, lambda ctx, g: (g, None, g))),
    ("got float", lambda t: broken(t, lambda ctx, g: (1.0, None))),
    ("shape compatible with [2]", lambda t: broken(t, lambda ctx, g: (g[0], None))),
    ("at index 0 - got [3]", lambda t: broken(t, lambda ctx, g: (t.zeros(3), None))),
    ("second time", twice),
    ("modified by an inplace operation", changed),
    ("once_differentiable", not_twice),
    ("forward", lambda t: unwritten(t, "forward")),
    ("backward", lambda t: unwritten(t, "backward")),
    ("doesn't require gradient", lambda t: t.ones(2).register_hook(print)),
    ("doesn't require gradient", lambda t: t.ones(2).register_post_accumulate_grad_hook(print)),
    ("non-leaf", lambda t: (leaf(t, 2) * 2).register_post_accumulate_grad_hook(print)),
    ("float", lambda t: hooked(t, lambda g: 1.0)),
    ("has changed the", lambda t: hooked(t, lambda g: g[:1])),
    ("independent", lambda t: t.autograd.functional.jacobian(lambda x: t.ones(2), leaf(t, 2), strict=True)),
    ("single element", lambda t: t.autograd.functional.hessian(lambda x: x * x, leaf(t, 2))),
    ("has changed the", lambda t: hooked(t, lambda g: g.float())),
]


def hooked(t: Any, hook: Callable[..., Any]) -> None:
    x = leaf(t, 2)
    x.register_hook(hook)
    x.sum().backward()


@pytest.mark.parametrize(("fact", "program"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors(fact: str, program: Program) -> None:
    raised = []
    for t in (torch, mg):
        with pytest.raises(Exception) as caught:
            program(t)
        raised.append(caught.value)
    assert type(raised[1]) is type(raised[0]), raised
    assert fact in str(raised[1])


def test_prints_as_in_torch() -> None:
    assert (
        repr(square(mg).apply(mg.ones(1, requires_grad=True, device="cpu"))) == "tensor([1.], grad_fn=<SquareBackward>)"
    )
    assert repr(square(torch).apply(torch.ones(1, requires_grad=True))) == "tensor([1.], grad_fn=<SquareBackward>)"


@pytest.mark.parametrize("program", [saves_its_result, gives_several, knows_what_is_needed, hooks_on_results])
def test_leaves_no_cycle(program: Program) -> None:
    gc.collect()
    gc.disable()
    try:
        born: list[Any] = []
        before = mg.autograd.Call._record

        def recorded(self: Any, *args: Any) -> None:
            born.append(weakref.ref(self))
            before(self, *args)

        mg.autograd.Call._record = recorded  # type: ignore[method-assign]
        program(mg)
        assert [ref for ref in born if ref() is not None] == []
    finally:
        mg.autograd.Call._record = before  # type: ignore[method-assign]
        gc.enable()


def test_gradcheck_knows_a_wrong_function() -> None:
    class Wrong(mg.autograd.Function):
        forward = staticmethod(lambda ctx, x: x * 3)
        backward = staticmethod(lambda ctx, g: g * 2)

    x = leaf(mg, 3)
    assert mg.autograd.gradcheck(square(mg).apply, (x,), eps=1e-6, atol=1e-4)
    assert not mg.autograd.gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(AssertionError):
        mg.autograd.gradcheck(Wrong.apply, x)
