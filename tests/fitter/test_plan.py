"""What more samples, or one more model, would bring."""

from __future__ import annotations

import json

import numpy as np
import pytest
from simulated_families import SIZES, fixed_tallies, hazards

from passuntil import fit_scaling_law
from passuntil.estimator.exact import ExactRate, ExactRates
from passuntil.fitter import as_family, plan
from passuntil.fitter.planning import _information
from passuntil.fitter.scaling_law import fit_mle

RNG = np.random.default_rng(5)
F = hazards(RNG, SIZES, 60)


def exact(f: np.ndarray) -> list[ExactRates]:
    return [ExactRates([ExactRate(float(p), 0.0) for p in row]) for row in np.exp(-np.exp(f)).T]


def test_plan_names_what_helps() -> None:
    few = fixed_tallies(np.random.default_rng(6), F, 60)
    family = as_family(SIZES, few)
    result = plan(family, 5e9, new_sizes=[3e9], samples_per_second=100.0)
    assert result.least_log_width < result.log_width
    assert all(o.log_width <= result.log_width for o in result.options)
    new = [o for o in result.options if o.is_new]
    assert len(new) == 1
    if result.factor_to_halve is not None:
        assert result.factor_to_halve > 4 - 1e-6  # scatter makes it more than four times
        assert result.hours_to_halve == pytest.approx(result.samples_to_halve / 360_000)
    json.dumps(result.to_json())
    precise = plan(as_family(SIZES, fixed_tallies(RNG, F, 10**6)), 5e9)
    assert precise.factor_to_halve is None
    assert "scatter" in precise.words


@pytest.mark.slow
def test_plan_against_simulation() -> None:
    """Predicted widths after four times the samples: within 25 % of refits on new families."""
    ratios = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        f = hazards(rng, SIZES, 60) + rng.normal(0, 0.05, 6)
        before = as_family(SIZES, fixed_tallies(rng, f, 100))
        after = fit_scaling_law(n_params=SIZES, tallies=fixed_tallies(rng, f, 400)).predict(5e9)
        info = _information(fit_mle(before), 5e9, 0.9)
        ratios.append(info.log_width(info.se / 2) / np.log(after.high / after.low))
    # standard error of the median of 24 ratios is about 0.06
    assert np.median(ratios) == pytest.approx(1, abs=0.25)


def test_one_more_exact_model_against_simulation() -> None:
    """Predicted widths after one more size: within 25 % of refits with its exact rates."""
    more = np.append(SIZES, 3e9)
    ratios, unplanned = [], []
    for seed in range(48):
        rng = np.random.default_rng([seed, 2])
        f = hazards(rng, more, 60) + rng.normal(0, 0.05, 7)
        evidence = exact(f)
        option = plan(as_family(SIZES, evidence[:-1]), 2e10, new_sizes=[3e9]).options[0]
        now = fit_scaling_law(n_params=SIZES, tallies=evidence[:-1]).predict(2e10)
        after = fit_scaling_law(n_params=more, tallies=evidence).predict(2e10)
        ratios.append(option.log_width / np.log(after.high / after.low))
        unplanned.append(np.log(now.high / now.low) / np.log(after.high / after.low))
    # standard error of the median of 48 ratios is about 0.05
    assert np.median(ratios) == pytest.approx(1, abs=0.25)
    assert np.median(unplanned) > 1.25  # "nothing changes" would fail


def test_exact_rates_leave_only_models_to_plan() -> None:
    result = plan(as_family(SIZES, exact(F)), 5e9, new_sizes=[1e8, 3e9], samples_per_second=10.0)
    assert result.least_log_width == result.log_width
    assert result.factor_to_halve is None
    assert result.hours_to_halve is None
    assert [(o.is_new, o.samples) for o in result.options] == [(True, 0.0)] * 2
    assert result.best is result.options[1]  # the size nearer to the one forecast
    assert "more samples bring nothing" in result.words
    assert "measured exactly, leaves" in result.words
    json.dumps(result.to_json())
    alone = plan(as_family(SIZES, exact(F)), 5e9)
    assert alone.best is None
    assert alone.options == ()
    assert "new_sizes" in alone.words


def test_only_sampled_models_take_samples() -> None:
    family = as_family(SIZES, [*exact(F)[:3], *fixed_tallies(RNG, F[:, 3:], 60)])
    result = plan(family, 5e9)
    assert [o.n_params for o in result.options] == SIZES[3:].tolist()
    assert result.least_log_width < result.log_width
    assert result.best in result.options
