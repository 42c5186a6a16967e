"""Means over instances, with intervals and resamples.

The instances of a benchmark stand for instances like them; the models do not vary here. Another
training run of the family could give other numbers than these intervals allow for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from passuntil.estimator.intervals import check_level

__all__ = ["Mean", "mean_of", "resample_counts", "share_of"]

Floats = NDArray[np.float64]

_MOST_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over instances.

    Attributes
    ----------
    value : float or None
        None where there was nothing to average.
    low, high : float or None
        Student's interval; None where there were fewer than two instances.
    n : int
        Instances averaged.

    Examples
    --------
    >>> share = Mean(value=0.25, low=0.16, high=0.34, n=40)
    >>> share.words, share.percent
    ('0.250 [0.160, 0.340]', '25 % [16, 34]')
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def words(self) -> str:
        """As 0.41 [0.32, 0.50], two figures of the interval's half width; "-" for nothing."""
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.value:.3g}"
        half = (self.high - self.low) / 2
        digits = 2 if half == 0 else min(max(1 - math.floor(math.log10(half)), 0), _MOST_DIGITS)
        value, low, high = (f"{x + 0.0:.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"

    @property
    def percent(self) -> str:
        """A share as 41 % [32, 50]; "-" for nothing."""
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{100 * self.value:.0f} %"
        return f"{100 * self.value:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}]"


def mean_of(values: Floats, confidence_level: float = 0.95) -> Mean:
    """Return the mean of values and Student's interval for the mean of instances like these.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Independent; those of one instance averaged first.
    confidence_level : float
        Between 0 and 1.

    Notes
    -----
    mean +- t_{n-1} s / sqrt(n).

    Examples
    --------
    >>> mean_of(np.array([1.0, 2.0, 3.0])).words
    '2.0 [-0.5, 4.5]'
    """
    level = check_level(confidence_level)
    n = len(values)
    if n == 0:
        return Mean(None, None, None, 0)
    value = float(values.mean())
    if n == 1:
        return Mean(value, None, None, 1)
    half = float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Mean(value, value - half, value + half, n)


def share_of(values: Floats, confidence_level: float = 0.95) -> Mean:
    """Return the mean of shares, each in [0, 1], and an interval that stays there.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        In [0, 1].
    confidence_level : float
        Between 0 and 1.

    Notes
    -----
    As `mean_of`, cut to [0, 1]. Where all are 0, or all 1, there is no spread to go by: the exact
    (Clopper-Pearson) limit of n yes-or-no instances, 1 - (a/2)^(1/n) or (a/2)^(1/n), a = 1 - level.

    Examples
    --------
    >>> share_of(np.ones(20)).percent
    '100 % [83, 100]'
    """
    mean = mean_of(values, confidence_level)
    if mean.low is None or mean.high is None:
        return mean
    limit = ((1 - confidence_level) / 2) ** (1 / mean.n)
    low = limit if (values == 1).all() else max(mean.low, 0.0)
    high = 1 - limit if (values == 0).all() else min(mean.high, 1.0)
    return replace(mean, low=low, high=high)


def resample_counts(n: int, n_resamples: int, seed: int) -> Floats:
    """Return how often each of n instances is in each resample, shape (1 + n_resamples, n).

    The first row is the instances themselves, once each. Counts and not shares: a mean of ones is
    then exactly 1.

    Examples
    --------
    >>> counts = resample_counts(3, n_resamples=2, seed=0)
    >>> counts[0], counts.sum(1)
    (array([1., 1., 1.]), array([3., 3., 3.]))
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    return np.vstack([np.ones((1, n)), drawn])
