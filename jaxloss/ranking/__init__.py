"""Losses of rankings: the items of a list in the right order.

`lists`: what all of them do with scores, relevance, masks and ties · `pairs`: sums over pairs,
without holding the pairs · `pairwise`: losses of pairs of items · `lambdas`: pairs weighted by what
their order is worth · `listwise`, `lotteries`: likelihoods of a list · `approximate`: smooth
metrics · `sorting`, `isotonic`: soft sorting and ranking, operators · `metrics`: the exact metrics.
"""

from jaxloss.ranking.approximate import approx_mrr_loss, approx_ndcg_loss, neural_ndcg_loss
from jaxloss.ranking.lambdas import lambda_weights, lambdarank_loss
from jaxloss.ranking.listwise import (
    listmle_loss,
    listnet_loss,
    position_aware_listmle_loss,
    ranking_softmax_loss,
    unique_softmax_loss,
)
from jaxloss.ranking.metrics import average_precision, ndcg, precision, recall, reciprocal_rank
from jaxloss.ranking.pairwise import (
    bayesian_personalized_ranking_loss,
    pairwise_hinge_loss,
    pairwise_logistic_loss,
    pairwise_loss,
    pairwise_soft_zero_one_loss,
    pairwise_squared_loss,
)
from jaxloss.ranking.sorting import neural_sort, soft_rank, soft_sort

__all__ = [
    "approx_mrr_loss",
    "approx_ndcg_loss",
    "average_precision",
    "bayesian_personalized_ranking_loss",
    "lambda_weights",
    "lambdarank_loss",
    "listmle_loss",
    "listnet_loss",
    "ndcg",
    "neural_ndcg_loss",
    "neural_sort",
    "pairwise_hinge_loss",
    "pairwise_logistic_loss",
    "pairwise_loss",
    "pairwise_soft_zero_one_loss",
    "pairwise_squared_loss",
    "position_aware_listmle_loss",
    "precision",
    "ranking_softmax_loss",
    "recall",
    "reciprocal_rank",
    "soft_rank",
    "soft_sort",
    "unique_softmax_loss",
]
