"""Parametric mixing distributions with their uncertainty: what the mean pass rate may be.

Two families, both fitted by marginal likelihood and weighted by their evidence: log odds of p
normal over instances with unlike tails, and Beta with a point mass at zero. A third is looser: its
easy end may be heavier or lighter than the rest says. Tallies that stopped without a floor cannot
tell that end, which rules the mean; their intervals hold what either of the two says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit, log_expit, logsumexp

from passuntil.estimator.arrays import TallyArray
from passuntil.estimator.mixing import log_likelihoods, unique_tallies
from passuntil.estimator.posterior import Draws, draw_posterior, weighted_quantile

__all__ = [
    "MeanPosterior",
    "beta_with_zero",
    "loose_posterior",
    "mean_posterior",
    "tilted_normal",
    "two_piece_normal",
]

Floats = NDArray[np.float64]
MOST_PASSES = 200.0
"""Beyond this many passes an instance speaks for itself; its likelihood is tempered to this."""
GRID = np.linspace(-18.0, 9.0, 271)
"""Log odds of the grid: steps of 0.1 (10 % of p), from 1.5e-8 to 0.99988."""


@dataclass(frozen=True, slots=True, eq=False)
class MeanPosterior:
    """What tallies say about the mean pass rate.

    Attributes
    ----------
    draw_means, draw_sds : ndarray of float, shape (n_draws,)
        Mean and sd of the sampled instances' mean pass rate, given each drawn mixing.
    population_means : ndarray of float, shape (n_draws,)
        Mean of each drawn mixing distribution.
    weights : ndarray of float, shape (n_draws,)
        Sum to 1.

    Examples
    --------
    >>> found = mean_posterior(TallyArray.stopped(passes=1, trials=[3, 40, 40, 900]))
    >>> found.quantile(0.05) < found.mean < found.quantile(0.95)
    True
    """

    draw_means: Floats
    draw_sds: Floats
    population_means: Floats
    weights: Floats

    @property
    def mean(self) -> float:
        """Posterior mean over the sampled instances."""
        return float(self.weights @ self.draw_means)

    @property
    def sd(self) -> float:
        """Posterior sd of the sampled instances' mean: sampling noise."""
        second = self.weights @ (self.draw_sds**2 + self.draw_means**2)
        return float(np.sqrt(np.maximum(second - self.mean**2, 0.0)))

    def quantile(self, q: float) -> float:
        """Return the q quantile of the sampled instances' mean, by bisection on its cdf.

        Parameters
        ----------
        q : float
            Between 0 and 1.
        """
        mean = np.clip(self.draw_means, 1e-15, 1 - 1e-12)
        size = np.maximum(mean * (1 - mean) / np.maximum(self.draw_sds, 1e-12) ** 2 - 1, 1e-3)
        low, high = np.log(1e-16), 0.0
        for _ in range(60):
            mid = (low + high) / 2
            cdf = self.weights @ betainc(mean * size, (1 - mean) * size, np.exp(mid))
            low, high = (mid, high) if cdf < q else (low, mid)
        return float(np.exp((low + high) / 2))

    def population_quantile(self, q: float) -> float:
        """Return the q quantile of the mean over the population that instances came from.

        Parameters
        ----------
        q : float
            Between 0 and 1.
        """
        return weighted_quantile(self.population_means, self.weights, q)


def two_piece_normal(theta: Floats) -> tuple[Floats, Floats]:
    """Return log weights on `GRID`, shape (n, n_grid), and log prior, of (mu, log s, skew).

    Log odds with sd s exp(skew) to the left of mu and s exp(-skew) to the right: tasks have long
    tails of hard instances, and a symmetric fit of those invents easy ones, which rule the mean.

    Parameters
    ----------
    theta : ndarray of float, shape (n, 3)

    Examples
    --------
    >>> log_w, log_prior = two_piece_normal(np.array([[-4.0, 0.0, 0.5]]))
    >>> log_w.shape, float(np.exp(log_w).sum().round(6))
    ((1, 271), 1.0)
    """
    mu, log_s = theta[:, :1], np.clip(theta[:, 1:2], -4, 3)
    side = np.where(mu > GRID, 1.0, -1.0) * np.clip(theta[:, 2:3], -2, 2)
    log_w = -0.5 * ((GRID - mu) / np.exp(log_s + side)) ** 2
    log_w = log_w - logsumexp(log_w, axis=1, keepdims=True)
    z = (theta - np.array([-5.0, 0.5, 0.0])) / np.array([4.0, 0.7, 0.6])
    prior = -0.5 * (z**2).sum(1) - np.log(4 * 0.7 * 0.6 * (2 * np.pi) ** 1.5)
    return log_w, prior


def beta_with_zero(theta: Floats) -> tuple[Floats, Floats]:
    """Return the same of (logit mean, log size, logit zero share); the zero sits at GRID[0].

    Parameters
    ----------
    theta : ndarray of float, shape (n, 3)

    Examples
    --------
    A share of sigmoid(0) = 1/2 never passes:

    >>> log_w, _ = beta_with_zero(np.array([[-1.0, 2.0, 0.0]]))
    >>> float(np.exp(log_w[0, 0]).round(3))
    0.5
    """
    mean = expit(np.clip(theta[:, :1], -30, 30))
    size = np.exp(np.clip(theta[:, 1:2], -8, 12))
    zero = np.clip(theta[:, 2:3], -12, 12)
    # density of log odds: p^a (1 - p)^b / B(a, b)
    log_w = mean * size * log_expit(GRID) + (1 - mean) * size * log_expit(-GRID)
    log_w = log_w - logsumexp(log_w, axis=1, keepdims=True) + log_expit(-zero)
    log_w[:, 0] = np.logaddexp(log_w[:, 0], log_expit(zero[:, 0]))
    z = (theta - np.array([-4.0, 0.5, -2.0])) / np.array([3.0, 2.0, 2.0])
    prior = -0.5 * (z**2).sum(1) - np.log(3 * 2 * 2 * (2 * np.pi) ** 1.5)
    return log_w, prior


TILT_CENTERS, TILT_WIDTH, TILT_SD = np.array([-7.0, -4.5, -2.0, 0.5]), 1.4, 1.0
"""Log odds where a density may be e times that of a two-piece normal, or an e-th of it (1 sd)."""
TILTS = np.exp(-0.5 * ((GRID - TILT_CENTERS[:, None]) / TILT_WIDTH) ** 2)


def tilted_normal(theta: Floats) -> tuple[Floats, Floats]:
    """Return the same of a two-piece normal with four humps in its log density.

    Parameters
    ----------
    theta : ndarray of float, shape (n, 7)

    Examples
    --------
    >>> log_w, _ = tilted_normal(np.array([[-4.0, 0.0, 0.5, 0.0, 0.0, 0.0, 2.0]]))
    >>> plain, _ = two_piece_normal(np.array([[-4.0, 0.0, 0.5]]))
    >>> bool(np.exp(log_w[0, GRID > 0]).sum() > np.exp(plain[0, GRID > 0]).sum())  # an easier end
    True
    """
    log_w, prior = two_piece_normal(theta[:, :3])
    log_w = log_w + np.clip(theta[:, 3:], -8, 8) @ TILTS
    prior = prior - 0.5 * ((theta[:, 3:] / TILT_SD) ** 2).sum(1)
    return log_w - logsumexp(log_w, axis=1, keepdims=True), prior


Shapes = tuple[tuple[Callable[[Floats], tuple[Floats, Floats]], Floats, Floats], ...]
FAMILIES: Shapes = (
    (two_piece_normal, np.array([-5.0, 0.5, 0.0]), np.array([0.7, 0.35, 0.4])),
    (beta_with_zero, np.array([-4.0, 0.0, -2.0]), np.array([0.5, 0.7, 1.0])),
)
LOOSE: Shapes = (
    (
        tilted_normal,
        np.array([-5.0, 0.5, 0.0, *np.zeros(4)]),
        np.array([0.7, 0.35, 0.4, *np.full(4, 0.5)]),
    ),
)


def loose_posterior(tallies: TallyArray) -> MeanPosterior:
    """Return what the tallies say where the easy end of the rates follows no smooth shape.

    Examples
    --------
    >>> tallies = TallyArray.stopped(passes=1, trials=[3, 40, 40, 900])
    >>> 0 < loose_posterior(tallies).quantile(0.05) < mean_posterior(tallies).mean
    True
    """
    return mean_posterior(tallies, shapes=LOOSE)


def mean_posterior(
    tallies: TallyArray, *, n_draws: int = 256, shapes: Shapes = FAMILIES
) -> MeanPosterior:
    """Return what the tallies say about the mean pass rate.

    Parameters
    ----------
    tallies : TallyArray
        Shape (n_instances,), at least one with a sample.
    n_draws : int
        Draws of the mixing distribution per family; a power of two.
    shapes : tuple of (family, start, step)
        Families of mixing distributions, weighted by their evidence.

    Returns
    -------
    MeanPosterior

    Notes
    -----
    Of each drawn mixing distribution w on the grid p, an instance with c of n passes has
    E[p | c, n] = sum_j w_j p_j L_j / sum_j w_j L_j, L_j = p_j^c (1 - p_j)^(n - c);
    draws are weighted by their posterior, families by their evidence.

    Examples
    --------
    First passes say little of each rate and more of their mean:

    >>> found = mean_posterior(TallyArray.stopped(passes=1, trials=[3, 40, 40, 900]))
    >>> round(found.mean, 1), found.sd < 0.3
    (0.1, True)
    """
    c, n, counts = unique_tallies(tallies)
    scale = np.minimum(1.0, MOST_PASSES / np.maximum(c, 1))
    log_l = log_likelihoods(c * scale, n * scale, expit(GRID))
    peak = log_l.max(1, keepdims=True)
    likelihood = np.exp(log_l - peak)
    loud = scale < 1
    parts: list[tuple[Draws, Floats, Floats, Floats]] = []
    for family, start, step in shapes:

        def log_density(
            theta: Floats, family: Callable[..., tuple[Floats, Floats]] = family
        ) -> Floats:
            log_w, prior = family(theta)
            mixed = likelihood @ np.exp(log_w).T
            return np.asarray(counts @ np.log(np.maximum(mixed, 1e-300)) + prior, float)

        draws = draw_posterior(log_density, start, step=step, n_draws=n_draws)
        weights = np.exp(family(draws.points)[0])
        rate = expit(GRID)
        mixed = np.maximum(likelihood @ weights.T, 1e-300)
        first = (likelihood * rate) @ weights.T / mixed
        second = (likelihood * rate**2) @ weights.T / mixed
        first[loud] = (c / np.maximum(n, 1))[loud, None]
        variance = np.maximum(second - first**2, 0)
        variance[loud] = (first * (1 - first))[loud] / n[loud, None]
        parts.append((draws, counts @ first, counts @ variance, weights @ rate))
    evidence = np.array([p[0].log_evidence for p in parts])
    share = np.exp(evidence - logsumexp(evidence))
    total = counts.sum()
    return MeanPosterior(
        np.concatenate([p[1] for p in parts]) / total,
        np.sqrt(np.concatenate([p[2] for p in parts])) / total,
        np.concatenate([p[3] for p in parts]),
        np.concatenate([s * p[0].weights for s, p in zip(share, parts, strict=True)]),
    )
