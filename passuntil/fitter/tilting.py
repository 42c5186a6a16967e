"""Moments of F under one count, some of whose passes are guessed, and all else that is known of F.

The likelihood of c passes and n - c fails at P = g + (1 - g) exp(-exp(F)) is a plateau that ends in
a step where an instance is only guessed: no mode, no curvature. Its mean and variance under a
normal context are found by Gauss-Hermite quadrature, centred where factor and context meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["GuessedCounts", "Tilted"]

Floats = NDArray[np.float64]
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(17)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
SUMS = np.stack([NODE_WEIGHTS, NODE_WEIGHTS * NODES, NODE_WEIGHTS * NODES**2])
LEAST_SHRINK = 0.1
"""A variance falls by at most this factor at once, so that the next nodes see the mass again."""
AT_ONCE = 2048
"""Counts at once: all their nodes stay in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Tilted:
    """Of each count, log mass, mean and variance of F under its likelihood and its context."""

    log_mass: Floats
    mean: Floats
    variance: Floats


@dataclass(frozen=True, slots=True, eq=False)
class GuessedCounts:
    """Counts of which some were guessed.

    Attributes
    ----------
    passes, fails : ndarray of float, shape (n_instances, n_models)
    guess_rate : float
        0 < g < 1.
    """

    passes: Floats
    fails: Floats
    guess_rate: float

    def tilt(
        self,
        rows: NDArray[np.int64],
        context: tuple[Floats, Floats],
        factor: tuple[Floats, Floats],
        shift: Floats | float,
    ) -> Tilted:
        """Return the moments of the counts of some instances.

        Parameters
        ----------
        rows : ndarray of int, shape (k,)
            The instances, each as often as there are contexts of it.
        context : tuple of ndarray, each shape (k, n_models)
            Mean and variance of F without the counts, and without `shift`.
        factor : tuple of ndarray, each shape (k, n_models)
            Precision, and precision times mean, of the normal factors; where nodes are put.
        shift : ndarray of float, shape (k, n_models), or 0
            Known part of F.
        """
        size = max(1, AT_ONCE // self.passes.shape[1])
        parts = []
        for begin in range(0, len(rows), size):
            cut = slice(begin, begin + size)
            known = shift[cut] if isinstance(shift, np.ndarray) else shift
            part = (context[0][cut], context[1][cut]), (factor[0][cut], factor[1][cut])
            parts.append(self._tilt(rows[cut], *part, known))
        return Tilted(*(np.concatenate(v) for v in zip(*parts, strict=True)))

    def _tilt(
        self,
        rows: NDArray[np.int64],
        context: tuple[Floats, Floats],
        factor: tuple[Floats, Floats],
        shift: Floats | float,
    ) -> tuple[Floats, Floats, Floats]:
        mean, variance = context
        precision = factor[0] + 1 / variance
        center = (mean / variance + factor[1]) / precision
        sd = 1 / np.sqrt(precision)
        off = (center - mean) / variance
        nodes = NODES[:, None, None]
        exponent = self._log_likelihood(rows, center + shift + sd * nodes)
        # the context's density over that of the nodes
        exponent += nodes * (0.5 * (1 - sd**2 / variance) * nodes - off * sd)
        top = exponent.max(0)
        share = np.exp(np.subtract(exponent, top, out=exponent), out=exponent)
        mass, first, second = (SUMS @ share.reshape(len(NODES), -1)).reshape(3, *mean.shape)
        step = first / mass
        left = np.maximum(second / mass - step**2, LEAST_SHRINK)
        log_mass = np.log(mass) + top - 0.5 * (off**2 * variance + np.log(precision * variance))
        return log_mass, center + sd * step, sd**2 * left

    def _log_likelihood(self, rows: NDArray[np.int64], f: Floats) -> Floats:
        """Return the log likelihood at F of shape (n_nodes, k, n_models), which is overwritten."""
        fall = np.exp(np.clip(f, -25.0, 5.0, out=f), out=f)
        np.negative(fall, out=fall)
        passed: Floats = np.exp(fall)
        passed *= 1 - self.guess_rate
        passed += self.guess_rate
        np.log(passed, out=passed)
        passed *= self.passes[rows]
        np.negative(np.expm1(fall, out=fall), out=fall)
        np.log(fall, out=fall)
        fall *= self.fails[rows]
        passed += fall
        return passed
