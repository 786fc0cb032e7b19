"""Robust losses against kornia, which has four members of Barron's family at scale 1."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss as jl

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]
torch = pytest.importorskip("torch", reason="needs torch")


@pytest.fixture
def kornia():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("kornia", reason="needs kornia")


@pytest.mark.parametrize("name", ["cauchy_loss", "welsch_loss", "geman_mcclure_loss"])
def test_members_of_the_family(name, kornia, rng):
    predictions, targets = rng.normal(0.5, 3.0, (2, 7, 5))
    theirs = getattr(kornia.losses, name)
    expected = theirs(torch.tensor(predictions), torch.tensor(targets), reduction="none")
    ours = getattr(jl, name)(jnp.asarray(predictions), jnp.asarray(targets))
    np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-12)


def test_general_loss_at_one_is_charbonnier(kornia, rng):
    predictions, targets = rng.normal(0.5, 3.0, (2, 7, 5))
    expected = kornia.losses.charbonnier_loss(
        torch.tensor(predictions), torch.tensor(targets), reduction="none"
    )
    ours = jl.general_robust_loss(jnp.asarray(predictions), jnp.asarray(targets), alpha=1.0)
    np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-12)
