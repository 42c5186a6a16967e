"""The tallies of a family of models on one dataset, checked and sorted by size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import EstimationError, UsageError
from passuntil.estimator.arrays import TallyArray, as_tally_array
from passuntil.estimator.exact import ExactRates
from passuntil.estimator.inputs import float_array
from passuntil.records import Tally

__all__ = ["Evidence", "Family", "Tallies", "as_family", "mean_rate", "point_rates"]

Floats = NDArray[np.float64]
Evidence = TallyArray | ExactRates
Tallies = Sequence[TallyArray | Iterable[Tally] | ExactRates]
MOST_UNSUMMED = 0.01  # of PU; a fit takes exact rates for free of error


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """The tallies of a family of models on one dataset, smallest model first.

    Attributes
    ----------
    n_params : ndarray of float, shape (n_models,)
        Ascending.
    tallies : tuple of (TallyArray or ExactRates)
        One per model, in the order of `n_params`.

    Examples
    --------
    >>> family = as_family([1e8, 1e7], [[Tally.fixed(passes=c, trials=100)] for c in (9, 2)])
    >>> len(family), family.n_params.tolist()
    (2, [10000000.0, 100000000.0])
    """

    n_params: Floats
    tallies: tuple[Evidence, ...]

    def __len__(self) -> int:
        return len(self.n_params)

    @property
    def is_exact(self) -> bool:
        """Whether a model has exact rates."""
        return any(isinstance(t, ExactRates) for t in self.tallies)

    def first(self, k: int) -> Family:
        """Return the k smallest models.

        Parameters
        ----------
        k : int
            How many, 1 ... n_models.

        Examples
        --------
        >>> counts = [[Tally.fixed(passes=c, trials=100)] for c in (2, 9, 20)]
        >>> as_family([1e7, 1e8, 1e9], counts).first(2).n_params.tolist()
        [10000000.0, 100000000.0]
        """
        return Family(self.n_params[:k], self.tallies[:k])


def as_family(n_params: ArrayLike, tallies: Tallies) -> Family:
    """Return the checked family, sorted by size.

    Parameters
    ----------
    n_params : array_like of float, shape (n_models,)
        Sizes > 0, in any order and unit.
    tallies : sequence of (TallyArray, iterable of Tally, or ExactRates)
        One entry per model, in the order of `n_params`.

    Returns
    -------
    Family

    Raises
    ------
    UsageError
        Unequal lengths, sizes not positive, fewer than two different sizes.
    EstimationError
        Exact rates whose PU is not known within 1 %.

    Examples
    --------
    >>> family = as_family([1e8, 1e7], [[Tally.fixed(passes=c, trials=100)] for c in (9, 2)])
    >>> family.n_params.tolist(), family.tallies[0][0]
    ([10000000.0, 100000000.0], Tally.fixed(passes=2, trials=100))
    """
    sizes = np.atleast_1d(float_array("n_params", n_params, "write 7e9 for 7B"))
    if sizes.ndim != 1:
        raise UsageError(f"n_params: got shape {sizes.shape}; allowed: (n_models,); flatten it.")
    if not isinstance(tallies, Iterable):
        raise UsageError(
            f"tallies: got {tallies!r}; allowed: a list with the tallies of each model; give one "
            "TallyArray a model."
        )
    arrays = [t if isinstance(t, ExactRates) else as_tally_array(t) for t in tallies]
    if len(sizes) != len(arrays):
        raise UsageError(
            f"tallies: got {len(arrays)} models for {sizes.size} values of n_params; allowed: one "
            "list of tallies per model; check the pairing."
        )
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise UsageError(f"n_params: got {sizes.tolist()}; allowed: positive numbers.")
    if len(np.unique(sizes)) < 2:
        raise UsageError(
            f"n_params: got {sizes.tolist()}; allowed: two or more different sizes; a law needs "
            "them."
        )
    if any(not len(a) for a in arrays):
        raise UsageError("tallies: got a model without any; allowed: at least one tally a model.")
    for found in arrays:
        if isinstance(found, ExactRates) and found.mean_unsummed > MOST_UNSUMMED * found.mean:
            raise EstimationError(
                f"exact rates: got PU = {found.mean:g} with up to {found.mean_unsummed:g} not "
                f"summed; allowed: at most {MOST_UNSUMMED:.0%} of PU, since fits take exact rates "
                "for free of error; leave the model out, or use method: sample."
            )
    order = np.argsort(sizes, kind="stable")
    return Family(sizes[order], tuple(arrays[i] for i in order))


def point_rates(tallies: Evidence) -> Floats:
    """Return c/n of each instance, or its exact rate, shape (n_instances,).

    Examples
    --------
    >>> point_rates(TallyArray.fixed(passes=[1, 3], trials=[10, 20]))
    array([0.1 , 0.15])
    """
    if isinstance(tallies, ExactRates):
        return tallies.values
    return np.asarray(tallies.passes / np.maximum(tallies.trials, 1), float)


def mean_rate(tallies: Evidence) -> float:
    """Return the mean of c/n over the sampled instances, the paper's PU, or of exact rates.

    Examples
    --------
    >>> mean_rate(TallyArray.fixed(passes=[1, 3], trials=[10, 20]))
    0.125
    """
    if isinstance(tallies, ExactRates):
        return tallies.mean
    sampled = tallies.take(tallies.trials > 0)
    return float((sampled.passes / sampled.trials).mean()) if len(sampled) else 0.0
