"""Learning from two views of the same thing, or from a teacher, without labels.

Losses of a pair of vectors (`byol_loss`, `simsiam_loss`, `alignment_loss`, `dino_loss`) reduce
`axis` and return one value for each example. `uniformity_loss` takes sets `[..., n, d]` and returns
one number for each set, `[...]`. Leading axes do not see each other.

Conventions:

* Nothing broadcasts: two views have equal shapes.
* `where`: True for what counts; the full shape or that without `axis` for losses of pairs,
  `[..., n]` (members) or `[...]` (sets) for the loss of sets.
* A cosine with a zero vector is 0, with zero gradient.
* What the method does not train gets no gradient, whatever the caller does: the targets of
  `byol_loss` and `simsiam_loss`, and the teacher of `dino_loss`.
* `TypeError` for a wrong kind of number, `ValueError` for a wrong shape or hyper-parameter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxloss import arguments, numerics, reduction
from jaxloss.contrastive import batch, similarity

Array = jax.Array


def byol_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Squared distance of two directions, `|p / |p| - t / |t||^2 = 2 - 2 cos(p, t)`.

    `predictions` come from the online network, `targets` from the one that follows it; the targets
    get no gradient. The paper adds the loss with the views exchanged. `simsiam_loss` is half of it
    less 1.

    Args:
      predictions: `[..., d]`, real (`d` at `axis`).
      targets: `[..., d]`, real; without gradient.
      axis: the axis or axes of the vectors.
      where: True for what counts, `[..., d]` or `[...]`.

    Returns:
      `[...]`, in [0, 4]; 2 where a vector is zero.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> targets = jnp.array([[4.0, 0.0], [0.0, 1.0]])
      >>> print(jl.byol_loss(jnp.array([[2.0, 0.0], [1.0, 0.0]]), targets))
      [0. 2.]

    Reference: Grill et al., Bootstrap Your Own Latent (2020), eq. 2.
    """
    a, b, short, mask = _directions("byol_loss", predictions, targets, axis, where)
    return arguments.masked(jnp.sum((a - b) ** 2, axis=-1) + short, mask)


def _directions(
    function: str, predictions: Any, targets: Any, axis: Any, where: Any
) -> tuple[Array, Array, Array, Array]:
    """Return unit vectors, the targets without gradient, their shortfall, and the mask."""
    (a, b), mask = arguments.events(function, axis, where, predictions=predictions, targets=targets)
    # Were targets to move towards predictions, all vectors could become one.
    (a, short_a), (b, short_b) = _unit(a), _unit(lax.stop_gradient(b))
    return a, b, short_a + short_b, mask


def _unit(x: Array) -> tuple[Array, Array]:
    """Return directions, and by how much their squared norm falls short of 1."""
    return numerics.unit(x, jnp.zeros_like(x[..., 0]))


def simsiam_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Negative cosine of predictions and targets, `-cos(p, t)`.

    The targets get no gradient, without which everything collapses to one point. The paper's loss
    is the mean of this and of the one with the views exchanged.

    Args:
      predictions: `[..., d]`, real (`d` at `axis`), out of the predictor.
      targets: `[..., d]`, real, out of the projector; without gradient.
      axis: the axis or axes of the vectors.
      where: True for what counts, `[..., d]` or `[...]`.

    Returns:
      `[...]`, in [-1, 1]; 0 where a vector is zero.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> targets = jnp.array([[4.0, 0.0], [0.0, 1.0]])
      >>> print(jl.simsiam_loss(jnp.array([[2.0, 0.0], [3.0, 4.0]]), targets))
      [-1.  -0.8]

    Reference: Chen and He, Exploring Simple Siamese Representation Learning (2021), eq. 1 and 3.
    """
    a, b, _, mask = _directions("simsiam_loss", predictions, targets, axis, where)
    return arguments.masked(-jnp.sum(a * b, axis=-1), mask)


def alignment_loss(
    first: ArrayLike,
    second: ArrayLike,
    *,
    alpha: ArrayLike = 2.0,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Distance between two views on the unit sphere, to a power: `|a / |a| - b / |b||^alpha`.

    Beside `uniformity_loss` one half of what contrastive learning does. By itself it is least where
    all is one point. Kink at equal directions below `alpha = 2`, with gradient 0.

    Args:
      first: `[..., d]`, real (`d` at `axis`); normalised here.
      second: `[..., d]`, real, the same thing in another view.
      alpha: the power, >= 1; number or `[...]`.
      axis: the axis or axes of the vectors.
      where: True for what counts, `[..., d]` or `[...]`.

    Returns:
      `[...]`, in [0, `2^alpha`]; `2^(alpha / 2)` where a vector is zero.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> first, second = jnp.array([[2.0, 0.0], [1.0, 0.0]]), jnp.array([[4.0, 0.0], [0.0, 1.0]])
      >>> print(jl.alignment_loss(first, second))
      [0. 2.]

    Reference: Wang and Isola, Alignment and Uniformity on the Hypersphere (2020), section 4.1.1.
    """
    function = "alignment_loss"
    (a, b), mask = arguments.events(function, axis, where, first=first, second=second)
    alpha = arguments.hyper(function, "alpha", alpha, a[..., 0], at_least=1.0)
    (a, short_a), (b, short_b) = _unit(a), _unit(b)
    square = jnp.sum((a - b) ** 2, axis=-1) + short_a + short_b
    power = numerics.power_of_exp(0.5 * alpha, numerics.log(square))
    # The square itself has the curvature at 0 that its logarithm has lost.
    return arguments.masked(jnp.where(alpha == 2, square, power), mask)


def uniformity_loss(
    embeddings: ArrayLike,
    *,
    scale: ArrayLike = 2.0,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> Array:
    """Log of the mean Gaussian potential of pairs on the unit sphere.

    `log(mean_{i < j} exp(-scale |u_i - u_j|^2))` with `u` the directions of the embeddings. Least
    where they are spread evenly, 0 where they are all one; beside `alignment_loss` one half of what
    contrastive learning does.

    Args:
      embeddings: `[..., n, d]`, real; normalised here.
      scale: the paper's `t`, > 0; number or `[...]`.
      where: True for what counts, `[..., n]` or `[...]`.
      axis_name: mapped axes over which the members of a set are split; a gradient taken inside
        `shard_map` is complete, as that of `jaxloss.mean`.

    Returns:
      `[...]`, for each set, in [`-4 scale`, 0]; 0 for a set of fewer than two members.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> print(jl.uniformity_loss(jnp.array([[2.0, 0.0], [0.0, 3.0]])))  # -2 * 2
      -4.0

    Reference: Wang and Isola, Alignment and Uniformity on the Hypersphere (2020), section 4.1.2.
    """
    function = "uniformity_loss"
    (members,), _, mask = arguments.members(function, where, embeddings=embeddings)
    scale = arguments.hyper(function, "scale", scale, members[..., 0, 0], above=0.0)
    everyone = batch.gathered(members, axis_name, -2)
    squares = 2 * similarity.cosine_distances(members, everyone)
    pairs = mask[..., :, None] & batch.gathered(mask, axis_name, -1)[..., None, :]
    pairs &= batch.is_later(pairs, axis_name)
    exponents = jnp.where(pairs, -scale[..., None, None] * squares, -jnp.inf)
    top = reduction.largest_across(jnp.max(exponents, axis=(-2, -1), initial=-jnp.inf), axis_name)
    top = jnp.where(jnp.isneginf(top), 0, top)
    terms = jnp.where(pairs, jnp.exp(exponents - top[..., None, None]), 0)
    total, count = (
        reduction.sum_across(jnp.sum(x, axis=(-2, -1)), axis_name)
        for x in (terms, pairs.astype(terms.dtype))
    )
    some = count > 0
    # Both logarithms of numbers of one kind, so that pairs at no distance cancel exactly.
    spread = jnp.log(jnp.where(some, total, 1)) - jnp.log(jnp.where(some, count, 1))
    return jnp.where(some, top + spread, 0)


class TeacherCenter(NamedTuple):
    """The running mean of a teacher's logits.

    Attributes:
      center: `[classes]`.
    """

    center: Array


def dino_loss(
    student_logits: ArrayLike,
    teacher_logits: ArrayLike,
    *,
    center: ArrayLike,
    student_temperature: ArrayLike = 0.1,
    teacher_temperature: ArrayLike = 0.04,
    axis: arguments.Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of a student with a teacher that is centred and sharpened.

    `-sum(q log(p))` with `p = softmax(student_logits / student_temperature)` and
    `q = softmax((teacher_logits - center) / teacher_temperature)`. Centring keeps one class from
    taking all, the low temperature keeps the teacher from becoming uniform. The teacher gets no
    gradient. One pair of views; the paper sums over all pairs of different views.

    Args:
      student_logits: `[..., classes]`, real (`classes` at `axis`).
      teacher_logits: `[..., classes]`, real; without gradient.
      center: `[classes]`, the running mean of the teacher's logits, `TeacherCenter.center`.
      student_temperature: > 0; number or `[...]`.
      teacher_temperature: > 0; number or `[...]`.
      axis: the axis or axes of the classes.
      where: True for what counts, `[..., classes]` or `[...]`.

    Returns:
      `[...]`, non-negative, at least the teacher's entropy.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> center = jl.dino_center_init(2).center
      >>> print(f"{jl.dino_loss(jnp.zeros(2), jnp.array([1.0, 0.0]), center=center):.4f}")  # log(2)
      0.6931

    Reference: Caron et al., Emerging Properties in Self-Supervised Vision Transformers (2021),
    eq. 2 and algorithm 1.
    """
    function = "dino_loss"
    (student, teacher), mask = arguments.events(
        function, axis, where, student_logits=student_logits, teacher_logits=teacher_logits
    )
    center = arguments.class_vector(function, "center", center, teacher)
    cool, warm = (
        arguments.per_event(function, name, value, student, above=0.0)
        for name, value in (
            ("teacher_temperature", teacher_temperature),
            ("student_temperature", student_temperature),
        )
    )
    target = jnp.exp(-numerics.softmax((teacher - center) / cool, mask).surprisal())
    parts = numerics.softmax(student / warm, mask)
    gaps = _gaps(student, parts)
    # The teacher is an average of past students and is not trained.
    behind = jnp.sum(numerics.weighted(lax.stop_gradient(target), gaps), axis=-1)
    return arguments.masked(behind / warm[..., 0] + jnp.log1p(parts.rest), mask)


def _gaps(logits: Array, parts: numerics.Softmax) -> Array:
    """Return by how much logits are below the largest: not yet divided, which could overflow."""
    top = jnp.sum(jnp.where(parts.is_top, logits, 0), axis=-1, keepdims=True)
    return jnp.where(parts.is_top & ~jnp.isnan(top), 0, top - logits)


def dino_center_init(classes: int) -> TeacherCenter:
    """Return the centre before training: zeros.

    Args:
      classes: the number of logits.

    Returns:
      `TeacherCenter` of float32 `[classes]`.

    Example:
      >>> import jaxloss as jl
      >>> print(jl.dino_center_init(3).center)
      [0. 0. 0.]
    """
    return TeacherCenter(jnp.zeros(classes, jnp.float32))


def dino_center_update(
    statistics: TeacherCenter,
    teacher_logits: ArrayLike,
    *,
    decay: ArrayLike = 0.9,
    where: ArrayLike | None = None,
    axis_name: reduction.AxisName = None,
) -> TeacherCenter:
    """Return the centre after a batch, `decay * center + (1 - decay) * mean(teacher_logits)`.

    Args:
      statistics: the centre so far.
      teacher_logits: `[..., classes]`; the mean is over all leading axes.
      decay: how much of the old remains, in [0, 1].
      where: `[...]`, True for what counts; a batch of none leaves the centre alone.
      axis_name: mapped axes over which the batch is split.

    Returns:
      `TeacherCenter`, without gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxloss as jl
      >>> logits = jnp.array([[1.0, 0.0], [3.0, 2.0]])
      >>> print(jl.dino_center_update(jl.dino_center_init(2), logits, decay=0.5).center)
      [1.  0.5]

    Reference: Caron et al., Emerging Properties in Self-Supervised Vision Transformers (2021),
    eq. 4.
    """
    function = "dino_center_update"
    old = arguments.floating(function, "statistics", statistics.center)
    (logits,), mask = arguments.events(function, -1, where, teacher_logits=teacher_logits)
    if old.shape != logits.shape[-1:]:
        expected = f"of shape {logits.shape[-1:]}, as teacher_logits {logits.shape} are"
        raise arguments.reject(function, "statistics", expected, old.shape)
    decay = arguments.hyper(function, "decay", decay, old, at_least=0.0, at_most=1.0)
    flat = lax.stop_gradient(logits).reshape(-1, logits.shape[-1])
    batch = reduction.average(flat, where=mask.reshape(flat.shape), axis=0, axis_name=axis_name)
    moved = decay * old + (1 - decay) * batch.value().astype(old.dtype)
    return TeacherCenter(jnp.where(batch.weight > 0, moved, old))
