"""Beta-distributed pass rates with a point mass at zero, fitted to tallies.

References
----------
.. [1] Skellam 1948, J. R. Stat. Soc. B 10 (Beta-binomial).
.. [2] Kazdan et al. 2025, arXiv 2510.05197 (scaled Beta-binomial for pass@k).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import betaln, expit, log_expit

from passuntil.errors import EstimationError
from passuntil.estimator.arrays import TallyArray, as_tally_array
from passuntil.estimator.inputs import sample_numbers
from passuntil.estimator.mixing import unique_tallies
from passuntil.records import Tally

__all__ = ["BetaBinomial", "fit_beta_binomial"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BetaBinomial:
    """Pass rates: 0 with chance `zero`, otherwise Beta(a, b).

    Attributes
    ----------
    a, b : float
        Shape, > 0.
    zero : float
        Share of instances that never pass, 0 ... 1.
    log_likelihood : float
        Of the tallies.

    Examples
    --------
    >>> rates = BetaBinomial(a=0.5, b=2.0, zero=0.25, log_likelihood=0.0)
    >>> rates.mean
    0.15
    """

    a: float
    b: float
    zero: float
    log_likelihood: float

    @property
    def mean(self) -> float:
        """Mean pass rate."""
        return (1 - self.zero) * self.a / (self.a + self.b)

    def pass_at_k(self, k: ArrayLike) -> Floats:
        """Return pass@k = (1 - zero) (1 - B(a, b + k) / B(a, b)), shape of `k`.

        Parameters
        ----------
        k : array_like of int
            Numbers of samples, >= 1.

        Raises
        ------
        UsageError
            Some k is below 1 or not whole.

        Examples
        --------
        Never more than the share that can pass at all:

        >>> BetaBinomial(0.5, 2.0, 0.25, 0.0).pass_at_k([1, 10, 10_000]).round(3)
        array([0.15 , 0.459, 0.74 ])
        """
        ks = sample_numbers(k)
        gap = betaln(self.a, self.b + ks) - betaln(self.a, self.b)
        return np.asarray(-(1 - self.zero) * np.expm1(gap), float)


def fit_beta_binomial(tallies: TallyArray | Iterable[Tally]) -> BetaBinomial:
    """Return the maximum likelihood fit.

    Parameters
    ----------
    tallies : TallyArray
        Shape (n_instances,); any outcome.

    Returns
    -------
    BetaBinomial

    Raises
    ------
    EstimationError
        Nothing passed.

    Notes
    -----
    Maximises sum_i log[(1 - zero) B(a + c_i, b + n_i - c_i) / B(a, b) + zero 1{c_i = 0}] [1]_, with
    the mass at zero of [2]_; stopping does not change it.

    References
    ----------
    .. [1] Skellam 1948, J. R. Stat. Soc. B 10.
    .. [2] Kazdan et al. 2025, arXiv 2510.05197.

    Examples
    --------
    >>> fit = fit_beta_binomial(TallyArray.fixed(passes=[0, 0, 0, 40, 50, 60], trials=100))
    >>> round(fit.zero, 2), round(fit.mean, 2)
    (0.5, 0.25)
    """
    array = as_tally_array(tallies)
    if not array.passes.any():
        raise EstimationError(
            "beta-binomial: got no passes; allowed: at least one; use zero_limit for a limit."
        )
    c, n, counts = unique_tallies(array)

    def negative(theta: Floats) -> float:
        mean, size = expit(theta[0]), np.exp(np.clip(theta[1], -8, 12))
        a, b = max(mean * size, 1e-9), max((1 - mean) * size, 1e-9)
        log_l = betaln(a + c, b + n - c) - betaln(a, b) + log_expit(-theta[2])
        log_l = np.where(c == 0, np.logaddexp(log_l, log_expit(theta[2])), log_l)
        return -float(counts @ log_l)

    rate = float((c / np.maximum(n, 1)) @ counts / counts.sum())
    center = float(np.log(rate / max(1 - rate, 1e-6)))
    found = [
        minimize(
            negative,
            np.array([center, size, zero]),
            method="L-BFGS-B",
            bounds=[(-25, 12), (-8, 12), (-25, 12)],
        )
        for size, zero in ((-1.0, -4.0), (2.0, 0.0), (5.0, 0.0))
    ]
    best = min(found, key=lambda f: float(f.fun))
    mean, size, zero = expit(best.x[0]), np.exp(best.x[1]), expit(best.x[2])
    return BetaBinomial(float(mean * size), float((1 - mean) * size), float(zero), -float(best.fun))
