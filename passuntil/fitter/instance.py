"""The `instance` fit: a law for every instance, and the forecast of their mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from passuntil.estimator.posterior import Draws, draw_posterior
from passuntil.fitter.family import Family
from passuntil.fitter.fit import PosteriorFit
from passuntil.fitter.hierarchy import Hierarchy
from passuntil.fitter.hyperparameters import BEND_CENTER, START, STEP, warp
from passuntil.fitter.latents import Latents
from passuntil.fitter.laws import bounded_exp, damping_draws
from passuntil.fitter.mean_forecast import MeanForecast, forecast_mean
from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.observations import check_guess_rate, from_hazard
from passuntil.fitter.pairing import build_hierarchy
from passuntil.fitter.prediction import Forecast, VarianceComponents

__all__ = [
    "InstanceFit",
    "InstancePredictions",
    "build_hierarchy",
    "fit_instances",
    "forecast_mean",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class InstancePredictions:
    """Forecasts of each instance's pass rate.

    Attributes
    ----------
    value, low, high : ndarray of float, shape (n_instances,)
        Median and interval.
    extrapolation : float
        Size over the largest measured size.
    own_variance, fit_variance : ndarray of float, shape (n_instances,)
        Variance of F: of the instance's own law given the pool, and of the pool.
    scatter_variance : float
        Variance of F: scatter of models, and of an instance under one model.

    Examples
    --------
    >>> import numpy as np
    >>> from passuntil import fit_scaling_law
    >>> from passuntil.estimator import TallyArray
    >>> sizes, spread = np.array([36e6, 109e6, 241e6, 499e6, 892e6]), np.linspace(-1, 1, 9)
    >>> rates = np.exp(-np.exp(np.log(200) + spread - 0.2 * np.log(sizes)[:, None]))
    >>> passes = np.rint(10_000 * rates).astype(int)  # (n_models, n_instances)
    >>> tallies = [TallyArray.fixed(passes=row, trials=10_000) for row in passes]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="instance")
    >>> ahead = fit.predict_instances(2449e6)
    >>> ahead.value[[0, -1]].round(2), ahead.low.shape
    (array([0.38, 0.  ]), (9,))
    """

    value: Floats
    low: Floats
    high: Floats
    extrapolation: float
    own_variance: Floats
    fit_variance: Floats
    scatter_variance: float

    def __repr__(self) -> str:
        where = f"{self.extrapolation:.3g} times the largest size"
        rates = f"{self.value.min():.3g} to {self.value.max():.3g}"
        return f"<InstancePredictions of {len(self.value)} instances at {where}: {rates}>"


@dataclass(frozen=True, repr=False)
class InstanceFit(PosteriorFit):
    """Every instance its own law, pooled by a normal distribution of (a, alpha).

    Attributes
    ----------
    hierarchy : Hierarchy
    x_center : float
        log N at z = 0.
    rows : ndarray of int, shape (n_instances,)
        Row of the hierarchy of each instance.
    draws : Draws
        Of the hyper-parameters.
    latents : Latents
        The instances' laws at each draw.
    is_damped : bool
        Whether slopes fade beyond the largest measured size.

    Examples
    --------
    >>> import numpy as np
    >>> from passuntil import fit_scaling_law
    >>> from passuntil.estimator import TallyArray
    >>> sizes, spread = np.array([36e6, 109e6, 241e6, 499e6, 892e6]), np.linspace(-1, 1, 9)
    >>> rates = np.exp(-np.exp(np.log(200) + spread - 0.2 * np.log(sizes)[:, None]))
    >>> passes = np.rint(10_000 * rates).astype(int)  # (n_models, n_instances)
    >>> tallies = [TallyArray.fixed(passes=row, trials=10_000) for row in passes]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="instance")
    >>> fit.alphas.round(1), round(fit.predict(2449e6).value, 2)
    (array([0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]), 0.12)
    """

    hierarchy: Hierarchy
    x_center: float
    rows: NDArray[np.int64]
    draws: Draws
    latents: Latents
    is_damped: bool = False

    @property
    def log_evidence(self) -> float:
        """Log of the likelihood averaged over the prior of the hyper-parameters."""
        return self.draws.log_evidence

    @property
    def model_scatter(self) -> float:
        """Standard deviation of models around the laws, in F."""
        tau = np.exp(self.draws.points[:, 5])
        return float(np.sqrt(self.draws.weights @ tau**2))

    @cached_property
    def alphas(self) -> Floats:
        """Posterior mean exponent of each instance, shape (n_instances,)."""
        return np.asarray((self.draws.weights @ self.latents.alpha)[self.rows], float)

    @cached_property
    def log_cs(self) -> Floats:
        """Posterior mean of log c of each instance, shape (n_instances,)."""
        a = (self.draws.weights @ self.latents.a)[self.rows]
        return np.asarray(a + self.alphas * self.x_center, float)

    def _mean(self, n_params: float) -> MeanForecast:
        theta = self.draws.points
        return forecast_mean(
            self.latents,
            tau=np.exp(theta[:, 5]),
            residual=np.exp(theta[:, 6]),
            z=self._warped(n_params),
            measured_z=warp(theta, self.hierarchy.z, self.hierarchy.bend),
            counts=self.hierarchy.counts,
        )

    def _warped(self, n_params: float) -> Floats:
        z = np.array([float(np.log(n_params)) - self.x_center])
        if not self.is_damped:
            return warp(self.draws.points, z, self.hierarchy.bend)
        last = float(self.hierarchy.z.max())
        ahead = np.maximum(z - last, 0.0)
        kappa = damping_draws(len(self.draws.points))[:, None]
        return np.asarray(np.minimum(z, last) - np.expm1(-kappa * ahead) / kappa, float)

    def _hazard(self, n_params: float) -> float:
        return float(self.draws.weights @ self._mean(n_params).hazard)

    @property
    def alpha(self) -> float:
        """Local exponent -dF/d log N of the mean at the largest measured size."""
        n = float(self.family.n_params[-1])
        return (self._hazard(n * 0.99) - self._hazard(n / 0.99)) / (-2 * float(np.log(0.99)))

    @property
    def c(self) -> float:
        """Constant of the power law that touches the mean at the largest measured size."""
        n = float(self.family.n_params[-1])
        return float(bounded_exp(self._hazard(n) + self.alpha * np.log(n)))

    def forecast(self, n_params: float) -> Forecast:
        """Return the distribution of F of the instances' mean under a model of this size.

        Sampling noise and instances are one here: with endless samples both would vanish.
        """
        found, w = self._mean(n_params), self.draws.weights
        fit = w @ (found.hazard - w @ found.hazard) ** 2
        components = VarianceComponents(
            0.0,
            float(w @ found.instance_variance),
            float(fit + w @ found.scatter_variance),
            float(w @ found.new_variance),
        )
        return Forecast(HazardMixture(found.hazard, found.sds, w), components)

    def predict_instances(
        self, n_params: float, confidence_level: float = 0.9
    ) -> InstancePredictions:
        """Return the forecast of each instance's pass rate under a model of this size.

        Parameters
        ----------
        n_params : float
            Size, in the unit of the fitted ones.
        confidence_level : float
            Between 0 and 1.

        Returns
        -------
        InstancePredictions
            Arrays of shape (n_instances,), in the order of the tallies.

        Examples
        --------
        >>> import numpy as np
        >>> from passuntil import fit_scaling_law
        >>> from passuntil.estimator import TallyArray
        >>> sizes, spread = np.array([36e6, 109e6, 241e6, 499e6, 892e6]), np.linspace(-1, 1, 9)
        >>> rates = np.exp(-np.exp(np.log(200) + spread - 0.2 * np.log(sizes)[:, None]))
        >>> passes = np.rint(10_000 * rates).astype(int)  # (n_models, n_instances)
        >>> tallies = [TallyArray.fixed(passes=row, trials=10_000) for row in passes]
        >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="instance")
        >>> ahead = fit.predict_instances(2449e6)
        >>> int(ahead.value.argmin()), int(ahead.value.argmax())  # the hardest and the easiest
        (8, 0)
        """
        size, level, ratio = self._checked(n_params, confidence_level)
        w = self.draws.weights
        z = self._warped(size)
        a11, a12, a22 = self.latents.curve
        own = (a22 + 2 * a12 * z + a11 * z * z) / (a11 * a22 - a12**2)
        scatter = np.exp(2 * self.draws.points[:, 5:7]).sum(1, keepdims=True)
        sds = np.sqrt(own + scatter)
        center = self.latents.a - self.latents.alpha * z
        tail = (1 - level) / 2
        ends = np.array(
            [
                [HazardMixture(m, s, w).quantile(q) for m, s in zip(center.T, sds.T, strict=True)]
                for q in (0.5, 1 - tail, tail)
            ]
        )
        value, low, high = from_hazard(ends, self.guess_rate)[:, self.rows]
        return InstancePredictions(
            value,
            low,
            high,
            ratio,
            (w @ own)[self.rows],
            (w @ (center - w @ center) ** 2)[self.rows],
            float(w @ scatter[:, 0]),
        )


def fit_instances(
    family: Family,
    guess_rate: float = 0.0,
    *,
    is_bent: bool = False,
    n_draws: int = 256,
    near: InstanceFit | None = None,
) -> InstanceFit:
    """Return the hierarchical instance fit.

    Parameters
    ----------
    family : Family
        Every model measured on the same instances, in the same order.
    guess_rate : float
        Chance g of passing by guessing, 0 <= g < 1, the same for every instance.
    is_bent : bool
        Whether all instances share a bend that levels them off.
    n_draws : int
        Draws of the hyper-parameters; a power of two.
    near : InstanceFit, optional
        A fit of nearly these data; its mode starts the search.

    Raises
    ------
    EstimationError
        Models measured on unlike numbers of instances, no passes, an exact rate of 0, or a guess
        rate beside exact rates.

    Notes
    -----
    F[s, m] = a[s] - alpha[s] g(z[m]) + u[m] + e[s, m], with (a, alpha)[s] normal over instances, u
    and e the scatter of models and of an instance under one model; the forecast is the mean of
    exp(-exp(F)) over instances [1]_.

    References
    ----------
    .. [1] Hu et al. 2023, arXiv 2310.03262, section 5.4.

    Examples
    --------
    >>> from passuntil.estimator import TallyArray
    >>> from passuntil.fitter import as_family
    >>> sizes, spread = np.array([36e6, 109e6, 241e6, 499e6]), np.linspace(-1, 1, 9)
    >>> rates = np.exp(-np.exp(np.log(200) + spread - 0.2 * np.log(sizes)[:, None]))
    >>> passes = np.rint(1e5 * rates).astype(int)
    >>> tallies = [TallyArray.fixed(passes=row, trials=10**5) for row in passes]
    >>> fit = fit_instances(as_family(sizes, tallies))
    >>> fit.alphas.shape, round(float(fit.alphas.mean()), 1)
    ((9,), 0.2)
    """
    guess_rate = check_guess_rate(guess_rate)
    hierarchy, center, rows = build_hierarchy(
        family, "saturating" if is_bent else "none", guess_rate=guess_rate
    )
    start = START if near is None else _mode_near(near, center)
    start = np.append(start[: len(START)], BEND_CENTER) if is_bent else start[: len(START)]
    if near is not None and is_bent and len(near.draws.mode) > len(START):
        start[-1] = near.draws.mode[-1]
    step = np.append(STEP, 0.6) if is_bent else STEP
    draws = draw_posterior(hierarchy.log_density, start, step=step, n_draws=n_draws)
    name = "instance_saturating" if is_bent else "instance"
    latents = hierarchy.latents(draws.points)
    return InstanceFit(family, name, guess_rate, hierarchy, center, rows, draws, latents)


def _mode_near(fit: InstanceFit, center: float) -> Floats:
    """Return the mode with levels moved to another centre of log N."""
    start = fit.draws.mode.copy()
    start[0] += start[1] * (fit.x_center - center)
    return start
