"""A fitted scaling law of a dataset, and what every fit can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from passuntil.errors import UsageError
from passuntil.estimator.inputs import one_number
from passuntil.estimator.intervals import check_level
from passuntil.fitter.digest import tallies_digest
from passuntil.fitter.family import Family
from passuntil.fitter.lack_of_fit import LackOfFit, lack_of_fit
from passuntil.fitter.law_fit import LawPosterior
from passuntil.fitter.laws import bounded_exp
from passuntil.fitter.line import Line
from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.observations import Observations, observe
from passuntil.fitter.prediction import Forecast, Prediction, VarianceComponents

__all__ = ["LawFit", "OlsFit", "PosteriorFit", "ScalingFit"]


@dataclass(frozen=True, repr=False)
class ScalingFit(ABC):
    """A fitted law. Immutable; every method gives a new value.

    Attributes
    ----------
    family : Family
        Sizes and tallies it was fitted to.
    method : str
        Name of the fit.
    guess_rate : float
        Chance of passing by guessing.

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
    >>> fit
    <LawFit 'mle' of 5 models, 3.6e+07 to 8.92e+08: alpha 0.2 at the largest>
    >>> round(fit.alpha, 2), fit.family.n_params.tolist() == sizes
    (0.2, True)
    >>> print(fit.lack_of_fit.words)
    The line holds within sampling noise (p = 1) over 5 sizes.
    """

    family: Family
    method: str
    guess_rate: float

    def __repr__(self) -> str:
        sizes = self.family.n_params
        return (
            f"<{type(self).__name__} {self.method!r} of {len(sizes)} models, {sizes[0]:.4g} to "
            f"{sizes[-1]:.4g}: alpha {self.alpha:.3g} at the largest>"
        )

    @property
    @abstractmethod
    def alpha(self) -> float:
        """Exponent of -log PU = c N^-alpha at the largest measured size."""

    @property
    @abstractmethod
    def c(self) -> float:
        """Constant of -log PU = c N^-alpha at the largest measured size."""

    @abstractmethod
    def predict(self, n_params: float, confidence_level: float = 0.9) -> Prediction:
        """Return the forecast of PU of a model of this size.

        Parameters
        ----------
        n_params : float
            Positive, in the unit of the fitted sizes.
        confidence_level : float
            Between 0 and 1.

        Returns
        -------
        Prediction
            Median of PU with an equal-tailed interval for sampling noise, instances, fit, scatter
            of models and choice of law.

        Raises
        ------
        UsageError
            A size that is not one positive number, or a level outside (0, 1).

        Examples
        --------
        >>> from passuntil import Tally, fit_scaling_law
        >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
        >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
        >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
        >>> forecast = fit.predict(2449e6, confidence_level=0.95)
        >>> round(forecast.value, 3), round(forecast.extrapolation, 2)
        (0.071, 2.75)
        """

    @cached_property
    def observations(self) -> Observations:
        """The evidence of each model on PU."""
        return observe(self.family, guess_rate=self.guess_rate)

    @cached_property
    def lack_of_fit(self) -> LackOfFit:
        """Whether a straight line in F holds over the measured sizes."""
        return lack_of_fit(np.log(self.family.n_params), self.observations)

    @property
    def digest(self) -> str:
        """SHA-256 of the tallies used, smallest model first."""
        return tallies_digest(self.family.tallies)

    def _checked(self, n_params: float, confidence_level: float) -> tuple[float, float, float]:
        size = one_number(n_params)
        if size is None or not 0 < size < np.inf:
            raise UsageError(
                f"n_params: got {n_params!r}; allowed: a positive number; write 7e9 for 7B, and "
                "ask for one size at a time."
            )
        return size, check_level(confidence_level), size / float(self.family.n_params[-1])

    def _words(self, extrapolation: float) -> str:
        far = (
            f"{extrapolation:.3g} times the largest measured model."
            if extrapolation > 1
            else "Within the measured models."
        )
        return f"{self.lack_of_fit.words} {far}"

    def to_json(self) -> dict[str, Any]:
        """Return the fit as plain values.

        Examples
        --------
        >>> from passuntil import Tally, fit_scaling_law
        >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
        >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
        >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
        >>> sorted(fit.to_json())
        ['alpha', 'c', 'hazard_sd', 'lack_of_fit', 'method', 'n_params', 'pu', 'tallies_sha256']
        """
        return {
            "method": self.method,
            "alpha": self.alpha,
            "c": self.c,
            "n_params": self.family.n_params.tolist(),
            "pu": self.observations.rates.tolist(),
            "hazard_sd": [None if np.isinf(s) else float(s) for s in self.observations.hazard_sds],
            "lack_of_fit": self.lack_of_fit.to_json(),
            "tallies_sha256": self.digest,
        }


@dataclass(frozen=True, repr=False)
class OlsFit(ScalingFit):
    """The paper's least squares line on the mean of maximum likelihood estimates.

    Attributes
    ----------
    line : Line
    pu : tuple of float
        The mean of c/n of each model.

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="ols")
    >>> fit.pu, round(fit.alpha, 2), round(fit.predict(2449e6).value, 3)
    ((0.0021, 0.0072, 0.0148, 0.0262, 0.039), 0.2, 0.071)
    """

    line: Line
    pu: tuple[float, ...]

    @property
    def alpha(self) -> float:
        """Exponent."""
        return self.line.alpha

    @property
    def c(self) -> float:
        """Constant."""
        return self.line.c

    def predict(self, n_params: float, confidence_level: float = 0.9) -> Prediction:
        """Return the line's value with its residual t interval; [0, 1] from two sizes."""
        size, level, ratio = self._checked(n_params, confidence_level)
        x = float(np.log(size))
        center = self.line.hazard(x)
        low, high = self.line.hazard_interval(x, level)
        rates = [float(np.exp(-np.exp(min(f, 700.0)))) for f in (center, high, low)]
        words = self._words(ratio)
        if self.line.n_points < 3:
            words = "Two sizes leave no residual: the interval is empty of information. " + words
        return Prediction(
            size, rates[0], rates[1], rates[2], level, self.method, ratio, None, None, words
        )


@dataclass(frozen=True, repr=False)
class PosteriorFit(ScalingFit):
    """A fit whose forecast is a distribution of F.

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
    >>> mixture = fit.mixture(2449e6)
    >>> round(mixture.mean, 2), round(float(np.exp(-np.exp(mixture.quantile(0.5)))), 3)
    (0.97, 0.071)
    """

    @abstractmethod
    def forecast(self, n_params: float) -> Forecast:
        """Return the distribution of F of a model of this size, and what its spread is made of."""

    def mixture(self, n_params: float) -> HazardMixture:
        """Return the forecast distribution of F."""
        return self.forecast(n_params).mixture

    def components(self, n_params: float) -> VarianceComponents:
        """Return the variance of the forecast F, by source."""
        return self.forecast(n_params).components

    def predict(self, n_params: float, confidence_level: float = 0.9) -> Prediction:
        """Return the forecast of PU; see `ScalingFit.predict`."""
        size, level, ratio = self._checked(n_params, confidence_level)
        found = self.forecast(size)
        return Prediction.of_mixture(
            found.mixture,
            n_params=size,
            confidence_level=level,
            method=self.method,
            extrapolation=ratio,
            components=found.components,
            words=self._words(ratio),
            guess_rate=self.guess_rate,
        )


@dataclass(frozen=True, repr=False)
class LawFit(PosteriorFit):
    """A law of the dataset's PU fitted to the counts, with model-level scatter.

    Attributes
    ----------
    posterior : LawPosterior

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="saturating")
    >>> round(fit.predict(2449e6).value, 2), fit.model_scatter < 0.3
    (0.06, True)
    """

    posterior: LawPosterior

    @property
    def alpha(self) -> float:
        """Local exponent -dF/dx at the largest measured size, at the mode."""
        x = float(self.posterior.x.max())
        # from the measured side: the damped law bends beyond
        return (self._mode_hazard(x - 1e-4) - self._mode_hazard(x)) / 1e-4

    @property
    def c(self) -> float:
        """Constant of the power law that touches the fit at the largest measured size."""
        x = float(self.posterior.x.max())
        return float(bounded_exp(self._mode_hazard(x) + self.alpha * x))

    @property
    def observations(self) -> Observations:
        """The evidence of each model on PU."""
        return self.posterior.observations

    @property
    def log_evidence(self) -> float:
        """Log of the likelihood averaged over the prior."""
        return self.posterior.draws.log_evidence

    @property
    def model_scatter(self) -> float:
        """Standard deviation of models around the law, in F."""
        return self.posterior.scatter

    def _mode_hazard(self, x: float) -> float:
        return self.posterior.hazard_at(x)[0]

    def forecast(self, n_params: float) -> Forecast:
        """Return the distribution of F of a model of this size."""
        x = float(np.log(n_params))
        return Forecast(self.posterior.hazard_at(x)[1], self.posterior.components(x))
