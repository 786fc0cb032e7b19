"""The gradients of all tasks, held as rows or only as what makes them.

With K tasks and P parameters the rows are a Jacobian `[K, P]`, a tree like the parameters with a
leading axis. Most methods need of it only its Gramian `[K, K]`, the products of all pairs of rows,
and in the end one sum of weighted rows. `Rows` computes both from the Jacobian, `Pullback` without
ever holding it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxloss import arguments, numerics

Array = jax.Array
Shared = Any  # as of `optax.masked`: None for all, a tree of booleans or a prefix of it, a callable


class Rows(NamedTuple):
    """Gradients of K tasks, at hand.

    Attributes:
      stacked: a tree like the parameters; leaves `[K, ...]`.
    """

    stacked: Any

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return len(jax.tree.leaves(self.stacked)[0])

    def gramian(self, shared: Shared = None) -> Array:
        """Return `[K, K]`, the inner products of the tasks' gradients of the shared parameters."""
        selected = _selected(self.stacked, shared)
        return functools.reduce(jnp.add, [_products(leaf) for leaf in selected])

    def norms(self, shared: Shared = None) -> Array:
        """Return `[K]`, the lengths of the tasks' gradients of the shared parameters."""
        return jax.vmap(lambda row: _length(row, shared))(self.stacked)

    def alignments(self, reference: Any, shared: Shared = None) -> Array:
        """Return `[K]`, the inner products with a tree like the parameters, the shared ones."""
        return jax.vmap(lambda row: _inner(row, reference, shared))(self.stacked)

    def combine(self, weights: Array) -> Any:
        """Return the sum of the rows, each by its weight `[K]`: a tree like the parameters."""
        return jax.tree.map(lambda leaf: _combined(weights, leaf), self.stacked)

    def scaled(self, weights: Array) -> Rows:
        """Return the rows, each multiplied by its weight `[K]`."""
        one = lambda leaf: arguments.expand_right(weights, leaf.ndim).astype(leaf.dtype) * leaf
        return Rows(jax.tree.map(one, self.stacked))


class Pullback(NamedTuple):
    """Gradients of K tasks, each computed when it is needed: memory for one, whatever K is.

    Lives within one traced function: it cannot be returned from a jitted one.

    Attributes:
      push: tangents of the parameters to those of the K losses, `[K]`.
      pull: the transpose; `[K]` to a tree like the parameters.
      scale: `[K]`, by which the rows are multiplied.
    """

    push: Callable[[Any], Array]
    pull: Callable[[Array], Any]
    scale: Array

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return len(self.scale)

    def gramian(self, shared: Shared = None) -> Array:
        """Return `[K, K]`, the inner products of the tasks' gradients of the shared parameters."""
        one = lambda cotangent: self.push(_zeroed(self.pull(cotangent), shared)) * self.scale
        return lax.map(one, jnp.diag(self.scale))

    def norms(self, shared: Shared = None) -> Array:
        """Return `[K]`, the lengths of the tasks' gradients of the shared parameters."""
        return lax.map(lambda unit: _length(self.pull(unit), shared), jnp.diag(self.scale))

    def alignments(self, reference: Any, shared: Shared = None) -> Array:
        """Return `[K]`, the inner products with a tree like the parameters, the shared ones."""
        return self.push(_zeroed(reference, shared)) * self.scale

    def combine(self, weights: Array) -> Any:
        """Return the sum of the rows, each by its weight `[K]`: a tree like the parameters."""
        return self.pull(weights.astype(self.scale.dtype) * self.scale)

    def scaled(self, weights: Array) -> Pullback:
        """Return the rows, each multiplied by its weight `[K]`."""
        return self._replace(scale=self.scale * weights.astype(self.scale.dtype))


Tasks = Rows | Pullback


def as_tasks(function: str, gradients: Any, params: Any = None) -> Tasks:
    """Return gradients of tasks as such: they may be a dict, list or tuple of gradient trees.

    Raises:
      ValueError: if they are not one tree per task, all alike (and like `params`, where given).
    """
    if isinstance(gradients, Tasks):
        return gradients
    trees = jax.tree.leaves(gradients, is_leaf=lambda node: node is not gradients)
    forms = {_form(tree) for tree in trees} | ({_form(params)} if params is not None else set())
    if len(forms) != 1 or not trees or trees[0] is gradients:
        expected = "a dict (or list) of tasks with one gradient each, all like the parameters"
        raise arguments.reject(function, "gradients", expected, jax.tree.structure(gradients))
    return Rows(jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees))


def _form(tree: Any) -> tuple[Any, ...]:
    """Return what two trees of gradients of the same parameters have in common."""
    return jax.tree.structure(tree), *(jnp.shape(leaf) for leaf in jax.tree.leaves(tree))


def rows(function: str, gradients: Tasks) -> Rows:
    """Return gradients that must be at hand, because a method looks at their elements.

    Raises:
      ValueError: for gradients that are not held.
    """
    if isinstance(gradients, Pullback):
        raise arguments.reject(function, "gradients", "rows (mode='map')", "mode='gramian'")
    return gradients


def is_shared(tree: Any, shared: Shared) -> Any:
    """Return a tree of booleans like `tree`: which parameters all tasks share."""
    chosen = shared(tree) if callable(shared) else True if shared is None else shared
    return jax.tree.map(lambda flag, part: jax.tree.map(lambda _: flag, part), chosen, tree)


def _selected(tree: Any, shared: Shared) -> list[Array]:
    flags = jax.tree.leaves(is_shared(tree, shared))
    return [leaf for leaf, flag in zip(jax.tree.leaves(tree), flags, strict=True) if flag]


def _zeroed(tree: Any, shared: Shared) -> Any:
    keep = is_shared(tree, shared)
    return jax.tree.map(lambda leaf, flag: leaf if flag else jnp.zeros_like(leaf), tree, keep)


def _inner(tree: Any, other: Any, shared: Shared) -> Array:
    pairs = zip(_selected(tree, shared), _selected(other, shared), strict=True)
    return functools.reduce(jnp.add, [_dot(x.ravel(), y.ravel()) for x, y in pairs])


def _dot(x: Array, y: Array) -> Array:
    dtype = arguments.working_dtype(x)
    return jnp.vdot(x.astype(dtype), y.astype(dtype), precision=lax.Precision.HIGHEST)


def _length(tree: Any, shared: Shared) -> Array:
    leaves = [leaf.astype(arguments.working_dtype(leaf)) for leaf in _selected(tree, shared)]
    return functools.reduce(numerics.hypot, [numerics.norm(leaf.ravel()) for leaf in leaves])


def _products(leaf: Array) -> Array:
    flat = leaf.reshape(len(leaf), -1)
    dtype = arguments.working_dtype(leaf)
    return jnp.matmul(flat, flat.T, precision=lax.Precision.HIGHEST, preferred_element_type=dtype)


def _combined(weights: Array, leaf: Array) -> Array:
    # In the dtype of the gradients, as an optimizer expects them; accumulated in float32 at least.
    dtype = arguments.working_dtype(leaf)
    total = jnp.tensordot(
        weights.astype(dtype), leaf.astype(dtype), axes=1, precision=lax.Precision.HIGHEST
    )
    return total.astype(leaf.dtype)
