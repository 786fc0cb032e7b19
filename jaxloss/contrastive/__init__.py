"""Losses of embeddings: what belongs together should be near, and what does not apart.

`pairs`: pairs of a labelled set · `triplet`: an anchor, a positive, a negative · `mining`: which
triplets of a set count · `infonce`: finding the positive among all others, by cross-entropy ·
`proxy`: learned points that stand for classes · `angular`, `adaptive`: softmax losses with a margin
in the angle · `selfsupervised`, `redundancy`: two views without labels.

What they share: `similarity`, distances and similarities of all members of two sets, chosen by
the arguments `distance` and `similarity`; and `batch`, the members of a batch as each anchor sees
them, also when the batch is split over devices (`axis_name`).
"""

from jaxloss.contrastive.adaptive import (
    NormStatistics,
    TargetStatistics,
    adaface_init,
    adaface_loss,
    adaface_update,
    curricularface_init,
    curricularface_loss,
    curricularface_update,
)
from jaxloss.contrastive.angular import (
    arcface_loss,
    cosface_loss,
    sphereface_loss,
)
from jaxloss.contrastive.infonce import (
    clip_loss,
    decoupled_contrastive_loss,
    info_nce_loss,
    n_pairs_loss,
    ntxent,
    siglip_loss,
    supervised_contrastive_loss,
)
from jaxloss.contrastive.mining import (
    Triplets,
    batch_all,
    batch_hard,
    distance_weighted,
    semi_hard,
)
from jaxloss.contrastive.pairs import (
    circle_loss,
    contrastive_loss,
    lifted_structured_loss,
    multi_similarity_loss,
)
from jaxloss.contrastive.proxy import (
    center_loss,
    center_update,
    proxy_anchor_loss,
    proxy_nca_loss,
)
from jaxloss.contrastive.redundancy import (
    barlow_twins_loss,
    vicreg_loss,
)
from jaxloss.contrastive.selfsupervised import (
    TeacherCenter,
    alignment_loss,
    byol_loss,
    dino_center_init,
    dino_center_update,
    dino_loss,
    simsiam_loss,
    uniformity_loss,
)
from jaxloss.contrastive.triplet import (
    triplet_loss,
    triplet_margin_loss,
)

__all__ = [
    "NormStatistics",
    "TargetStatistics",
    "TeacherCenter",
    "Triplets",
    "adaface_init",
    "adaface_loss",
    "adaface_update",
    "alignment_loss",
    "arcface_loss",
    "barlow_twins_loss",
    "batch_all",
    "batch_hard",
    "byol_loss",
    "center_loss",
    "center_update",
    "circle_loss",
    "clip_loss",
    "contrastive_loss",
    "cosface_loss",
    "curricularface_init",
    "curricularface_loss",
    "curricularface_update",
    "decoupled_contrastive_loss",
    "dino_center_init",
    "dino_center_update",
    "dino_loss",
    "distance_weighted",
    "info_nce_loss",
    "lifted_structured_loss",
    "multi_similarity_loss",
    "n_pairs_loss",
    "ntxent",
    "proxy_anchor_loss",
    "proxy_nca_loss",
    "semi_hard",
    "siglip_loss",
    "simsiam_loss",
    "sphereface_loss",
    "supervised_contrastive_loss",
    "triplet_loss",
    "triplet_margin_loss",
    "uniformity_loss",
    "vicreg_loss",
]
