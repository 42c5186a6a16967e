"""A simulated family for the tests, drawn once with a fixed key."""

from __future__ import annotations

import numpy as np

from passuntil.estimator import TallyArray

SIZES = np.array([36e6, 109e6, 241e6, 499e6, 892e6, 1544e6])


def hazards(
    rng: np.random.Generator, sizes: np.ndarray, n: int, *, bend: float = 0.0
) -> np.ndarray:
    """F of each instance (rows): log c ~ N(log 200, 1), alpha ~ N(0.2, 0.04), a shared bend."""
    alpha = rng.normal(0.2, 0.04, (n, 1))
    level = rng.normal(np.log(200), 1.0, (n, 1)) - alpha * np.log(sizes).mean()
    z = np.log(sizes) - np.log(sizes).mean()
    return level - alpha * (-np.expm1(-bend * z) / bend if bend else z)


def fixed_tallies(rng: np.random.Generator, f: np.ndarray, trials: int) -> list[TallyArray]:
    """Fixed-n tallies of every model."""
    rates = np.exp(-np.exp(f))
    return [TallyArray.fixed(passes=rng.binomial(trials, p), trials=trials) for p in rates.T]


def first_pass_tallies(rng: np.random.Generator, f: np.ndarray, budget: int) -> list[TallyArray]:
    """First-pass tallies without a floor."""
    out = []
    for p in np.exp(-np.exp(f)).T:
        k = rng.geometric(np.maximum(p, 1e-12))
        stop = TallyArray.stopped(passes=1, trials=np.minimum(k, budget))
        cap = TallyArray.censored(passes=0, trials=np.full(len(p), budget))
        out.append(
            TallyArray.from_tallies(
                s if j <= budget else c for s, c, j in zip(stop, cap, k, strict=True)
            )
        )
    return out
