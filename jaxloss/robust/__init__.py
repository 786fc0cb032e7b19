"""Losses that outliers and wrong labels do not decide.

`outliers`: losses of the error that stop growing · `noise`: losses of one class among many that a
wrong label cannot dominate · `correction`: cross-entropies corrected for known or guessed label
noise · `tempered`: the bi-tempered logistic loss.
"""

from jaxloss.robust.correction import (
    EarlyLearningState,
    backward_corrected_cross_entropy,
    bootstrapped_cross_entropy,
    early_learning_init,
    early_learning_loss,
    early_learning_update,
    forward_corrected_cross_entropy,
)
from jaxloss.robust.noise import (
    absolute_probability_error,
    active_passive_loss,
    generalized_cross_entropy,
    normalized_cross_entropy,
    normalized_focal_loss,
    reverse_cross_entropy,
    symmetric_cross_entropy,
    taylor_cross_entropy,
)
from jaxloss.robust.outliers import (
    cauchy_loss,
    geman_mcclure_loss,
    general_robust_loss,
    tukey_biweight_loss,
    welsch_loss,
)
from jaxloss.robust.tempered import bi_tempered_logistic_loss

__all__ = [
    "EarlyLearningState",
    "absolute_probability_error",
    "active_passive_loss",
    "backward_corrected_cross_entropy",
    "bi_tempered_logistic_loss",
    "bootstrapped_cross_entropy",
    "cauchy_loss",
    "early_learning_init",
    "early_learning_loss",
    "early_learning_update",
    "forward_corrected_cross_entropy",
    "geman_mcclure_loss",
    "general_robust_loss",
    "generalized_cross_entropy",
    "normalized_cross_entropy",
    "normalized_focal_loss",
    "reverse_cross_entropy",
    "symmetric_cross_entropy",
    "taylor_cross_entropy",
    "tukey_biweight_loss",
    "welsch_loss",
]
