"""Losses of scores against classes.

`binary`: independent yes-or-no labels · `softmax`: one class of many, as probabilities ·
`margin`: one class of many or two, by a margin · `sparse`: sparsemax and Fenchel-Young losses ·
`imbalance`: long-tailed classes · `thresholds`: from scores to decisions.
"""

from jaxloss.classification.binary import (
    asymmetric_loss,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
)
from jaxloss.classification.imbalance import ldam_loss, logit_adjusted_cross_entropy
from jaxloss.classification.margin import (
    hinge_loss,
    multiclass_hinge_loss,
    multiclass_perceptron_loss,
    perceptron_loss,
    squared_hinge_loss,
)
from jaxloss.classification.softmax import (
    poly_loss_cross_entropy,
    safe_softmax_cross_entropy,
    smooth_labels,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    softmax_focal_loss,
)
from jaxloss.classification.sparse import (
    make_fenchel_young_loss,
    multiclass_sparsemax_loss,
    sparsemax_loss,
)
from jaxloss.classification.thresholds import fbeta_thresholds

__all__ = [
    "asymmetric_loss",
    "fbeta_thresholds",
    "hinge_loss",
    "ldam_loss",
    "logit_adjusted_cross_entropy",
    "make_fenchel_young_loss",
    "multiclass_hinge_loss",
    "multiclass_perceptron_loss",
    "multiclass_sparsemax_loss",
    "perceptron_loss",
    "poly_loss_cross_entropy",
    "safe_softmax_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_labels",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "softmax_focal_loss",
    "sparsemax_loss",
    "squared_hinge_loss",
]
