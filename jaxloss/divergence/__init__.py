"""Divergences and distances between two distributions.

`relative_entropy`: Kullback-Leibler in both directions · `mixture`: Jensen-Shannon · `power`:
alpha, Renyi, chi-squared · `distance`: total variation, Hellinger · `gaussian`: Gaussians from
their parameters · `distillation`: student and teacher · `transport` and `sinkhorn`: distances of
samples that know how far apart the points are · `kernel`: distances of samples through kernels.
`pair` prepares two distributions, in logarithms, and `samples` two samples, for the others;
`scaling` is the iteration of `sinkhorn`, and `blocks` goes through pairs a few rows at a time.
"""

from jaxloss.divergence.distance import (
    hellinger_distance,
    squared_hellinger_distance,
    total_variation_distance,
)
from jaxloss.divergence.distillation import distillation_loss
from jaxloss.divergence.gaussian import gaussian_kl_divergence
from jaxloss.divergence.kernel import energy_distance, maximum_mean_discrepancy
from jaxloss.divergence.mixture import jensen_shannon_divergence
from jaxloss.divergence.power import alpha_divergence, chi_squared_divergence, renyi_divergence
from jaxloss.divergence.relative_entropy import (
    convex_kl_divergence,
    generalized_kl_divergence,
    kl_divergence,
    kl_divergence_with_log_targets,
    reverse_kl_divergence,
)
from jaxloss.divergence.sinkhorn import sinkhorn_divergence
from jaxloss.divergence.transport import (
    kantorovich_rubinstein,
    random_projections,
    sliced_wasserstein,
    wasserstein_1d,
)

__all__ = [
    "alpha_divergence",
    "chi_squared_divergence",
    "convex_kl_divergence",
    "distillation_loss",
    "energy_distance",
    "gaussian_kl_divergence",
    "generalized_kl_divergence",
    "hellinger_distance",
    "jensen_shannon_divergence",
    "kantorovich_rubinstein",
    "kl_divergence",
    "kl_divergence_with_log_targets",
    "maximum_mean_discrepancy",
    "random_projections",
    "renyi_divergence",
    "reverse_kl_divergence",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "squared_hellinger_distance",
    "total_variation_distance",
    "wasserstein_1d",
]
