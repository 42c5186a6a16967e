"""The optimal design of a forecast: derivatives, optimality, and a second computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passuntil.estimator import TallyArray
from passuntil.fitter.design import ForecastDesign, allocate, design_forecast
from passuntil.fitter.family import as_family
from passuntil.fitter.instance import fit_instances

SIZES = np.array([36e6, 109e6, 241e6, 892e6])


@pytest.fixture(scope="module")
def design() -> ForecastDesign:
    rng = np.random.default_rng(1)
    log_c, alpha = rng.normal(np.log(200), 1, 30), rng.normal(0.2, 0.04, 30)
    rates = np.exp(-np.exp(log_c[:, None] - alpha[:, None] * np.log(SIZES)))
    tallies = [TallyArray.fixed(passes=rng.binomial(200, p), trials=200) for p in rates.T]
    return design_forecast(fit_instances(as_family(SIZES, tallies)), 3e9)


def variance_by_brute_force(design: ForecastDesign, trials: np.ndarray) -> float:
    """The same posterior variance from one dense precision matrix of all unknowns."""
    n, m = design.unit_noise.shape
    precision = np.zeros((2 * n + 2 + m, 2 * n + 2 + m))
    mean, models = slice(2 * n, 2 * n + 2), 2 * n + 2
    precision[mean, mean] += np.diag(design.hyper_prior)
    precision[models:, models:] += np.eye(m) / design.scatter
    for s in range(n):
        own = slice(2 * s, 2 * s + 2)
        for rows, columns, sign in (
            (own, own, 1),
            (mean, mean, 1),
            (own, mean, -1),
            (mean, own, -1),
        ):
            precision[rows, columns] += sign * design.prior
        for j in range(m):
            x = np.zeros(len(precision))
            x[own] = 1, design.z[j]
            x[models + j] = 1
            noise = design.residual + design.unit_noise[s, j] / trials[s, j]
            precision += np.outer(x, x) / noise
    g = np.zeros(len(precision))
    g[: 2 * n] = (design.shares[:, None] * design.target).ravel()
    return float(g @ np.linalg.solve(precision, g))


def test_variance_is_that_of_the_whole_linear_model(design: ForecastDesign) -> None:
    trials = np.random.default_rng(2).integers(1, 500, design.unit_noise.shape)
    assert design.variance(trials) == pytest.approx(
        variance_by_brute_force(design, trials), rel=1e-8
    )


def test_influence_is_the_derivative_of_the_variance(design: ForecastDesign) -> None:
    trials = np.full(design.unit_noise.shape, 100.0)
    influence = design.influence(trials)
    for s, j in ((0, 0), (7, 3), (29, 1)):
        more, less = trials.copy(), trials.copy()
        more[s, j], less[s, j] = 100.01, 99.99
        noise = design.unit_noise[s, j] / less[s, j] - design.unit_noise[s, j] / more[s, j]
        slope = (design.variance(less) - design.variance(more)) / noise
        assert slope == pytest.approx(influence[s, j] ** 2, rel=1e-4)


def test_no_move_of_samples_betters_the_optimum(design: ForecastDesign) -> None:
    shape = design.unit_noise.shape
    least, most = np.full(shape, 5), np.full(shape, 10**6)
    best = design.optimal(least, most, 20_000)
    assert best.sum() == 20_000
    assert (best >= least).all()
    found = design.variance(best)
    assert found < 0.9 * design.variance(np.full(shape, 20_000 // best.size))
    assert found > design.least_variance
    rng = np.random.default_rng(3)
    for _ in range(200):
        give, take = rng.integers(best.size, size=2)
        moved = best.ravel().copy()
        n = min(50, moved[give] - 5)
        moved[give] -= n
        moved[take] += n
        assert design.variance(moved.reshape(shape)) > found * (1 - 1e-3)


def test_dear_models_get_fewer_samples(design: ForecastDesign) -> None:
    shape = design.unit_noise.shape
    least, most = np.full(shape, 5), np.full(shape, 10**6)
    equal = design.optimal(least, most, 20_000).sum(0)
    priced = design.optimal(least, most, 20_000, cost=SIZES).sum(0)
    assert priced[-1] < equal[-1]
    assert priced[0] > equal[0]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(1e-6, 1e6), st.integers(0, 50), st.integers(0, 50)), min_size=1),
    st.integers(0, 3000),
)
def test_allocation_keeps_bounds_and_total(rows: list[tuple[float, int, int]], total: int) -> None:
    weights = np.array([w for w, _, _ in rows])
    least = np.array([a for _, a, _ in rows])
    most = least + np.array([more for *_, more in rows])
    found = allocate(weights, least, most, total)
    assert ((least <= found) & (found <= most)).all()
    assert found.sum() == min(max(total, least.sum()), most.sum())
