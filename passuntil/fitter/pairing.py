"""The evidence of the same instances under every model: counts, and rates that were calculated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passuntil.errors import EstimationError
from passuntil.estimator.exact import ExactRates
from passuntil.fitter.hierarchy import ExactHazards
from passuntil.fitter.observations import Family

__all__ = ["PairedEvidence", "guesses_and_exact", "pair_evidence"]

Floats = NDArray[np.float64]
FINEST = 1e-3
"""Sd of F of an exact rate; far below the scatter of an instance under one model."""
NEARLY_SURE, MANY = 0.99, 1e3


@dataclass(frozen=True, slots=True, eq=False)
class PairedEvidence:
    """What is known of each instance under each model, each of shape (n_instances, n_models).

    Attributes
    ----------
    passes, trials : ndarray of float
        0 trials where a rate is exact, or an instance was not sampled.
    exact : ExactHazards or None
        None where every model was sampled.
    """

    passes: Floats
    trials: Floats
    exact: ExactHazards | None


def pair_evidence(family: Family) -> PairedEvidence:
    """Return the evidence of a family's instances, models as columns.

    Exact rates above `NEARLY_SURE` count as the passes of `MANY` trials, since F has no end there
    and one easy instance would rule the spread of all. A rate of 0 of which something was not
    summed counts as no passes in as many trials as that allows.

    Raises
    ------
    EstimationError
        Unlike instances, an exact rate of 0, or nothing passed.
    """
    lengths = {len(t) for t in family.tallies}
    if len(lengths) != 1:
        raise EstimationError(
            f"instance: got models with {sorted(lengths)} instances; allowed: the same instances "
            "in the same order for every model; use Tally.open(passes=0, trials=0) for one that "
            "was not sampled."
        )
    columns = [
        _exact_columns(t)
        if isinstance(t, ExactRates)
        else (t.passes, t.trials, np.full(len(t), np.nan), np.ones(len(t)))
        for t in family.tallies
    ]
    passes, trials, hazards, precision = (
        np.stack([c[k] for c in columns], 1).astype(float) for k in range(4)
    )
    is_exact = np.isfinite(hazards)
    if not (passes.any() or is_exact.any()):
        raise EstimationError("instance: got no passes; allowed: at least one; sample more.")
    exact = ExactHazards(is_exact, np.where(is_exact, hazards, 0.0), precision)
    return PairedEvidence(passes, trials, exact if is_exact.any() else None)


def _exact_columns(rates: ExactRates) -> tuple[Floats, Floats, Floats, Floats]:
    """Return passes, trials, F (not a number where counts stand for the rate) and precision."""
    value, unsummed = rates.values, np.array([rate.unsummed for rate in rates])
    is_zero, is_sure = value == 0, value > NEARLY_SURE
    if (is_zero & (unsummed == 0)).any():
        raise EstimationError(
            f"instance: got exact rates of 0 for {int((is_zero & (unsummed == 0)).sum())} of "
            f"{len(value)} instances; allowed: above 0, since log(-log 0) is infinite; leave those "
            "instances out, or use a law of the dataset."
        )
    trials = np.where(is_sure, MANY, np.where(is_zero, 1 / np.maximum(unsummed, 1e-12), 0.0))
    inner = np.where(is_zero | is_sure, 0.5, value)
    upper = np.minimum(inner + np.where(is_zero | is_sure, 0.0, unsummed), 1 - 1e-9)
    hazard, end = np.log(-np.log(inner)), np.log(-np.log(upper))
    precision = 1 / np.maximum(FINEST, (hazard - end) / 2) ** 2
    known = np.where(is_zero | is_sure, np.nan, (hazard + end) / 2)
    return np.where(is_sure, value * MANY, 0.0), trials, known, precision


def guesses_and_exact(method: str) -> EstimationError:
    """Return the error of a guess rate beside exact rates."""
    return EstimationError(
        f"{method}: got a guess rate and exact rates; allowed: one of both, since an exact rate "
        "already holds what a model guesses; leave the guess rate out."
    )
