"""Latent values of the hierarchical instance model: their modes and curvatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactHazards", "Latents"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """Modes and curvatures of the latent values, given hyper-parameters.

    Attributes
    ----------
    a, alpha : ndarray, shape (n, n_instances)
        Modes.
    u : ndarray, shape (n, n_models)
        Modes of the models' scatter.
    curve : tuple of ndarray, each shape (n, n_instances)
        A11, A12, A22 of each instance's negative Hessian.
    weights : ndarray, shape (n, n_instances, n_models)
        Curvature of each log likelihood in F.
    schur : ndarray, shape (n, n_models, n_models)
        Precision of u with the instances integrated out.
    log_marginal : ndarray, shape (n,)
        Log marginal likelihood, Laplace.
    """

    a: Floats
    alpha: Floats
    u: Floats
    curve: tuple[Floats, Floats, Floats]
    weights: Floats
    schur: Floats
    log_marginal: Floats

    @classmethod
    def joined(cls, parts: Sequence[Latents]) -> Latents:
        """Return the latents of all hyper-parameters of the parts, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([p.a for p in parts]),
            np.concatenate([p.alpha for p in parts]),
            np.concatenate([p.u for p in parts]),
            (
                np.concatenate([p.curve[0] for p in parts]),
                np.concatenate([p.curve[1] for p in parts]),
                np.concatenate([p.curve[2] for p in parts]),
            ),
            np.concatenate([p.weights for p in parts]),
            np.concatenate([p.schur for p in parts]),
            np.concatenate([p.log_marginal for p in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class ExactHazards:
    """Values of F that were calculated, each array of shape (n_instances, n_models).

    Attributes
    ----------
    is_exact : ndarray of bool
        False where an instance was sampled under a model.
    hazards : ndarray of float
        F, where it is exact.
    precision : ndarray of float
        Of the calculation: 1 / sd^2 of F.
    """

    is_exact: NDArray[np.bool_]
    hazards: Floats
    precision: Floats
