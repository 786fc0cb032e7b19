"""What is predicted with a loss: the statistic, distribution or sign that it is least at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from jaxloss.catalog.claims.frame import Array, Claim, Setting, Subject

Link = str | Callable[[Array], Array]


def elicits(text: str, statistic: Callable[..., float]) -> Claim:
    """The constant prediction of least mean loss is a statistic of the targets.

    Tested on a skewed sample of odd size: no other constant, near or far, has a lower mean.
    """

    def check(subject: Subject) -> Iterator[str]:
        for setting in subject.settings:
            targets = subject.rng.gamma(1.5, 2.0, 31)
            best = statistic(targets, **setting)
            steps = np.concatenate([[0.0], *([s, -s] for s in (1e-4, 1e-2, 0.3, 2.0))])
            risk = [
                subject.value([np.full(31, best + s), targets], setting, "float64").mean()
                for s in steps
            ]
            if min(risk[1:]) < risk[0] - 1e-13 * abs(risk[0]):
                shift = steps[int(np.argmin(risk))]
                yield f"the mean loss is lower at {best + shift:g} than at {text} {best:g}"

    return Claim(f"its minimiser is {text}", check)


_LINKS: dict[str, Callable[[Array], Array]] = {
    "softmax": np.log,
    "sigmoid": lambda p: np.log(p[..., 0] / p[..., 1]),
    "identity": lambda p: p,
}


def proper(link: Link = "softmax") -> Claim:
    """No prediction has a lower expected loss than the truth, where its gradient vanishes.

    Args:
      link: the prediction that says a distribution: "softmax" (its logarithm), "sigmoid" (the log
        odds of the first of two classes), "identity", or a function from distributions `[..., C]`
        (of two classes for losses of one number) to predictions. Labels, in the second argument,
        are indices, one-hot or, of two classes, in [0, 1] or {-1, 1}.
    """
    return Claim("proper", lambda subject: _propriety(subject, link, strict=False))


def strictly_proper(link: Link = "softmax") -> Claim:
    """Any other distribution has a higher expected loss than the truth; for `link` see `proper`."""
    return Claim("strictly proper", lambda subject: _propriety(subject, link, strict=True))


def _propriety(subject: Subject, link: Link, strict: bool) -> Iterator[str]:
    predict = _LINKS[link] if isinstance(link, str) else link
    outcomes = _outcomes(*subject.draw("generic")[:2])
    for setting in subject.settings:
        for _ in range(4):
            truth = subject.rng.dirichlet(np.full(len(outcomes), 1.5))
            others = _others(subject, truth, len(subject.draw("generic")[0]) // len(outcomes) - 1)
            told = np.concatenate([truth[None], others])
            risk, pull, size = _expected(subject, setting, predict(told), outcomes, truth)
            if not pull <= 1e-9 * (1 + size):
                yield f"expected gradient of norm {pull:.3g} at the truth {truth}"
            excess = risk[1:] - risk[0]
            wrong = excess <= 1e-13 if strict else excess < -1e-13 * (1 + abs(risk[0]))
            for other in others[wrong][:1]:
                yield f"the risk at the truth {truth} is no lower than at {other}"


def _outcomes(predictions: Array, labels: Array) -> Array:
    """Return the label of every class."""
    if predictions.ndim > 1:
        classes = predictions.shape[-1]
        return np.eye(classes) if labels.ndim > 1 else np.arange(classes)
    return np.array([1.0, -1.0]) if np.isin(labels, (-1, 1)).all() else np.array([1.0, 0.0])


def _others(subject: Subject, truth: Array, count: int) -> Array:
    """Return distributions near and far from another."""
    sizes = np.resize((1e-3, 1e-2, 0.1, 0.3, 1.0, 2.0, 3.0), max(count, 3))
    moved = np.log(truth) + sizes[:, None] * subject.rng.normal(size=(len(sizes), len(truth)))
    raw = np.exp(moved)
    return np.asarray(raw / raw.sum(axis=-1, keepdims=True))


def _expected(
    subject: Subject, setting: Setting, predictions: Array, outcomes: Array, truth: Array
) -> tuple[Array, float, float]:
    """Return the risk of each prediction, and the expected gradient of the first and its size."""
    count, classes = len(predictions), len(outcomes)
    columns = [
        np.repeat(predictions, classes, axis=0),
        np.tile(outcomes, (count,) + (1,) * (outcomes.ndim - 1)),
    ]
    rows = len(subject.draw("generic")[0])
    # Filled up to the usual number of rows, which needs no new program.
    fill = np.arange(max(rows, count * classes)) % (count * classes)
    value, slopes = subject.evaluate([c[fill] for c in columns], setting, "float64")
    risk = value[: count * classes].reshape(count, classes) @ truth
    slope = slopes[0][:classes].reshape(classes, -1)
    if subject.kinds[0].steps == "mix":
        # On the simplex only moves along it count.
        slope = slope - slope.mean(axis=-1, keepdims=True)
    return risk, float(np.linalg.norm(truth @ slope)), float(np.abs(slope).max())


def calibrated() -> Claim:
    """The score of least expected loss has the sign of the likelier class, -1 or 1."""

    def check(subject: Subject) -> Iterator[str]:
        score = np.linspace(-3, 3, 241)
        for setting in subject.settings:
            plus = subject.value([score, np.ones(241)], setting, "float64")
            minus = subject.value([score, -np.ones(241)], setting, "float64")
            for eta in (0.05, 0.3, 0.45, 0.55, 0.7, 0.95):
                risk = eta * plus + (1 - eta) * minus
                wrong_side = np.sign(score) != np.sign(eta - 0.5)
                if risk[wrong_side].min() <= risk[~wrong_side].min():
                    yield f"at probability {eta} a score of the wrong sign has the least risk"

    return Claim("classification-calibrated", check)
