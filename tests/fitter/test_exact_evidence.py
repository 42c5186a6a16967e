"""Exact rates in the fits: the limit of ever more samples, and no counts made up."""

from __future__ import annotations

import numpy as np
import pytest

from passuntil import Tally, fit_scaling_law
from passuntil.errors import EstimationError
from passuntil.estimator.exact import ExactRate, ExactRates
from passuntil.fitter import as_family, backtest, emergence, tallies_digest
from passuntil.fitter.observations import observe

SIZES = np.array([36, 109, 241, 499, 892, 1544]) * 1e6
RATES = np.exp(-200 * SIZES**-0.2)
SCATTERED = np.exp(-np.exp(np.log(-np.log(RATES)) + 0.1 * np.array([1, -1, 0.5, 0, -1, 0.7])))


def exact(rates: np.ndarray) -> list[ExactRates]:
    return [ExactRates([ExactRate(float(p), 0.0)]) for p in rates]


def counted(rates: np.ndarray, trials: int) -> list[list[Tally]]:
    return [[Tally.fixed(passes=round(trials * p), trials=trials)] for p in rates]


@pytest.mark.parametrize("method", ["mle", "saturating", "damped", "combined"])
def test_exact_rates_are_the_limit_of_many_samples(method: str) -> None:
    found = fit_scaling_law(n_params=SIZES, tallies=exact(SCATTERED), method=method)
    limit = fit_scaling_law(n_params=SIZES, tallies=counted(SCATTERED, 10**10), method=method)
    mine, theirs = (fit.predict(2449e6, 0.9) for fit in (found, limit))
    for name in ("value", "low", "high"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=0.02)


def test_the_papers_regression_takes_them() -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=exact(RATES), method="ols")
    assert fit.predict(2449e6).value == pytest.approx(0.0706570914, rel=1e-9)


def test_exact_and_sampled_models_mix() -> None:
    mixed = [*exact(SCATTERED)[:3], *counted(SCATTERED, 2000)[3:]]
    observations = observe(as_family(SIZES, mixed))
    assert observations.is_exact.tolist() == [True] * 3 + [False] * 3
    assert (observations.hazard_sds[:3] == 0).all()
    assert (observations.hazard_sds[3:] > 0).all()
    fit = fit_scaling_law(n_params=SIZES, tallies=mixed)
    assert 0 < fit.predict(2449e6).value < 1


def test_a_fit_knows_scatter_from_sampling_noise() -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=exact(SCATTERED))
    assert fit.lack_of_fit.verdict in ("scatter", "bends")
    assert fit.predict(2449e6, 0.9).low < fit.predict(2449e6, 0.9).high


RNG = np.random.default_rng(5)
HAZARDS = (
    RNG.normal(1.2, 0.7, (40, 1))
    - RNG.normal(0.2, 0.04, (40, 1)) * (np.log(SIZES) - np.log(SIZES).mean())
    + RNG.normal(0, 0.1, (40, 6))
)
UNLIKE = np.exp(-np.exp(HAZARDS)).T  # (n_models, n_instances)


def exact_instances(rates: np.ndarray) -> list[ExactRates]:
    return [ExactRates([ExactRate(float(p), 0.0) for p in row]) for row in rates]


@pytest.mark.parametrize("method", ["instance", "instance_saturating"])
def test_instance_laws_take_them_as_the_limit_of_many_samples(method: str) -> None:
    found = fit_scaling_law(n_params=SIZES, tallies=exact_instances(UNLIKE), method=method)
    many = [[Tally.fixed(passes=round(10**10 * p), trials=10**10) for p in row] for row in UNLIKE]
    limit = fit_scaling_law(n_params=SIZES, tallies=many, method=method)
    mine, theirs = (fit.predict(2449e6, 0.9) for fit in (found, limit))
    for name in ("value", "low", "high"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=0.02)


def test_instance_laws_mix_exact_and_sampled_models() -> None:
    mixed = [
        *exact_instances(UNLIKE[:3]),
        *([Tally.fixed(passes=round(10**6 * p), trials=10**6) for p in row] for row in UNLIKE[3:]),
    ]
    found = fit_scaling_law(n_params=SIZES, tallies=mixed, method="instance").predict(2449e6)
    whole = fit_scaling_law(n_params=SIZES, tallies=exact_instances(UNLIKE), method="instance")
    assert found.value == pytest.approx(whole.predict(2449e6).value, rel=0.02)


def test_easy_and_impossible_instances() -> None:
    rates = UNLIKE.copy()
    rates[:, 0] = 1 - 1e-12  # F = -27.6: nearly sure, and no reason for unlike slopes
    usual = fit_scaling_law(n_params=SIZES, tallies=exact_instances(UNLIKE), method="instance")
    easy = fit_scaling_law(n_params=SIZES, tallies=exact_instances(rates), method="instance")
    spread = [np.exp(fit.draws.mode[2]) for fit in (usual, easy)]
    assert spread[0] < spread[1] < 2  # 28 sd away it would be 4
    bounded = [
        ExactRates([ExactRate(0.0, 1e-6), *(ExactRate(float(p), 0.0) for p in row)])
        for row in UNLIKE
    ]
    assert fit_scaling_law(n_params=SIZES, tallies=bounded, method="instance").predict(1e10).value
    impossible = [
        ExactRates([ExactRate(0.0, 0.0), *(ExactRate(float(p), 0.0) for p in row)])
        for row in UNLIKE
    ]
    with pytest.raises(EstimationError, match="exact rates of 0 for 1 of 41 instances"):
        fit_scaling_law(n_params=SIZES, tallies=impossible, method="instance")


def test_what_has_no_use_of_them_says_so() -> None:
    many = exact_instances(UNLIKE)
    with pytest.raises(EstimationError, match="guess rate and exact rates"):
        fit_scaling_law(n_params=SIZES, tallies=many, method="instance", guess_rate=0.25)


def test_the_pool_has_the_instances_laws_where_they_take_the_rates() -> None:
    pool = fit_scaling_law(n_params=SIZES, tallies=exact_instances(UNLIKE), method="combined")
    assert {"instance", "instance_damped", "instance_saturating"} < set(pool.parts)
    assert not pool.left_out
    impossible = UNLIKE.copy()
    impossible[:, 0] = 0.0
    short = fit_scaling_law(n_params=SIZES, tallies=exact_instances(impossible), method="combined")
    assert set(short.parts) == {"mle", "damped", "saturating"}
    forecast = short.predict(2449e6)
    assert 0 < forecast.low < forecast.value < forecast.high < 1
    assert "left out (instance: got exact rates of 0 for 1 of 40 instances" in forecast.words


def test_losses_explain_exact_rates() -> None:
    losses = np.exp(HAZARDS / 2)  # F = 2 log L
    fit = fit_scaling_law(
        n_params=SIZES, tallies=exact_instances(UNLIKE), method="loss_assisted", losses=losses
    )
    assert fit.slope == pytest.approx(2, abs=0.05)


def test_backtest_and_digest_take_them() -> None:
    result = backtest(n_params=SIZES, tallies=exact(RATES), methods=["mle"])
    assert {row.method for row in result.rows} >= {"mle", "last value", "dataset OLS"}
    changed = exact(RATES)
    changed[2] = ExactRates([ExactRate(0.5, 0.0)])
    assert tallies_digest(exact(RATES)) == tallies_digest(exact(RATES))
    assert tallies_digest(exact(RATES)) != tallies_digest(changed)


def test_rates_that_are_not_known_well_are_refused() -> None:
    unsure = exact(SCATTERED)
    unsure[2] = ExactRates([ExactRate(float(SCATTERED[2]), float(0.009 * SCATTERED[2]))])
    assert fit_scaling_law(n_params=SIZES, tallies=unsure).predict(2449e6).value > 0
    unsure[2] = ExactRates([ExactRate(float(SCATTERED[2]), float(0.011 * SCATTERED[2]))])
    for method in ("mle", "ols", "combined"):
        with pytest.raises(EstimationError, match="not summed; allowed: at most 1% of PU"):
            fit_scaling_law(n_params=SIZES, tallies=unsure, method=method)


def test_emergence_takes_them() -> None:
    z = np.log(SIZES) - np.log(SIZES).mean()
    slopes = RNG.normal(0.2, 0.04, (40, 1))
    bent = HAZARDS + slopes * (z - np.expm1(0.8 * z) / 0.8)
    straight, faster = (
        emergence(n_params=SIZES, tallies=exact_instances(np.exp(-np.exp(f)).T))
        for f in (HAZARDS, bent)
    )
    assert straight.verdict == "linear"
    assert faster.verdict == "accelerated"
    assert faster.shapes


def test_a_rate_of_one_has_no_place_on_the_line() -> None:
    with pytest.raises(EstimationError, match="finite"):
        fit_scaling_law(n_params=SIZES, tallies=exact(np.ones(6)))
