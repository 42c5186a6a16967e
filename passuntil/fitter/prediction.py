"""A forecast of PU: a distribution of F = log(-log PU), and what its spread is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from passuntil.fitter.observations import from_hazard

__all__ = ["Forecast", "HazardMixture", "Prediction", "VarianceComponents"]

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


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Variance of the predicted F, by source; the parts sum to the whole.

    Attributes
    ----------
    sampling : float
        Finite samples of the measured models.
    instances : float
        What each instance's own law may be.
    fit : float
        Parameters of the law, given those.
    model_scatter : float
        Training runs scatter around the law: the new model's own scatter.
    law : float
        Which law holds.

    Examples
    --------
    >>> parts = VarianceComponents(sampling=0.01, instances=0.02, fit=0.03, model_scatter=0.04)
    >>> round(parts.total, 6), f"{parts.model_scatter / parts.total:.0%}"
    (0.1, '40%')
    """

    sampling: float
    instances: float
    fit: float
    model_scatter: float
    law: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return float(sum(getattr(self, f.name) for f in fields(self)))

    def to_json(self) -> dict[str, float]:
        """Return plain values."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast F of one size.

    Attributes
    ----------
    mixture : HazardMixture
    components : VarianceComponents
        What the mixture's variance is made of.

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
    >>> found = fit.forecast(2449e6)
    >>> abs(found.components.total - found.mixture.variance) < 1e-9
    True
    """

    mixture: HazardMixture
    components: VarianceComponents


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted PU.

    Attributes
    ----------
    n_params : float
        Size of the predicted model.
    value : float
        Median forecast of PU.
    low, high : float
        Interval: sampling noise, instances, fit, model scatter and choice of law together.
    confidence_level : float
        Of the interval.
    method : str
        The fit it comes from.
    extrapolation : float
        Size over the largest measured size.
    components : VarianceComponents or None
        What the interval is made of, in F; None where the method does not tell.
    distribution : HazardMixture or None
        The whole forecast of F.
    words : str
        How far to trust it, for a person.

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
    >>> forecast = fit.predict(2449e6, confidence_level=0.9)
    >>> print(f"{forecast.value:.3f} [{forecast.low:.3f}, {forecast.high:.3f}]")
    0.071 [0.062, 0.080]
    >>> print(forecast.words.split(". ")[1])
    2.75 times the largest measured model.
    """

    n_params: float
    value: float
    low: float
    high: float
    confidence_level: float
    method: str
    extrapolation: float
    components: VarianceComponents | None
    distribution: HazardMixture | None = field(repr=False)
    words: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the distribution as thinned components.

        Examples
        --------
        >>> from passuntil import Tally, fit_scaling_law
        >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
        >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
        >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
        >>> plain = fit.predict(2449e6).to_json()
        >>> plain["method"], len(plain["hazard_mixture"]["means"]) <= 50
        ('mle', True)
        """
        out: dict[str, Any] = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in ("components", "distribution")
        }
        out["components"] = None if self.components is None else self.components.to_json()
        if self.distribution is not None:
            thin = self.distribution.thinned(50)
            out["hazard_mixture"] = {
                "means": thin.means.tolist(),
                "sds": thin.sds.tolist(),
                "weights": thin.weights.tolist(),
            }
        return out

    @classmethod
    def of_mixture(
        cls,
        mixture: HazardMixture,
        *,
        n_params: float,
        confidence_level: float,
        method: str,
        extrapolation: float,
        components: VarianceComponents | None,
        words: str,
        guess_rate: float = 0.0,
    ) -> Prediction:
        """Return the prediction of a distribution of F; PU falls as F rises.

        Parameters
        ----------
        mixture : HazardMixture
            The forecast of F.
        n_params, confidence_level, method, extrapolation, components, words
            As in `Prediction`.
        guess_rate : float
            Chance g of passing by guessing; PU = g + (1 - g) exp(-exp(F)).

        Examples
        --------
        >>> mixture = HazardMixture(np.array([1.0]), np.array([0.1]), np.array([1.0]))
        >>> found = Prediction.of_mixture(
        ...     mixture, n_params=1e9, confidence_level=0.9, method="mle", extrapolation=2.0,
        ...     components=None, words="")
        >>> round(found.low, 4), round(found.value, 4), round(found.high, 4)
        (0.0406, 0.066, 0.0997)
        """
        tail = (1 - confidence_level) / 2
        f = np.array([mixture.quantile(q) for q in (0.5, 1 - tail, tail)])
        value, low, high = from_hazard(f, guess_rate)
        return cls(
            n_params,
            float(value),
            float(low),
            float(high),
            confidence_level,
            method,
            extrapolation,
            components,
            mixture,
            words,
        )
