"""Methods that follow a preference, the weights of the losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from balance.training import Method
from jaxloss import weighting


def _scalarizer(make: Callable[[Any], Any]) -> Callable[[Any], Method]:
    return lambda preference: Method(losses=make(preference))


def _pbi(w: Any) -> Any:
    # Weighted losses are equal where the losses stand in the inverse proportion of the weights.
    return weighting.pbi(2.0, weights={"first": w["second"], "second": w["first"]})


METHODS: Mapping[str, Callable[[Any], Method]] = {
    "weighted sum": _scalarizer(weighting.fixed),
    "tchebycheff": _scalarizer(lambda w: weighting.tchebycheff(weights=w)),
    "smooth_tchebycheff": _scalarizer(lambda w: weighting.smooth_tchebycheff(0.05, weights=w)),
    "pbi": _scalarizer(_pbi),
}
