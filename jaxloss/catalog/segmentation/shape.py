"""Entries of the losses of sorted errors, of distances and of skeletons."""

from __future__ import annotations

import numpy as np

from jaxloss import segmentation
from jaxloss.catalog import claims
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.kinds import images
from jaxloss.catalog.segmentation import formulas, statements


def _chances(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _boundary_slope(
    x: np.ndarray, _: np.ndarray, ignore_background: bool = False, axis: int | None = None
) -> np.ndarray:
    counted = np.arange(images.CLASSES) >= ignore_background
    return _chances(x) * counted / counted.sum() / images.PIXELS


ENTRIES = (
    Entry(
        segmentation.lovasz_hinge_loss,
        family="segmentation",
        purpose="convex surrogate of one minus intersection over union, of one foreground",
        character="sorts the errors: the largest count most, each by what it does to the overlap",
        when="fine-tuning one foreground for intersection over union",
        avoid="calibrated probabilities, or a start from scratch: dice_cross_entropy_loss",
        formula="Lovasz extension of the Jaccard loss at max(0, 1 - logits s), s = 1 or -1",
        source="Berman et al. 2018, eq. 8 and section 3.1",
        arguments={"logits": images.scores(), "labels": images.bits()},
        reference=formulas.lovasz_hinge,
        settings=({"axis": -1},),
        impossible={"axis": (2,)},
        claims=(
            claims.nonnegative(),
            claims.convex("logits"),
            claims.lipschitz(1.0, "logits"),
            claims.no_gradient("where every pixel is right by a margin of 1", "logits",
                               lambda x, t, axis=None: ((2 * t - 1) * x >= 1).all(-1)),
            statements.pixels_in_any_order(),
            statements.not_below_the_decisions(),
        ),
        non_claims=("differentiable where errors tie", "calibrated"),
    ),
    Entry(
        segmentation.lovasz_softmax_loss,
        family="segmentation",
        purpose="surrogate of the mean of one minus intersection over union",
        character="sorts the errors: the largest count most, each by what it does to the overlap",
        when="fine-tuning for the mean intersection over union",
        avoid="a start from flat predictions: dice_cross_entropy_loss; soft labels: jaccard_loss",
        formula="mean over classes of the Lovasz extension of the Jaccard loss at |labels - p|",
        source="Berman et al. 2018, eq. 11 and algorithm 1",
        arguments={"logits": images.logits(), "labels": images.one_hot()},
        reference=formulas.lovasz_softmax,
        settings=({"classes": "all", "axis": -2},),
        impossible={"classes": ("some",)},
        claims=(
            claims.nonnegative(),
            claims.bounded(0.0, 1.0),
            claims.shift_invariant("logits"),
            statements.zero_when_right(),
            statements.pixels_in_any_order(),
            statements.jaccard_of_decisions(),
            statements.relabelled(),
        ),
        non_claims=("convex in logits: it is in the probabilities", "defined for soft labels"),
    ),
    Entry(
        segmentation.boundary_loss,
        family="segmentation",
        purpose="probability times signed distance from the true boundary",
        character="errors cost by how far they are from the outline, whatever the object's size",
        when="beside an overlap loss, where classes are very unbalanced and outlines matter",
        avoid="on its own: an empty prediction is nearly as good; add it to dice_loss",
        formula="mean over pixels and classes of softmax(logits) distance_map",
        source="Kervadec et al. 2019, eq. 5",
        arguments={"logits": images.logits(), "distance_map": images.distances()},
        reference=formulas.boundary,
        settings=({"ignore_background": True, "axis": -2},),
        impossible={"axis": (-1,)},
        claims=(
            claims.gradient_is("softmax(logits) over pixels and classes", "distance_map",
                               _boundary_slope),
            statements.pixels_in_any_order(),
        ),
        non_claims=("non-negative: it is below 0 inside",),
    ),
    Entry(
        segmentation.cldice_loss,
        family="segmentation",
        purpose="overlap of skeletons: are thin structures whole",
        character="counts length, not area: a gap costs the same in a thin and a thick vessel",
        when="vessels, roads and fibres whose connections matter, beside a Dice loss",
        avoid="on its own, or compact objects: dice_loss",
        formula="1 - 2 P S / (P + S), P, S the shares of each soft skeleton that lie in the other",
        source="Shit et al. 2021, eq. 1 and 2, algorithms 1 and 2",
        arguments={"predictions": images.pictures(), "targets": images.pictures()},
        reference=formulas.cldice,
        settings=({"smooth": 0.25, "iterations": 1, "axis": (-2, -1)},),
        impossible={"smooth": (-1.0, np.nan), "iterations": (-1,)},
        claims=(
            claims.nonnegative(),
            claims.bounded(0.0, 1.0),
            claims.symmetric(),
        ),
        non_claims=("least at soft targets", "a sub-gradient where whole areas tie"),
    ),
)  # fmt: skip
