"""pass@k: the chance that at least one of k samples passes, mean over instances.

References
----------
.. [1] Chen et al. 2021, arXiv 2107.03374, Eq. 1 (fixed n, k <= n).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from passuntil.errors import EstimationError, UsageError, nearest
from passuntil.estimator.arrays import TallyArray, as_tally_array
from passuntil.estimator.beta_binomial import fit_beta_binomial
from passuntil.estimator.inputs import sample_numbers
from passuntil.estimator.mixing import fit_mixing
from passuntil.records import Outcome, Tally

__all__ = ["pass_at_k"]

Floats = NDArray[np.float64]
PassAtKMethod = Literal["mixing", "beta_binomial", "fixed_n"]


def pass_at_k(
    tallies: TallyArray | Iterable[Tally], k: ArrayLike, *, method: PassAtKMethod = "mixing"
) -> Floats:
    """Return pass@k of a dataset.

    Parameters
    ----------
    tallies : TallyArray or iterable of Tally
        One per instance, under one model.
    k : array_like of int
        Number of samples, >= 1; beyond the trials too, except for "fixed_n".
    method : {"mixing", "beta_binomial", "fixed_n"}
        "mixing": from the non-parametric mixing distribution. "beta_binomial": from the Beta fit.
        "fixed_n": the unbiased formula of [1]_, for fixed numbers of trials only.

    Returns
    -------
    ndarray of float, shape of `k`

    Raises
    ------
    EstimationError
        "fixed_n" on stopped or censored tallies, or k above a number of trials.
    UsageError
        k below 1, an unknown method.

    Notes
    -----
    Fixed n: 1 - C(n - c, k) / C(n, k). On tallies that stopped at a pass the last sample passes by
    design, so that formula is biased upwards (at k = 1 it is the mean of r/K).

    References
    ----------
    .. [1] Chen et al. 2021, arXiv 2107.03374, Eq. 1.

    Examples
    --------
    >>> pass_at_k(TallyArray.fixed(passes=[0, 5], trials=10), [1, 6], method="fixed_n")
    array([0.25, 0.5 ])
    >>> stopped = TallyArray.stopped(passes=1, trials=[1, 2, 40, 300])
    >>> pass_at_k(stopped, [1, 10, 100]).round(2)
    array([0.33, 0.52, 0.73])
    """
    array = as_tally_array(tallies)
    if method not in get_args(PassAtKMethod):
        allowed = get_args(PassAtKMethod)
        raise UsageError(
            f"method: got {method!r}; allowed: {', '.join(allowed)}." + nearest(method, allowed)
        )
    if method == "mixing":
        return fit_mixing(array).pass_at_k(k)
    if method == "beta_binomial":
        return fit_beta_binomial(array).pass_at_k(k)
    return _fixed_n(array, sample_numbers(k))


def _fixed_n(array: TallyArray, k: Floats) -> Floats:
    if not len(array):
        raise EstimationError("pass@k (fixed n): got no tallies; allowed: one an instance.")
    if not array.is_outcome(Outcome.FIXED).all():
        n_other = int((~array.is_outcome(Outcome.FIXED)).sum())
        raise EstimationError(
            f"pass@k (fixed n): got {n_other} tallies of {len(array)} that ended by a stopping "
            "rule; allowed: fixed numbers of trials (a stopped tally ends with a pass by design, "
            "which the formula takes for luck); use method='mixing'."
        )
    if k.max(initial=1) > array.trials.min():
        raise EstimationError(
            f"pass@k (fixed n): got k = {int(k.max())} with {int(array.trials.min())} trials; "
            "allowed: k <= n; use method='mixing' or 'beta_binomial', which extrapolate."
        )
    c, n = array.passes.astype(float), array.trials.astype(float)
    kk = k[..., None]
    fails = n - c
    room = fails - kk
    log_ratio = (
        gammaln(fails + 1) - gammaln(np.maximum(room, 0) + 1) - gammaln(n + 1) + gammaln(n - kk + 1)
    )
    return np.asarray(1 - np.where(room < 0, 0.0, np.exp(log_ratio)).mean(-1), float)
