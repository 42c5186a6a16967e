"""Intervals for a pass rate p from passes c, trials n and how the sampling ended. Vectorised.

References
----------
.. [1] Clopper & Pearson 1934, Biometrika 26.
.. [2] Girshick, Mosteller & Savage 1946, Ann. Math. Stat. 17.
.. [3] Brown, Cai & DasGupta 2001, Statistical Science 16 (Jeffreys interval, section 3.1.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, chdtri

from passuntil.errors import EstimationError, UsageError
from passuntil.estimator.arrays import TallyArray
from passuntil.estimator.inputs import one_number
from passuntil.records import Outcome

__all__ = ["Interval", "IntervalMethod", "check_level", "interval_bounds"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
T = TypeVar("T", float, NDArray[np.float64])
IntervalMethod = Literal["exact", "likelihood_ratio", "bayes"]
JEFFREYS = (0.5, 0.5)
LARGEST_KEYED = 2**31
"""Trials up to which (c, n, stopped) fits into one 64-bit number."""


@dataclass(frozen=True, slots=True)
class Interval(Generic[T]):
    """An interval and what it claims.

    Attributes
    ----------
    low, high : float or ndarray of float
        Ends.
    confidence_level : float
        Stated chance of holding the truth.
    method : str
        How it was made.

    Examples
    --------
    >>> from passuntil import Tally, pass_rate
    >>> interval = pass_rate(Tally.censored(passes=0, trials=1000)).confidence_interval()
    >>> interval.low, round(interval.high, 6), interval.method
    (0.0, 0.003682, 'exact')
    >>> pass_rate(TallyArray.fixed(passes=range(50), trials=100)).confidence_interval(0.9)
    <50 intervals, low in [0, 0.4039], high in [0.02951, 0.5766], exact at 0.9>
    """

    low: T
    high: T
    confidence_level: float
    method: str

    def __repr__(self) -> str:
        if np.ndim(self.low):
            ends = f"<{np.size(self.low)} intervals, low in [{np.min(self.low, initial=1):.4g}, "
            ends += f"{np.max(self.low, initial=0):.4g}], high in "
            ends += f"[{np.min(self.high, initial=1):.4g}, {np.max(self.high, initial=0):.4g}], "
            return f"{ends}{self.method} at {self.confidence_level:g}>"
        return (
            f"Interval(low={self.low!r}, high={self.high!r}, "
            f"confidence_level={self.confidence_level!r}, method={self.method!r})"
        )


def check_level(confidence_level: float) -> float:
    """Return the level, or raise `UsageError` unless 0 < level < 1.

    Examples
    --------
    >>> check_level(0.9)
    0.9
    >>> check_level(95)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    passuntil.errors.UsageError: confidence_level: got 95; allowed: between 0 and 1, ...
    """
    level = one_number(confidence_level)
    if level is None or not 0 < level < 1:
        raise UsageError(
            f"confidence_level: got {confidence_level!r}; allowed: between 0 and 1, both "
            "excluded; write 0.95 for 95 %."
        )
    return level


def interval_bounds(
    tallies: TallyArray,
    *,
    tails: tuple[float, float],
    method: IntervalMethod,
    prior: tuple[float, float] = JEFFREYS,
) -> tuple[Floats, Floats]:
    """Return lower and upper bounds of each pass rate.

    Parameters
    ----------
    tallies : TallyArray
        Shape (n_instances,).
    tails : (float, float)
        Chance left out below and above; 0 leaves that side at 0 or 1.
    method : {"exact", "likelihood_ratio", "bayes"}
        How.
    prior : (float, float)
        Beta prior of "bayes".

    Returns
    -------
    low, high : ndarray of float, shape (n_instances,)

    Raises
    ------
    EstimationError
        "exact" on open or steered tallies: their trials follow no rule with known chances.

    Notes
    -----
    "exact" and "bayes" are quantiles of Beta distributions [1]_ [2]_ [3]_; "likelihood_ratio" is
    where the log likelihood lies half a chi-square quantile below its maximum. The formulas are
    those of `PassRate.confidence_interval`.

    References
    ----------
    .. [1] Clopper & Pearson 1934, Biometrika 26.
    .. [2] Girshick, Mosteller & Savage 1946, Ann. Math. Stat. 17.
    .. [3] Brown, Cai & DasGupta 2001, Statistical Science 16.

    Examples
    --------
    >>> t = TallyArray.fixed(passes=[0, 3], trials=100)
    >>> low, high = interval_bounds(t, tails=(0.0, 0.05), method="exact")  # one-sided
    >>> low, high.round(4)
    (array([0., 0.]), array([0.0295, 0.0757]))
    """
    if method not in ("exact", "likelihood_ratio", "bayes"):
        raise UsageError(f"method: got {method!r}; allowed: 'exact', 'likelihood_ratio', 'bayes'.")
    if method == "exact" and not tallies.is_by_rule.all():
        raise EstimationError(
            "exact interval: got open or steered tallies; allowed: those a stopping rule of the "
            "instance closed (exact coverage belongs to it); use method='likelihood_ratio' or "
            "'bayes'."
        )
    is_stop = tallies.is_outcome(Outcome.STOPPED)
    c, n, stopped, back = _distinct(tallies.passes, tallies.trials, is_stop)
    if method == "exact":
        low, high = _exact(c, n, stopped, tails)
    elif method == "bayes":
        low, high = _bayes(c, n, tails, prior)
    else:
        low, high = _likelihood_ratio(c, n, tails)
    return low[back], high[back]


def _distinct(
    passes: Counts, trials: Counts, is_stop: NDArray[np.bool_]
) -> tuple[Counts, Counts, NDArray[np.bool_], NDArray[np.intp]]:
    """Return the distinct (c, n, stopped) and the place of each tally among them.

    Equal ones have equal bounds: a million tallies hold far fewer distinct ones.
    """
    base = int(trials.max(initial=0)) + 1
    if base > LARGEST_KEYED:
        return passes, trials, is_stop, np.arange(len(passes))
    unique, back = np.unique((passes * base + trials) * 2 + is_stop, return_inverse=True)
    c, n = np.divmod(unique // 2, base)
    return c, n, unique % 2 == 1, back


def _beta_quantile(q: float, a: Any, b: Any) -> Floats:
    """Beta quantile; closed forms where a or b is 1, most of a first-pass run."""
    a, b = (np.asarray(v, float) for v in np.broadcast_arrays(a, b))
    out = np.empty(a.shape)
    first, last = a == 1, (b == 1) & (a != 1)
    out[first] = -np.expm1(np.log1p(-q) / b[first])
    out[last] = np.exp(np.log(q) / a[last])
    rest = ~(first | last)
    out[rest] = betaincinv(a[rest], b[rest], q)
    return out


def _exact(
    c: NDArray[np.int64], n: NDArray[np.int64], stopped: NDArray[np.bool_], tails: Any
) -> tuple[Floats, Floats]:
    """Invert tests on the order stop-early > stop-late > censored, many passes first.

    Low: P(Binomial(n, p) >= c) = tail for every outcome. High: fixed, floor and censored as
    Clopper-Pearson [1]; stopped at K: P(Binomial(K - 1, p) <= r - 1) = tail.
    """
    low, high = np.zeros(len(c)), np.ones(len(c))
    if tails[0] > 0:
        some = c > 0
        low[some] = _beta_quantile(tails[0], c[some], n[some] - c[some] + 1)
    if tails[1] > 0:
        some = c < n  # at c = n no rate is too high
        above = np.where(stopped, c, c + 1)[some]
        high[some] = _beta_quantile(1 - tails[1], above, (n - c)[some])
    return low, high


def _bayes(
    c: NDArray[np.int64], n: NDArray[np.int64], tails: Any, prior: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Quantiles of Beta(a + c, b + n - c); the ends 0 and 1 belong to it at c = 0 and c = n [3]."""
    if np.shape(prior) != (2,) or not (prior[0] > 0 and prior[1] > 0):
        raise UsageError(f"prior: got {prior!r}; allowed: two positive numbers (a, b).")
    a, b = prior
    low, high = np.zeros(len(c)), np.ones(len(c))
    if tails[0] > 0:
        some = c > 0
        low[some] = _beta_quantile(tails[0], a + c[some], b + (n - c)[some])
    if tails[1] > 0:
        some = (c < n) | (n == 0)
        high[some] = _beta_quantile(1 - tails[1], a + c[some], b + (n - c)[some])
    return low, high


def _likelihood_ratio(
    c: NDArray[np.int64], n: NDArray[np.int64], tails: Any
) -> tuple[Floats, Floats]:
    """Rates with 2 (l(c/n) - l(p)) <= chi-square(1) quantile; a tail t uses the 2t point."""
    low, high = np.zeros(len(c)), np.ones(len(c))
    for is_low, tail in ((True, tails[0]), (False, tails[1])):
        if tail <= 0:
            continue
        drop = float(chdtri(1, min(1.0, 2 * tail))) / 2 if tail < 0.5 else 0.0
        bound = _drop_point(c, n, drop, is_low)
        if is_low:
            low = bound
        else:
            high = bound
    return low, high


def _drop_point(c: NDArray[np.int64], n: NDArray[np.int64], drop: float, is_low: bool) -> Floats:
    """Return where the log likelihood lies `drop` below its maximum, by bisection in log odds."""
    out = np.zeros(len(c)) if is_low else np.ones(len(c))
    edge = (n > 0) & ((c == n) if is_low else (c == 0))
    out[edge] = np.exp(-drop / n[edge]) if is_low else -np.expm1(-drop / n[edge])
    inner = (c > 0) & (c < n)
    ci, ni = c[inner].astype(float), n[inner].astype(float)
    peak_p = ci / ni
    peak = np.log(peak_p) - np.log1p(-peak_p)
    best = ci * np.log(peak_p) + (ni - ci) * np.log1p(-peak_p)
    near, far = peak, peak + (-60.0 if is_low else 60.0)
    for _ in range(60):
        mid = (near + far) / 2
        value = -ci * np.logaddexp(0, -mid) - (ni - ci) * np.logaddexp(0, mid)
        is_inside = best - value <= drop
        near, far = np.where(is_inside, mid, near), np.where(is_inside, far, mid)
    # the outer end, so that the interval never falls short
    out[inner] = np.exp(-np.logaddexp(0, -far))
    return out
