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

from passuntil.fitter.hierarchy import Hierarchy
from passuntil.fitter.hyperparameters import Bend, Scales, find_scales
from passuntil.fitter.latents import Latents
from passuntil.fitter.tilting import GuessedCounts, Tilted

__all__ = ["GuessingHierarchy"]

Floats = NDArray[np.float64]
NEAR = 5e-3
"""Largest change of the mean F of an instance's counts, in their sds, after its last round; the
error of the log marginal likelihood is of its square."""
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 0.8, 0.25, 1.2
SLOWER, FASTER = 0.6, 1.2
"""Of an instance's steps, where one turns back on the last, and where it goes on."""
MOST_ROUNDS = 60
MOST_TOGETHER = 64
"""Larger batches are draws: each instance of each is done when it is near by itself."""
BESIDE = 1e-3
"""Hyper-parameters this close to the first share its factors: a slope is asked for."""
CHUNK = 50_000
"""Most instances x models x hyper-parameters at once: stays in the cache."""
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
        self._guessed = GuessedCounts(self.passes, self.fails, guess_rate)
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

    def _in_parts(self, theta: Floats) -> Latents:
        n = len(theta)
        if n > 1 and np.ptp(theta, axis=0).max() < BESIDE:
            # at its fixed point the log marginal does not move with the factors; where some are
            # held at their bound it does, by about a fifth of a step of the search
            w, h = self._converged(theta[:1], *self._factors)
            self._factors = w[0], h[0]
            return self._at_factors(theta, np.repeat(w, n, 0), np.repeat(h, n, 0))
        if n <= MOST_TOGETHER:
            w, h = self._converged(theta, *self._factors, is_together=True)
            self._factors = w[0], h[0]
            return self._at_factors(theta, w, h)
        size = max(1, CHUNK // self.passes.size)
        parts = [theta[i : i + size] for i in range(0, n, size)]
        return Latents.joined(
            [self._at_factors(p, *self._converged(p, *self._factors)) for p in parts]
        )

    def _at_factors(self, theta: Floats, w: Floats, h: Floats) -> Latents:
        """Return the normal model of the factors, and the log marginal likelihood they give."""
        scales = find_scales(theta, self.z, self.bend, self.log_losses)
        context = self._context(theta, scales, w, h)
        everything = np.ones(w.shape[:2], bool)
        log_mass = self._tilt(context, scales, everything, w, h).log_mass.reshape(w.shape)
        extra = (log_mass - _log_normal_integral(context, w, h)).sum(2) @ self.counts
        return replace(context.at, log_marginal=context.at.log_marginal + extra)

    def _tilt(
        self,
        context: _Context,
        scales: Scales,
        which: NDArray[np.bool_],
        w: Floats,
        h: Floats,
    ) -> Tilted:
        """Return the moments of the chosen instances at each theta, shape (n_chosen, n_models)."""
        shift = scales.shift[which] if isinstance(scales.shift, np.ndarray) else scales.shift
        seen = context.mean[which], context.variance[which]
        return self._guessed.tilt(np.nonzero(which)[1], seen, (w[which], h[which]), shift)

    def _converged(
        self, theta: Floats, w0: Floats, h0: Floats, *, is_together: bool = False
    ) -> tuple[Floats, Floats]:
        """Return the factors at each theta; together, every theta takes the same rounds."""
        n = len(theta)
        least = self._least_precision(find_scales(theta, self.z, self.bend, self.log_losses))
        # what is proper at other hyper-parameters may not be here
        w, h = np.maximum(w0, least), np.repeat(h0[None], n, 0)
        is_open = np.ones(w.shape[:2], bool)
        damping, last = np.full(w.shape[:2], FIRST_DAMPING), np.zeros_like(w)
        for _ in range(MOST_ROUNDS):
            left = np.flatnonzero(is_open.any(1))
            if not len(left):
                break
            scales = find_scales(theta[left], self.z, self.bend, self.log_losses)
            context = self._context(theta[left], scales, w[left], h[left])
            which = is_open[left]
            draw, row = np.nonzero(which)
            at = left[draw], row
            tilted = self._tilt(context, scales, which, w[left], h[left])
            mean, total = context.mean[which], 1 / context.variance[which]
            change = (tilted.mean - (mean * total + h[at]) / (w[at] + total)) / np.sqrt(
                tilted.variance
            )
            # instances are nearly apart, the counts of one are not: each has a step of its own
            is_back = (change * last[at]).sum(1) < 0
            damping[at] = np.clip(
                damping[at] * np.where(is_back, SLOWER, FASTER), LEAST_DAMPING, MOST_DAMPING
            )
            last[at] = change
            least = self._least_precision(scales)[draw, 0]
            precision = np.clip(1 / tilted.variance - total, least, 1e9)
            # the mean is kept where the variance cannot be
            pull = tilted.mean * (precision + total) - mean * total
            part = damping[at][:, None]
            w[at] = np.maximum(w[at] + part * (precision - w[at]), least)
            h[at] += part * (pull - h[at])
            is_open[at] = np.abs(change).max(1) >= NEAR
            if is_together:
                is_open[:] = is_open.any(0)
        return w, h

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
        curve, schur = self._curvature(flat, scales)
        da, db, u = self._newton(none, scales, pull - flat * line, flat, (curve, schur))
        line = line + da[..., None] - db[..., None] * z[:, None, :] + u[:, None, :]
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


def _log_normal_integral(context: _Context, w: Floats, h: Floats) -> Floats:
    """Return the log mass of each factor in its context."""
    m, v = context.mean, context.variance
    wide = 1 + w * v
    return np.asarray(0.5 * ((m + v * h) ** 2 / (v * wide) - m**2 / v - np.log(wide)))
