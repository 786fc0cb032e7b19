"""What is known of the Kullback-Leibler divergences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxloss import divergence
from jaxloss.catalog import claims, kinds
from jaxloss.catalog.divergence import formulas, properties, ranges
from jaxloss.catalog.entry import Entry

Array = np.ndarray


def _logits_apart(s: Any, t: Any, where: Any = None) -> Any:
    return 0.5 * jnp.var(s - t, axis=-1)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _softened_error(s: Array, t: Array, temperature: float = 1.0) -> Array:
    return temperature * (_softmax(s / temperature) - _softmax(t / temperature))


_RELABELLED = properties.relabelled("log_predictions", "log_targets")
_AT_THE_LOGARITHM = (
    properties.relabelled("log_predictions", "targets"),
    claims.minimum_at_target(lambda p: np.log(np.maximum(p, 1e-300)), tolerance=1e-6),
)
_GENERALIZED: dict[str, Any] = {
    "family": "divergence",
    "character": "like forward KL, of masses that need not be 1; every term is >= 0",
    "formula": "sum(targets (log(targets) - log_predictions) - targets + exp(log_predictions))",
    "source": "Csiszar 1991, eq. 1.4; Boyd and Vandenberghe 2004, page 90",
    "arguments": dict(zip(("log_predictions", "targets"), ranges.masses(), strict=True)),
    "reference": formulas.generalized,
    "claims": (
        claims.nonnegative(),
        claims.positive_off_target(),
        properties.zero_at_probabilities(),
        claims.convex("log_predictions"),
        properties.jointly_convex(),
        claims.gradient_is(
            "exp(log_predictions) - targets", "log_predictions", lambda x, p: np.exp(x) - p
        ),
        *_AT_THE_LOGARITHM,
    ),
    "non_claims": ("symmetric", "a metric"),
}

ENTRIES = (
    Entry(
        divergence.kl_divergence,
        family="divergence",
        purpose="distance of predictions from a target distribution",
        character="covers the targets; infinite where they are missed; gradient is -targets",
        when="soft targets whose entropy should not count, predictions as log-probabilities",
        avoid="logits at hand: softmax_cross_entropy or distillation_loss; masses that are not 1: "
        "generalized_kl_divergence; disjoint supports: jensen_shannon_divergence",
        formula="sum(targets (log(targets) - log_predictions))",
        source="Kullback and Leibler 1951, eq. 2.4",
        arguments={"log_predictions": ranges.LOGS, "targets": kinds.simplex(ranges.CLASSES)},
        reference=formulas.kl,
        claims=(
            claims.nonnegative(),
            claims.positive_off_target(),
            properties.zero_at_probabilities(),
            properties.not_symmetric(),
            properties.jointly_convex(),
            properties.merges(),
            claims.convex("log_predictions"),
            claims.gradient_is("-targets", "log_predictions", lambda x, p: -p),
            *_AT_THE_LOGARITHM,
        ),
        non_claims=("symmetric", "the triangle inequality", "bounded"),
    ),
    Entry(
        divergence.kl_divergence_with_log_targets,
        family="divergence",
        purpose="kl_divergence of targets in logarithms",
        character="covers the targets; differentiable in both arguments",
        when="both distributions come from log_softmax",
        avoid="targets that are probabilities: kl_divergence",
        formula="sum(exp(log_targets) (log_targets - log_predictions))",
        source="Kullback and Leibler 1951, eq. 2.4",
        arguments=ranges.BOTH,
        reference=formulas.kl_logs,
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            properties.not_symmetric(),
            properties.jointly_convex(),
            properties.merges(),
            claims.convex("log_predictions"),
            claims.at_most("chi_squared_divergence", divergence.chi_squared_divergence),
            _RELABELLED,
        ),
        non_claims=("symmetric", "the triangle inequality", "bounded"),
    ),
    Entry(
        divergence.reverse_kl_divergence,
        family="divergence",
        purpose="divergence of predictions from targets, averaged over the predictions",
        character="avoids what the targets avoid; may settle on one mode",
        when="variational inference, on-policy distillation: better one mode than a blur",
        avoid="targets with zeros, or all modes wanted: kl_divergence",
        formula="sum(exp(log_predictions) (log_predictions - log_targets))",
        source="Bishop 2006, eq. 10.17",
        arguments=ranges.BOTH,
        reference=lambda x, y: formulas.kl_logs(y, x),
        claims=(
            claims.nonnegative(),
            claims.zero_at_target(),
            claims.positive_off_target(),
            properties.not_symmetric(),
            properties.jointly_convex(),
            properties.merges(),
            claims.convex("log_targets"),
            _RELABELLED,
        ),
        non_claims=("symmetric", "bounded", "convex in log_predictions"),
    ),
    Entry(
        divergence.generalized_kl_divergence,
        purpose="distance of masses that need not sum to 1",
        when="intensities, spectra, counts: matrix factorisation, unbalanced matching",
        avoid="distributions: kl_divergence, whose gradient is simpler",
        **_GENERALIZED,
    ),
    Entry(
        divergence.convex_kl_divergence,
        purpose="generalized_kl_divergence under optax's first name for it",
        when="code that comes from optax",
        avoid="new code: generalized_kl_divergence",
        **_GENERALIZED,
    ),
    Entry(
        divergence.gaussian_kl_divergence,
        family="divergence",
        purpose="divergence of a diagonal Gaussian from its prior",
        character="pulls means to the prior's and variances to its variance",
        when="variational autoencoders and Bayesian layers",
        avoid="samples without parameters: a kernel or transport distance",
        formula="sum(v - 1 - log(v) + (mean - prior_mean)^2 / prior_var) / 2, v = var / prior_var",
        source="Kingma and Welling 2014, appendix B",
        arguments={
            "mean": ranges.latent("means"),
            "log_variance": ranges.latent("log-variances"),
            "prior_mean": ranges.latent("means"),
            "prior_log_variance": ranges.latent("log-variances"),
        },
        reference=formulas.gaussian,
        claims=(
            claims.nonnegative(),
            claims.positive_off_target(),
            claims.convex("mean"),
            claims.convex("log_variance"),
            claims.gradient_is(
                "(mean - prior_mean) / prior_var", "mean", lambda m, v, a, b: (m - a) / np.exp(b)
            ),
        ),
        non_claims=("symmetric in the two Gaussians", "convex in mean and log_variance of both"),
    ),
    Entry(
        divergence.distillation_loss,
        family="divergence",
        purpose="divergence of a student's softened predictions from a teacher's",
        character="the temperature shows what the teacher thinks of the wrong classes",
        when="a small model learns from a large one, or a new one from an old one",
        avoid="hard labels: softmax_cross_entropy; one mode suffices: reverse_kl_divergence",
        formula="T^2 sum(p (log(p) - log(q))), p = softmax(teacher_logits / T), "
        "q = softmax(student_logits / T)",
        source="Hinton, Vinyals and Dean 2015, section 2",
        arguments={
            "student_logits": ranges.LOGITS,
            # Held constant by design.
            "teacher_logits": replace(ranges.LOGITS, differentiable=False),
        },
        reference=formulas.distillation,
        settings=({"temperature": 1.0}, {"temperature": 0.5}, {"temperature": 4.0}),
        impossible={"temperature": (0.0, -1.0, np.nan)},
        claims=(
            claims.nonnegative(),
            # The two softmaxes may be compiled differently; their difference enters squared.
            claims.zero_at_target(rounding=64 * claims.EPSILON["float32"] ** 2),
            claims.positive_off_target(),
            claims.convex("student_logits"),
            claims.shift_invariant("student_logits"),
            claims.shift_invariant("teacher_logits"),
            claims.lipschitz(
                lambda s: 2**0.5 * s.get("temperature", 1.0), "student_logits", text="sqrt(2) T"
            ),
            claims.gradient_is(
                "T (softmax(student / T) - softmax(teacher / T))", "student_logits", _softened_error
            ),
            claims.equals(
                "half the variance of the logits' difference as T grows",
                _logits_apart,
                {"temperature": 1e5},
                tolerance=1e-3,
            ),
            properties.relabelled("student_logits", "teacher_logits"),
            claims.smooth(0.5, "student_logits"),
            claims.minimum_at_target(),
        ),
        non_claims=("a gradient for the teacher", "symmetric"),
    ),
)
