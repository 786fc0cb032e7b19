"""What every loss does with its arguments before the formula: convert, check, mask.

The dtype law, the shape law, the mask law and the wording of error messages each live here, once.

* **Dtype**: inputs of less than 32 bits are computed in float32; float32 and float64 stay.
* **Shape**: data arguments have equal shapes; nothing broadcasts by accident.
* **Mask**: masked entries are replaced by harmless ones *before* the formula, and the loss is
  replaced by 0 after it, so neither value nor gradient sees what stood there.
* **Values**: what is known while tracing (a float `delta`) raises; what is not (a traced `delta`,
  a label) turns the result into NaN, never into a plausible number.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Axis = int | Sequence[int] | None


def reject(function: str, argument: str, expected: str, found: object) -> ValueError:
    """Build the error of law 8: function, argument, what was expected, what was found."""
    return ValueError(f"{function}: {argument} must be {expected}, got {found}.")


def _array(function: str, name: str, value: Any) -> jax.Array:
    """Convert to an array of numbers; lists of numbers and `nnx.Param` are welcome."""
    if isinstance(value, str) or value is None:
        raise TypeError(f"{function}: {name} must be an array of numbers, got {value!r}.")
    try:
        # Through NumPy, because a nested list would otherwise become an array leaf by leaf.
        return jnp.asarray(np.asarray(value) if isinstance(value, list | tuple) else value)
    except (TypeError, ValueError) as error:
        kind = type(value).__name__
        raise TypeError(f"{function}: {name} must be an array of numbers, got {kind}.") from error


def floating(function: str, name: str, value: Any) -> jax.Array:
    """Convert to a real floating array, or say why not."""
    array = _array(function, name, value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{function}: {name} must be real floating point, got {array.dtype}; "
            f"convert it with {name}.astype(jnp.float32) if that is what you mean."
        )
    return array


def real(function: str, name: str, value: Any) -> jax.Array:
    """Convert to a real array: floating, integer or boolean, but not complex."""
    array = _array(function, name, value)
    if not (jnp.issubdtype(array.dtype, jnp.floating) or is_discrete(array)):
        raise TypeError(f"{function}: {name} must be real numbers, got {array.dtype}.")
    return array


def integers(function: str, name: str, value: Any) -> jax.Array:
    """Convert to an array of integers, or say why not."""
    array = _array(function, name, value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{function}: {name} must be integers, got {array.dtype}.")
    return array


def is_discrete(array: jax.Array) -> bool:
    """Tell whether an array holds integers or booleans."""
    return jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == jnp.bool_


def working_dtype(*arrays: jax.Array) -> Any:
    """Return the dtype in which losses of these arrays are computed: at least float32."""
    # Not `result_type`: it refuses mixed widths where the user has made promotion strict.
    wide = any(a.dtype == jnp.float64 for a in arrays)
    return jnp.dtype(jnp.float64 if wide else jnp.float32)


def same_shape(function: str, **arrays: jax.Array) -> None:
    """Require equal shapes of all the named arrays."""
    (first, reference), *others = arrays.items()
    for name, array in others:
        if array.shape != reference.shape:
            expected = f"of the same shape as {first} {reference.shape}"
            raise reject(function, name, expected, array.shape)


def hyper(
    function: str,
    name: str,
    value: Any,
    like: jax.Array,
    *,
    above: float = -np.inf,
    at_least: float = -np.inf,
    below: float = np.inf,
    at_most: float = np.inf,
    or_at: float = np.nan,
) -> jax.Array:
    """Convert a real hyper-parameter that broadcasts to `like`, and check its range.

    It comes back with as many axes as `like` has, so that `[..., None]` means the same for both. A
    value known while tracing raises `ValueError` out of range; a traced one becomes NaN there.
    """
    known = _known(value)
    array = _array(function, name, value) if known is None else known
    if array.dtype.kind not in "fiu" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{function}: {name} must be a real number, got {_described(value)}.")
    broadcastable(function, name, array.shape, like.shape)

    def inside(x: Any) -> Any:
        within = (x > above) & (x >= at_least) & (x < below) & (x <= at_most)
        return within | (x == or_at)

    if known is None:
        array = expand_left(jnp.asarray(array, like.dtype), like.ndim)
        return jnp.where(inside(array), array, jnp.nan)
    if not np.all(inside(known.astype(np.float64))):
        expected = _interval(above, at_least, below, at_most)
        raise reject(function, name, expected, known.tolist())
    return expand_left(jnp.asarray(known, like.dtype), like.ndim)


def _known(value: Any) -> np.ndarray | None:
    """Return the value of a hyper-parameter, or None if it is known only when the program runs.

    To be asked of the value as it came: within a trace, converting a float makes it a tracer.
    """
    if hasattr(value, "__jax_array__") and not isinstance(value, jax.Array):
        value = value.__jax_array__()
    try:
        return None if isinstance(value, jax.core.Tracer) else np.asarray(value)
    except (TypeError, ValueError):
        return None


def _described(value: Any) -> str:
    return repr(value) if isinstance(value, str | None) else str(getattr(value, "dtype", value))


def _interval(above: float, at_least: float, below: float, at_most: float) -> str:
    left = f"({above:g}" if above >= at_least else f"[{at_least:g}"
    return f"in {left}, " + (f"{below:g})" if below <= at_most else f"{at_most:g}]")


def broadcastable(
    function: str, name: str, shape: tuple[int, ...], target: tuple[int, ...]
) -> None:
    """Require that `shape` broadcasts to `target` without enlarging it."""
    try:
        fits = np.broadcast_shapes(shape, target) == target
    except ValueError:
        fits = False
    if not fits:
        raise reject(function, name, f"a number or broadcastable to {target}", f"shape {shape}")


def class_vector(
    function: str, name: str, value: Any, like: jax.Array, **bounds: float
) -> jax.Array:
    """Convert one number for each class, shape `[classes]`, for `like` `[..., classes]`."""
    array = hyper(function, name, value, like, **bounds)
    if np.shape(value) != like.shape[-1:]:
        expected = f"one number for each of the {like.shape[-1]} classes, shape {like.shape[-1:]}"
        raise reject(function, name, expected, f"shape {np.shape(value)}")
    return array


def per_event(function: str, name: str, value: Any, like: jax.Array, **bounds: float) -> jax.Array:
    """Convert a hyper-parameter, one for all events or `[...]`, ready to meet `[..., event]`."""
    return hyper(function, name, value, like[..., 0], **bounds)[..., None]


def mask_like(function: str, where: Any, array: jax.Array) -> jax.Array | None:
    """Convert a mask whose shape is that of `array`, or of its leading axes (whole examples)."""
    if where is None:
        return None
    mask = _boolean(function, where)
    if mask.shape != array.shape[: mask.ndim]:
        expected = f"of shape {array.shape}, or of its leading axes"
        raise reject(function, "where", expected, mask.shape)
    return jnp.broadcast_to(expand_right(mask, array.ndim), array.shape)


def _boolean(function: str, where: Any) -> jax.Array:
    mask = _array(function, "where", where)
    if not is_discrete(mask):
        raise TypeError(f"{function}: where must be boolean (True counts), got {mask.dtype}.")
    return mask.astype(bool)


def expand_right(array: jax.Array, ndim: int) -> jax.Array:
    """Append axes of length 1, so that an array of examples meets an array of their entries."""
    return array.reshape(array.shape + (1,) * (ndim - array.ndim))


def expand_left(array: jax.Array, ndim: int) -> jax.Array:
    """Prepend axes of length 1: what NumPy does by itself, and strict rank promotion refuses."""
    return array.reshape((1,) * (ndim - array.ndim) + array.shape)


def elementwise(
    function: str, where: Any, fill: float = 0.0, **data: Any
) -> tuple[list[jax.Array], jax.Array | None]:
    """Prepare the arguments of a loss that takes each element by itself.

    The first of `data` must be floating, the others real and of its shape. Masked elements come
    back as `fill`.

    Returns:
      The arrays in the working dtype, and the mask in their shape (None: nothing is masked).
    """
    names = list(data)
    arrays = [floating(function, names[0], data[names[0]])]
    arrays += [real(function, name, data[name]) for name in names[1:]]
    same_shape(function, **dict(zip(names, arrays, strict=True)))
    dtype = working_dtype(*arrays)
    mask = mask_like(function, where, arrays[0])
    arrays = [a.astype(dtype) for a in arrays]
    if mask is not None:
        arrays = [jnp.where(mask, a, jnp.asarray(fill, dtype)) for a in arrays]
    return arrays, mask


def events(function: str, axis: Axis, where: Any, **data: Any) -> tuple[list[jax.Array], jax.Array]:
    """Prepare the arguments of a loss that reduces `axis`: the event axis comes back last.

    The first of `data` must be floating, the others real and of its shape. `where` has their
    shape (it then masks entries of the event), or that shape without `axis` (whole examples).
    Masked entries come back as 0. An empty event is one that is masked throughout.

    Returns:
      The arrays `[..., event]` in the working dtype, and the mask `[..., event]`.
    """
    names = list(data)
    arrays = [floating(function, names[0], data[names[0]])]
    arrays += [real(function, name, data[name]) for name in names[1:]]
    same_shape(function, **dict(zip(names, arrays, strict=True)))
    dtype = working_dtype(*arrays)
    axes = normal_axes(function, axis, arrays[0].ndim)
    mask = last(event_mask(function, where, axes, arrays[0]), axes)
    arrays = [jnp.where(mask, last(a.astype(dtype), axes), 0) for a in arrays]
    return arrays, mask


def classes(
    function: str, axis: Axis, where: Any, *, labels: Any, **logits: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Prepare scores of classes and the index of the right class.

    Returns:
      The scores `[..., classes]`, the labels as a one-hot mask `[..., classes]` of booleans, and
      the mask of what counts `[..., classes]`. Masked scores come back as 0. A label out of range
      makes the scores of its example NaN, which no formula can lose, in value or gradient.
    """
    ((name, value),) = logits.items()
    scores = floating(function, name, value)
    index = integers(function, "labels", labels)
    axes = normal_axes(function, axis, scores.ndim)
    batch = tuple(n for i, n in enumerate(scores.shape) if i not in axes)
    if index.shape != batch:
        expected = f"of the shape of {name} {scores.shape} without axis {axis}, {batch}"
        raise reject(function, "labels", expected, index.shape)
    mask = last(event_mask(function, where, axes, scores), axes)
    scores = last(scores.astype(working_dtype(scores)), axes)
    # A narrow integer could not count as far as there are classes.
    index = index[..., None].astype(index.dtype if index.dtype.itemsize >= 4 else jnp.int32)
    in_range = (index >= 0) & (index < scores.shape[-1])
    # Multiplied rather than selected: the gradient of an out-of-range label must be NaN as well.
    seen = in_range | ~jnp.any(mask, axis=-1, keepdims=True)
    scores = jnp.where(mask, scores, 0) * jnp.where(seen, 1.0, jnp.nan).astype(scores.dtype)
    is_label = index == expand_left(jnp.arange(scores.shape[-1], dtype=index.dtype), index.ndim)
    return scores, is_label & mask, mask


def members(
    function: str, where: Any, *, labels: Any = None, **embeddings: Any
) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """Prepare sets of vectors `[..., n, d]`, whose members are compared with each other.

    All of `embeddings` have one shape; leading axes are sets that do not see each other. `labels`
    are the members' groups, integers `[..., n]` (None: each its own). `where` is `[..., n]`
    (members) or `[...]` (sets).

    Returns:
      The arrays in the working dtype with zeros where masked, the labels, the mask `[..., n]`.
    """
    names = list(embeddings)
    arrays = [floating(function, name, embeddings[name]) for name in names]
    if arrays[0].ndim < 2:
        raise reject(function, names[0], "of shape [..., n, d]", f"shape {arrays[0].shape}")
    same_shape(function, **dict(zip(names, arrays, strict=True)))
    *batch, count, _ = arrays[0].shape
    shape = (*batch, count)
    if where is None:
        mask = jnp.ones(shape, bool)
    else:
        mask = _boolean(function, where)
        if mask.shape not in (shape, tuple(batch)):
            expected = f"of shape {shape} (members) or {tuple(batch)} (sets)"
            raise reject(function, "where", expected, mask.shape)
        mask = jnp.broadcast_to(expand_right(mask, len(shape)), shape)
    if labels is None:
        groups = jax.lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    else:
        groups = integers(function, "labels", labels)
        if groups.shape != shape:
            expected = f"of the shape of {names[0]} without its last axis, {shape}"
            raise reject(function, "labels", expected, groups.shape)
    dtype = working_dtype(*arrays)
    arrays = [jnp.where(mask[..., None], a.astype(dtype), 0) for a in arrays]
    return arrays, groups, mask


def normal_axes(function: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return `axis` as a tuple of distinct non-negative axes; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, Sequence) else (axis,)
    expected = f"an axis, or distinct axes, of an array of {ndim} dimensions"
    try:
        numbers = [operator.index(a) for a in given]
    except TypeError as error:
        raise TypeError(f"{function}: axis must be {expected}, got {axis!r}.") from error
    axes = tuple(a + ndim if a < 0 else a for a in numbers)
    if any(not 0 <= a < ndim for a in axes) or len(set(axes)) != len(axes):
        raise reject(function, "axis", expected, axis)
    return axes


def last(array: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Move `axes` to the end, in the order given, and flatten them to one (never an empty one)."""
    batch = tuple(i for i in range(array.ndim) if i not in axes)
    shape = tuple(array.shape[i] for i in batch)
    if axes != (array.ndim - 1,):
        size = int(np.prod([array.shape[i] for i in axes]))
        array = array.transpose(batch + axes).reshape((*shape, size))
    return array if array.shape[-1] else jnp.zeros((*shape, 1), array.dtype)


def event_mask(function: str, where: Any, axes: tuple[int, ...], array: jax.Array) -> jax.Array:
    """Return the mask of an array with events on `axes`, in the array's own shape."""
    if where is None:
        return jnp.ones(array.shape, bool)
    mask = _boolean(function, where)
    batch = tuple(n for i, n in enumerate(array.shape) if i not in axes)
    if mask.shape == batch:
        mask = jnp.expand_dims(mask, sorted(axes))
    elif mask.shape != array.shape:
        expected = f"of shape {array.shape} (entries) or {batch} (examples)"
        raise reject(function, "where", expected, mask.shape)
    return jnp.broadcast_to(mask, array.shape)


def masked(loss: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Return the loss with exact zeros where nothing counts; `mask` as the preparers gave it."""
    if mask is None:
        return loss
    if mask.ndim > loss.ndim:
        mask = jnp.any(mask, axis=-1)
    return jnp.where(mask, loss, jnp.zeros_like(loss))
