"""A forecast of PU: a distribution of F = log(-log PU), and what its spread is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.observations import from_hazard

__all__ = ["Forecast", "Prediction", "VarianceComponents"]

Floats = NDArray[np.float64]


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
