"""The losses of `optax.losses`: all of those that this library has under the same name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mpmath import mp

from jaxloss import catalog
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.contrastive import sets
from peers import Peer, like

# Conventions that are this library's own: a choice among sub-gradients, extra hyper-parameters.
_OURS = (
    "no gradient",
    "least at soft labels",
    "pos_weight",
    "0 with zero gradient",
    "reordering",
    "at most supervised",
)

# One number for the batch, from which every example gets a call of its own.
_ALONE = "(lambda predictions, targets, **more: {}(predictions[None], targets[None], **more){})"


def _shared(name: str, *more: Mapping[str, Any], **changed: Any) -> Peer:
    return like("optax", name, f"optax.losses.{name}", *more, without=_OURS, **changed)


def _ntxent(x: Any, y: Any, temperature: Any = mp.mpf("0.07")) -> Any:
    """Return the mean over all positive pairs of the surprise at finding one among negatives."""
    s = [[v / temperature for v in row] for row in sets.matrix("cosine", x, x)]
    terms = [
        mp.log1p(sets.exp_sum(s[i][k] - s[i][j] for k in far))
        for i, (near, far) in enumerate(sets.sides(y))
        for j in near
    ]
    return sets.mean(terms)


def _mean_of_pairs() -> str:
    """Return this library's loss of each anchor as the mean over all positive pairs."""
    pairs = "(labels[:, None] == labels[None]).sum(1) - 1"
    loss = "jaxloss.ntxent(embeddings, labels, **more)"
    return f"(lambda embeddings, labels, **more: jaxloss.mean({loss}, weights={pairs}))"


def _smoothed(y: Any, alpha: Any) -> Any:
    return [(1 - alpha) * v + alpha / len(y) for v in y]


def _probabilities(name: str, flag: str, predictions: kinds.Kind) -> Peer:
    """Describe a loss of logits that can be told to take probabilities."""
    entry = catalog.get(name)
    return Peer(
        "optax",
        f"{name}({flag}=False)",
        f"optax.losses.{name}",
        {"predictions": predictions, "targets": entry.arguments["targets"]},
        settings=({flag: False},),
        claims=(claims.nonnegative(),),
        ours=f"jaxloss.{name}",
    )


def _generalized_dice() -> Peer:
    name = "multiclass_generalized_dice_loss"
    theirs = f"optax.losses.{name}"
    return like(
        "optax", name, _ALONE.format(theirs, ""), without=_OURS, each=True, function=theirs,
        alone=theirs, ours=_ALONE.format(f"jaxloss.{name}", "[0]"),
    )  # fmt: skip


def _smooth_labels() -> Peer:
    return Peer(
        "optax",
        "smooth_labels",
        "optax.losses.smooth_labels",
        {"labels": kinds.simplex()},
        settings=({"alpha": 0.1}, {"alpha": 0.5}),
        reference=_smoothed,
        claims=(claims.nonnegative(),),
        ours="jaxloss.smooth_labels",
    )


def _elementwise() -> list[Peer]:
    names = ("squared_error", "l2_loss", "huber_loss", "log_cosh", "hinge_loss", "perceptron_loss",
             "sigmoid_binary_cross_entropy", "sigmoid_focal_loss", "sparsemax_loss")  # fmt: skip
    return [_shared(name) for name in names]


def _of_vectors() -> list[Peer]:
    names = ("cosine_similarity", "cosine_distance", "softmax_cross_entropy",
             "softmax_cross_entropy_with_integer_labels", "safe_softmax_cross_entropy",
             "poly_loss_cross_entropy", "multiclass_hinge_loss", "multiclass_perceptron_loss",
             "multiclass_sparsemax_loss", "kl_divergence", "kl_divergence_with_log_targets",
             "generalized_kl_divergence")  # fmt: skip
    fenchel = "make_fenchel_young_loss"
    made = "{}.make_fenchel_young_loss(jax.nn.logsumexp)"
    return [
        *map(_shared, names),
        like("optax", fenchel, made.format("optax.losses"), ours=made.format("jaxloss")),
        _smooth_labels(),
        _shared("ranking_softmax_loss", each=True),
        _shared("triplet_margin_loss", {"norm_degree": 1.0}, {"norm_degree": 3.0}),
    ]


def _of_sets_and_sequences() -> list[Peer]:
    unit = kinds.images.labels()
    return [
        _shared("dice_loss", {"smooth": 0.0}),
        _probabilities("dice_loss", "apply_softmax", unit),
        _shared("binary_dice_loss", {"smooth": 0.0}),
        _probabilities("binary_dice_loss", "apply_sigmoid", kinds.images.shares()),
        _generalized_dice(),
        _shared("ntxent", {"temperature": 0.015}, each=True, reference=_ntxent,
                alone="(lambda e, l, **k: optax.losses.ntxent(e[0], l[0], **k))",
                ours=_mean_of_pairs()),
        _shared("ctc_loss"),
    ]  # fmt: skip


def peers() -> tuple[Peer, ...]:
    """Return what is known of them; a function, because the library may not be installed."""
    return (*_elementwise(), *_of_vectors(), *_of_sets_and_sequences())
