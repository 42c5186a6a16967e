"""The `loss_assisted` fit: gold-answer losses help instances with too few passes.

    F[s, m] = a[s] + v log L[s, m] + u[m] + e[s, m],   a[s] ~ N(mu, omega)

L is the loss of instance s's gold answer under model m, u the scatter of models, e that of an
instance under one model. The intercept is each instance's own and the slope is shared: a map
shared across instances is weak (rank correlation of gold loss and pass rate over the problems of
one model is -0.1 to -0.2), across models it is strong.

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262, appendix E.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import EstimationError, UsageError
from passuntil.estimator.inputs import float_array
from passuntil.estimator.intervals import check_level
from passuntil.estimator.posterior import Draws, draw_posterior
from passuntil.fitter.family import Family
from passuntil.fitter.fit import PosteriorFit
from passuntil.fitter.guessing import GuessingHierarchy
from passuntil.fitter.hierarchy import Hierarchy
from passuntil.fitter.hyperparameters import LOSS_CENTER
from passuntil.fitter.latents import Latents
from passuntil.fitter.mean_forecast import forecast_mean
from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.observations import check_guess_rate
from passuntil.fitter.pairing import guesses_and_exact, pair_evidence
from passuntil.fitter.prediction import Forecast, Prediction, VarianceComponents

__all__ = ["LossAssistedFit", "fit_loss_assisted"]

Floats = NDArray[np.float64]
FREE = [0, 2, 5, 6, 7]
"""Of the hierarchy's hyper-parameters: mu, log omega, log tau, log sigma, v; no slopes of size."""
START = np.array([1.5, np.log(0.7), np.log(0.05), np.log(0.1), LOSS_CENTER])
STEP = np.array([0.2, 0.3, 0.9, 0.7, 0.2])

LOSSES = "give a loss > 0 of each instance"
"""What to do where losses are no numbers."""
LEAST_EXTRAPOLATED = 3  # models; two lie on a line whatever their scatter


@dataclass(frozen=True, repr=False)
class LossAssistedFit(PosteriorFit):
    """Pass rates tied to the loss of the gold answer; see `fit_loss_assisted`.

    Attributes
    ----------
    losses : ndarray of float, shape (n_instances, n_models)
        In the order of the family.
    hierarchy : Hierarchy
    draws : Draws
        Of (mu, log omega, log tau, log sigma, v).
    latents : Latents

    Examples
    --------
    >>> from passuntil.estimator import TallyArray
    >>> from passuntil.fitter import as_family
    >>> sizes = np.array([1e7, 1e8, 1e9])
    >>> losses = np.outer([2.0, 3.0, 4.0, 5.0], sizes**-0.1) * 6
    >>> passes = np.rint(1e4 * np.exp(-(losses**2))).astype(int)
    >>> tallies = [TallyArray.fixed(passes=c, trials=10**4) for c in passes.T]
    >>> fit = fit_loss_assisted(as_family(sizes, tallies), losses)
    >>> round(fit.slope, 1), round(fit.predict(1e10).value, 1)
    (2.0, 0.1)
    """

    losses: Floats
    hierarchy: Hierarchy
    draws: Draws
    latents: Latents

    @cached_property
    def slope(self) -> float:
        """Posterior mean of v, the slope of F in log L."""
        return float(self.draws.weights @ self.draws.points[:, 4])

    @property
    def model_scatter(self) -> float:
        """Standard deviation of models around the map, in F."""
        return float(np.sqrt(self.draws.weights @ np.exp(2 * self.draws.points[:, 2])))

    @property
    def alpha(self) -> float:
        """Local exponent -dF/d log N of the mean at the largest model, losses extrapolated."""
        n = float(self.family.n_params[-1])
        step = float(np.log(0.99))
        return (self._mean_at(n / 0.99) - self._mean_at(n * 0.99)) / (2 * step)

    @property
    def c(self) -> float:
        """Constant of the power law that touches the mean at the largest model."""
        n = float(self.family.n_params[-1])
        return float(np.exp(self._mean_at(n) + self.alpha * np.log(n)))

    def forecast(self, n_params: float, losses: ArrayLike | None = None) -> Forecast:
        """Return the distribution of F of the instances' mean; see `predict`.

        Parameters
        ----------
        n_params : float
            Size of the model.
        losses : array_like of float, shape (n_instances,), optional
            Its own losses.

        Returns
        -------
        Forecast
            Of F, with the sources of its variance.

        Examples
        --------
        >>> from passuntil.estimator import TallyArray
        >>> from passuntil.fitter import as_family
        >>> sizes = np.array([1e7, 1e8, 1e9])
        >>> losses = np.outer([2.0, 3.0, 4.0, 5.0], sizes**-0.1) * 6
        >>> passes = np.rint(1e4 * np.exp(-(losses**2))).astype(int)
        >>> tallies = [TallyArray.fixed(passes=c, trials=10**4) for c in passes.T]
        >>> fit = fit_loss_assisted(as_family(sizes, tallies), losses)
        >>> found = fit.forecast(1e10, losses=0.6 * np.array([2.0, 3.0, 4.0, 5.0]))
        >>> abs(found.components.total - found.mixture.variance) < 1e-9
        True
        """
        if losses is not None:
            return self._forecast(np.log(self._checked_losses(losses)), 0.0, 0.0)
        if len(self.family) < LEAST_EXTRAPOLATED:
            raise EstimationError(
                f"losses: got none for {n_params:g} parameters, and {len(self.family)} measured "
                f"models to extrapolate them from; allowed: {LEAST_EXTRAPOLATED} or more, whose "
                "scatter says how far that may be off; give the losses of the model to predict."
            )
        return self._forecast(*self._extrapolated(float(np.log(n_params))))

    def _mean_at(self, n_params: float) -> float:
        return self._forecast(*self._extrapolated(float(np.log(n_params)))).mixture.mean

    def _forecast(self, log_losses: Floats, own: float, common: float) -> Forecast:
        points, w = self.draws.points, self.draws.weights
        v2 = points[:, 4] ** 2
        level = float(np.log(self.losses).mean())
        moved = self.latents.a + points[:, 4:5] * (log_losses - level)
        n = len(points)
        found = forecast_mean(
            replace(self.latents, a=moved),
            tau=np.sqrt(np.exp(2 * points[:, 2]) + common * v2),
            residual=np.sqrt(np.exp(2 * points[:, 3]) + own * v2),
            z=np.zeros((n, 1)),
            measured_z=np.broadcast_to(self.hierarchy.z, (n, len(self.family))),
            counts=self.hierarchy.counts,
        )
        fit = w @ (found.hazard - w @ found.hazard) ** 2 + w @ found.scatter_variance
        components = VarianceComponents(
            0.0, float(w @ found.instance_variance), float(fit), float(w @ found.new_variance)
        )
        return Forecast(HazardMixture(found.hazard, found.sds, w), components)

    def predict(
        self,
        n_params: float,
        confidence_level: float = 0.9,
        losses: ArrayLike | None = None,
    ) -> Prediction:
        """Return the forecast of PU.

        Parameters
        ----------
        n_params : float
            Size of the model.
        confidence_level : float
            Between 0 and 1.
        losses : array_like of float, shape (n_instances,), optional
            The model's own gold-answer losses. Without them each instance's log loss is
            extrapolated along log N, and what that leaves open widens the interval.

        Raises
        ------
        EstimationError
            No losses, and fewer than three measured models to extrapolate them from.

        Examples
        --------
        With the new model's own losses, which take less than samples to measure:

        >>> from passuntil.estimator import TallyArray
        >>> from passuntil.fitter import as_family
        >>> sizes = np.array([1e7, 1e8, 1e9])
        >>> losses = np.outer([2.0, 3.0, 4.0, 5.0], sizes**-0.1) * 6
        >>> passes = np.rint(1e4 * np.exp(-(losses**2))).astype(int)
        >>> tallies = [TallyArray.fixed(passes=c, trials=10**4) for c in passes.T]
        >>> fit = fit_loss_assisted(as_family(sizes, tallies), losses)
        >>> forecast = fit.predict(1e10, losses=0.6 * np.array([2.0, 3.0, 4.0, 5.0]))
        >>> truth = np.exp(-((0.6 * np.array([2.0, 3.0, 4.0, 5.0])) ** 2)).mean()
        >>> bool(forecast.low < truth < forecast.high)
        True
        """
        size, level, ratio = self._checked(n_params, confidence_level)
        found = self.forecast(size, losses)
        return Prediction.of_mixture(
            found.mixture,
            n_params=size,
            confidence_level=check_level(level),
            method=self.method,
            extrapolation=ratio,
            components=found.components,
            words=self._words(ratio),
            guess_rate=self.guess_rate,
        )

    def _extrapolated(self, x: float) -> tuple[Floats, float, float]:
        """Return log losses at x with their variance, each instance's own and shared by all."""
        sizes, y = np.log(self.family.n_params), np.log(self.losses)
        z = sizes - sizes.mean()
        square = float(z @ z)
        slopes = y @ z / square
        value = y.mean(1) + slopes * (x - sizes.mean())
        room = len(sizes) - 2
        if room < 1:
            return value, 0.0, 0.0  # `forecast` refuses to call that exact
        residual = y - y.mean(1, keepdims=True) - slopes[:, None] * z
        shared = residual.mean(0)
        spread = 1 + 1 / len(sizes) + (x - sizes.mean()) ** 2 / square
        own = float(((residual - shared) ** 2).sum() / (room * len(y)))
        return value, own * spread, float(shared @ shared / room) * spread

    def _checked_losses(self, losses: ArrayLike) -> Floats:
        array = float_array("losses", losses, LOSSES)
        if array.shape != self.losses.shape[:1] or not (np.isfinite(array) & (array > 0)).all():
            raise UsageError(
                f"losses: got shape {array.shape}; allowed: {self.losses.shape[:1]}, one positive "
                "loss per instance of the model to predict."
            )
        return array


def fit_loss_assisted(
    family: Family, losses: ArrayLike, guess_rate: float = 0.0, *, n_draws: int = 256
) -> LossAssistedFit:
    """Return the fit of F to the gold answers' losses.

    Parameters
    ----------
    family : Family
        The same instances under every model.
    losses : array_like of float, shape (n_instances, n_models)
        Loss of the gold answer of each instance under each model, > 0, models in the order of the
        family (smallest first); total or per token, one kind throughout.
    guess_rate : float
        Chance g of passing by guessing, 0 <= g < 1.
    n_draws : int
        A power of two.

    Raises
    ------
    UsageError
        Losses of another shape, or not positive.
    EstimationError
        Unlike instances, nothing passed, an exact rate of 0, or a guess rate beside exact rates.

    Examples
    --------
    >>> import numpy as np
    >>> from passuntil.estimator import TallyArray
    >>> from passuntil.fitter import as_family
    >>> sizes = np.array([1e7, 1e8, 1e9])
    >>> losses = np.outer([2.0, 3.0, 4.0, 5.0], sizes**-0.1) * 6
    >>> passes = np.rint(1e5 * np.exp(-(losses**2))).astype(int)
    >>> tallies = [TallyArray.fixed(passes=c, trials=10**5) for c in passes.T]
    >>> fit = fit_loss_assisted(as_family(sizes, tallies), losses)
    >>> round(fit.slope, 1)
    2.0
    """
    found = pair_evidence(family)
    passes = found.passes
    array = float_array("losses", losses, LOSSES)
    if array.shape != passes.shape or not (np.isfinite(array) & (array > 0)).all():
        raise UsageError(
            f"losses: got shape {array.shape}, or values that are not positive; allowed: "
            f"{passes.shape}, a loss > 0 of each instance under each model."
        )
    log_losses = np.log(array)
    data = np.zeros(len(family)), passes, found.trials, np.ones(len(passes))
    centred = log_losses - log_losses.mean()
    guess_rate = check_guess_rate(guess_rate)
    if guess_rate and found.exact is not None:
        raise guesses_and_exact("loss_assisted")
    hierarchy = (
        GuessingHierarchy(*data, guess_rate=guess_rate, bend="loss", log_losses=centred)
        if guess_rate
        else Hierarchy(*data, bend="loss", log_losses=centred, exact=found.exact)
    )

    def log_density(points: Floats) -> Floats:
        return hierarchy.log_density(_placed(points))

    draws = draw_posterior(log_density, START, step=STEP, n_draws=n_draws)
    latents = hierarchy.latents(_placed(draws.points))
    return LossAssistedFit(family, "loss_assisted", guess_rate, array, hierarchy, draws, latents)


def _placed(points: Floats) -> Floats:
    """Return the hierarchy's eight numbers: slopes of size pinned to none."""
    theta = np.tile([0.0, 0.0, 0.0, -8.0, 0.0, 0.0, 0.0, 0.0], (len(points), 1))
    theta[:, FREE] = points
    return theta
