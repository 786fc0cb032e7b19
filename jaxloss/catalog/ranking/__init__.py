"""What is known of the losses in `jaxloss.ranking`.

`pairs`: sums over pairs of items · `whole`: listwise losses and smooth metrics · `formulas`: their
formulas in mpmath · `statements`: kinds and claims that they share.
"""

from __future__ import annotations

from jaxloss.catalog.entry import Entry
from jaxloss.catalog.ranking import pairs, whole

_METRIC = "a metric: higher is better, and it has no gradient"
_OPERATOR = "an operator: it returns a soft order, of which a loss may be made"

NOT_LOSSES: dict[str, str] = {
    "average_precision": _METRIC,
    "lambda_weights": "the weights of pairs, to be put into a pairwise loss",
    "ndcg": _METRIC,
    "neural_sort": _OPERATOR,
    "precision": _METRIC,
    "recall": _METRIC,
    "reciprocal_rank": _METRIC,
    "soft_rank": _OPERATOR,
    "soft_sort": _OPERATOR,
}

ENTRIES: tuple[Entry, ...] = (*pairs.ENTRIES, *whole.ENTRIES)
