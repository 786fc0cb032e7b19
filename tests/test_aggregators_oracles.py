"""Aggregators against TorchJD on random matrices; where conventions differ, the test names them.

TorchJD solves UPGrad and DualProj with quadprog, CAGrad and Nash-MTL with cvxpy: without these,
those are skipped here; `test_aggregators.py` holds them against SciPy in any case.
"""

import functools
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxloss import multitask as mt

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]
torch = pytest.importorskip("torch", reason="needs torch")
torchjd = pytest.importorskip("torchjd.aggregation", reason="needs torchjd")
linalg = pytest.importorskip("torchjd.linalg", reason="needs torchjd")


def needs(*packages):
    missing = [name for name in packages if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"TorchJD needs {', '.join(packages)} for it")


def draws(tasks=4, parameters=7, count=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, tasks, parameters)) * 10 ** rng.uniform(-1, 1, (count, tasks, 1))


def theirs(aggregator, matrix):
    with torch.no_grad():
        return aggregator(torch.tensor(matrix)).numpy()


@functools.cache
def compiled(transformation):
    return jax.jit(transformation.update)


def ours(transformation, matrix, state=None):
    """Return the combined gradient and the state after it."""
    state = transformation.init(jnp.zeros(matrix.shape[1])) if state is None else state
    return compiled(transformation)(mt.Rows(jnp.asarray(matrix)), state)


def check(transformation, aggregator, rtol=1e-9, tasks=4, parameters=7):
    for matrix in draws(tasks, parameters):
        expected = theirs(aggregator, matrix)
        got, _ = ours(transformation, matrix)
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def test_the_sum_the_mean_and_fixed_weights():
    check(mt.total(), torchjd.Sum())
    check(mt.total(weights=[0.25] * 4), torchjd.Mean())
    weights = torch.tensor([0.5, 2.0, 0.0, 1.0], dtype=torch.float64)
    check(mt.total(weights=weights.numpy()), torchjd.Constant(weights))


def test_mgda():
    """Theirs is Frank and Wolfe's method: as near as it comes within many iterations."""
    check(mt.mgda(), torchjd.MGDA(epsilon=1e-9, max_iters=20000), rtol=1e-3)


def test_imtl_g():
    check(mt.imtl_g(), torchjd.IMTLG(), rtol=1e-7)


def test_conflict_free():
    check(mt.conflict_free(), torchjd.ConFIG(), rtol=1e-7)


@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
def test_aligned_mtl(scale):
    """The preference is 1 / K in both; the authors' code has 1."""
    check(mt.aligned_mtl(scale=scale), torchjd.AlignedMTL(scale_mode=scale), rtol=1e-8)
    preference = torch.tensor([0.5, 2.0, 0.0, 1.0], dtype=torch.float64)
    check(
        mt.aligned_mtl(preference=preference.numpy(), scale=scale),
        torchjd.AlignedMTL(pref_vector=preference, scale_mode=scale),
        rtol=1e-8,
    )


def test_aligned_mtl_of_dependent_rows():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(4, 2)) @ rng.normal(size=(2, 7))
    got, _ = ours(mt.aligned_mtl(), matrix)
    np.testing.assert_allclose(got, theirs(torchjd.AlignedMTL(), matrix), rtol=1e-7)


def test_pcgrad_of_two_tasks():
    """More have random orders, which no two implementations share."""
    check(mt.pcgrad(), torchjd.PCGrad(), tasks=2)


def test_gradvac_of_two_tasks_over_several_updates():
    """Theirs adds 1e-8 to every denominator."""
    transformation, aggregator = mt.gradvac(tasks=2, beta=0.5), torchjd.GradVac(beta=0.5, eps=1e-12)
    state = transformation.init(jnp.zeros(7))
    for matrix in draws(tasks=2, count=10):
        got, state = ours(transformation, matrix, state)
        np.testing.assert_allclose(got, theirs(aggregator, matrix), rtol=1e-6)


@pytest.mark.parametrize("leak", [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.3, 0.0, 1.0, 0.5]])
def test_graddrop_keeps_one_of_two_outcomes(leak):
    """Which is random in both; each element is one that theirs has as well."""
    aggregator = torchjd.GradDrop(leak=torch.tensor(leak, dtype=torch.float64))
    for seed, matrix in enumerate(draws()):
        got, _ = ours(mt.graddrop(leak=leak, seed=seed), matrix)
        seen = np.stack([theirs(aggregator, matrix) for _ in range(200)])
        assert np.all(np.min(np.abs(seen - np.asarray(got)), axis=0) < 1e-9)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fairgrad(alpha):
    """Theirs ends where a general least-squares solver does."""
    rng = np.random.default_rng(2)
    for matrix in rng.normal(size=(4, 3, 7)):
        got, _ = ours(mt.fairgrad(alpha=alpha), matrix)
        expected = theirs(torchjd.FairGrad(alpha=alpha), matrix)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@needs("cvxpy", "ecos")
@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem:UserWarning")
def test_nash_mtl():
    """Theirs begins where it ended the time before, and keeps what it began with where it fails."""
    solved = 0
    for matrix in draws():
        expected = theirs(torchjd.NashMTL(n_tasks=4, max_norm=0.0), matrix)
        weights = np.linalg.lstsq(matrix.T, expected, rcond=None)[0]
        if np.abs(weights * (matrix @ expected) - 1).max() < 1e-3:
            solved += 1
            got, _ = ours(mt.nash_mtl(), matrix)
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    assert solved >= 3


@needs("cvxpy", "clarabel")
@pytest.mark.parametrize("c", [0.4, 1.0])
def test_cagrad(c):
    """Theirs adds a ridge of 1e-4 of the Gramian, and its solver stops early."""
    check(mt.cagrad(c=c), torchjd.CAGrad(c=c), rtol=1e-3)


@needs("quadprog", "qpsolvers")
@pytest.mark.parametrize(("ours_", "theirs_"), [("upgrad", "UPGrad"), ("dualproj", "DualProj")])
def test_projections(ours_, theirs_):
    """Theirs adds a part of the trace to the diagonal, 1e-4 if not told otherwise."""
    projector = linalg.QuadprogProjector(norm_eps=1e-12, reg_eps=1e-12)
    check(getattr(mt, ours_)(), getattr(torchjd, theirs_)(projector=projector), 1e-6)
    check(getattr(mt, ours_)(), getattr(torchjd, theirs_)(projector=projector), 1e-6, 10, 20)


@pytest.mark.parametrize("faulty", [0, 1])
def test_krum_where_the_liars_are_far_off(faulty):
    """Theirs adds up distances, ours their squares: alike where all but the liars are nearby."""
    rng = np.random.default_rng(3)
    for _ in range(6):
        matrix = rng.normal(size=(6, 7))
        matrix[rng.permutation(6)[: faulty + 1]] += rng.normal(size=(faulty + 1, 7)) * 1e3
        selected = 5 - faulty
        aggregator = torchjd.Krum(n_byzantine=faulty, n_selected=selected)
        got, _ = ours(mt.krum(faulty=faulty, selected=selected), matrix)
        np.testing.assert_allclose(got, theirs(aggregator, matrix), rtol=1e-9)


@pytest.mark.parametrize("trim", [0, 1])
def test_trimmed_mean(trim):
    check(mt.trimmed_mean(trim=trim), torchjd.TrimmedMean(trim_number=trim))


def test_moving_average_over_several_updates():
    weighting = torchjd.CRMOGMWeighting(torchjd.IMTLGWeighting(), alpha=0.8)
    aggregator = torchjd.GramianWeightedAggregator(weighting)
    transformation = mt.moving_average(mt.imtl_g_weights, tasks=4, decay=0.8)
    state = transformation.init(jnp.zeros(7))
    for matrix in draws(count=10):
        got, state = ours(transformation, matrix, state)
        expected = theirs(aggregator, matrix)
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())


def test_gradnorm_against_autodiff():
    """No peer has it as a function of gradients: the slope is that of its loss, by autodiff."""
    torch.manual_seed(0)
    alpha, transformation = 1.5, mt.gradnorm(optax.sgd(1e-2), tasks=4, alpha=1.5)
    state = transformation.init(jnp.zeros(7))
    weights, initial = torch.ones(4, dtype=torch.float64), None
    update = jax.jit(lambda rows, state, losses: transformation.update(rows, state, losses=losses))
    for matrix in draws(count=5):
        losses = torch.rand(4, dtype=torch.float64) + 0.1
        initial = losses if initial is None else initial
        weights = weights.detach().requires_grad_()
        lengths = weights * torch.tensor(matrix).norm(dim=1)
        behind = losses / initial
        targets = (lengths.mean() * (behind / behind.mean()) ** alpha).detach()
        (lengths - targets).abs().sum().backward()
        expected = weights.detach().numpy() @ matrix
        got, state = update(mt.Rows(jnp.asarray(matrix)), state, losses.numpy())
        np.testing.assert_allclose(got, expected, rtol=1e-9)
        weights = (weights - 1e-2 * weights.grad).clamp(min=0)
        weights = 4 * weights / weights.sum()
