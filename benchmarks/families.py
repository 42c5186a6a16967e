"""Simulated families for the benchmarks: known laws, tallies drawn by the stopping rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from passuntil.estimator import TallyArray
from passuntil.stopping import StopRule

SIZES = np.array([36e6, 109e6, 241e6, 499e6, 892e6, 1544e6])


@dataclass(frozen=True)
class SimulatedFamily:
    """Tallies of the measured sizes, and the truth at the targets (model scatter included)."""

    sizes: np.ndarray
    tallies: list[TallyArray]
    targets: np.ndarray
    truth: np.ndarray
    rates: np.ndarray  # (n_instances, n_models)


def draw_tallies(rng: np.random.Generator, rates: np.ndarray, rule: StopRule) -> TallyArray:
    """Draw one tally per pass rate: floor first, then wait for the passes still missing."""
    r, m, budget = rule.passes, rule.min_samples, rule.budget
    at_floor = rng.binomial(m, rates) if m > 1 else np.zeros(len(rates), int)
    start = m if m > 1 else 0
    passes, trials = at_floor.copy(), np.full(len(rates), start)
    for i in np.flatnonzero(at_floor < r):
        # the waits between passes are geometric
        waits = rng.geometric(max(rates[i], 1e-15), r - at_floor[i]).cumsum() + start
        n_seen = int((waits <= budget).sum())
        passes[i] = at_floor[i] + n_seen
        trials[i] = waits[-1] if n_seen == len(waits) else budget
    return TallyArray.from_rule(rule, passes=passes, trials=trials)


def draw_family(
    rng: np.random.Generator,
    *,
    scatter: float,
    rule: StopRule,
    n_instances: int = 100,
    sizes: np.ndarray = SIZES,
    times: tuple[float, ...] = (3.0, 10.0),
    bend: float = 0.0,
    residual: float = 0.0,
) -> SimulatedFamily:
    """Draw log c ~ N(log 200, 1), alpha ~ N(0.2, 0.04) per instance; scatter in F per model.

    `bend` kappa levels slopes off: log N counts as (1 - exp(-kappa z))/kappa from the smallest.
    """
    alpha = np.maximum(rng.normal(0.2, 0.04, n_instances), 0.0)
    log_c = rng.normal(np.log(200), 1.0, n_instances)
    targets = sizes[-1] * np.array(times)
    x = np.log(np.concatenate([sizes, targets]))
    way = x - x[0]
    if bend:
        way = -np.expm1(-bend * way) / bend
    hazard = (log_c - alpha * x[0])[:, None] - alpha[:, None] * way
    hazard = hazard + rng.normal(0, scatter, len(x)) + residual * rng.normal(size=hazard.shape)
    rates = np.exp(-np.exp(hazard))
    k = len(sizes)
    tallies = [draw_tallies(rng, rates[:, i], rule) for i in range(k)]
    return SimulatedFamily(sizes, tallies, targets, rates[:, k:].mean(0), rates[:, :k])
