"""The pass rates of many instances at once, from how the sampling of each ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passuntil.errors import EstimationError
from passuntil.estimator.arrays import TallyArray
from passuntil.estimator.intervals import (
    JEFFREYS,
    Interval,
    IntervalMethod,
    check_level,
    interval_bounds,
)
from passuntil.estimator.points import log_parts, unbiased_parts

__all__ = ["PassRates"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PassRates:
    """Pass rates of many instances; see `pass_rate`.

    Attributes
    ----------
    tallies : TallyArray
        What was seen, shape (n_instances,).

    Examples
    --------
    >>> from passuntil import pass_rate
    >>> rates = pass_rate(TallyArray.stopped(passes=2, trials=[5, 101, 1001]))
    >>> rates.unbiased
    array([0.25 , 0.01 , 0.001])
    >>> rates.confidence_interval().low.round(5)
    array([0.05274, 0.00241, 0.00024])
    """

    tallies: TallyArray

    @property
    def mle(self) -> Floats:
        """Maximum likelihood c/n, shape (n_instances,). Biased upwards for stopped tallies.

        Raises
        ------
        EstimationError
            Some instance has no sample.

        Examples
        --------
        >>> PassRates(TallyArray.fixed(passes=[3, 0], trials=200)).mle
        array([0.015, 0.   ])
        """
        if (self.tallies.trials == 0).any():
            raise EstimationError(
                "mle: got an instance without samples; allowed: n >= 1; leave it out or sample it."
            )
        return self.tallies.passes / self.tallies.trials

    @property
    def unbiased(self) -> Floats:
        """Unbiased estimates, shape (n_instances,).

        Raises
        ------
        EstimationError
            Some tally has none; `partial` is the mask of those that have one.

        Examples
        --------
        First passes without a floor have none; the error tells which of the others do:

        >>> rates = PassRates(TallyArray.stopped(passes=[1, 2], trials=[7, 9]))
        >>> try:
        ...     rates.unbiased
        ... except EstimationError as error:
        ...     print(PassRates(rates.tallies.take(error.partial)).unbiased)
        [0.125]
        """
        value, _, exists = unbiased_parts(self.tallies)
        if not exists.all():
            raise EstimationError(_no_unbiased(self.tallies, exists), partial=exists)
        return value

    @property
    def log_rate(self) -> Floats:
        """Estimates of log p, shape (n_instances,).

        Raises
        ------
        EstimationError
            Some tally gives a limit only; `partial` is the mask of those that have a number.

        Examples
        --------
        >>> PassRates(TallyArray.stopped(passes=1, trials=[2, 3])).log_rate
        array([-1. , -1.5])
        """
        value, exists = log_parts(self.tallies)
        if not exists.all():
            raise EstimationError(
                f"log_rate: got {int((~exists).sum())} censored or open tallies of {len(exists)}; "
                "allowed: stopped ones, which give a number and not a limit; select them with "
                "tallies.take(error.partial) and use upper_limit for the rest.",
                partial=exists,
            )
        return value

    def confidence_interval(
        self,
        confidence_level: float = 0.95,
        *,
        method: IntervalMethod = "exact",
        prior: tuple[float, float] = JEFFREYS,
    ) -> Interval[Floats]:
        """Return equal-tailed intervals; arguments as in `PassRate.confidence_interval`.

        Parameters
        ----------
        confidence_level, method, prior
            As in `PassRate.confidence_interval`.

        Returns
        -------
        Interval
            Of arrays, `low` and `high` of shape (n_instances,).

        Examples
        --------
        >>> interval = PassRates(TallyArray.fixed(passes=[0, 5], trials=10)).confidence_interval()
        >>> interval.high.round(3)
        array([0.308, 0.813])
        """
        level = check_level(confidence_level)
        tail = (1 - level) / 2
        low, high = interval_bounds(self.tallies, tails=(tail, tail), method=method, prior=prior)
        return Interval(low, high, level, method)

    def upper_limit(
        self, confidence_level: float = 0.95, *, method: IntervalMethod = "exact"
    ) -> Floats:
        """Return one-sided upper limits, shape (n_instances,).

        Parameters
        ----------
        confidence_level, method
            As in `PassRate.upper_limit`.

        Examples
        --------
        >>> PassRates(TallyArray.censored(passes=[0, 1], trials=1000)).upper_limit().round(4)
        array([0.003 , 0.0047])
        """
        tail = 1 - check_level(confidence_level)
        return interval_bounds(self.tallies, tails=(0.0, tail), method=method)[1]

    def lower_limit(
        self, confidence_level: float = 0.95, *, method: IntervalMethod = "exact"
    ) -> Floats:
        """Return one-sided lower limits, shape (n_instances,).

        Parameters
        ----------
        confidence_level, method
            As in `PassRate.upper_limit`.

        Examples
        --------
        >>> PassRates(TallyArray.censored(passes=[0, 1], trials=1000)).lower_limit().round(6)
        array([0.0e+00, 5.1e-05])
        """
        tail = 1 - check_level(confidence_level)
        return interval_bounds(self.tallies, tails=(tail, 0.0), method=method)[0]


def _no_unbiased(tallies: TallyArray, exists: Mask) -> str:
    n_open = int((~tallies.is_by_rule).sum())
    n_first = int((~exists).sum()) - n_open
    return (
        f"unbiased: got {n_first} tallies stopped at their first pass without a floor and "
        f"{n_open} open or steered ones, of {len(exists)}; allowed: passes >= 2, or a floor "
        "min_samples > 1, "
        "closed; use confidence_interval, log_rate or a dataset's mixing distribution."
    )
