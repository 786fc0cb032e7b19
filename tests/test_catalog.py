"""Every public loss is in the catalogue, and the catalogue says enough."""

import inspect

import pytest

import jaxloss
from jaxloss import catalog

PUBLIC = [*jaxloss.regression.__all__, *jaxloss.classification.__all__]


def test_every_public_loss_has_an_entry() -> None:
    assert set(PUBLIC) - set(catalog.NOT_LOSSES) == set(catalog.names())


def test_every_public_name_stands_at_the_top_level() -> None:
    for name in PUBLIC:
        assert getattr(jaxloss, name).__name__ == name


@pytest.mark.parametrize("name", catalog.names())
def test_an_entry_says_enough(name: str) -> None:
    entry = catalog.get(name)
    for text in ("purpose", "character", "when", "avoid", "formula", "source"):
        assert len(getattr(entry, text)) > 5, text
    assert entry.claims, "an entry without claims says nothing"
    assert entry.family in catalog.families()
    positional = list(inspect.signature(entry.loss).parameters)
    assert list(entry.arguments) == positional[: len(entry.arguments)]


@pytest.mark.parametrize("name", [n for n in PUBLIC if n not in catalog.NOT_LOSSES])
def test_a_docstring_has_shapes_an_example_and_a_source(name: str) -> None:
    text = inspect.getdoc(getattr(jaxloss, name)) or ""
    for part in ("Args:", "Returns:", "Example:", "Reference:", ">>> ", "[..."):
        assert part in text or (part == "[..." and "`[" in text), f"{name} has no {part}"


@pytest.mark.parametrize("name", [n for n in PUBLIC if n not in catalog.NOT_LOSSES])
def test_data_are_positional_and_the_rest_keyword_only(name: str) -> None:
    """`axis` and `where` stay positional where optax has them so."""
    allowed = {"axis", "where", "max_fun", "regularizer"}
    parameters = inspect.signature(getattr(jaxloss, name)).parameters.values()
    free = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    data = set(catalog.get(name).arguments) if name != "make_fenchel_young_loss" else set()
    assert set(free) <= data | allowed


# What the survey says of the losses of its first two chapters, and of focal, pinball and hinge.
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
}


@pytest.mark.parametrize("name", SURVEY)
def test_the_surveys_claims_are_made(name: str) -> None:
    assert set(SURVEY[name]) <= {str(claim) for claim in catalog.get(name).claims}


def test_an_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(KeyError, match="did you mean huber_loss"):
        catalog.get("huberloss")
    with pytest.raises(ValueError, match="family must be one of regression, classification"):
        catalog.names("ranking")
