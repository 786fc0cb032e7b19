"""Segmentation: losses of images, a pixel at a time or by the overlap of whole objects.

`dice`: Dice, binary, generalised, log-cosh, with cross-entropy · `overlap`: Tversky, focal Tversky,
Jaccard, Matthews · `lovasz`: Lovasz hinge and softmax · `boundary`: boundary loss and the distance
maps it needs · `topology`: centreline Dice and soft skeletons · `images`: what they share.

Conventions shared by every loss of this room:

* Images are `[batch, ..., classes]`, or `[batch, ...]` for the losses of one foreground. The event
  is all pixels of an image, with all its classes: one value for each example, the mean over the
  classes. `axis` names the spatial axes, by default (None, as in optax) all but the first and the
  classes'; axes that remain are the examples'. A single image without a batch axis, as under
  `jax.vmap`, wants `axis` spelled out: `axis=(-3, -2)` for `[height, width, classes]`.
* `logits` become probabilities by a softmax over the classes, or by a sigmoid where there is a
  single class. For several labels that may hold at once, `logits[..., None]` with the spatial axes
  given makes examples of them.
* Labels have the shape of the logits (`jax.nn.one_hot` makes them of indices), hard or soft, in
  [0, 1]; others make value and gradient NaN.
* `where`: True for what counts: pixels, in the shape of the images without classes, or examples. A
  masked pixel influences nothing.
* `smooth` counts in pixels and is added to numerator and denominator; at 0 nothing to be found and
  nothing predicted costs nothing, with zero gradient.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from jaxloss.segmentation.boundary import boundary_loss, distance_transform, signed_distance_map
from jaxloss.segmentation.dice import (
    binary_dice_loss,
    dice_cross_entropy_loss,
    dice_loss,
    log_cosh_dice_loss,
    multiclass_generalized_dice_loss,
)
from jaxloss.segmentation.lovasz import lovasz_hinge_loss, lovasz_softmax_loss
from jaxloss.segmentation.overlap import (
    focal_tversky_loss,
    jaccard_loss,
    matthews_loss,
    tversky_loss,
)
from jaxloss.segmentation.topology import cldice_loss, soft_skeleton

__all__ = [
    "binary_dice_loss",
    "boundary_loss",
    "cldice_loss",
    "dice_cross_entropy_loss",
    "dice_loss",
    "distance_transform",
    "focal_tversky_loss",
    "jaccard_loss",
    "log_cosh_dice_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "matthews_loss",
    "multiclass_generalized_dice_loss",
    "signed_distance_map",
    "soft_skeleton",
    "tversky_loss",
]
