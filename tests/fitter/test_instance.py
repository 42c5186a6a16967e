"""The hierarchical instance model: Laplace against quadrature, recovery, forecasts."""

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.special import logsumexp
from simulated_families import SIZES, first_pass_tallies, fixed_tallies, hazards

from passuntil import Tally, fit_scaling_law
from passuntil.errors import EstimationError
from passuntil.fitter.hierarchy import Hierarchy, _likelihood

RNG = np.random.default_rng(11)
F = hazards(RNG, np.append(SIZES, SIZES[-1] * 3), 100)
TRUTH = float(np.exp(-np.exp(F[:, -1])).mean())
TALLIES = fixed_tallies(RNG, F[:, :-1], 2000)
FIRST = first_pass_tallies(RNG, F[:, :-1], 10_000)


def test_derivatives_of_the_likelihood() -> None:
    f = np.linspace(-6, 3, 40)
    c, fail = np.full(40, 3.0), np.full(40, 50.0)
    step = 1e-4
    up, down = _likelihood(c, fail, f + step), _likelihood(c, fail, f - step)
    _, slope, curve = _likelihood(c, fail, f)
    np.testing.assert_allclose(slope, (up[0] - down[0]) / (2 * step), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(curve, -(up[1] - down[1]) / (2 * step), rtol=1e-5, atol=1e-6)


def test_log_marginal_against_quadrature() -> None:
    """One instance, scatter switched off: Laplace against a two-dimensional integral."""
    z = np.array([-1.0, 0.0, 1.0])
    c, n = np.array([[40.0, 60.0, 90.0]]), np.full((1, 3), 400.0)
    data = Hierarchy(z, c, n, np.ones(1))
    theta = np.array([[0.6, 0.15, np.log(0.5), np.log(0.1), 0.0, -7.0, -6.0]])

    def density(alpha: float, a: float) -> float:
        f = a - alpha * z
        value = _likelihood(c[0], (n - c)[0], f)[0].sum() + 600
        prior = -0.5 * ((a - 0.6) / 0.5) ** 2 - 0.5 * ((alpha - 0.15) / 0.1) ** 2
        return float(np.exp(value + prior) / (2 * np.pi * 0.5 * 0.1))

    integral, _ = dblquad(density, 0.0, 1.2, -0.4, 0.7)
    assert data.latents(theta).log_marginal[0] == pytest.approx(np.log(integral) - 600, abs=0.02)


def test_equal_rows_are_one_row() -> None:
    z = np.array([-1.0, 1.0])
    c, n = np.array([[0.0, 3.0], [0.0, 3.0], [5.0, 9.0]]), np.full((3, 2), 100.0)
    theta = np.array([[1.5, 0.15, -0.5, -2.0, 0.3, -3.0, -2.0], [1, 0.1, 0, -3, 0, -2, -2.0]])
    whole = Hierarchy(z, c, n, np.ones(3)).latents(theta)
    short = Hierarchy(z, c[1:], n[1:], np.array([2.0, 1.0])).latents(theta)
    np.testing.assert_allclose(whole.log_marginal, short.log_marginal, rtol=1e-9)
    np.testing.assert_allclose(whole.u, short.u, atol=1e-6)


@pytest.mark.parametrize("tallies", [TALLIES, FIRST], ids=["fixed", "first pass"])
def test_recovers_and_covers(tallies: list) -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=tallies, method="instance")
    forecast = fit.predict(SIZES[-1] * 3)
    assert forecast.low <= TRUTH <= forecast.high
    assert forecast.value == pytest.approx(TRUTH, rel=0.15)
    assert fit.alphas.mean() == pytest.approx(0.2, abs=0.05)
    assert forecast.components.total == pytest.approx(forecast.distribution.variance, rel=1e-6)
    ols = fit_scaling_law(n_params=SIZES, tallies=tallies, method="ols").predict(SIZES[-1] * 3)
    if tallies is FIRST:
        assert abs(np.log(forecast.value / TRUTH)) < 0.4 * abs(np.log(ols.value / TRUTH))


def test_instance_forecasts_cover() -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=TALLIES, method="instance")
    ahead = fit.predict_instances(SIZES[-1] * 3)
    truth = np.exp(-np.exp(F[:, -1]))
    covered = ((ahead.low <= truth) & (truth <= ahead.high)).mean()
    # 100 instances at 90 %: at least 81 but once in 200 even if independent
    assert covered >= 0.81
    short = (truth >= ahead.value) & (truth <= ahead.value * 1.0001)
    assert short.mean() < 0.81


def test_needs_the_same_instances() -> None:
    tallies = [[Tally.fixed(passes=1, trials=10)] * k for k in (2, 3, 3)]
    with pytest.raises(EstimationError, match="same instances"):
        fit_scaling_law(n_params=SIZES[:3], tallies=tallies, method="instance")
    zeros = [[Tally.censored(passes=0, trials=10)] * 3] * 3
    with pytest.raises(EstimationError, match="no passes"):
        fit_scaling_law(n_params=SIZES[:3], tallies=zeros, method="instance")


def test_open_and_unsampled_instances_enter() -> None:
    rows = [list(t) for t in TALLIES]
    rows[2][0] = Tally.open(passes=0, trials=0)
    rows[3][1] = Tally.open(passes=1, trials=7)
    fit = fit_scaling_law(n_params=SIZES, tallies=rows, method="instance")
    assert fit.predict(5e9).value > 0


def test_combined_pools_its_parts() -> None:
    fit = fit_scaling_law(n_params=SIZES[:4], tallies=TALLIES[:4], method="combined")
    weights = fit.weights(3e9)
    assert sum(weights.values()) == pytest.approx(1)
    assert {"mle", "instance", "saturating", "damped"} <= set(weights)
    forecast = fit.predict(3e9)
    values = [part.predict(3e9).value for part in fit.parts.values()]
    assert min(values) <= forecast.value <= max(values)
    assert forecast.components.law > 0
    assert forecast.components.total == pytest.approx(forecast.distribution.variance, rel=1e-6)


def test_combined_without_common_instances_uses_the_dataset() -> None:
    rows = [list(t) for t in TALLIES[:3]]
    rows[0] = rows[0][:50]
    fit = fit_scaling_law(n_params=SIZES[:3], tallies=rows, method="combined")
    assert set(fit.parts) == {"mle", "damped", "saturating"}


def test_saturating_law_sees_a_plateau() -> None:
    sizes = np.logspace(7, 10, 8)
    rates = np.exp(-(1.5 + 300 * sizes**-0.3))
    tallies = [[Tally.fixed(passes=round(1e6 * p), trials=10**6)] for p in rates]
    fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="saturating")
    truth = np.exp(-(1.5 + 300 * 1e11**-0.3))
    forecast = fit.predict(1e11)
    assert forecast.low <= truth <= forecast.high
    straight = fit_scaling_law(n_params=sizes, tallies=tallies)
    assert abs(np.log(forecast.value / truth)) < 0.3 * abs(
        np.log(straight.predict(1e11).value / truth)
    )
    assert straight.lack_of_fit.verdict == "bends"
    damped = fit_scaling_law(n_params=sizes, tallies=tallies, method="damped").predict(1e11)
    assert damped.value < straight.predict(1e11).value


def test_mixture_quantiles_against_draws() -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=TALLIES)
    mixture = fit.mixture(3e9)
    rng = np.random.default_rng(0)
    pick = rng.choice(len(mixture.means), 200_000, p=mixture.weights)
    draws = rng.normal(mixture.means[pick], mixture.sds[pick])
    for q in (0.05, 0.5, 0.95):
        # binomial band of the empirical quantile, 5 sd
        low, high = np.quantile(draws, [q - 5 * 0.5 / 447, q + 5 * 0.5 / 447])
        assert low <= mixture.quantile(q) <= high
    thin = mixture.thinned(50)
    assert thin.mean == pytest.approx(mixture.mean, abs=1e-9)
    assert thin.variance == pytest.approx(mixture.variance, rel=1e-6)
    assert logsumexp(np.log(thin.weights)) == pytest.approx(0, abs=1e-9)
