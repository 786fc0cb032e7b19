"""The penalties of discriminators, verified on a critic whose gradient is written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from mpmath import mp

from jaxloss import adversarial
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.entry import Entry

SIZE = 3
_ROWS = ((1.0, -0.5, 0.25), (-0.5, 0.25, 0.5), (0.25, 1.0, 0.25))
_VECTORS = kinds.vectors(SIZE)
_MIX = replace(kinds.shares(), differentiable=False)


def critic(x: Any) -> Any:
    """Return the sum of three units `1 - cos(u)` for examples `[b, 3]`: flat at the origin.

    Its derivatives of every order are as accurate as their argument, so that what is seen of
    rounding is the penalty's.
    """
    return jnp.sum(1 - jnp.cos(x @ jnp.asarray(_ROWS, x.dtype).T), axis=-1)


def _slope(x: Any) -> Any:
    """Return the gradient of `critic` at one example: each row times the sine of its unit."""
    shares = [mp.sin(mp.fdot(row, x)) for row in _ROWS]
    return [mp.fsum(s * row[k] for s, row in zip(shares, _ROWS, strict=True)) for k in range(SIZE)]


def _norm(x: Any) -> Any:
    return mp.sqrt(mp.fsum(v**2 for v in x))


def _wgan(real: Any, fake: Any, mix: Any, target_norm: Any = 1) -> Any:
    between = [mix * r + (1 - mix) * f for r, f in zip(real, fake, strict=True)]
    return (_norm(_slope(between)) - target_norm) ** 2


def _dragan(real: Any, noise: Any, scale: Any = mp.mpf(0.5), target_norm: Any = 1) -> Any:
    near = [r + scale * n for r, n in zip(real, noise, strict=True)]
    return (_norm(_slope(near)) - target_norm) ** 2


def _half_square(x: Any) -> Any:
    return mp.fsum(v**2 for v in _slope(x)) / 2


def _of_one(penalty: Callable[..., Any], *batches: Any, where: Any, **more: Any) -> Any:
    """Call a penalty, whose critic takes batches, also with the single example of a `vmap`."""
    if getattr(batches[0], "ndim", 2) != 1:
        return penalty(critic, *batches, where=where, **more)
    widen = lambda x: None if x is None else jnp.asarray(x)[None]
    more = {k: widen(v) if k in ("mix", "noise") else v for k, v in more.items()}
    return penalty(critic, *map(widen, batches), where=widen(where), **more)[0]


def _wgan_specimen(
    real: Any, fake: Any, mix: Any, *, target_norm: Any = 1.0, where: Any = None
) -> Any:
    penalty = adversarial.wgan_gradient_penalty
    return _of_one(penalty, real, fake, mix=mix, target_norm=target_norm, where=where)


def _dragan_specimen(
    real: Any, noise: Any, *, scale: Any = 0.5, target_norm: Any = 1.0, where: Any = None
) -> Any:
    more = {"noise": noise, "scale": scale, "target_norm": target_norm}
    return _of_one(adversarial.dragan_penalty, real, where=where, **more)


def _r1_specimen(real: Any, *, where: Any = None) -> Any:
    return _of_one(adversarial.r1_penalty, real, where=where)


def _r2_specimen(fake: Any, *, where: Any = None) -> Any:
    return _of_one(adversarial.r2_penalty, fake, where=where)


def _of_critic(
    text: str, penalty: Callable[..., Any], expected: Callable[..., Any]
) -> claims.Claim:
    """Compare the penalty of linear critics, whose slope is known, with what it should be."""

    def check(subject: Any) -> Iterator[str]:
        rng = subject.rng
        batches = rng.normal(size=(2, 4, 2, SIZE)).astype(np.float32)
        for size in (0.0, 0.25, 1.0, 3.0):
            w = rng.normal(size=(2, SIZE))
            w = (size * w / np.linalg.norm(w)).astype(np.float32)
            got = np.asarray(
                penalty(lambda x, w=w: jnp.sum(x * w[None], axis=(1, 2)) + 7.0, *batches)
            )
            if not np.allclose(got, expected(size), rtol=1e-5, atol=1e-6):
                yield f"{got} instead of {expected(size)} at slope {size:g}"

    return claims.holds(text, check)


def _mixed(critic: Any, real: Any, fake: Any) -> Any:
    return adversarial.wgan_gradient_penalty(critic, real, fake, mix=0.3)


def _near(critic: Any, real: Any, noise: Any) -> Any:
    return adversarial.dragan_penalty(critic, real, noise=noise)


def _lecam_at_rest() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        for setting in subject.settings:
            rows = len(subject.draw("generic")[0])
            at = [np.full(rows, setting[k]) for k in ("fake_anchor", "real_anchor")]
            if np.abs(subject.value(at, setting, "float64")).max() > 0:
                yield "not 0 where each side says what the other says on average"

    return claims.holds("0 where each side is at the other's anchor", check)


def _matched(real: Any, fake: Any) -> Any:
    mean = lambda rows, k: mp.fsum(row[k] for row in rows) / len(rows)
    return mp.fsum((mean(real, k) - mean(fake, k)) ** 2 for k in range(len(real[0])))


def _order_free() -> claims.Claim:
    def check(subject: Any) -> Iterator[str]:
        real, fake = subject.draw("generic")
        before = subject.value([real, fake], {}, "float64")
        after = subject.value([real[:, ::-1], fake], {}, "float64")
        if np.abs(after - before).max() > 1e-12:
            yield f"{before[0]} becomes {after[0]}"

    return claims.holds("unchanged when the real samples are reordered", check)


_SLOPE: dict[str, Any] = {"family": "adversarial"}
ENTRIES = (
    Entry(
        adversarial.wgan_gradient_penalty,
        specimen=_wgan_specimen,
        purpose="a critic of slope 1 between real and fake",
        character="two-sided: slopes below 1 cost as well",
        when="wasserstein; critics without batch normalisation",
        avoid="local convergence of other objectives: r1_penalty",
        formula="(norm(grad critic(mix real + (1 - mix) fake)) - target_norm)^2",
        source="Gulrajani et al. 2017, eq. 3",
        arguments={"real": _VECTORS, "fake": _VECTORS, "mix": _MIX},
        reference=_wgan,
        settings=({"target_norm": 0.0}, {"target_norm": 8.0}),
        impossible={"target_norm": (-1.0, np.nan)},
        claims=(
            claims.nonnegative(),
            _of_critic(
                "0 for a linear critic of slope 1, over all axes of an example together",
                _mixed,
                lambda size: (size - 1) ** 2,
            ),
        ),
        non_claims=("convex in the critic",),
        **_SLOPE,
    ),
    Entry(
        adversarial.r1_penalty,
        specimen=_r1_specimen,
        purpose="a discriminator that is flat on data",
        character="makes training converge locally; half the square, gamma is yours",
        when="almost any objective; images (gamma 0.1 to 10)",
        avoid="a critic that must have slope 1: wgan_gradient_penalty",
        formula="norm(grad critic(real))^2 / 2",
        source="Mescheder et al. 2018, eq. 9",
        arguments={"real": _VECTORS},
        reference=_half_square,
        claims=(
            claims.nonnegative(),
            _of_critic(
                "half the squared slope of a linear critic, 0 for a constant one",
                lambda critic, real, fake: adversarial.r1_penalty(critic, real),
                lambda size: size**2 / 2,
            ),
        ),
        **_SLOPE,
    ),
    Entry(
        adversarial.r2_penalty,
        specimen=_r2_specimen,
        purpose="a discriminator that is flat on fakes",
        character="r1_penalty's other side; half the square, gamma is yours",
        when="beside r1_penalty: relativistic_pairing (R3GAN)",
        avoid="alone, when fakes are far from data: r1_penalty",
        formula="norm(grad critic(fake))^2 / 2",
        source="Mescheder et al. 2018, eq. 10",
        arguments={"fake": _VECTORS},
        reference=_half_square,
        claims=(
            claims.nonnegative(),
            _of_critic(
                "half the squared slope of a linear critic, 0 for a constant one",
                lambda critic, real, fake: adversarial.r2_penalty(critic, fake),
                lambda size: size**2 / 2,
            ),
        ),
        **_SLOPE,
    ),
    Entry(
        adversarial.dragan_penalty,
        specimen=_dragan_specimen,
        purpose="a discriminator of slope 1 around the data",
        character="looks at data only, and a little beside it",
        when="non_saturating with a discriminator that grows too steep near data",
        avoid="data on a thin manifold, where noise leaves it: r1_penalty",
        formula="(norm(grad critic(real + scale noise)) - target_norm)^2",
        source="Kodali et al. 2017, section 2",
        arguments={"real": _VECTORS, "noise": _VECTORS},
        reference=_dragan,
        settings=({"scale": 0.25, "target_norm": 0.0}, {"scale": 0.0, "target_norm": 8.0}),
        impossible={"scale": (-0.5, np.nan), "target_norm": (-1.0, np.nan)},
        claims=(
            claims.nonnegative(),
            _of_critic(
                "0 for a linear critic of slope 1, over all axes of an example together",
                _near,
                lambda size: (size - 1) ** 2,
            ),
        ),
        non_claims=("convex in the critic",),
        **_SLOPE,
    ),
    Entry(
        adversarial.lecam_regularization,
        purpose="logits that stay near the other side's average",
        character="bounds how sure the discriminator gets; needs moving averages",
        when="little data: a discriminator that would learn it by heart",
        avoid="plenty of data: r1_penalty",
        formula="(real - fake_anchor)^2 + (fake - real_anchor)^2",
        source="Tseng et al. 2021, section 3.2",
        arguments={"real_logits": kinds.reals(), "fake_logits": kinds.reals()},
        reference=lambda r, f, real_anchor, fake_anchor: (
            (r - fake_anchor) ** 2 + (f - real_anchor) ** 2
        ),
        required={"real_anchor": 0.75, "fake_anchor": -0.5},
        settings=({"real_anchor": -0.25, "fake_anchor": 1.5},),
        impossible={"real_anchor": (np.nan,), "fake_anchor": (np.nan,)},
        claims=(
            claims.nonnegative(),
            claims.convex("real_logits"),
            claims.convex("fake_logits"),
            _lecam_at_rest(),
        ),
        **_SLOPE,
    ),
    Entry(
        adversarial.feature_matching_loss,
        purpose="fakes whose features are those of data on average",
        character="steady goal for the generator; matches means only",
        when="unstable training; semi-supervised discriminators",
        avoid="distributions that differ beyond their means: a kernel or transport distance",
        formula="norm(mean(real) - mean(fake))^2",
        source="Salimans et al. 2016, section 3.1",
        arguments={"real_features": kinds.points(), "fake_features": kinds.points()},
        reference=_matched,
        claims=(
            claims.nonnegative(),
            claims.symmetric(),
            claims.zero_at_target(),
            claims.convex("fake_features"),
            claims.homogeneous(2),
            _order_free(),
            claims.permutation_invariant(
                axis=1,
                text="unchanged when the features change places",
            ),
        ),
        non_claims=("positive off the target: other moments are free",),
        coupled="batch",
        **_SLOPE,
    ),
)
