"""The approximate integral over guessed instances, beside a grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from passuntil import fit_scaling_law
from passuntil.errors import UsageError
from passuntil.estimator import TallyArray
from passuntil.fitter import guessing
from passuntil.fitter.guessing import GuessingHierarchy
from passuntil.fitter.hierarchy import START, STEP, Hierarchy

Z = np.array([-1.6, -0.6, 0.1, 0.5, 1.6])
THETA = START.copy()
THETA[5] = -7.0  # no scatter of models: one instance has no say in it
G, TRIALS = 0.25, 100.0


def log_density(passes: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Log of prior times likelihood at every a (rows) and b (columns), e integrated out."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    f = a[:, None, None, None] - b[None, :, None, None] * Z[:, None] + np.exp(THETA[6]) * nodes
    real = np.exp(-np.exp(f))
    log_l = passes[:, None] * np.log(G + (1 - G) * real)
    log_l = log_l + (TRIALS - passes[:, None]) * np.log(-np.expm1(-np.exp(f)))
    value = logsumexp(log_l, b=weights / weights.sum(), axis=3).sum(2)
    sd_a, sd_b = np.exp(THETA[2:4])
    prior = -0.5 * ((a[:, None] - THETA[0]) / sd_a) ** 2 - 0.5 * ((b - THETA[1]) / sd_b) ** 2
    return value + prior - np.log(2 * np.pi * sd_a * sd_b)


@pytest.mark.parametrize(
    ("passes", "far"),
    [
        ([30, 41, 45, 50, 62], 0.02),  # a line that shows
        ([24, 27, 31, 22, 38], 0.15),  # guesses, then perhaps more
        ([25, 27, 22, 26, 24], 0.15),  # guesses alone
    ],
)
def test_the_integral_is_that_of_a_grid(passes: list[int], far: float) -> None:
    counts = np.array([passes], float)
    trials = np.full_like(counts, TRIALS)
    model = GuessingHierarchy(Z, counts, trials, np.ones(1), guess_rate=G)
    found = model.latents(THETA[None])
    sd_a, sd_b = np.exp(THETA[2:4])
    a = THETA[0] + sd_a * np.linspace(-6, 6, 161)
    b = THETA[1] + sd_b * np.linspace(-6, 6, 61)
    value = log_density(counts[0], a, b)
    total = logsumexp(value) + np.log((a[1] - a[0]) * (b[1] - b[0]))
    assert found.log_marginal[0] == pytest.approx(total, abs=far)
    share = np.exp(value - logsumexp(value))
    mean_a, mean_b = share.sum(1) @ a, share.sum(0) @ b
    spread = np.sqrt(share.sum(1) @ (a - mean_a) ** 2)
    assert found.a[0, 0] == pytest.approx(mean_a, abs=0.2 * spread)
    assert found.alpha[0, 0] == pytest.approx(mean_b, abs=0.2 * sd_b)
    a11, a12, a22 = (v[0, 0] for v in found.curve)
    # one normal for what has two humps: too narrow by up to two fifths in between
    assert np.sqrt(a22 / (a11 * a22 - a12**2)) == pytest.approx(spread, rel=0.4)


def test_laplace_does_not_hold_for_guesses() -> None:
    """The reason for this model: what a mode and a curvature make of an instance that guesses."""
    counts = np.array([[25.0, 27, 22, 26, 24]])
    model = GuessingHierarchy(Z, counts, np.full_like(counts, TRIALS), np.ones(1), guess_rate=G)
    blind = Hierarchy(Z, counts, np.full_like(counts, TRIALS), np.ones(1))
    # without g the same counts are rates of 0.25, known to a few per cent
    precise, vague = (m.latents(THETA[None]).curve[0][0, 0] for m in (blind, model))
    assert precise > 20 * vague


@pytest.mark.parametrize("method", ["instance", "combined", "mle"])
@pytest.mark.parametrize("guess_rate", [1.5, -0.1, 1.0])
def test_a_guess_rate_is_a_chance_below_one(method: str, guess_rate: float) -> None:
    tallies = [TallyArray.fixed(passes=[c, c + 1], trials=10) for c in (1, 3, 5)]
    with pytest.raises(UsageError, match="guess_rate: got"):
        fit_scaling_law(
            n_params=[1e6, 1e7, 1e8], tallies=tallies, method=method, guess_rate=guess_rate
        )


def many_guesses(samples: int, g: float = G) -> GuessingHierarchy:
    rng = np.random.default_rng(12)
    f = rng.normal(1.5, 0.9, (40, 1)) - rng.normal(0.25, 0.06, (40, 1)) * Z
    rates = g + (1 - g) * np.exp(-np.exp(f + rng.normal(0, 0.03, (40, 5))))
    passes = rng.binomial(samples, rates).astype(float)
    trials = np.full_like(passes, samples)
    return GuessingHierarchy(Z, passes, trials, np.ones(40), guess_rate=g)


@pytest.mark.parametrize("samples", [30, 2000])
def test_each_draw_converges_whatever_it_started_from(samples: int) -> None:
    theta = THETA + 0.5 * STEP * np.random.default_rng(1).normal(size=(80, 7))
    found = many_guesses(samples).log_density(theta)
    alone = [many_guesses(samples).log_density(row[None])[0] for row in theta[:8]]
    # 200 counts, each near its fixed point to `NEAR`, of which the error is the square
    np.testing.assert_allclose(found[:8], alone, atol=0.03)


def test_slopes_come_from_shared_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "NEAR", 1e-4)  # a difference of two needs them nearer
    model, h = many_guesses(30, 0.001), 1e-4 * STEP
    shift = np.diag(h)
    batch = np.concatenate([THETA[None], THETA + shift, THETA - shift])
    value = model.log_density(batch)
    slope = (value[1:8] - value[8:]) / (2 * h)
    far = 0.05 * STEP
    for i in range(7):
        ends = THETA + np.outer([1, -1], far[i] * np.eye(7)[i])
        apart = np.array([many_guesses(30, 0.001).log_density(e[None])[0] for e in ends])
        # per step of the search; the difference over a wide step is of the second order
        expected = (apart[0] - apart[1]) / (2 * far[i])
        assert slope[i] * STEP[i] == pytest.approx(expected * STEP[i], abs=0.05, rel=0.02)
