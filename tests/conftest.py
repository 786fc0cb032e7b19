"""Strictness for the whole suite, and the fixtures that its modules share."""

import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

from jaxloss import catalog

# Users may be strict about broadcasting; the library must work for them.
jax.config.update("jax_numpy_rank_promotion", "raise")

SEED = int(os.environ.get("JAXLOSS_SEED", "0"))

# Two devices are the fewest that show a wrong mean over unequal shards. Only the CPU can be split.
if (jax.config.jax_platforms or "cpu").startswith("cpu"):
    jax.config.update("jax_num_cpu_devices", 2)

# To compile is what costs. By default a share of the catalogue, chosen by the seed, is checked
# thoroughly and the rest quickly; "quick" and "standard" (which is thorough) are for all of it.
LEVEL = os.environ.get("JAXLOSS_LEVEL", "sample")
SHARE = 16


def thorough(name: str) -> bool:
    """Tell whether a loss of the catalogue has its turn to be checked thoroughly."""
    if LEVEL == "sample":
        return (catalog.names().index(name) + SEED) % SHARE == 0
    return LEVEL == "standard"


def pytest_report_header() -> str:
    platforms = jax.config.jax_platforms or "default platform"
    settings = f"JAXLOSS_SEED={SEED}, JAXLOSS_LEVEL={LEVEL}"
    return f"jax {jax.__version__} ({platforms}), {settings}"


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


NNX_MODES = {"graph": {}, "tree": {"nnx_graph_mode": False, "nnx_graph_updates": False}}


@pytest.fixture(params=NNX_MODES)
def nnx(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return `flax.nnx` in graph mode, and in tree mode where the installed flax has it."""
    nnx = pytest.importorskip("flax.nnx")
    config = pytest.importorskip("flax.configurations").config
    flags = NNX_MODES[request.param]
    if not all(hasattr(config, flag) for flag in flags):
        pytest.skip("this flax has no tree mode")
    old = {flag: getattr(config, flag) for flag in flags}
    for flag, value in flags.items():
        config.update(flag, value)
    yield nnx
    for flag, value in old.items():
        config.update(flag, value)
