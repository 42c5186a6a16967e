"""Weighted draws from a low-dimensional posterior: mode, curvature, importance sampling.

Deterministic: the draws are a fixed low-discrepancy sequence, so equal data give equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammainccinv, logsumexp, ndtri
from scipy.stats import qmc

__all__ = ["Draws", "draw_posterior", "weighted_quantile"]

Floats = NDArray[np.float64]
T_DEGREES = 6.0
"""Degrees of freedom of the proposal: heavier tails than the target keep the weights bounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Weighted draws.

    Attributes
    ----------
    points : ndarray of float, shape (n_draws, n_parameters)
    weights : ndarray of float, shape (n_draws,)
        Sum to 1.
    mode : ndarray of float, shape (n_parameters,)
        Where the log density is largest.
    log_evidence : float
        Log of the integral of the density.
    effective_size : float
        1 / sum of squared weights.

    Examples
    --------
    >>> draws = draw_posterior(
    ...     lambda x: -0.5 * (x[:, 0] - 3) ** 2, np.array([0.0]), step=np.array([1.0]), n_draws=64)
    >>> draws.points.shape, draws.mode.round(2), float(draws.weights.sum().round(6))
    ((64, 1), array([3.]), 1.0)
    """

    points: Floats
    weights: Floats
    mode: Floats
    log_evidence: float
    effective_size: float


@lru_cache(maxsize=64)
def standard_draws(n: int, d: int) -> tuple[Floats, Floats]:
    """Return a multivariate t sample of unit scale and its log density, from Sobol points."""
    sobol = qmc.Sobol(d + 1, scramble=True, rng=np.random.default_rng(20_231_006))
    uniform = np.clip(sobol.random(n), 1e-9, 1 - 1e-9)
    normal = ndtri(uniform[:, :d])
    chi2 = 2 * gammainccinv(T_DEGREES / 2, uniform[:, d])
    z = normal * np.sqrt(T_DEGREES / chi2)[:, None]
    log_density = -(T_DEGREES + d) / 2 * np.log1p((z**2).sum(1) / T_DEGREES)
    from_scipy = _log_t_constant(d)
    return z, log_density + from_scipy


def _log_t_constant(d: int) -> float:
    from scipy.special import gammaln  # noqa: PLC0415

    nu = T_DEGREES
    return float(gammaln((nu + d) / 2) - gammaln(nu / 2) - d / 2 * np.log(nu * np.pi))


def draw_posterior(
    log_density: Callable[[Floats], Floats],
    start: Floats,
    *,
    step: Floats,
    n_draws: int = 1024,
    n_rounds: int = 2,
) -> Draws:
    """Return weighted draws from exp(log_density).

    Parameters
    ----------
    log_density : callable
        Takes points of shape (n, n_parameters), returns shape (n,); finite everywhere.
    start : ndarray of float, shape (n_parameters,)
        Where the search for the mode begins.
    step : ndarray of float, shape (n_parameters,)
        A natural step of each parameter; also the largest posterior sd the first proposal takes.
    n_draws : int
        Draws kept; a power of two.
    n_rounds : int
        Proposals: the first from the curvature at the mode, later ones from weighted moments.

    Returns
    -------
    Draws

    Notes
    -----
    A multivariate t distribution around the mode, with the curvature there, proposes Sobol points;
    each weighs exp(log_density) over the proposal's density, and the next round proposes from the
    weighted moments.

    Examples
    --------
    A normal density of mean 3 and sd 2, and its integral:

    >>> draws = draw_posterior(
    ...     lambda x: -((x[:, 0] - 3) ** 2) / 8, np.array([0.0]), step=np.array([1.0]), n_draws=256)
    >>> mean = draws.weights @ draws.points[:, 0]
    >>> float(mean.round(1)), round(float(np.exp(draws.log_evidence)), 1)  # 2 sqrt(2 pi)
    (3.0, 5.0)
    """
    d = len(start)
    mode = _find_mode(log_density, np.asarray(start, float), step)
    center, cov = mode, _curvature_cov(log_density, mode, step)
    for i in range(n_rounds):
        # the first rounds only find the proposal
        n = n_draws if i == n_rounds - 1 else max(n_draws // 2, 32)
        z, log_z = standard_draws(n, d)
        root = np.linalg.cholesky(cov)
        points = center + z @ root.T
        log_w = log_density(points) - (log_z - np.log(np.diag(root)).sum())
        log_total = logsumexp(log_w)
        weights = np.exp(log_w - log_total)
        center = weights @ points
        spread = points - center
        # a tenth more than the draws show, and never degenerate
        cov = 1.1 * (spread * weights[:, None]).T @ spread + 1e-8 * np.diag(step**2)
    return Draws(
        points,
        weights,
        mode,
        float(log_total - np.log(n_draws)),
        float(1 / (weights**2).sum()),
    )


def _find_mode(log_density: Callable[[Floats], Floats], start: Floats, step: Floats) -> Floats:
    d = len(start)
    shift = 1e-4 * np.diag(step)

    def negative(x: Floats) -> tuple[float, Floats]:
        z = start + x * step
        batch = np.concatenate([z[None], z + shift, z - shift])
        value = -log_density(batch)
        slope = (value[1 : d + 1] - value[d + 1 :]) / 2e-4
        return float(value[0]), slope

    # a mode this near is enough: the draws are weighted, and steps are about posterior sds
    options = {"maxiter": 200, "gtol": 1e-2}
    best = minimize(negative, np.zeros(d), jac=True, method="BFGS", options=options)
    return np.asarray(start + best.x * step, float)


def _curvature_cov(log_density: Callable[[Floats], Floats], mode: Floats, step: Floats) -> Floats:
    """Return the inverse of minus the Hessian, sds between 1e-4 and 2 steps."""
    d, h = len(mode), 0.05
    shifts = np.eye(d) * h
    i, j = np.tril_indices(d, -1)
    pairs = shifts[i] + shifts[j]
    rows = np.concatenate([np.zeros((1, d)), shifts, -shifts, pairs, -pairs])
    value = log_density(mode + rows * step)
    top, up, down = value[0], value[1 : d + 1], value[d + 1 : 2 * d + 1]
    both = value[2 * d + 1 : 2 * d + 1 + len(i)] + value[2 * d + 1 + len(i) :]
    hessian = np.diag((2 * top - up - down) / h**2)
    mixed = -(both - up[i] - down[i] - up[j] - down[j] + 2 * top) / (2 * h * h)
    hessian[i, j] = hessian[j, i] = mixed
    size, axes = np.linalg.eigh(hessian)
    size = np.clip(size, 0.25, 1e8)
    cov = (axes / size) @ axes.T
    return np.asarray(cov * step[:, None] * step[None, :], float)


def weighted_quantile(values: Floats, weights: Floats, q: float) -> float:
    """Return the q quantile of weighted draws, linear between their mid-ranks.

    Parameters
    ----------
    values, weights : ndarray of float, shape (n,)
        Weights sum to 1.
    q : float
        Between 0 and 1.

    Examples
    --------
    >>> weighted_quantile(np.array([1.0, 2.0, 3.0]), np.array([0.25, 0.5, 0.25]), 0.5)
    2.0
    """
    order = np.argsort(values, kind="stable")
    w = weights[order]
    rank = np.cumsum(w) - w / 2
    return float(np.interp(q, rank, values[order]))
