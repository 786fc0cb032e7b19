"""Games between two networks, and training against perturbed inputs.

`objectives`: what discriminator and generator minimise · `relativistic`: the same for objectives
that compare real with fake · `penalties`: of a discriminator's slope · `statistics`: losses
against averages · `attacks`: perturbations of inputs · `training`: losses at clean and perturbed
inputs.

The penalties and the losses stand at the top level (`jaxloss.r1_penalty`); objectives, attacks
and the state of `lecam_regularization` here (`jaxloss.adversarial.hinge`).
"""

from jaxloss.adversarial.attacks import fgsm as fgsm
from jaxloss.adversarial.attacks import pgd as pgd
from jaxloss.adversarial.attacks import (
    virtual_adversarial_perturbation as virtual_adversarial_perturbation,
)
from jaxloss.adversarial.objectives import Objective as Objective
from jaxloss.adversarial.objectives import hinge as hinge
from jaxloss.adversarial.objectives import least_squares as least_squares
from jaxloss.adversarial.objectives import minimax as minimax
from jaxloss.adversarial.objectives import non_saturating as non_saturating
from jaxloss.adversarial.objectives import wasserstein as wasserstein
from jaxloss.adversarial.penalties import (
    dragan_penalty,
    r1_penalty,
    r2_penalty,
    wgan_gradient_penalty,
)
from jaxloss.adversarial.relativistic import relativistic_average as relativistic_average
from jaxloss.adversarial.relativistic import relativistic_pairing as relativistic_pairing
from jaxloss.adversarial.statistics import LecamAnchors as LecamAnchors
from jaxloss.adversarial.statistics import feature_matching_loss, lecam_regularization
from jaxloss.adversarial.statistics import lecam_init as lecam_init
from jaxloss.adversarial.statistics import lecam_update as lecam_update
from jaxloss.adversarial.training import (
    adversarial_cross_entropy,
    trades_loss,
    virtual_adversarial_loss,
)

__all__ = [
    "adversarial_cross_entropy",
    "dragan_penalty",
    "feature_matching_loss",
    "lecam_regularization",
    "r1_penalty",
    "r2_penalty",
    "trades_loss",
    "virtual_adversarial_loss",
    "wgan_gradient_penalty",
]
