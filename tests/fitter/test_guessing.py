"""The approximate integral over guessed instances, beside a grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from passuntil import fit_scaling_law
from passuntil.errors import UsageError
from passuntil.estimator import TallyArray
from passuntil.fitter.guessing import GuessingHierarchy
from passuntil.fitter.hierarchy import START, Hierarchy

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
