"""Every public loss is in the catalogue, and the catalogue says enough."""

import inspect

import optax
import pytest

import jaxloss
from jaxloss import catalog

# A family is a room: what it exports stands at the top level.
PUBLIC = [name for family in catalog.families() for name in getattr(jaxloss, family).__all__]
LOSSES = [name for name in PUBLIC if name not in catalog.NOT_LOSSES]


def test_every_public_loss_has_an_entry() -> None:
    assert {name for name in catalog.names() if "." not in name} == set(LOSSES)
    assert set(catalog.NOT_LOSSES) <= set(PUBLIC)


def test_both_sides_of_every_objective_have_an_entry() -> None:
    objectives = {
        name: value
        for name, value in vars(jaxloss.adversarial).items()
        if isinstance(value, jaxloss.adversarial.Objective)
    }
    assert len(objectives) >= 7
    sides = {f"{name}.{side}" for name in objectives for side in ("discriminator", "generator")}
    assert {name for name in catalog.names() if "." in name} == sides


def test_every_public_name_stands_at_the_top_level() -> None:
    assert len(PUBLIC) == len(set(PUBLIC)), "two rooms export one name"
    for family in catalog.families():
        room = getattr(jaxloss, family)
        for name in room.__all__:
            assert getattr(jaxloss, name) is getattr(room, name)


@pytest.mark.parametrize("name", catalog.names())
def test_an_entry_says_enough(name: str) -> None:
    entry = catalog.get(name)
    for text in ("purpose", "character", "when", "avoid", "source"):
        assert len(getattr(entry, text)) > 5, text
    assert entry.formula
    assert entry.claims, "an entry without claims says nothing"
    assert entry.coupled in ("example", "list", "batch")
    positional = list(inspect.signature(entry.specimen or entry.loss).parameters)
    assert list(entry.arguments) == positional[: len(entry.arguments)]


@pytest.mark.parametrize("name", LOSSES)
def test_a_docstring_has_shapes_an_example_and_a_source(name: str) -> None:
    text = inspect.getdoc(getattr(jaxloss, name)) or ""
    for part in ("Args:", "Returns:", "Example:", "Reference:", ">>> ", "[..."):
        assert part in text or (part == "[..." and "`[" in text), f"{name} has no {part}"


@pytest.mark.parametrize("name", LOSSES)
def test_data_are_positional_and_the_rest_keyword_only(name: str) -> None:
    """Where optax has the loss, what is positional there may be so here."""
    allowed = {"axis", "where", "max_fun", "regularizer", "critic"}
    if hasattr(optax.losses, name):
        allowed |= set(inspect.signature(getattr(optax.losses, name)).parameters)
    parameters = inspect.signature(getattr(jaxloss, name)).parameters.values()
    free = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    data = set(catalog.get(name).arguments) if name != "make_fenchel_young_loss" else set()
    assert set(free) <= data | allowed


# What the survey says of the losses of its first six chapters.
SURVEY = {
    "squared_error": [
        "its gradient is twice the error, without bound",
        "its minimiser is the mean",
    ],
    "absolute_error": ["its gradient is the sign of the error", "its minimiser is the median"],
    "huber_loss": [
        "Lipschitz in predictions with delta",
        "tends to l2_loss as delta grows",
        "tends to delta times absolute_error as delta shrinks",
    ],
    "sigmoid_binary_cross_entropy": [
        "strictly proper, by default",
        "its gradient is sigmoid(logits) - labels, by default",
        "pos_weight multiplies the odds of the optimum",
    ],
    "softmax_cross_entropy": [
        "strictly proper, by default",
        "shift-invariant in logits, by default",
        "its gradient is softmax(logits) - labels, by default",
    ],
    "sigmoid_focal_loss": [
        "tends to the cross-entropy at gamma 0",
        "its weight falls with confidence",
    ],
    "quantile_loss": [
        "its minimiser is the quantile",
        "its gradient is -quantile where too low and 1 - quantile where too high",
    ],
    "hinge_loss": ["no gradient beyond the margin", "classification-calibrated"],
    "kl_divergence": [
        "non-negative",
        "positive off the target",
        "zero at equal distributions, to the rounding of the logarithm",
        "not symmetric: (0.85, 0.05, 0.05, 0.05) and uniform are a witness",
    ],
    "jensen_shannon_divergence": [
        "symmetric, by default",
        "bounded, by default",
        "the gradient in the predictions' logits tends to 0 for disjoint supports",
    ],
    "wasserstein_1d": ["its gradient does not vanish for disjoint supports, by default"],
    "kantorovich_rubinstein": ["at most the Wasserstein-1 distance"],
    "minimax.generator": ["its gradient vanishes where the discriminator is sure"],
    "least_squares.generator": ["its gradient does not vanish where the discriminator is sure"],
    "non_saturating.generator": [
        "same fixed point as minimax",
        "its gradient is alive where minimax's is dead",
    ],
    "triplet_margin_loss": [
        "0 with zero gradient where the margin is met, unless soft",
        "unchanged when all embeddings are translated",
    ],
    "approx_ndcg_loss": [
        "tends to 1 - ndcg as the temperature goes to 0",
        "unchanged when the items of a list change places",
    ],
    "adversarial_cross_entropy": [
        "never below the clean loss at the perturbation found",
        "equals the clean cross-entropy at radius 0",
    ],
}


@pytest.mark.parametrize("name", SURVEY)
def test_the_surveys_claims_are_made(name: str) -> None:
    assert set(SURVEY[name]) <= {str(claim) for claim in catalog.get(name).claims}


def test_an_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(KeyError, match="did you mean huber_loss"):
        catalog.get("huberloss")
    with pytest.raises(ValueError, match="family must be one of regression, classification"):
        catalog.names("cooking")
