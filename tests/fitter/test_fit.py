"""Fits of the law under their public names."""

import dataclasses
import math

import numpy as np
import pytest

from passuntil import Tally, fit_scaling_law
from passuntil.errors import EstimationError, UsageError
from passuntil.fitter import fit_line, tallies_digest

SIZES = np.array([36e6, 109e6, 241e6, 499e6, 892e6, 1544e6])
PU = np.array([0.0021066, 0.00716944, 0.01479685, 0.02618453, 0.03904364, 0.05469227])
LAW = np.exp(-200 * SIZES**-0.2)


def fixed(rates: np.ndarray, trials: int = 10**8) -> list[list[Tally]]:
    return [[Tally.fixed(passes=round(p * trials), trials=trials)] for p in rates]


def test_synthetic_fixture() -> None:
    assert pytest.approx(PU, abs=5e-9) == LAW
    line = fit_line(SIZES, LAW)
    assert line.alpha == pytest.approx(0.2, abs=1e-12)
    assert line.log_c == pytest.approx(math.log(200), abs=1e-11)
    assert math.exp(-math.exp(line.hazard(math.log(2449e6)))) == pytest.approx(
        0.0706570914, abs=5e-11
    )


def test_dataset_fit_of_two_unlike_instances() -> None:
    def mean(n: np.ndarray) -> np.ndarray:
        return (np.exp(-200 * n**-0.2) + np.exp(-30 * n**-0.15)) / 2

    line = fit_line(SIZES, mean(SIZES))
    predicted = math.exp(-math.exp(line.hazard(math.log(2449e6))))
    assert predicted == pytest.approx(0.186285, abs=5e-7)
    assert mean(np.array(2449e6)) == pytest.approx(0.190267, abs=5e-7)


@pytest.mark.parametrize("method", ["mle", "ols"])
def test_recovers_the_law(method: str) -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=fixed(LAW), method=method)
    assert fit.alpha == pytest.approx(0.2, abs=2e-4)
    assert fit.c == pytest.approx(200, rel=5e-3)
    forecast = fit.predict(2449e6)
    assert forecast.low <= 0.0706570914 <= forecast.high
    assert forecast.value == pytest.approx(0.0706570914, rel=2e-3)
    assert fit.lack_of_fit.verdict == "holds"


def test_order_of_models_does_not_matter() -> None:
    tallies = fixed(LAW, 10**5)
    forward = fit_scaling_law(n_params=SIZES, tallies=tallies)
    backward = fit_scaling_law(n_params=SIZES[::-1], tallies=tallies[::-1])
    assert forward.predict(3e9).value == backward.predict(3e9).value
    assert forward.digest == backward.digest


def test_ols_refuses_zeros_and_ones() -> None:
    tallies = fixed(LAW, 10**6)
    tallies[0] = [Tally.censored(passes=0, trials=1000)]
    with pytest.raises(EstimationError, match=r"PU = 0.*mle"):
        fit_scaling_law(n_params=SIZES, tallies=tallies, method="ols")
    tallies[0] = [Tally.fixed(passes=10, trials=10)]
    with pytest.raises(EstimationError, match="log PU"):
        fit_scaling_law(n_params=SIZES, tallies=tallies, method="ols")


def test_mle_takes_zeros_as_evidence() -> None:
    tallies = fixed(LAW, 10**6)
    tallies[0] = [Tally.censored(passes=0, trials=1000)] * 3
    with_zero = fit_scaling_law(n_params=SIZES, tallies=tallies)
    without = fit_scaling_law(n_params=SIZES[1:], tallies=tallies[1:])
    assert with_zero.alpha == pytest.approx(0.2, abs=0.01)
    assert with_zero.predict(2449e6).value == pytest.approx(without.predict(2449e6).value, rel=0.05)
    # and a zero that contradicts the others pulls
    tallies[0] = [Tally.censored(passes=0, trials=100_000)] * 3
    assert fit_scaling_law(n_params=SIZES, tallies=tallies).lack_of_fit is not None
    pulled = fit_scaling_law(n_params=SIZES[:3], tallies=tallies[:3])
    free = fit_scaling_law(n_params=SIZES[1:3], tallies=tallies[1:3])
    assert pulled.alpha > free.alpha


def test_nothing_passed_anywhere_raises() -> None:
    tallies = [[Tally.censored(passes=0, trials=1000)]] * 6
    with pytest.raises(EstimationError):
        fit_scaling_law(n_params=SIZES, tallies=tallies)


def test_interval_widens_with_level_distance_and_noise() -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=fixed(LAW, 10**4))

    def width(fit, n: float, level: float = 0.9) -> float:
        p = fit.predict(n, level)
        return math.log(p.high / p.low)

    assert width(fit, 2e9, 0.95) > width(fit, 2e9) > width(fit, 2e9, 0.5)
    assert width(fit, 2e10) > width(fit, 4e9) > width(fit, 1e9)
    assert width(fit_scaling_law(n_params=SIZES, tallies=fixed(LAW, 10**6)), 2e9) < width(fit, 2e9)


def test_scatter_of_models_widens_the_interval() -> None:
    noise = np.array([1, -1, 1, -1, 1, -1]) * 0.08
    rates = np.exp(-np.exp(np.log(200 * SIZES**-0.2) + noise))
    smooth = fit_scaling_law(n_params=SIZES, tallies=fixed(LAW, 10**6))
    rough = fit_scaling_law(n_params=SIZES, tallies=fixed(rates, 10**6))
    assert rough.lack_of_fit.verdict == "scatter"
    assert rough.model_scatter > 3 * smooth.model_scatter
    a, b = smooth.predict(3e9), rough.predict(3e9)
    assert b.high - b.low > 2 * (a.high - a.low)
    parts = b.components
    assert parts.total == pytest.approx(b.distribution.variance)


def test_two_sizes_are_honest() -> None:
    tallies = fixed(LAW[:2], 10**6)
    forecast = fit_scaling_law(n_params=SIZES[:2], tallies=tallies, method="ols").predict(1e9)
    assert (forecast.low, forecast.high) == (0, 1)
    fit = fit_scaling_law(n_params=SIZES[:2], tallies=tallies)
    assert fit.lack_of_fit.verdict == "not enough data"


def test_guess_rate() -> None:
    guess = 0.25
    rates = guess + (1 - guess) * np.exp(-30 * SIZES**-0.2)
    fit = fit_scaling_law(n_params=SIZES, tallies=fixed(rates), guess_rate=guess)
    assert fit.alpha == pytest.approx(0.2, abs=1e-3)
    forecast = fit.predict(1e13)
    assert forecast.value == pytest.approx(0.25 + 0.75 * math.exp(-30 * 1e13**-0.2), rel=5e-3)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [([1e6], "one"), ([1e6, 1e6], "different"), ([1e6, -1], "positive"), ([1, 2, 3], "pairing")],
)
def test_bad_sizes_are_refused(sizes: list[float], words: str) -> None:
    tallies = fixed(LAW[:2], 1000)[: max(1, min(len(sizes), 2))]
    if words == "one":
        words = "different"
    with pytest.raises(UsageError, match=words):
        fit_scaling_law(n_params=sizes, tallies=tallies)


def test_fit_is_immutable_and_methods_are_named() -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=fixed(LAW))
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.method = "other"
    with pytest.raises(UsageError, match="Did you mean 'mle'"):
        fit_scaling_law(n_params=SIZES, tallies=fixed(LAW), method="mll")
    with pytest.raises(UsageError, match="n_params"):
        fit.predict(-1)


def test_digest_is_canonical() -> None:
    tallies = [[Tally.stopped(passes=1, trials=37)], [Tally.censored(passes=0, trials=10)]]
    assert tallies_digest(tallies) == tallies_digest([tuple(t) for t in tallies])
    assert tallies_digest(tallies) != tallies_digest(tallies[::-1])
    assert len(tallies_digest(tallies)) == 64
