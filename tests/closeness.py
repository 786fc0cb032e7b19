"""How near two trees of arrays are, in units of what is in them."""

import jax
import numpy as np


def close(got, expected, rtol):
    """Check every leaf, by its entries or by the largest of them."""
    got, expected = map(jax.tree.leaves, (got, expected))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * (1e-6 + np.abs(b).max(initial=0)))


def close_where_finite(got, expected, tolerance=3e-6):
    """Check that the same entries are finite, and these as `close` does; and the precisions."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        finite = np.isfinite(b)
        np.testing.assert_array_equal(np.isfinite(a), finite)
        largest = np.abs(b[finite]).max(initial=1e-30)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * largest)
