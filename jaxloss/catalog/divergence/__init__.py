"""What is known of the divergences of two distributions in `jaxloss.divergence`.

`entropy` and `families`: the entries · `formulas`: the reference formulas · `ranges`: what the
arguments range over · `properties`: claims that many of them share.
"""

from jaxloss.catalog.divergence import entropy, families

NOT_LOSSES: dict[str, str] = {}

ENTRIES = (*entropy.ENTRIES, *families.ENTRIES)
