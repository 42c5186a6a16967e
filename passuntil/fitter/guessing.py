"""The hierarchical instance model with a guess rate: P = g + (1 - g) exp(-exp(F)).

Where an instance is only guessed, its likelihood is a plateau that ends in a step, and Laplace's
method, which sees a mode and a curvature, does not hold. Here each count's likelihood is replaced
by the normal factor that gives the same mean and variance of F in the context of all the others:
expectation propagation [1]_, in parallel over counts and hyper-parameters, each pair of moments by
Gauss-Hermite quadrature.

References
----------
.. [1] Minka 2001, UAI (expectation propagation); Kuss & Rasmussen 2005, JMLR 6 (against Laplace's
   method, for likelihoods that are steps).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from passuntil.fitter.hierarchy import Bend, Hierarchy, Latents, Scales, find_scales

__all__ = ["GuessingHierarchy"]

Floats = NDArray[np.float64]
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
NEAR = 2e-3
"""Largest change of a count's mean F, in its sds, after the last round; the error of the log
marginal likelihood is of its square."""
DAMPING = 0.9
MOST_ROUNDS = 40
MOST_TOGETHER = 64
"""Larger batches are draws: each is done when it is near by itself."""
LEAST_PRECISION = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """What all other factors say of F of each count, shape (n, n_instances, n_models).

    Attributes
    ----------
    mean, variance : ndarray of float
        Without the known part of F.
    at : Latents
        Of the normal model with the present factors; its log marginal likelihood too.
    """

    mean: Floats
    variance: Floats
    at: Latents


class GuessingHierarchy(Hierarchy):
    """`Hierarchy` for counts of which some were guessed.

    Parameters
    ----------
    z, passes, trials, counts, bend, log_losses
        As in `Hierarchy`.
    guess_rate : float
        Chance g of passing by guessing, 0 < g < 1.
    """

    def __init__(
        self,
        z: Floats,
        passes: Floats,
        trials: Floats,
        counts: Floats,
        *,
        guess_rate: float,
        bend: Bend = "none",
        log_losses: Floats | None = None,
    ) -> None:
        super().__init__(z, passes, trials, counts, bend=bend, log_losses=log_losses)
        self.guess_rate = guess_rate
        self._factors = self._first_factors()

    def _first_factors(self) -> tuple[Floats, Floats]:
        """Return precision and precision times mean of F of each count above guessing."""
        trials = np.maximum(self.passes + self.fails, 1.0)
        rate = np.clip(self.passes / trials, 1e-6, 1 - 1e-3)
        g = self.guess_rate
        p = (rate - g) / (1 - g)
        sd = np.sqrt(rate * (1 - rate) / trials) / (1 - g)
        is_above = p > 3 * sd
        p = np.where(is_above, p, 0.5)
        steep = p * np.abs(np.log(p))
        precision = np.where(is_above, (steep / sd) ** 2, LEAST_PRECISION)
        return precision, precision * np.where(is_above, np.log(-np.log(p)), 0.0)

    def _log_likelihood(self, f: Floats) -> Floats:
        rise = np.exp(np.clip(f, -25.0, 5.0))
        real = np.exp(-rise)
        g = self.guess_rate
        return np.asarray(
            self.passes * np.log(g + (1 - g) * real) + self.fails * np.log(-np.expm1(-rise))
        )

    def _solve(self, theta: Floats) -> Latents:
        w, h = (np.repeat(v[None], len(theta), 0) for v in self._factors)
        left = np.arange(len(theta))
        for _ in range(MOST_ROUNDS):
            scales = find_scales(theta[left], self.z, self.bend, self.log_losses)
            change, w[left], h[left] = self._round(theta[left], scales, w[left], h[left])
            if change.max() < NEAR:
                break
            # points side by side, whose differences count, take the same number of rounds
            if len(theta) > MOST_TOGETHER:
                left = left[change >= NEAR]
        self._factors = np.median(w, 0), np.median(h, 0)
        scales = find_scales(theta, self.z, self.bend, self.log_losses)
        context = self._context(theta, scales, w, h)
        at, log_z = context.at, self._moments(context, scales, w, h)[0]
        extra = (log_z - _log_normal_integral(context, w, h)).sum(2) @ self.counts
        return replace(at, log_marginal=at.log_marginal + extra)

    def _round(
        self, theta: Floats, scales: Scales, w: Floats, h: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return the largest change of each row, and the next factors."""
        context = self._context(theta, scales, w, h)
        _, mean, variance = self._moments(context, scales, w, h)
        total = 1 / context.variance
        precision = np.clip(1 / variance - total, self._least_precision(scales), 1e9)
        # the mean is kept where the variance cannot be
        pull = mean * (precision + total) - context.mean * total
        now = (context.mean * total + h) / (w + total)
        change = (np.abs(mean - now) / np.sqrt(variance)).max((1, 2))
        return change, w + DAMPING * (precision - w), h + DAMPING * (pull - h)

    def _least_precision(self, scales: Scales) -> Floats:
        """Return how far a factor may widen F, shape (n, 1, n_models).

        A step can leave F wider than its context. With a quarter of the prior's precision, shared
        by the models of an instance, and by all instances under a model, the whole stays proper.
        """
        p11, p12, p22 = scales.prior
        z, det = scales.z, p11 * p22 - p12**2
        prior = (p22 + 2 * p12 * z + p11 * z**2) / det + scales.own2[..., 0]
        widest = np.maximum(len(self.z) * prior, self.counts.sum() * scales.tau2)
        return np.asarray(-0.25 / widest)[:, None, :]

    def _context(self, theta: Floats, scales: Scales, w: Floats, h: Floats) -> _Context:
        """Return the normal model with factors exp(-w F^2 / 2 + h F), and each count's context."""
        mu = theta[:, :1], theta[:, 1:2]
        n, (n_instances, n_models) = len(theta), self.passes.shape
        own2, z = scales.own2, scales.z
        wide = 1 + w * own2
        flat, pull = w / wide, h / wide
        start = (np.repeat(mu[0], n_instances, 1), np.repeat(mu[1], n_instances, 1))
        line = start[0][..., None] - start[1][..., None] * z[:, None, :]
        none = np.zeros((n, n_instances)), np.zeros((n, n_instances)), np.zeros((n, n_models))
        da, db, u = self._newton(none, scales, pull - flat * line, flat)
        line = line + da[..., None] - db[..., None] * z[:, None, :] + u[:, None, :]
        curve, schur = self._curvature(flat, scales)
        spread = self._line_variance(flat, curve, schur, z)
        rest = np.maximum(1 / spread - flat, 0.05 / spread)
        mean = (line / spread - pull) / rest
        value = 0.5 * ((line + own2 * h) ** 2 / (own2 * wide) - line**2 / own2 - np.log(wide))
        total = self._log_total(value, curve, schur, (da, db, u), scales)
        at = Latents(start[0] + da, start[1] + db, u, curve, flat, schur, total)
        return _Context(mean, 1 / rest + own2, at)

    def _line_variance(
        self, flat: Floats, curve: tuple[Floats, Floats, Floats], schur: Floats, z: Floats
    ) -> Floats:
        """Return the variance of a - alpha z + u of each count."""
        a11, a12, a22 = (v[..., None] for v in curve)
        det, zs = a11 * a22 - a12**2, z[:, None, :]
        # row m of (1, -z) A^-1; the models' scatter reaches a line directly and through its fit
        first, second = (a22 + a12 * zs) / det, (a12 + a11 * zs) / det
        shared = np.linalg.inv(schur)
        turned = flat * zs
        by_level, by_slope = flat @ shared, turned @ shared
        both = (by_level * turned).sum(2, keepdims=True)
        variance = first + second * zs
        variance += np.diagonal(shared, axis1=1, axis2=2)[:, None, :]
        variance -= 2 * (first * by_level + second * by_slope)
        variance += first**2 * (by_level * flat).sum(2, keepdims=True) + 2 * first * second * both
        variance += second**2 * (by_slope * turned).sum(2, keepdims=True)
        return np.asarray(variance)

    def _moments(
        self, context: _Context, scales: Scales, w: Floats, h: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return log mass, mean and variance of F under its count and its context."""
        precision = w + 1 / context.variance
        center = (context.mean / context.variance + h) / precision
        sd = 1 / np.sqrt(precision)
        off = (center - context.mean) / context.variance
        top = self._log_likelihood(center + scales.shift)
        mass, first, second = (np.zeros_like(sd) for _ in range(3))
        ratio = 1 - sd**2 / context.variance
        for node, weight in zip(NODES, NODE_WEIGHTS, strict=True):
            value = self._log_likelihood(center + sd * node + scales.shift) - top
            value += 0.5 * ratio * node**2 - off * sd * node
            share = weight * np.exp(np.clip(value, -700, 300))
            mass += share
            first += share * node
            second += share * node**2
        step = first / mass
        left = np.maximum(second / mass - step**2, 1e-6)
        log_z = np.log(mass) + top - 0.5 * off**2 * context.variance
        log_z -= 0.5 * np.log(precision * context.variance)
        return log_z, center + sd * step, sd**2 * left


def _log_normal_integral(context: _Context, w: Floats, h: Floats) -> Floats:
    """Return the log mass of each factor in its context."""
    m, v = context.mean, context.variance
    wide = 1 + w * v
    return np.asarray(0.5 * ((m + v * h) ** 2 / (v * wide) - m**2 / v - np.log(wide)))
