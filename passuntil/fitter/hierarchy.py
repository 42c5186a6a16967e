"""The hierarchical instance model: every instance its own line in F, pooled, models scattering.

    F[s, m] = a[s] - alpha[s] g(z[m]) + u[m] + e[s, m]
    (a, alpha)[s] ~ Normal2(mu, Sigma),  u[m] ~ N(0, tau),  e[s, m] ~ N(0, sigma)

z is log N from the mean of the measured sizes; g(z) = z, or with a shared bend kappa > 0
g(z) = (1 - exp(-kappa z)) / kappa, so that -log p[s] levels off at an E[s] > 0. Real instances
scatter around their lines (e): without it precise counts read that scatter as unlike slopes, and
unlike slopes make the forecast of the mean far too high. Latent values are integrated out by
Laplace's method for many hyper-parameters at once; the curvature is two numbers per instance and a
small matrix for the models, so a Newton step costs a few array passes.

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262, section 5.4 (instance-level laws, IPU).
.. [2] Tierney & Kadane 1986, JASA 81 (Laplace's method).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passuntil.fitter.hyperparameters import (
    START,
    STEP,
    Bend,
    Scales,
    find_scales,
    hyper_log_prior,
    warp,
)
from passuntil.fitter.latents import ExactHazards, Latents

__all__ = [
    "START",
    "STEP",
    "Bend",
    "ExactHazards",
    "Hierarchy",
    "Latents",
    "Scales",
    "find_scales",
    "hyper_log_prior",
    "warp",
]

Floats = NDArray[np.float64]
CHUNK = 150_000
"""Most instances x models x hyper-parameters at once: stays in the cache."""
NEAR = 2e-3
"""Newton's last step in F: the one after it would be its square."""


def _likelihood(c: Floats, fail: Floats, f: Floats) -> tuple[Floats, Floats, Floats]:
    """Return log likelihood, slope and curvature in F of c passes and `fail` fails."""
    rise = np.exp(f)
    fallen = -np.expm1(-rise)
    odds = rise * (1 - fallen) / fallen
    lost = c * rise
    value = fail * np.log(fallen) - lost
    return value, fail * odds - lost, fail * odds * np.maximum(rise + odds - 1, 0.0) + lost


class Hierarchy:
    """The data of a family and the marginal likelihood of hyper-parameters.

    Parameters
    ----------
    z : ndarray of float, shape (n_models,)
        Centred log covariate.
    passes, trials : ndarray of float, shape (n_instances, n_models)
        0 trials where an instance was not measured under a model.
    counts : ndarray of float, shape (n_instances,)
        How many instances have this row (equal rows are computed once).
    bend : {"none", "saturating", "signed", "loss"}
        Whether slopes change along x: not, only falling off (log kappa), either way (kappa).
        "loss": F moves with v times `log_losses` besides, and the eighth number is v.
    log_losses : ndarray of float, shape (n_instances, n_models), optional
        Centred log loss of each instance under each model, for "loss".
    exact : ExactHazards, optional
        What was calculated instead of sampled; 0 trials there.
    """

    def __init__(
        self,
        z: Floats,
        passes: Floats,
        trials: Floats,
        counts: Floats,
        *,
        bend: Bend = "none",
        log_losses: Floats | None = None,
        exact: ExactHazards | None = None,
    ) -> None:
        self.bend, self.log_losses, self.exact = bend, log_losses, exact
        self.z, self.passes, self.fails, self.counts = z, passes, trials - passes, counts
        self._warm: tuple[Floats, Floats, Floats] | None = None
        self._last: tuple[Floats, Latents] | None = None

    def log_density(self, theta: Floats) -> Floats:
        """Return log marginal likelihood plus log prior, shape (n, 7 or 8) -> (n,)."""
        return self.latents(theta).log_marginal + hyper_log_prior(theta, self.bend)

    def latents(self, theta: Floats) -> Latents:
        """Return modes and curvatures at hyper-parameters of shape (n, 7 or 8)."""
        # draws are weighed first and forecast from afterwards
        if self._last is not None and np.array_equal(self._last[0], theta):
            return self._last[1]
        found = self._in_parts(theta)
        self._last = theta.copy(), found
        return found

    def _in_parts(self, theta: Floats) -> Latents:
        size = max(1, CHUNK // self.passes.size)
        parts = [self._solve(theta[i : i + size]) for i in range(0, len(theta), size)]
        return Latents.joined(parts)

    def _solve(self, theta: Floats) -> Latents:
        mu_a, mu_b = theta[:, :1], theta[:, 1:2]
        scales = find_scales(theta, self.z, self.bend, self.log_losses)
        z, own2 = scales.z, scales.own2
        n, (n_instances, n_models) = len(theta), self.passes.shape
        if self._warm is None:
            a, b = np.repeat(mu_a, n_instances, 1), np.repeat(mu_b, n_instances, 1)
            u = np.zeros((n, n_models))
        else:
            a, b, u = (np.repeat(v[None], n, 0) for v in self._warm)
        own = np.zeros((n, n_instances, n_models))
        for _ in range(40):
            _, slope, weights = self._at((a, b, u, own), scales)
            # e is eliminated: what is left is a flatter likelihood of the line
            total = weights + 1 / own2
            pull = slope - own / own2
            flat = weights / (1 + weights * own2)
            away = (a - mu_a, b - mu_b, u)
            toward = slope - weights * pull / total
            curvature = self._curvature(flat, scales)
            da, db, du = self._newton(away, scales, toward, flat, curvature)
            move = da[..., None] - db[..., None] * z[:, None, :] + du[:, None, :]
            down = (pull - weights * move) / total
            most = np.abs(move + down).max((1, 2), keepdims=True)[..., 0]
            short = np.minimum(1.0, 1.5 / np.maximum(most, 1e-12))
            a, b, u = a + short * da, b + short * db, u + short * du
            own = own + short[..., None] * down
            if most.max() < NEAR:
                break
        if n == 1 or self._warm is None:
            self._warm = a[0], b[0], u[0]
        return self._integrate((a, b, u, own), (a - mu_a, b - mu_b), scales)

    def _integrate(
        self,
        at: tuple[Floats, Floats, Floats, Floats],
        away: tuple[Floats, Floats],
        scales: Scales,
    ) -> Latents:
        """Return Laplace's approximation at the modes."""
        a, b, u, own = at
        value, _, weights = self._at(at, scales)
        value = value - 0.5 * (own**2 / scales.own2 + np.log1p(weights * scales.own2))
        weights = weights / (1 + weights * scales.own2)
        curve, schur = self._curvature(weights, scales)
        total = self._log_total(value, curve, schur, (*away, u), scales)
        return Latents(a, b, u, curve, weights, schur, total)

    def _log_total(
        self,
        value: Floats,
        curve: tuple[Floats, Floats, Floats],
        schur: Floats,
        away: tuple[Floats, Floats, Floats],
        scales: Scales,
    ) -> Floats:
        """Return the log integral over all latents of what is `value` at their modes."""
        da, db, u = away
        p11, p12, p22 = scales.prior
        square = p11 * da**2 + 2 * p12 * da * db + p22 * db**2
        log_det = np.log(curve[0] * curve[2] - curve[1] ** 2) - np.log(p11 * p22 - p12**2)
        per_instance = value.sum(2) - 0.5 * (square + log_det)
        log_schur = np.linalg.slogdet(schur)[1] + len(self.z) * np.log(scales.tau2[:, 0])
        return np.asarray(
            per_instance @ self.counts - 0.5 * ((u**2 / scales.tau2).sum(1) + log_schur)
        )

    def _at(
        self, at: tuple[Floats, Floats, Floats, Floats], scales: Scales
    ) -> tuple[Floats, Floats, Floats]:
        a, b, u, own = at
        line = a[..., None] - b[..., None] * scales.z[:, None, :] + u[:, None, :]
        f = line + own + scales.shift
        value, slope, weights = _likelihood(self.passes, self.fails, np.clip(f, -25.0, 5.0))
        if self.exact is None:
            return value, slope, weights
        known, precision = self.exact.is_exact, self.exact.precision
        off = self.exact.hazards - f
        return (
            np.where(known, 0.5 * np.log(precision) - 0.5 * precision * off**2, value),
            np.where(known, precision * off, slope),
            np.where(known, precision, weights),
        )

    def _curvature(self, w: Floats, scales: Scales) -> tuple[tuple[Floats, Floats, Floats], Floats]:
        """Return A11, A12, A22 of each instance and the precision of u."""
        z, prior = scales.z, scales.prior
        a11 = w.sum(2) + prior[0]
        a12 = prior[1] - (w @ z[..., None])[..., 0]
        a22 = (w @ (z**2)[..., None])[..., 0] + prior[2]
        scale = self.counts / (a11 * a22 - a12**2)
        turned = np.swapaxes(w, 1, 2)
        # B' A^-1 B for B = w (1, -z)
        p22 = (turned * (scale * a22)[:, None, :]) @ w
        p12 = (turned * (scale * a12)[:, None, :]) @ w
        p11 = (turned * (scale * a11)[:, None, :]) @ w
        left, right = z[:, :, None], z[:, None, :]
        cross = p22 + p12 * (left + right) + p11 * (left * right)
        schur = -cross
        index = np.arange(z.shape[1])
        schur[:, index, index] += np.swapaxes(w, 1, 2) @ self.counts + 1 / scales.tau2
        return (a11, a12, a22), schur

    def _newton(
        self,
        away: tuple[Floats, Floats, Floats],
        scales: Scales,
        slope: Floats,
        w: Floats,
        curvature: tuple[tuple[Floats, Floats, Floats], Floats],
    ) -> tuple[Floats, Floats, Floats]:
        """Return the Newton step of (a, alpha, u), which are `away` from their prior means."""
        da, db, u = away
        z, prior = scales.z, scales.prior
        (a11, a12, a22), schur = curvature
        det = a11 * a22 - a12**2
        ga = slope.sum(2) - prior[0] * da - prior[1] * db
        gb = -(slope @ z[..., None])[..., 0] - prior[1] * da - prior[2] * db
        gu = np.swapaxes(slope, 1, 2) @ self.counts - u / scales.tau2
        ha, hb = (a22 * ga - a12 * gb) / det, (a11 * gb - a12 * ga) / det
        turned = np.swapaxes(w, 1, 2)
        rest = (turned @ (self.counts * ha)[..., None])[..., 0] - z * (
            turned @ (self.counts * hb)[..., None]
        )[..., 0]
        du = np.linalg.solve(schur, (gu - rest)[..., None])[..., 0]
        pull = w * du[:, None, :]
        ga, gb = ga - pull.sum(2), gb + (pull @ z[..., None])[..., 0]
        return (a22 * ga - a12 * gb) / det, (a11 * gb - a12 * ga) / det, du
