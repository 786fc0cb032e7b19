"""What is known of the losses of pairs, triplets and batches in `jaxloss.contrastive`.

`sets`: what their entries share · `pairs`, `triplet`, `infonce`: entries, by the file of the loss.
"""

from __future__ import annotations

from jaxloss.catalog.contrastive import infonce, pairs, triplet
from jaxloss.catalog.entry import Entry

__all__ = ["ENTRIES", "NOT_LOSSES"]

ENTRIES: tuple[Entry, ...] = (*pairs.ENTRIES, *triplet.ENTRIES, *infonce.ENTRIES)

NOT_LOSSES = {
    "Triplets": "what a miner returns",
    "batch_all": "a miner: says which triplets count",
    "batch_hard": "a miner: says which triplets count",
    "distance_weighted": "a miner: says which triplets count, and how much",
    "semi_hard": "a miner: says which triplets count",
}
