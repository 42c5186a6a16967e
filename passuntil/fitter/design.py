"""Where samples narrow a forecast most: the optimal design of the instances' lines.

Near the fit the evidence is a linear model with normal noise. Instance s under model j gives

    y[s, j] = a[s] - alpha[s] z[j] + u[j] + noise,   Var noise = sigma^2 + v[s, j] / n[s, j]
    v = (1 - p) / (p log(p)^2)

with the priors of the hierarchical fit, and the forecast is G = sum of g[s] (a[s] - alpha[s] z*)
with g the derivative of the mean's F by the instance's. The posterior mean of G moves by h[s, j]
with y[s, j], and the derivative of the variance of G by that of an observation's noise is h^2. So
the variance of G is least, at a given cost, for n in proportion to |h| sqrt(v / cost): Neyman's
rule with h in the place of a stratum's share, h depending on n. The fixed point is found by
repeating it, which never raises the variance [2]_.

References
----------
.. [1] Elfving 1952, Ann. Math. Stat. 23 (optimal allocation for one linear combination).
.. [2] Fellman 1974, Soc. Sci. Fenn. Comment. Phys.-Math. 44 (the square-root iteration).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passuntil.fitter.hyperparameters import HYPER_SD
from passuntil.fitter.instance import InstanceFit
from passuntil.fitter.mean_forecast import NODE_WEIGHTS, NODES

__all__ = ["ForecastDesign", "allocate", "design_forecast"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
# Repetitions of the rule: the variance then falls by less than a thousandth a step.
N_STEPS = 30
# Trials below this are as good as none, and weights below this share of the largest as good as 0;
# both keep the rule away from 0, which it could not leave.
LEAST_TRIALS = 1e-3
LEAST_WEIGHT = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class ForecastDesign:
    """The linear model of a family's evidence and the forecast made from it.

    Attributes
    ----------
    z : ndarray of float, shape (n_models,)
        Log sizes from their mean.
    unit_noise : ndarray of float, shape (n_instances, n_models)
        Variance v of F from one sample.
    residual : float
        Variance sigma^2 of an instance under one model around its line.
    scatter : float
        Variance tau^2 of models around the law.
    prior : ndarray of float, shape (2, 2)
        Precision of an instance's (a, -alpha) around their mean.
    hyper_prior : ndarray of float, shape (2,)
        Precision of that mean.
    target : ndarray of float, shape (2,)
        (1, z*), z* of the size forecast.
    shares : ndarray of float, shape (n_instances,)
        Derivative g of the mean's F by that of each instance.
    rates : ndarray of float, shape (n_instances, n_models)
        Pass rates as the lines and the counts together have them.

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
    >>> design = design_forecast(fit, 2449e6)
    >>> least = np.full((9, 5), 10_000)
    >>> best = design.optimal(least, 100 * least, 900_000)  # twice the samples, where they count
    >>> int(best.sum()), design.variance(best) <= design.variance(2 * least)
    (900000, True)
    """

    z: Floats
    unit_noise: Floats
    residual: float
    scatter: float
    prior: Floats
    hyper_prior: Floats
    target: Floats
    shares: Floats
    rates: Floats

    def variance(self, trials: Floats | Counts) -> float:
        """Return the variance of the forecast F after so many trials, shape of `unit_noise`.

        The new model's own scatter is not in it.
        """
        return self._solve(self._weights(trials))[0]

    @property
    def least_variance(self) -> float:
        """The variance with endless samples."""
        return self._solve(np.full(self.unit_noise.shape, 1 / self.residual))[0]

    def influence(self, trials: Floats | Counts) -> Floats:
        """Return h, how far the forecast F moves with each observed F, shape of `unit_noise`."""
        return self._solve(self._weights(trials))[1]

    def optimal(
        self, least: Counts, most: Counts, total: int, *, cost: Floats | None = None
    ) -> Counts:
        """Return the trials that make the variance least, `total` in all.

        Parameters
        ----------
        least, most : ndarray of int, shape of `unit_noise`
            Bounds, least <= most.
        total : int
            Trials in all; where the bounds forbid it, the nearest they allow.
        cost : ndarray of float, shape (n_models,), optional
            Of one sample under each model; equal by default.

        Returns
        -------
        ndarray of int, shape of `unit_noise`
        """
        price = np.ones(len(self.z)) if cost is None else np.asarray(cost, float)
        root = np.sqrt(self.unit_noise / price)
        total = min(max(total, int(least.sum())), int(most.sum()))
        trials = np.full(root.shape, total / root.size)  # from 0 the rule would not rise
        weights = root
        for _ in range(N_STEPS):
            weights = np.abs(self.influence(trials)) * root
            weights = np.maximum(weights, LEAST_WEIGHT * weights.max())
            trials = _in_proportion(weights, least, most, total)
        whole = allocate(weights.ravel(), least.ravel(), most.ravel(), total)
        return whole.reshape(least.shape)

    def _weights(self, trials: Floats | Counts) -> Floats:
        noise = self.unit_noise / np.maximum(trials, LEAST_TRIALS)
        return np.asarray(1 / (self.residual + noise), float)

    def _solve(self, w: Floats) -> tuple[float, Floats]:
        """Return the variance of the forecast and the influence, at precisions w."""
        n, m = w.shape
        rows = np.stack([np.ones(m), self.z], 1)  # of (a, -alpha)
        pairs = rows[:, :, None] * rows[:, None, :]
        own = self.prior + np.tensordot(w, pairs, 1)
        inverse = np.linalg.inv(own)
        # precision between an instance's (a, -alpha) and (mean, scatter of the models)
        cross = np.concatenate(
            [np.broadcast_to(-self.prior, (n, 2, 2)), (w[:, :, None] * rows).swapaxes(1, 2)], 2
        )
        outer = np.diag(np.concatenate([self.hyper_prior, 1 / self.scatter + w.sum(0)]))
        outer[:2, :2] += n * self.prior
        turned = inverse @ cross
        schur = outer - np.tensordot(cross, turned, ([0, 1], [0, 1]))
        at = inverse @ self.target
        carried = self.shares @ (self.target @ turned)
        pulled = np.linalg.solve(schur, carried)
        variance = self.shares**2 @ (at @ self.target) + carried @ pulled
        direct = self.shares[:, None] * (at @ rows.T)
        through = pulled[2:] - (turned @ pulled) @ rows.T
        return float(variance), np.asarray(w * (direct - through), float)


def allocate(weights: Floats, least: Counts, most: Counts, total: int) -> Counts:
    """Return trials in proportion to weights, within bounds, that add up to `total`.

    Parameters
    ----------
    weights : ndarray of float, shape (n_instances,)
        Positive.
    least, most : ndarray of int, shape (n_instances,)
        Bounds of each, least <= most.
    total : int
        Trials in all; where the bounds forbid it, the nearest they allow.

    Returns
    -------
    ndarray of int, shape (n_instances,)

    Examples
    --------
    >>> allocate(np.array([1.0, 3.0, 1.0]), np.array([1, 1, 5]), np.array([9, 9, 9]), 13)
    array([2, 6, 5])
    """
    total = min(max(total, int(least.sum())), int(most.sum()))
    exact = _in_proportion(weights, least, most, total)
    whole = np.floor(exact).astype(np.int64)
    left = total - int(whole.sum())
    rest = np.where(whole < most, exact - whole, -1.0)
    for i in np.argsort(-rest, kind="stable")[: max(left, 0)]:
        whole[i] += 1
    return whole


def _in_proportion(weights: Floats, least: Counts, most: Counts, total: int) -> Floats:
    low, high = 0.0, float((most / weights).max())
    for _ in range(100):  # to the last bit of the factor
        middle = (low + high) / 2
        if np.clip(middle * weights, least, most).sum() < total:
            low = middle
        else:
            high = middle
    return np.asarray(np.clip(high * weights, least, most), float)


def design_forecast(fit: InstanceFit, n_params: float) -> ForecastDesign:
    """Return the linear model near a fit, for the forecast of a size.

    Parameters
    ----------
    fit : InstanceFit
        Straight lines, at the posterior mean of whose hyper-parameters the model is built.
    n_params : float
        Size to forecast.

    Returns
    -------
    ForecastDesign

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
    >>> design = design_forecast(fit, 2449e6)
    >>> now = passes.T * 0 + 10_000
    >>> design.variance(2 * now) < design.variance(now)
    True
    """
    theta = (fit.draws.weights @ fit.draws.points)[None]
    hierarchy, x = fit.hierarchy, float(np.log(n_params)) - fit.x_center
    latents = hierarchy.latents(theta)
    residual, scatter = float(np.exp(2 * theta[0, 6])), float(np.exp(2 * theta[0, 5]))
    sd = np.exp(theta[0, 2:4])
    rho = float(np.clip(np.tanh(theta[0, 4]), -0.995, 0.995))
    covariance = np.array([[sd[0] ** 2, -rho * sd[0] * sd[1]], [-rho * sd[0] * sd[1], sd[1] ** 2]])
    a, alpha = latents.a[0][fit.rows], latents.alpha[0][fit.rows]
    a11, a12, a22 = (part[0][fit.rows] for part in latents.curve)
    det = a11 * a22 - a12**2

    def rates_at(z: float, shift: float) -> tuple[Floats, Floats, Floats]:
        """Return mean and variance of each instance's rate, and its slope in F."""
        variance = (a22 + 2 * a12 * z + a11 * z * z) / det + residual
        f = (a - alpha * z + shift)[:, None] + np.sqrt(variance)[:, None] * NODES
        f = np.clip(f, -25.0, 6.0)
        rate = np.exp(-np.exp(f))
        mean = rate @ NODE_WEIGHTS
        return mean, rate**2 @ NODE_WEIGHTS - mean**2, -(rate * np.exp(f)) @ NODE_WEIGHTS

    trials = (hierarchy.passes + hierarchy.fails)[fit.rows]
    rates = np.empty_like(trials)
    for j, z in enumerate(hierarchy.z):
        mean, variance, _ = rates_at(float(z), float(latents.u[0, j]))
        mean = np.clip(mean, 1e-12, 1 - 1e-9)
        # a Beta distribution of the line's mean and variance, and the counts
        size = np.maximum(mean * (1 - mean) / np.maximum(variance, 1e-300) - 1, 0.0)
        rates[:, j] = (size * mean + hierarchy.passes[fit.rows, j]) / (size + trials[:, j])
    rates = np.clip(rates, 1e-12, 1 - 1e-6)
    mean, _, slope = rates_at(x, 0.0)
    pu = float(np.clip(mean.mean(), 1e-12, 1 - 1e-9))
    return ForecastDesign(
        hierarchy.z,
        (1 - rates) / (rates * np.log(rates) ** 2),
        residual,
        scatter,
        np.linalg.inv(covariance),
        HYPER_SD[:2] ** -2.0,
        np.array([1.0, x]),
        slope / (len(slope) * pu * np.log(pu)),
        rates,
    )
