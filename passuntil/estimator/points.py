"""Point estimates of many pass rates and of their logarithms, and where they exist.

References
----------
.. [1] Girshick, Mosteller & Savage 1946, Ann. Math. Stat. 17.
.. [2] van Opheusden, Acerbi & Ma 2020, PLoS Comput. Biol. 16(12), generalised to r passes and a
   floor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from passuntil.estimator.arrays import TallyArray
from passuntil.records import Outcome

__all__ = ["log_parts", "unbiased_parts"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def unbiased_parts(tallies: TallyArray) -> tuple[Floats, Floats, Mask]:
    """Return unbiased estimates of p, unbiased estimates of their variance, and where they exist.

    The share of sample paths to the observed end that begin with a pass; with two passes for p
    squared [1]_. Values outside the mask are 0 and mean nothing.

    Parameters
    ----------
    tallies : TallyArray
        Shape (n_instances,).

    Returns
    -------
    values, variances : ndarray of float, shape (n_instances,)
    exists : ndarray of bool, shape (n_instances,)
        False for first passes without a floor, open and steered tallies.

    Notes
    -----
    Stopped at K beyond the floor: (r - 1)/(K - 1); otherwise c/n. Variance: estimate squared
    minus the unbiased estimate of p squared, (r-1)(r-2)/((K-1)(K-2)) or c(c-1)/(n(n-1)).

    Examples
    --------
    >>> values, variances, exists = unbiased_parts(TallyArray.stopped(passes=[1, 2, 3], trials=5))
    >>> values, variances.round(4), exists
    (array([0.  , 0.25, 0.5 ]), array([0.    , 0.0625, 0.0833]), array([False,  True,  True]))
    """
    c, n = tallies.passes.astype(float), tallies.trials.astype(float)
    is_stop = tallies.is_outcome(Outcome.STOPPED)
    exists = tallies.is_by_rule
    # r = 1 and no floor: the only unbiased estimate is 1{K = 1}
    exists &= ~(is_stop & (c == 1) & (tallies.min_samples == 1))
    top, bottom = np.where(is_stop, c - 1, c), np.where(is_stop, n - 1, n)
    p = np.where(bottom > 0, top / np.maximum(bottom, 1), 1.0)
    square = np.where(
        bottom > 1, top * (top - 1) / np.maximum(bottom * (bottom - 1), 1), p * (top == bottom)
    )
    return np.where(exists, p, 0.0), np.where(exists, np.maximum(p**2 - square, 0.0), 0.0), exists


def log_parts(tallies: TallyArray) -> tuple[Floats, Mask]:
    """Return estimates of log p, unbiased but for the cap, and where they exist.

    Parameters
    ----------
    tallies : TallyArray
        Shape (n_instances,).

    Returns
    -------
    values : ndarray of float, shape (n_instances,)
    exists : ndarray of bool, shape (n_instances,)
        False where the tally gives a limit only.

    Notes
    -----
    Stopped at K beyond the floor: psi(r) - psi(K) [2]_. Floor m reached: psi(c+1) - psi(m+1).
    A fixed n is the design "one pass, floor n, cap n" and takes the floor's form.

    Examples
    --------
    >>> log_parts(TallyArray.stopped(passes=1, trials=[1, 2]))
    (array([ 0., -1.]), array([ True,  True]))
    """
    c, n = tallies.passes, np.maximum(tallies.trials, 1)
    is_stop = tallies.is_outcome(Outcome.STOPPED)
    exists = is_stop | tallies.is_outcome(Outcome.FLOOR_REACHED)
    exists |= tallies.is_outcome(Outcome.FIXED) & (c > 0)
    step = np.where(is_stop, 0, 1)
    value = digamma(np.maximum(c + step, 1)) - digamma(n + step)
    return np.where(exists, value, 0.0), exists
