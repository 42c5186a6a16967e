"""Fit a law to a family's tallies: likelihood, model-level scatter, weak prior; weighted draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passuntil.estimator.posterior import Draws, draw_posterior
from passuntil.fitter.laws import Law, bounded_exp, scatter_log_prior
from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.observations import Observations
from passuntil.fitter.prediction import VarianceComponents

__all__ = ["LawPosterior", "fit_law"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LawPosterior:
    """A law with the uncertainty of its parameters and of the scatter of models around it.

    Attributes
    ----------
    law : Law
    x : ndarray of float, shape (n_models,)
        Log covariate of the measured models.
    observations : Observations
    draws : Draws
        Of (theta, log tau).
    """

    law: Law
    x: Floats
    observations: Observations
    draws: Draws

    @property
    def scatter(self) -> float:
        """Posterior median-like size of model scatter: root mean square of tau."""
        tau = bounded_exp(self.draws.points[:, -1])
        return float(np.sqrt(self.draws.weights @ tau**2))

    def hazard_at(self, x: float) -> tuple[float, HazardMixture]:
        """Return F at the mode's parameters, and the distribution of F of a new model at x."""
        d, last = self.law.n_parameters, float(self.x.max())
        where = np.array([x])
        best = self.law.hazard(self.draws.mode[None, :d], where, last)[0, 0]
        means = self.law.hazard(self.draws.points[:, :d], where, last)[:, 0]
        sds = bounded_exp(self.draws.points[:, d])
        return float(best), HazardMixture(means, sds, self.draws.weights)

    def components(self, x: float) -> VarianceComponents:
        """Return the variance of F of a new model at x, by source."""
        mixture = self.hazard_at(x)[1]
        new = float(self.draws.weights @ mixture.sds**2)
        fit = max(mixture.variance - new, 0.0)
        sds = np.minimum(self.observations.hazard_sds, 10.0)
        # share of the parameters' variance that more samples would remove
        influence = np.abs(self.x - self.x.mean()) + 1 / len(self.x)
        noise = influence**2 @ sds**2
        share = float(noise / (noise + influence**2 @ np.full(len(sds), self.scatter**2)))
        return VarianceComponents(fit * share, 0.0, fit * (1 - share), new)


def fit_law(
    law: Law, x: Floats, observations: Observations, *, n_draws: int = 1024
) -> LawPosterior:
    """Return the law's posterior given the evidence of each model.

    Parameters
    ----------
    law : Law
    x : ndarray of float, shape (n_models,)
        Log covariate.
    observations : Observations
        Of the same models.
    n_draws : int
        A power of two.
    """
    last = float(x.max())
    ok = observations.has_peak
    hazards = np.where(ok, observations.hazards, 2.5)  # 2.5: PU of 5e-6, where nothing passed

    def log_density(theta: Floats) -> Floats:
        hazard = law.hazard(theta[:, :-1], x, last)
        tau = np.exp(np.clip(theta[:, -1:], -7.0, 3.0))
        value = observations.marginal_log_likelihood(hazard, tau).sum(1)
        prior = law.log_prior(theta[:, :-1]) + scatter_log_prior(theta[:, -1])
        return np.asarray(value + prior, float)

    start = np.append(law.start(x, hazards), np.log(0.05))
    step = np.append(np.array(law.step), 0.7)
    return LawPosterior(
        law, x, observations, draw_posterior(log_density, start, step=step, n_draws=n_draws)
    )
