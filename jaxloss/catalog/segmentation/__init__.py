"""What is known of the losses in `jaxloss.segmentation`.

`overlap` and `shape`: the entries · `images`: what images range over · `formulas`: the references ·
`statements`: claims.
"""

from __future__ import annotations

from jaxloss.catalog.segmentation import overlap, shape

NOT_LOSSES = {
    "distance_transform": "prepares the distances of boundary_loss; piecewise constant",
    "signed_distance_map": "prepares the distances of boundary_loss; piecewise constant",
    "soft_skeleton": "a picture, not a number: what cldice_loss compares",
}

ENTRIES = (*overlap.ENTRIES, *shape.ENTRIES)
