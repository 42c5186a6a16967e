"""Fits and results go to another process and come back: pickled, and copied deeply."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from simulated_families import SIZES, fixed_tallies, hazards

from passuntil import fit_scaling_law
from passuntil.estimator.exact import ExactRate, ExactRates
from passuntil.fitter import as_family, backtest, emergence, plan, seal
from passuntil.fitter.combined import CombinedFit
from passuntil.fitter.scaling_law import FITS

N = 8
F = hazards(np.random.default_rng(4), SIZES[:5], N)
TALLIES = fixed_tallies(np.random.default_rng(5), F, 300)
FAMILY: dict[str, Any] = {"n_params": SIZES[:5], "tallies": TALLIES}
EXTRA: dict[str, dict[str, Any]] = {
    "loss_assisted": {"losses": np.exp(F / 2)},
    "joint": {"n_tokens": 20 * SIZES[:5]},
}


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("again", [pickled, copy.deepcopy])
@pytest.mark.parametrize("method", [*FITS, "loss_assisted", "joint"])
def test_a_fit_comes_back_whole(method: str, again: Callable[[Any], Any]) -> None:
    fit = fit_scaling_law(**FAMILY, method=method, **EXTRA.get(method, {}))
    found = again(fit)
    assert type(found) is type(fit)
    assert found.predict(5e9).to_json() == fit.predict(5e9).to_json()
    assert found.to_json() == fit.to_json()
    assert again(fit.predict(5e9)).to_json() == fit.predict(5e9).to_json()
    if isinstance(found, CombinedFit):
        assert type(found.parts) is type(fit.parts)
        with pytest.raises(TypeError):
            found.shares["mle"] = 1.0  # type: ignore[index]


@pytest.mark.parametrize("again", [pickled, copy.deepcopy])
def test_results_come_back_whole(again: Callable[[Any], Any]) -> None:
    line = fit_scaling_law(**FAMILY)
    for result in (
        plan(as_family(**FAMILY), 5e9, new_sizes=[2e9]),
        backtest(**FAMILY, methods=["mle"]),
        emergence(**FAMILY),
        seal(line, 5e9),
        line.lack_of_fit,
    ):
        assert again(result).to_json() == result.to_json()
    guessed = fit_scaling_law(**FAMILY, method="instance", guess_rate=0.001)
    ahead, found = guessed.predict_instances(5e9), again(guessed).predict_instances(5e9)
    assert (found.low == ahead.low).all()
    assert (again(ahead).value == ahead.value).all()


@pytest.mark.parametrize("again", [pickled, copy.deepcopy])
def test_evidence_comes_back_whole(again: Callable[[Any], Any]) -> None:
    assert list(again(TALLIES[0])) == list(TALLIES[0])
    rates = ExactRates([ExactRate(0.25, 0.0), ExactRate(0.5, 1e-9)])
    assert again(rates).rates == rates.rates
