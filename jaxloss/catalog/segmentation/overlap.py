"""Entries of the losses made of an overlap: Dice and its relatives, Tversky, Jaccard, Matthews."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxloss import segmentation
from jaxloss.catalog import claims
from jaxloss.catalog.entry import Entry
from jaxloss.catalog.kinds import images
from jaxloss.catalog.segmentation import formulas, statements

_WEIGHTS = [0.5, 2.0, 1.25]
_BAD_WEIGHTS = ([1.0, 1.0], [1.0, -1.0, 1.0])
_IMAGES: dict[str, Any] = {
    "family": "segmentation",
    "arguments": {"logits": images.logits(), "labels": images.labels()},
}
_OVERLAP_CLAIMS = (
    claims.nonnegative(),
    claims.by_default(claims.bounded(0.0, 1.0)),
    statements.zero_when_right(),
    statements.pixels_in_any_order(),
    statements.least_at_soft_labels(),
)
_HARD_FORM = "least at soft labels by default: soft_labels=True is"
# All settings but the defaults have the same choices, so that few programs are compiled; the axis
# is spelled out because under vmap there is no batch axis to leave aside.
_SOFT: dict[str, Any] = {"soft_labels": True, "axis": -2}
_IMPOSSIBLE: dict[str, tuple[Any, ...]] = {
    "smooth": (-1.0, np.nan),
    "class_weights": _BAD_WEIGHTS,
}

ENTRIES = (
    Entry(
        segmentation.dice_loss,
        family="segmentation",
        purpose="overlap of predicted and true regions, class by class",
        character="looks at objects, not pixels: indifferent to how much background there is",
        when="segmentation with few foreground pixels, judged by overlap",
        avoid="calibrated probabilities, an unsteady start: dice_cross_entropy_loss",
        formula="mean over classes of 1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth)",
        source="Milletari et al. 2016, section 3; Wang et al. 2023, eq. 8",
        arguments={"predictions": images.logits(), "targets": images.labels()},
        reference=formulas.dice,
        settings=(
            {"class_weights": _WEIGHTS, "smooth": 0.0, "alpha": 0.3, "beta": 0.9,
             "reduction": "sum", "axis": -2},
            {"class_weights": _WEIGHTS, "smooth": 0.5, "alpha": 0.5, "beta": 0.5,
             "ignore_background": True, **_SOFT},
        ),
        impossible={**_IMPOSSIBLE, "alpha": (-0.1,), "beta": (-0.1,), "reduction": ("average",),
                    "axis": (-1, 3)},
        claims=(
            *_OVERLAP_CLAIMS,
            claims.by_default(claims.shift_invariant("predictions")),
            claims.at_most("the Jaccard loss", segmentation.jaccard_loss, {"smooth": 1.0}),
            statements.relabelled(),
        ),
        non_claims=(_HARD_FORM, "convex", "proper"),
    ),
    Entry(
        segmentation.binary_dice_loss,
        family="segmentation",
        purpose="overlap of one predicted and true region",
        character="looks at the object, not at pixels: indifferent to how much background there is",
        when="one foreground, or several that may overlap (with the spatial axes given)",
        avoid="classes that exclude each other: dice_loss",
        formula="1 - (TP + smooth) / (TP + FP / 2 + FN / 2 + smooth)",
        source="Milletari et al. 2016, section 3",
        arguments={"predictions": images.scores(), "targets": images.shares()},
        reference=formulas.binary_dice,
        settings=({"smooth": 0.0, "soft_labels": True, "axis": -1},),
        impossible={"smooth": (-1.0, np.nan)},
        claims=_OVERLAP_CLAIMS,
        non_claims=(_HARD_FORM, "convex", "proper"),
    ),
    Entry(
        segmentation.multiclass_generalized_dice_loss,
        family="segmentation",
        purpose="overlap of all classes together, rare ones weighted up",
        character="one over squared size: the rarest class decides",
        when="classes of very different size in one image",
        avoid="classes of a few noisy pixels: dice_loss",
        formula="1 - (sum(w TP) + smooth) / (sum(w (TP + FP/2 + FN/2)) + smooth), w ~ 1 / T^2",
        source="Sudre et al. 2017, section 2.1",
        arguments={"predictions": images.logits(), "targets": images.labels()},
        reference=formulas.generalized_dice,
        settings=({"smooth": 0.0, "ignore_background": True, **_SOFT},),
        impossible={"smooth": (-1.0, np.nan)},
        claims=(
            *_OVERLAP_CLAIMS,
            statements.wrong_costs_whatever_is_absent(),
            statements.relabelled(),
        ),
        non_claims=(_HARD_FORM, "continuous in the labels where a class vanishes"),
    ),
    Entry(
        segmentation.log_cosh_dice_loss,
        purpose="Dice loss with a slope that fades as the overlap becomes complete",
        character="about half the squared Dice loss",
        when="a Dice loss whose end of training is unsteady",
        avoid="slow convergence: dice_loss",
        formula="log(cosh(dice))",
        source="Jadon 2020, section III-N",
        reference=formulas.log_cosh_dice,
        settings=({"class_weights": _WEIGHTS, "smooth": 0.0, "ignore_background": True, **_SOFT},),
        impossible=_IMPOSSIBLE,
        claims=(
            *_OVERLAP_CLAIMS,
            claims.by_default(claims.bounded(0.0, float(np.log(np.cosh(1.0))))),
            claims.at_most("the Dice loss", segmentation.dice_loss, {"smooth": 1.0}),
            statements.relabelled(),
        ),
        non_claims=(_HARD_FORM,),
        **_IMAGES,
    ),
    Entry(
        segmentation.dice_cross_entropy_loss,
        purpose="Dice loss plus cross-entropy",
        character="objects and pixels: the overlap that counts, and a gradient that never vanishes",
        when="the first choice for segmentation",
        avoid="regions to be judged by their outline: add boundary_loss",
        formula="dice_weight dice + cross_entropy_weight mean over pixels of cross-entropy",
        source="Isensee et al. 2018, section 2.3",
        reference=formulas.dice_cross_entropy,
        settings=(
            {"dice_weight": 2.0, "cross_entropy_weight": 0.0, "class_weights": _WEIGHTS,
             "smooth": 0.5, "ignore_background": True, **_SOFT},
            {"dice_weight": 0.3, "cross_entropy_weight": 1.7, "class_weights": _WEIGHTS,
             "smooth": 0.0, "ignore_background": True, **_SOFT},
        ),
        impossible={**_IMPOSSIBLE, "dice_weight": (-1.0,), "cross_entropy_weight": (-1.0,)},
        claims=(
            claims.nonnegative(),
            statements.zero_when_right(),
            statements.pixels_in_any_order(),
            claims.by_default(claims.shift_invariant("logits")),
            claims.equals("the Dice loss without cross-entropy", segmentation.dice_loss,
                          {"cross_entropy_weight": 0.0}),
            statements.relabelled(),
        ),
        non_claims=("proper: the Dice loss moves the optimum", "least at soft labels by default"),
        **_IMAGES,
    ),
    Entry(
        segmentation.tversky_loss,
        purpose="overlap with a price for false positives and one for false negatives",
        character="beta above alpha finds more of what is small, with more false alarms",
        when="small lesions where a miss is worse than a false alarm",
        avoid="no reason to prefer either error: dice_loss",
        formula="mean over classes of 1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth)",
        source="Salehi et al. 2017, eq. 4",
        reference=formulas.tversky,
        settings=(
            {"alpha": 0.9, "beta": 0.2, "class_weights": _WEIGHTS, "smooth": 0.0,
             "ignore_background": True, **_SOFT},
        ),
        impossible={**_IMPOSSIBLE, "alpha": (-0.1,), "beta": (-0.1,)},
        claims=(
            *_OVERLAP_CLAIMS,
            claims.equals("the Dice loss at one half each", segmentation.dice_loss,
                          {"alpha": 0.5, "beta": 0.5}),
            claims.equals("the Jaccard loss at one each", segmentation.jaccard_loss,
                          {"alpha": 1.0, "beta": 1.0}),
            statements.relabelled(),
        ),
        non_claims=(_HARD_FORM, "convex"),
        **_IMAGES,
    ),
    Entry(
        segmentation.focal_tversky_loss,
        purpose="Tversky loss raised to a power, class by class",
        character="gamma below 1 keeps pulling at what is almost found; above 1 at what is not",
        when="small structures of which the last pixels are hard",
        avoid="one exponent more to choose for nothing: tversky_loss",
        formula="mean over classes of tversky^gamma",
        source="Abraham and Khan 2019, eq. 4, its gamma being one over this",
        reference=formulas.focal_tversky,
        settings=(
            {"alpha": 0.9, "beta": 0.2, "gamma": 2.0, "class_weights": _WEIGHTS, "smooth": 0.25,
             "ignore_background": True, **_SOFT},
        ),
        impossible={**_IMPOSSIBLE, "alpha": (-0.1,), "beta": (-0.1,), "gamma": (0.0, -1.0)},
        claims=(
            *_OVERLAP_CLAIMS,
            claims.equals("the Tversky loss at gamma 1", segmentation.tversky_loss, {"gamma": 1.0}),
            statements.relabelled(),
        ),
        non_claims=(_HARD_FORM, "a bounded slope for gamma below 1"),
        **_IMAGES,
    ),
    Entry(
        segmentation.jaccard_loss,
        purpose="one minus intersection over union, class by class",
        character="the measure itself, with probabilities for decisions; harsher than Dice",
        when="segmentation judged by intersection over union",
        avoid="a tighter surrogate of it: lovasz_softmax_loss",
        formula="mean over classes of 1 - (TP + smooth) / (TP + FP + FN + smooth)",
        source="Rahman and Wang 2016, eq. 4; Wang et al. 2023, eq. 8",
        reference=formulas.jaccard,
        settings=({"class_weights": _WEIGHTS, "smooth": 0.0, "ignore_background": True, **_SOFT},),
        impossible=_IMPOSSIBLE,
        claims=(
            *_OVERLAP_CLAIMS,
            claims.by_default(claims.shift_invariant("logits")),
            statements.relabelled(),
        ),
        non_claims=(_HARD_FORM, "convex"),
        **_IMAGES,
    ),
    Entry(
        segmentation.matthews_loss,
        purpose="one minus the correlation of prediction and truth",
        character="true negatives count: foreground and background are treated alike",
        when="either class may be the rare one",
        avoid="images without any foreground, which teach it nothing: dice_loss",
        formula="mean over classes of 1 - (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN))",
        source="Abhishek and Hamarneh 2021, eq. 3 to 5",
        # In the labels its slope is infinite where a class has none.
        arguments={"logits": images.logits(), "labels": images.given(images.labels())},
        family="segmentation",
        reference=formulas.matthews,
        settings=({"class_weights": _WEIGHTS, "ignore_background": True, "axis": -2},),
        impossible={"class_weights": _BAD_WEIGHTS},
        claims=(
            claims.nonnegative(),
            claims.by_default(claims.bounded(0.0, 2.0)),
            statements.zero_when_right(),
            statements.pixels_in_any_order(),
            claims.by_default(claims.shift_invariant("logits")),
            statements.relabelled(),
        ),
        non_claims=("least at soft labels", "a gradient where the truth has a single class"),
    ),
)  # fmt: skip
