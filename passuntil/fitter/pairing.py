"""The evidence of the same instances under every model: counts, and rates that were calculated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passuntil.errors import EstimationError
from passuntil.estimator.exact import ExactRates
from passuntil.fitter.family import Family
from passuntil.fitter.guessing import GuessingHierarchy
from passuntil.fitter.hierarchy import Hierarchy
from passuntil.fitter.hyperparameters import Bend
from passuntil.fitter.latents import ExactHazards

__all__ = ["PairedEvidence", "build_hierarchy", "guesses_and_exact", "pair_evidence"]

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
            f"instance: got models with {min(lengths)} to {max(lengths)} instances; allowed: the "
            "same instances in the same order for every model; use Tally.open(passes=0, trials=0) "
            "for one that was not sampled."
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


def build_hierarchy(
    family: Family, bend: Bend = "none", *, guess_rate: float = 0.0
) -> tuple[Hierarchy, float, NDArray[np.int64]]:
    """Return the data of the instance model, log N at z = 0, and each instance's row."""
    found = pair_evidence(family)
    columns: list[NDArray[Any]] = [found.passes, found.trials]
    if found.exact is not None:
        if guess_rate:
            raise guesses_and_exact("instance")
        columns += [found.exact.is_exact, found.exact.hazards, found.exact.precision]
    table = np.concatenate(columns, 1)
    unique, rows, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    x = np.log(family.n_params)
    center, m = float(x.mean()), len(x)
    parts = [unique[:, k * m : (k + 1) * m] for k in range(len(columns))]
    data = x - center, parts[0], parts[1], counts.astype(float)
    if guess_rate:
        return (
            GuessingHierarchy(*data, guess_rate=guess_rate, bend=bend),
            center,
            rows.ravel(),
        )
    exact = None if found.exact is None else ExactHazards(parts[2] > 0, parts[3], parts[4])
    return Hierarchy(*data, bend=bend, exact=exact), center, rows.ravel()


def guesses_and_exact(method: str) -> EstimationError:
    """Return the error of a guess rate beside exact rates."""
    return EstimationError(
        f"{method}: got a guess rate and exact rates; allowed: the instances' laws take one of "
        "both, since an exact rate already holds what a model guesses; laws of the dataset, such "
        "as 'mle', take both."
    )
