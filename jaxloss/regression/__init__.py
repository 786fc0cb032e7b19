"""Losses of real predictions against real targets.

`error`: losses of the difference · `quantile`: losses that prefer one side · `relative`: losses
of the ratio · `cosine`: losses of the angle between vectors.
"""

from jaxloss.regression.cosine import cosine_distance, cosine_similarity
from jaxloss.regression.error import (
    absolute_error,
    charbonnier_loss,
    huber_loss,
    l2_loss,
    log_cosh,
    pseudo_huber_loss,
    smooth_l1_loss,
    squared_error,
)
from jaxloss.regression.quantile import expectile_loss, huberized_quantile_loss, quantile_loss
from jaxloss.regression.relative import (
    absolute_percentage_error,
    squared_logarithmic_error,
    symmetric_absolute_percentage_error,
)

__all__ = [
    "absolute_error",
    "absolute_percentage_error",
    "charbonnier_loss",
    "cosine_distance",
    "cosine_similarity",
    "expectile_loss",
    "huber_loss",
    "huberized_quantile_loss",
    "l2_loss",
    "log_cosh",
    "pseudo_huber_loss",
    "quantile_loss",
    "smooth_l1_loss",
    "squared_error",
    "squared_logarithmic_error",
    "symmetric_absolute_percentage_error",
]
