"""The pass rate of one instance, from how its sampling ended; the verb `pass_rate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import overload

import numpy as np

from passuntil.errors import EstimationError
from passuntil.estimator.arrays import TallyArray, as_tally_array
from passuntil.estimator.intervals import JEFFREYS, Interval, IntervalMethod
from passuntil.estimator.points import log_parts
from passuntil.estimator.rates import PassRates
from passuntil.records import Tally

__all__ = ["PassRate", "PassRates", "pass_rate"]


@dataclass(frozen=True, slots=True)
class PassRate:
    """The pass rate p of one instance; see `pass_rate`.

    Attributes
    ----------
    tally : Tally
        What was seen.

    Examples
    --------
    >>> rate = pass_rate(Tally.stopped(passes=2, trials=100))
    >>> rate
    PassRate(tally=Tally.stopped(passes=2, trials=100))
    >>> rate.mle, round(rate.unbiased, 4)
    (0.02, 0.0101)
    """

    tally: Tally

    @property
    def _many(self) -> PassRates:
        return PassRates(TallyArray.from_tallies([self.tally]))

    @property
    def mle(self) -> float:
        """Maximum likelihood estimate c/n, r/K when stopped [1]_.

        Biased upwards when stopped: with r = 1 its mean is -p ln(p)/(1 - p), 6.9 p at p = 1e-3;
        with r >= 2 and small p, r/(r - 1) p.

        Raises
        ------
        EstimationError
            No sample was judged.

        Examples
        --------
        >>> pass_rate(Tally.stopped(passes=1, trials=4)).mle
        0.25
        """
        return float(self._many.mle[0])

    @property
    def unbiased(self) -> float:
        """Unbiased estimate [2]_: (r-1)/(K-1) if stopped beyond the floor, otherwise c/n.

        Raises
        ------
        EstimationError
            Stopped at the first pass without a floor (no useful one exists), or open. `partial`
            is the likelihood-ratio interval.

        Examples
        --------
        >>> pass_rate(Tally.stopped(passes=2, trials=5)).unbiased
        0.25
        >>> pass_rate(Tally.floor_reached(passes=7, trials=20)).unbiased
        0.35
        """
        try:
            return float(self._many.unbiased[0])
        except EstimationError as error:
            interval = self.confidence_interval(method="likelihood_ratio")
            raise EstimationError(str(error), partial=interval) from None

    @property
    def log_rate(self) -> float:
        """Estimate of log p (natural), unbiased when no budget cuts in [3]_.

        Raises
        ------
        EstimationError
            Censored or open: the data give a limit, not a number. `partial` is the one-sided
            95 % upper limit of log p.

        Notes
        -----
        psi(r) - psi(K) if stopped at K beyond the floor, -(1 + 1/2 + ... + 1/(K-1)) at r = 1;
        psi(c+1) - psi(m+1) at the floor m.

        Examples
        --------
        >>> round(pass_rate(Tally.stopped(passes=1, trials=3)).log_rate, 6)
        -1.5
        >>> try:
        ...     pass_rate(Tally.censored(passes=0, trials=1000)).log_rate
        ... except EstimationError as error:
        ...     print(f"log p is below {error.partial:.2f}")
        log p is below -5.81
        """
        value, exists = log_parts(self._many.tallies)
        if exists[0]:
            return float(value[0])
        method: IntervalMethod = "exact" if self.tally.outcome.is_by_rule else "likelihood_ratio"
        limit = float(np.log(self.upper_limit(method=method)))
        raise EstimationError(
            f"log_rate: got {self.tally!r}; allowed: a tally that reached its passes (a censored "
            f"one gives a limit, not a number); log p is below {limit:.4g} at 95 %, the `partial` "
            "of this error.",
            partial=limit,
        )

    def confidence_interval(
        self,
        confidence_level: float = 0.95,
        *,
        method: IntervalMethod = "exact",
        prior: tuple[float, float] = JEFFREYS,
    ) -> Interval[float]:
        """Return an equal-tailed interval for p.

        Parameters
        ----------
        confidence_level : float
            Between 0 and 1.
        method : {"exact", "likelihood_ratio", "bayes"}
            "exact" covers at least the stated level for every p, under the tally's stopping
            rule; "likelihood_ratio" and "bayes" need the likelihood alone, so they hold for open
            tallies too.
        prior : (float, float)
            Beta prior of "bayes", Jeffreys by default.

        Returns
        -------
        Interval
            With `.low` and `.high`.

        Raises
        ------
        EstimationError
            "exact" for an open or steered tally.
        UsageError
            A level outside (0, 1), an unknown method.

        Notes
        -----
        With a = 1 - level. "exact": stopped at K, [BetaInv(a/2; r, K-r+1), BetaInv(1-a/2; r, K-r)];
        otherwise Clopper and Pearson's [BetaInv(a/2; c, n-c+1), BetaInv(1-a/2; c+1, n-c)].
        "likelihood_ratio": where 2 (l(c/n) - l(p)) is at most the chi-square(1) quantile of the
        level. "bayes": the a/2 and 1 - a/2 quantiles of Beta(prior[0] + c, prior[1] + n - c).

        Examples
        --------
        >>> rate = pass_rate(Tally.stopped(passes=2, trials=100))
        >>> for method in ("exact", "likelihood_ratio", "bayes"):
        ...     interval = rate.confidence_interval(0.9, method=method)
        ...     print(f"{method}: [{interval.low:.4f}, {interval.high:.4f}]")
        exact: [0.0036, 0.0470]
        likelihood_ratio: [0.0048, 0.0522]
        bayes: [0.0058, 0.0542]
        """
        many = self._many.confidence_interval(confidence_level, method=method, prior=prior)
        return Interval(float(many.low[0]), float(many.high[0]), many.confidence_level, method)

    def upper_limit(
        self, confidence_level: float = 0.95, *, method: IntervalMethod = "exact"
    ) -> float:
        """Return the one-sided upper limit of p.

        Parameters
        ----------
        confidence_level : float
            Between 0 and 1; all of the rest lies above the limit.
        method : {"exact", "likelihood_ratio", "bayes"}
            As in `confidence_interval`.

        Raises
        ------
        EstimationError, UsageError
            As `confidence_interval`.

        Examples
        --------
        >>> round(pass_rate(Tally.censored(passes=0, trials=100_000)).upper_limit(0.95), 7)
        3e-05
        """
        return float(self._many.upper_limit(confidence_level, method=method)[0])

    def lower_limit(
        self, confidence_level: float = 0.95, *, method: IntervalMethod = "exact"
    ) -> float:
        """Return the one-sided lower limit of p.

        Parameters
        ----------
        confidence_level, method
            As in `upper_limit`.

        Raises
        ------
        EstimationError, UsageError
            As `confidence_interval`.

        Examples
        --------
        >>> round(pass_rate(Tally.stopped(passes=1, trials=10)).lower_limit(0.95), 4)
        0.0051
        """
        return float(self._many.lower_limit(confidence_level, method=method)[0])


@overload
def pass_rate(tally: Tally) -> PassRate: ...
@overload
def pass_rate(tally: TallyArray | Iterable[Tally]) -> PassRates: ...
def pass_rate(tally: Tally | TallyArray | Iterable[Tally]) -> PassRate | PassRates:
    """Return the pass rate of one instance, or of each of many.

    Parameters
    ----------
    tally : Tally, TallyArray or iterable of Tally
        What was seen.

    Returns
    -------
    PassRate or PassRates
        With `mle`, `unbiased`, `log_rate`, `confidence_interval()` and one-sided limits; floats
        for one tally, arrays of shape (n_instances,) for many.

    Raises
    ------
    UsageError
        Something else than tallies; the estimates themselves raise `EstimationError` where there is
        none.

    Notes
    -----
    The likelihood of every tally is p^c (1 - p)^(n - c).

    References
    ----------
    .. [1] Hu et al. 2023, arXiv 2310.03262, Eq. 2.
    .. [2] Girshick, Mosteller & Savage 1946, Ann. Math. Stat. 17.
    .. [3] van Opheusden, Acerbi & Ma 2020, PLoS Comput. Biol. 16(12).
    .. [4] As [3], generalised to r passes and a floor.

    Examples
    --------
    >>> rate = pass_rate(Tally.stopped(passes=2, trials=100))
    >>> rate.mle, round(rate.unbiased, 6), round(rate.log_rate, 4)
    (0.02, 0.010101, -4.1774)
    >>> interval = rate.confidence_interval()
    >>> round(interval.low, 6), round(interval.high, 6)
    (0.002431, 0.054997)
    >>> pass_rate([Tally.censored(passes=0, trials=100_000)]).upper_limit().round(7)
    array([3.e-05])
    """
    if isinstance(tally, Tally):
        return PassRate(tally)
    return PassRates(as_tally_array(tally))
