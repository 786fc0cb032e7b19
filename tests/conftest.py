"""Strictness for the whole suite, and the fixtures that its modules share."""

import os
from collections.abc import Iterator

import jax
import numpy as np
import pytest

# Users may be strict about broadcasting; the library must work for them.
jax.config.update("jax_numpy_rank_promotion", "raise")

SEED = int(os.environ.get("JAXLOSS_SEED", "0"))

# Two devices are the fewest that show a wrong mean over unequal shards. Only the CPU can be split.
if (jax.config.jax_platforms or "cpu").startswith("cpu"):
    jax.config.update("jax_num_cpu_devices", 2)


def pytest_report_header() -> str:
    platforms = jax.config.jax_platforms or "default platform"
    return f"jax {jax.__version__} ({platforms}), JAXLOSS_SEED={SEED}"


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same for a test whatever runs before it."""
    return np.random.default_rng(SEED)


@pytest.fixture
def x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.fixture
def two_devices() -> list[jax.Device]:
    if jax.device_count() < 2:
        pytest.skip("needs two devices: run on the CPU, which is split in two")
    return jax.devices()[:2]
