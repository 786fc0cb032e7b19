"""What is known of the losses of embeddings: angular margins, proxies, learning without labels."""

from __future__ import annotations

from jaxloss.catalog.embedding import angular, proxy, redundancy, selfsupervised
from jaxloss.catalog.entry import Entry

_MODULES = (angular, proxy, redundancy, selfsupervised)

NOT_LOSSES: dict[str, str] = {
    "NormStatistics": "state of adaface_loss",
    "TargetStatistics": "state of curricularface_loss",
    "TeacherCenter": "state of dino_loss",
    "adaface_init": "state of adaface_loss",
    "adaface_update": "state of adaface_loss",
    "curricularface_init": "state of curricularface_loss",
    "curricularface_update": "state of curricularface_loss",
    "center_update": "moves centres by a rule of its own; nothing is differentiated",
    "dino_center_init": "state of dino_loss",
    "dino_center_update": "state of dino_loss",
}

ENTRIES: tuple[Entry, ...] = tuple(entry for module in _MODULES for entry in module.ENTRIES)
