"""Arithmetic that is safe to differentiate: the ground floor.

Nobody else in the library guards a division, a root, a logarithm or a kink. Each function here
gives the value and the gradient that mathematics gives, at full relative accuracy, and says what
it does where mathematics gives none.
"""

from __future__ import annotations

from jaxloss.numerics.exponentials import (
    cosh_excess,
    exp_curvature,
    exp_excess,
    exp_remainder,
    exp_remainder_near,
    expm1,
    log1p,
    log1p_square,
    log_add,
    log_sum_exp,
    power_excess,
    power_of_exp,
)
from jaxloss.numerics.guards import (
    absolute,
    add,
    divide,
    fold,
    half_square,
    log,
    portion,
    positive_part,
    power,
    sqrt,
    valued,
    weighted,
)
from jaxloss.numerics.lambert import lambert_decay, lambert_terms, lambert_w
from jaxloss.numerics.lengths import hypot, norm, p_norm, unit
from jaxloss.numerics.loops import split_like
from jaxloss.numerics.sigmoids import sigmoid, sigmoid_terms, softplus
from jaxloss.numerics.softmaxes import Softmax, centered, softmax
from jaxloss.numerics.sorting import argsort, places, put, sort, take

__all__ = [
    "Softmax",
    "absolute",
    "add",
    "argsort",
    "centered",
    "cosh_excess",
    "divide",
    "exp_curvature",
    "exp_excess",
    "exp_remainder",
    "exp_remainder_near",
    "expm1",
    "fold",
    "half_square",
    "hypot",
    "lambert_decay",
    "lambert_terms",
    "lambert_w",
    "log",
    "log1p",
    "log1p_square",
    "log_add",
    "log_sum_exp",
    "norm",
    "p_norm",
    "places",
    "portion",
    "positive_part",
    "power",
    "power_excess",
    "power_of_exp",
    "put",
    "sigmoid",
    "sigmoid_terms",
    "softmax",
    "softplus",
    "sort",
    "split_like",
    "sqrt",
    "take",
    "unit",
    "valued",
    "weighted",
]
