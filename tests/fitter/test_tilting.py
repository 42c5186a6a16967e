"""Moments of F under a count and a context, beside a fine grid."""

from __future__ import annotations

import numpy as np
import pytest

from passuntil.fitter.tilting import GuessedCounts, Tilted

G = 0.25
PASSES = np.array([[0.0, 24.0, 26.0, 31.0, 45.0, 99.0, 0.0]])
TRIALS = np.array([[100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 0.0]])
CONTEXT = np.full((1, 7), 1.2), np.full((1, 7), 0.5)


def found(factor: tuple[np.ndarray, np.ndarray], shift: float = 0.0) -> Tilted:
    counts = GuessedCounts(PASSES, TRIALS - PASSES, G)
    return counts.tilt(np.zeros(1, np.int64), CONTEXT, factor, shift)


def on_a_grid(shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    f = np.linspace(-12, 12, 200_001)
    mean, variance = CONTEXT[0][0, 0], CONTEXT[1][0, 0]
    density = np.exp(-0.5 * (f - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    rate = G + (1 - G) * np.exp(-np.exp(np.clip(f + shift, -25, 5)))
    fails = TRIALS - PASSES
    # of a fail, (1 - g) is left out of every log likelihood
    log_l = PASSES.T * np.log(rate) + fails.T * (np.log1p(-rate) - np.log1p(-G))
    top = log_l.max(1, keepdims=True)
    share = np.exp(log_l - top) * density
    mass = share.sum(1)
    first = share @ f / mass
    return np.log(mass * (f[1] - f[0])) + top[:, 0], first, share @ f**2 / mass - first**2


def settled(shift: float = 0.0) -> Tilted:
    """Put the nodes where mass is, as the rounds of the fit do."""
    factor = np.full((1, 7), 1e-7), np.zeros((1, 7))
    for _ in range(12):
        now = found(factor, shift)
        precision = 1 / now.variance - 1 / CONTEXT[1]
        factor = precision, now.mean * (precision + 1 / CONTEXT[1]) - CONTEXT[0] / CONTEXT[1]
    return found(factor, shift)


@pytest.mark.parametrize(("shift", "far"), [(0.0, 0.02), (0.7, 0.15)])
def test_moments_are_those_of_a_grid(shift: float, far: float) -> None:
    mine, (log_mass, mean, variance) = settled(shift), on_a_grid(shift)
    np.testing.assert_allclose(mine.log_mass[0], log_mass, atol=0.02)
    np.testing.assert_allclose(mine.mean[0], mean, atol=0.02)
    # a bump before a plateau, a third of a sd wide: the nodes see least of that
    np.testing.assert_allclose(mine.variance[0], variance, rtol=far)
    # without samples the context is all there is; 45 of 100 moves it
    assert mine.mean[0, -1] == pytest.approx(1.2, abs=1e-6)
    assert mine.mean[0, 4] < 0.7


def test_one_look_does_not_narrow_to_nothing() -> None:
    far = np.full((1, 7), 1e4), np.full((1, 7), -3e4)  # nodes where no mass is
    assert (found(far).variance >= 0.05e-4).all()
