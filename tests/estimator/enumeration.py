"""Every outcome of a stopping rule with its probability: the second implementation of the tests."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom, nbinom

from passuntil.estimator.arrays import TallyArray
from passuntil.stopping import StopRule


def outcomes(rule: StopRule) -> tuple[TallyArray, list[tuple[str, int, int]]]:
    """All tallies a rule can end with, and the same as plain rows."""
    r, m, budget = rule.passes, rule.min_samples, rule.budget
    rows = []
    if m > 1:
        rows += [("floor", c, m) for c in range(r, m + 1)]
    first = max(r, m + 1) if m > 1 else r
    rows += [("stop", r, k) for k in range(first, budget + 1)]
    rows += [("cap", c, budget) for c in range(min(r, budget + 1))]
    passes = np.array([row[1] for row in rows])
    trials = np.array([row[2] for row in rows])
    return TallyArray.from_rule(rule, passes=passes, trials=trials), rows


def probabilities(rule: StopRule, rows: list[tuple[str, int, int]], p: float) -> np.ndarray:
    """P(outcome) at pass rate p; sums to 1."""
    r = rule.passes
    kinds = np.array([row[0] for row in rows])
    c = np.array([row[1] for row in rows])
    n = np.array([row[2] for row in rows])
    out = binom.pmf(c, n, p)
    stop = kinds == "stop"
    out[stop] = nbinom.pmf(n[stop] - r, r, p)
    return out
