"""The distribution of pass rates over the instances of a dataset, by maximum likelihood.

References
----------
.. [1] Kiefer & Wolfowitz 1956, Ann. Math. Stat. 27; Laird 1978, JASA 73 (non-parametric MLE).
.. [2] Lindsay 1983, Ann. Stat. 11 (the gradient condition of optimality).
.. [3] Wang 2007, J. R. Stat. Soc. B 69 (constrained Newton method).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from scipy.special import xlog1py, xlogy

from passuntil.errors import EstimationError
from passuntil.estimator.arrays import TallyArray, as_tally_array
from passuntil.estimator.inputs import sample_numbers
from passuntil.records import Tally

__all__ = ["MixingDistribution", "fit_mixing", "log_likelihoods", "rate_grid", "unique_tallies"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MixingDistribution:
    """A discrete distribution of pass rates.

    Attributes
    ----------
    support : ndarray of float, shape (n_points,)
        Pass rates, ascending.
    weights : ndarray of float, shape (n_points,)
        Shares of instances, summing to 1.
    log_likelihood : float
        Of the tallies, at these weights.
    gap : float
        Upper bound on how far the log likelihood is from its maximum on the grid [2]_.

    Examples
    --------
    Half of the problems are never solved, half nine times in ten:

    >>> mixing = fit_mixing(TallyArray.fixed(passes=[0, 0, 90, 90], trials=100))
    >>> heavy = mixing.weights > 0.01
    >>> mixing.support[heavy].round(3), mixing.weights[heavy].round(2)
    (array([0.   , 0.901]), array([0.5, 0.5]))
    """

    support: Floats
    weights: Floats
    log_likelihood: float
    gap: float

    def __repr__(self) -> str:
        n_heavy = int((self.weights > 1e-6).sum())
        return (
            f"<MixingDistribution: mean {self.mean:.4g}, weight on {n_heavy} of "
            f"{len(self.support)} rates, log likelihood {self.log_likelihood:.6g}>"
        )

    @property
    def mean(self) -> float:
        """Mean pass rate."""
        return float(self.weights @ self.support)

    def pass_at_k(self, k: ArrayLike) -> Floats:
        """Return pass@k = mean of 1 - (1 - p)^k, for any k >= 1, shape of `k`.

        Parameters
        ----------
        k : array_like of int
            Numbers of samples, >= 1.

        Raises
        ------
        UsageError
            Some k is below 1.

        Examples
        --------
        >>> mixing = fit_mixing(TallyArray.fixed(passes=[0, 0, 90, 90], trials=100))
        >>> mixing.pass_at_k([1, 2, 100]).round(3)
        array([0.45 , 0.495, 0.5  ])
        """
        ks = sample_numbers(k)
        with np.errstate(divide="ignore"):
            log_fail = np.log1p(-self.support)
        return np.asarray(-np.expm1(ks[..., None] * log_fail) @ self.weights, float)


def unique_tallies(tallies: TallyArray) -> tuple[Floats, Floats, Floats]:
    """Return distinct (c, n) as floats and how often each occurs.

    Examples
    --------
    >>> unique_tallies(TallyArray.fixed(passes=[0, 3, 0], trials=10))
    (array([0., 3.]), array([10., 10.]), array([2., 1.]))
    """
    pairs, counts = np.unique(
        np.stack([tallies.passes, tallies.trials]), axis=1, return_counts=True
    )
    return pairs[0].astype(float), pairs[1].astype(float), counts.astype(float)


def rate_grid(tallies: TallyArray, *, per_decade: int = 40) -> Floats:
    """Return 0, 1 and pass rates even in log odds, from a tenth of 1/n up to 1 - 1/(10 n).

    Examples
    --------
    >>> grid = rate_grid(TallyArray.fixed(passes=[0, 3], trials=100))
    >>> grid[[0, 1, -2, -1]].round(4)
    array([0.   , 0.001, 0.999, 1.   ])
    """
    largest = max(10.0, float(tallies.trials.max(initial=1)))
    end = np.log(10 * largest)
    top = min(end, np.log(1e4))
    inner = np.linspace(-end, top, int((end + top) / np.log(10) * per_decade))
    return np.concatenate([[0.0], 1 / (1 + np.exp(-inner)), [1.0]])


def log_likelihoods(c: Floats, n: Floats, support: Floats) -> Floats:
    """Return c log p + (n - c) log(1 - p), shape (n_tallies, n_points).

    Parameters
    ----------
    c, n : ndarray of float, shape (n_tallies,)
    support : ndarray of float, shape (n_points,)

    Examples
    --------
    >>> log_likelihoods(np.array([0.0]), np.array([2.0]), np.array([0.0, 0.5, 1.0])).round(4)
    array([[ 0.    , -1.3863,    -inf]])
    """
    return np.asarray(xlogy(c[:, None], support) + xlog1py((n - c)[:, None], -support), float)


def fit_mixing(
    tallies: TallyArray | Iterable[Tally], *, support: Floats | None = None
) -> MixingDistribution:
    """Return the non-parametric maximum likelihood mixing distribution [1]_.

    Parameters
    ----------
    tallies : TallyArray
        Shape (n_instances,), at least one; any outcome (the likelihood does not depend on it).
    support : ndarray of float, optional
        Candidate pass rates; by default a grid even in log odds.

    Returns
    -------
    MixingDistribution

    Raises
    ------
    EstimationError
        No tally has a sample.

    Notes
    -----
    Maximises sum_i log sum_j w_j p_j^c_i (1 - p_j)^(n_i - c_i) over weights w on the support p; the
    gap max_j sum_i L_ij / (L w)_i - n bounds what is left [2]_.

    References
    ----------
    .. [1] Kiefer & Wolfowitz 1956, Ann. Math. Stat. 27; Laird 1978, JASA 73.
    .. [2] Lindsay 1983, Ann. Stat. 11.

    Examples
    --------
    >>> t = TallyArray.fixed(passes=[0, 0, 90, 90], trials=100)
    >>> mixing = fit_mixing(t)
    >>> round(mixing.mean, 3)
    0.45
    """
    array = as_tally_array(tallies)
    if not len(array) or not array.trials.any():
        raise EstimationError("mixing: got no samples; allowed: at least one sampled instance.")
    points = rate_grid(array) if support is None else np.asarray(support, float)
    c, n, counts = unique_tallies(array)
    log_l = log_likelihoods(c, n, points)
    peak = log_l.max(1)
    matrix = np.exp(log_l - peak[:, None])
    weights, gap = _maximise(matrix, counts)
    value = float(counts @ (np.log(matrix @ weights) + peak))
    return MixingDistribution(points, weights, value, gap)


def _maximise(matrix: Floats, counts: Floats) -> tuple[Floats, float]:
    """Return weights maximising sum counts log(matrix @ weights) on the simplex, and the gap."""
    total = counts.sum()
    weights = np.full(matrix.shape[1], 1 / matrix.shape[1])
    for _ in range(20):  # EM: slow in the end, sure in the beginning
        weights = weights * (matrix.T @ (counts / (matrix @ weights))) / total
    gap = np.inf
    for _ in range(60):
        density = matrix @ weights
        slope = matrix.T @ (counts / density)
        gap = float(slope.max() - total)
        if gap < 1e-7 * total:
            break
        weights = _newton_step(matrix, counts, weights, density, slope)
    return weights, gap


def _newton_step(
    matrix: Floats, counts: Floats, weights: Floats, density: Floats, slope: Floats
) -> Floats:
    """One constrained Newton step [3]_ on the current support and the peaks of the slope."""
    is_peak = np.r_[True, slope[1:] >= slope[:-1]] & np.r_[slope[:-1] >= slope[1:], True]
    active = np.flatnonzero((weights > 1e-12) | (is_peak & (slope > counts.sum())))
    root = np.sqrt(counts)
    rows = matrix[:, active] / density[:, None] * root[:, None]
    heavy = 1e4 * np.sqrt(counts.sum())  # holds the weights' sum at 1
    system = np.vstack([rows, np.full(len(active), heavy)])
    new, _ = nnls(system, np.append(2 * root, heavy), maxiter=30 * len(active))
    target = np.zeros_like(weights)
    target[active] = new / new.sum()
    old = counts @ np.log(density)
    step = target - weights
    direction = float(slope @ step)
    size = 1.0
    while size > 1e-8:
        with np.errstate(divide="ignore"):
            value = counts @ np.log(matrix @ (weights + size * step))
        if value >= old + 0.1 * size * direction * (size < 1) - 1e-12 * abs(old):
            break
        size /= 2
    else:
        size = 0.0
    moved = np.maximum(weights + size * step, 0)
    # an EM step keeps the climb monotone where the quadratic step stalls
    moved = moved * (matrix.T @ (counts / (matrix @ moved))) / counts.sum()
    return np.asarray(moved / moved.sum(), float)
