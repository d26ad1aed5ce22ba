"""torch.distributions: the same code in minigrad and in torch, from one seed. Samples are equal bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import same

import minigrad as mg

RNG = np.random.default_rng(0)
LOGITS, LOC, SCALE = RNG.standard_normal((2, 5)), RNG.standard_normal((3, 4)), RNG.uniform(0.3, 2.0, (3, 4))

MADE = {
    "Categorical probs": "D.Categorical(a.exp())",
    "Categorical logits": "D.Categorical(logits=a)",
    "Categorical vector": "D.Categorical(a[0].softmax(0))",
    "Bernoulli probs": "D.Bernoulli(a.sigmoid())",
    "Bernoulli logits": "D.Bernoulli(logits=a)",
    "Bernoulli number": "D.Bernoulli(0.3)",
    "Normal": "D.Normal(m, s)",
    "Normal broadcast": "D.Normal(m[0], s[:, :1])",
    "Normal numbers": "D.Normal(1, 2.0)",
    "Normal mixed": "D.Normal(m, 0.5)",
    "Uniform": "D.Uniform(m, m + s)",
    "Uniform numbers": "D.Uniform(-1.0, 2)",
    "Exponential": "D.Exponential(s)",
    "Exponential number": "D.Exponential(1.5)",
    "Independent Normal": "D.Independent(D.Normal(m, s), 1)",
    "Independent Bernoulli": "D.Independent(D.Bernoulli(logits=a), 2)",
    "Independent nothing": "D.Independent(D.Normal(m, s), 0)",
}


def names(t: Any, dtype: str = "float64") -> dict[str, Any]:
    t.manual_seed(7)
    leaves = {
        k: t.tensor(x, dtype=getattr(t, dtype), requires_grad=True)
        for k, x in {"a": LOGITS, "m": LOC, "s": SCALE}.items()
    }
    return {"t": t, "D": t.distributions, **leaves}


def gradients(t: Any, y: Any, scope: dict[str, Any]) -> list[Any]:
    if not y.requires_grad:
        return []
    g = t.arange(y.numel(), dtype=y.dtype).reshape(y.shape) / 7 - 0.4
    found = t.autograd.grad(y, [scope[k] for k in "ams"], g, retain_graph=True, allow_unused=True)
    return [x for x in found if x is not None]


@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (0,), (17,)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("made", MADE.values(), ids=MADE.keys())
def test_samples_are_torchs_and_leave_the_stream_where_torch_does(
    made: str, dtype: str, shape: tuple[int, ...]
) -> None:
    if "Categorical" in made:  # of no samples torch refuses to draw any
        shape = shape if 0 not in shape else (1,)
    ours, theirs = ((eval(made, names(t, dtype)).sample(shape), t.rand(3)) for t in (mg, torch))
    for a, b in zip(ours, theirs, strict=True):
        same(a, b, exact="Normal" not in made, rtol=0, atol=0 if "Normal" not in made else 1e-6)
    assert not ours[0].requires_grad


@pytest.mark.parametrize("made", MADE.values(), ids=MADE.keys())
def test_what_it_says(made: str) -> None:
    found = []
    for t in (mg, torch):
        scope = names(t)
        d = eval(made, scope)
        x = d.sample((2,)) if "Uniform" not in made else d.sample((2,)).clamp(0.0, 0.3) * 0 + d.mean.detach()
        values = {"log_prob": d.log_prob(x), "entropy": d.entropy(), "mean": d.mean, "variance": d.variance}
        values.update(stddev=d.stddev, perplexity=d.perplexity())
        if hasattr(d, "cdf") and "Independent" not in made and made[2] in "NUE":
            values["cdf"] = d.cdf(x)
        listed = [(k, y, *gradients(t, y * 1, names_of)) for k, y in values.items() for names_of in [scope]]
        found.append((listed, repr(d), tuple(d.batch_shape), tuple(d.event_shape), d.has_rsample))
    (ours, *told), (theirs, *told_by_torch) = found
    assert told == told_by_torch
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) == len(b), a[0]
        for x, y in zip(a[1:], b[1:], strict=True):
            same(x, y, what=a[0], **({"rtol": 1e-10, "atol": 1e-10} if y.dtype is torch.float64 else {}))


@pytest.mark.parametrize(
    "made", [made for name, made in MADE.items() if name.split()[0] in ("Normal", "Uniform", "Exponential")]
)
def test_differentiable_samples(made: str) -> None:
    found = []
    for t in (mg, torch):
        scope = names(t)
        y = eval(made, scope).rsample((3,))
        found.append([y, *gradients(t, y, scope)])
    for a, b in zip(*found, strict=True):
        same(a, b, rtol=1e-12, atol=1e-12)


DIVERGENCES = """
D.kl_divergence(D.Normal(m, s), D.Normal(0.0, 1.0)) ; D.kl_divergence(D.Normal(m, s), D.Normal(m * 2, s + 1))
D.kl_divergence(D.Categorical(logits=a), D.Categorical(logits=a.sin()))
D.kl_divergence(D.Bernoulli(logits=a), D.Bernoulli(s[0, 0].sigmoid()))
D.kl_divergence(D.Categorical(t.tensor([0.5, 0.5, 0.0])), D.Categorical(t.tensor([0.5, 0.5, 0.0])))
D.kl_divergence(D.Categorical(t.tensor([0.5, 0.5, 0.0])), D.Categorical(t.tensor([1.0, 0.0, 0.0])))
D.kl_divergence(D.Bernoulli(t.tensor([0.0, 1.0, 0.2])), D.Bernoulli(t.tensor([0.0, 0.5, 1.0])))
D.kl_divergence(D.Exponential(s), D.Exponential(1.0))
D.kl_divergence(D.Independent(D.Normal(m, s), 1), D.Independent(D.Normal(m.cos(), s + 1), 1))
D.Categorical(logits=a).enumerate_support() ; D.Categorical(logits=a).mode ; D.Categorical(logits=a).enumerate_support(False)
D.Categorical(logits=a).log_prob(t.tensor([[0], [1], [4]])) ; D.Categorical(logits=a).probs ; D.Categorical(a.exp()).logits
D.Normal(m, s).mode ; D.Normal(0.0, 1.0).log_prob(t.tensor(0.5)) ; D.Uniform(0.0, 1.0).log_prob(t.tensor(1.0))
D.Bernoulli(a.sigmoid()).logits ; D.Uniform(0.0, 1.0, validate_args=False).log_prob(t.tensor(2.0))
""".replace("\n", " ; ").split(" ; ")


@pytest.mark.parametrize("code", [code for code in DIVERGENCES if code.strip()])
def test_values_and_gradients(code: str) -> None:
    found = []
    for t in (mg, torch):
        scope = names(t)
        y = eval(code, scope)
        found.append([y, *gradients(t, y, scope)])
    for a, b in zip(*found, strict=True):
        same(a, b, rtol=1e-10, atol=1e-10)


ERRORS = """
D.Categorical() ; D.Categorical(a, a) ; D.Categorical(a[0, 0]) ; D.Categorical(t.tensor([0.5, -0.2])) ; D.Bernoulli()
D.Categorical(logits=a * float('nan')) ; D.Bernoulli(1.5) ; D.Bernoulli(logits=float('nan')) ; D.Normal(m, -s) ; D.Normal(m, 0.0)
D.Normal(float('nan'), 1.0) ; D.Uniform(1.0, 0.0) ; D.Exponential(-1.0) ; D.Categorical(logits=a).log_prob(t.tensor(5))
D.Categorical(logits=a).log_prob(t.tensor(-1)) ; D.Categorical(logits=a).log_prob(t.tensor(0.5)) ; D.Bernoulli(0.5).log_prob(t.tensor(0.5))
D.Normal(m, s).log_prob(t.tensor(float('nan'))) ; D.Uniform(0.0, 1.0).log_prob(t.tensor(2.0)) ; D.Exponential(1.0).log_prob(t.tensor(-1.0))
D.Categorical(logits=a).rsample() ; D.Bernoulli(0.5).rsample() ; D.Independent(D.Normal(m, s), 3) ; D.Distribution().sample()
D.kl_divergence(D.Normal(m, s), D.Bernoulli(0.5)) ; D.Normal(m, s[0, :3]) ; D.Distribution().entropy() ; D.Distribution().mean
D.Distribution().variance ; D.Distribution().log_prob(m)
D.kl_divergence(D.Independent(D.Normal(m, s), 1), D.Independent(D.Normal(m, s), 2))
""".replace("\n", " ; ").split(" ; ")


@pytest.mark.parametrize("code", [code for code in ERRORS if code.strip()])
def test_raises_what_torch_raises(code: str) -> None:
    raised = []
    for t in (torch, mg):
        with pytest.raises(Exception) as caught:
            eval(code, names(t))
        raised.append(caught.value)
    assert type(raised[1]) is type(raised[0]), raised
    assert str(raised[1])


def test_a_policy_gradient_step_is_torchs() -> None:
    found = []
    for t in (mg, torch):
        t.manual_seed(3)
        policy = t.nn.Linear(4, 3)
        optimizer = t.optim.Adam(policy.parameters(), lr=0.1)
        for _ in range(5):
            d = t.distributions.Categorical(logits=policy(t.randn(8, 4)))
            action = d.sample()
            loss = -(d.log_prob(action) * (action == 1).float()).mean() - 0.01 * d.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found.append(policy.weight)
    same(*found, rtol=1e-5, atol=1e-6)
