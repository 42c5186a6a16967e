"""A distribution of F = log(-log PU): what forecasts are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["HazardMixture"]

Floats = NDArray[np.float64]
FAR = 1e10
"""PU is 0 or 1 well before this F."""


@dataclass(frozen=True, slots=True, eq=False)
class HazardMixture:
    """A mixture of normal distributions of F.

    Attributes
    ----------
    means, sds, weights : ndarray of float, shape (n_components,)
        Weights sum to 1.

    Examples
    --------
    >>> mixture = HazardMixture(np.array([0.0, 1.0]), np.array([0.1, 0.1]), np.array([0.5, 0.5]))
    >>> mixture.mean, round(mixture.variance, 4), round(mixture.quantile(0.5), 4)
    (0.5, 0.26, 0.5)
    """

    means: Floats
    sds: Floats
    weights: Floats

    def __repr__(self) -> str:
        sd = float(np.sqrt(self.variance))
        return f"<HazardMixture of {len(self.means)}: F {self.mean:.4g}, sd {sd:.3g}>"

    @property
    def mean(self) -> float:
        """Mean of F."""
        return float(self.weights @ self.means)

    @property
    def variance(self) -> float:
        """Variance of F."""
        return float(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2))

    def quantile(self, q: float) -> float:
        """Return the q quantile of F, by bisection on the cdf.

        Parameters
        ----------
        q : float
            Between 0 and 1. PU falls as F rises: the low end of PU is the high quantile of F.

        Examples
        --------
        >>> normal = HazardMixture(np.array([1.0]), np.array([0.5]), np.array([1.0]))
        >>> [round(normal.quantile(q), 4) for q in (0.05, 0.5, 0.95)]
        [0.1776, 1.0, 1.8224]
        """
        # draws further out weigh nothing, and 80 halvings would not come back from them
        reach = min(12 * self.sds.max() + 1e-9, FAR)
        low, high = self.means.min() - reach, self.means.max() + reach
        sds = np.maximum(self.sds, 1e-12)
        for _ in range(80):
            mid = (low + high) / 2
            cdf = self.weights @ ndtr((mid - self.means) / sds)
            low, high = (mid, high) if cdf < q else (low, mid)
        return float((low + high) / 2)

    def cdf(self, hazard: float) -> float:
        """Return the chance of an F below this.

        Parameters
        ----------
        hazard : float
            F.

        Examples
        --------
        >>> HazardMixture(np.array([1.0]), np.array([0.5]), np.array([1.0])).cdf(1.0)
        0.5
        """
        return float(self.weights @ ndtr((hazard - self.means) / np.maximum(self.sds, 1e-12)))

    def log_density(self, hazard: float) -> float:
        """Return the log density at F.

        Parameters
        ----------
        hazard : float
            F; every sd of the mixture above 0.

        Examples
        --------
        >>> normal = HazardMixture(np.array([0.0]), np.array([1.0]), np.array([1.0]))
        >>> round(normal.log_density(0.0), 4)
        -0.9189
        """
        z = (hazard - self.means) / self.sds
        density = self.weights @ (np.exp(-0.5 * z**2) / self.sds) / np.sqrt(2 * np.pi)
        return float(np.log(max(density, 1e-300)))

    def thinned(self, n: int) -> HazardMixture:
        """Return about n components of nearly the same distribution, in order of mean.

        Parameters
        ----------
        n : int
            Most components.

        Examples
        --------
        >>> many = HazardMixture(np.linspace(0, 1, 1000), np.full(1000, 0.1), np.full(1000, 0.001))
        >>> few = many.thinned(20)
        >>> len(few.means), round(few.mean, 6), round(few.variance / many.variance, 6)
        (20, 0.5, 1.0)
        """
        if len(self.means) <= n:
            return self
        order = np.argsort(self.means)
        bins = np.minimum((np.cumsum(self.weights[order]) * n).astype(int), n - 1)
        w = np.bincount(bins, self.weights[order], n)
        ok = w > 0
        mean = np.bincount(bins, (self.weights * self.means)[order], n)[ok] / w[ok]
        square = np.bincount(bins, (self.weights * (self.means**2 + self.sds**2))[order], n)[ok]
        sds = np.sqrt(np.maximum(square / w[ok] - mean**2, 1e-24))
        return HazardMixture(mean, sds, w[ok] / w[ok].sum())

    @classmethod
    def pooled(cls, parts: list[HazardMixture], shares: Floats) -> HazardMixture:
        """Return the mixture of mixtures.

        Parameters
        ----------
        parts : list of HazardMixture
        shares : ndarray of float, shape (n_parts,)
            Sum to 1.

        Examples
        --------
        >>> one = np.array([1.0])
        >>> low, high = HazardMixture(0 * one, 0.1 * one, one), HazardMixture(one, 0.1 * one, one)
        >>> HazardMixture.pooled([low, high], np.array([0.25, 0.75])).mean
        0.75
        """
        return cls(
            np.concatenate([p.means for p in parts]),
            np.concatenate([p.sds for p in parts]),
            np.concatenate([s * p.weights for s, p in zip(shares, parts, strict=True)]),
        )
