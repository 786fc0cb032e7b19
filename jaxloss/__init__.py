"""Loss functions for JAX: pure formulas, composed by optax, verified by autodiff.

Losses and reductions stand at the top level, as in optax (`jaxloss.huber_loss`, `jaxloss.mean`);
transformations of losses and of tasks' gradients in their rooms (`jaxloss.curriculum`,
`jaxloss.weighting`, `jaxloss.multitask`); what is known
of each loss in `jaxloss.catalog`, and the tool that checks it in `jaxloss.verify`.
"""

import importlib
from typing import Any

from jaxloss import (
    adversarial,
    classification,
    contrastive,
    curriculum,
    divergence,
    fused,
    multitask,
    ranking,
    regression,
    robust,
    segmentation,
    sequence,
    weighting,
)
from jaxloss.adversarial import *  # noqa: F403
from jaxloss.classification import *  # noqa: F403
from jaxloss.contrastive import *  # noqa: F403
from jaxloss.divergence import *  # noqa: F403
from jaxloss.ranking import *  # noqa: F403
from jaxloss.reduction import Average, average, mean, reduce_mean, reduce_sum, sum
from jaxloss.regression import *  # noqa: F403
from jaxloss.robust import *  # noqa: F403
from jaxloss.segmentation import *  # noqa: F403
from jaxloss.sequence import *  # noqa: F403

__version__ = "0.1.0"

# Loaded when asked for: training loops need neither, and should not wait for them.
_LAZY = ("catalog", "verify")

__all__ = [
    *adversarial.__all__,
    *classification.__all__,
    *contrastive.__all__,
    *divergence.__all__,
    *ranking.__all__,
    *regression.__all__,
    *robust.__all__,
    *segmentation.__all__,
    *sequence.__all__,
    "Average",
    "average",
    "adversarial",
    "classification",
    "contrastive",
    "curriculum",
    "divergence",
    "fused",
    "mean",
    "multitask",
    "reduce_mean",
    "ranking",
    "reduce_sum",
    "regression",
    "robust",
    "segmentation",
    "sequence",
    "sum",
    "weighting",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"jaxloss.{name}")
    raise AttributeError(f"module 'jaxloss' has no attribute {name!r}")
