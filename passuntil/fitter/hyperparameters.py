"""Hyper-parameters of the hierarchical instance model: scale, weak priors, and what they mean.

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262, section 5.4 (instance-level laws, IPU).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passuntil.fitter.laws import ALPHA_CENTER, ALPHA_SD, scatter_log_prior

__all__ = [
    "BEND_CENTER",
    "HYPER_SD",
    "LOSS_CENTER",
    "START",
    "STEP",
    "Bend",
    "Scales",
    "find_scales",
    "hyper_log_prior",
    "warp",
]

Floats = NDArray[np.float64]
Bend = Literal["none", "saturating", "signed", "loss"]
START = np.array([1.5, ALPHA_CENTER, np.log(0.7), np.log(0.05), 0.0, np.log(0.05), np.log(0.1)])
"""mu_a, mu_alpha, log sd_a, log sd_alpha, atanh(rho), log tau, log sigma; then log kappa."""
STEP = np.array([0.2, 0.05, 0.3, 0.5, 0.5, 0.9, 0.7])
HYPER_CENTER = np.array([1.5, ALPHA_CENTER, np.log(0.7), np.log(0.05), -0.35])
HYPER_SD = np.array([2.0, ALPHA_SD, 1.0, 0.6, 0.7])
"""Correlation below 0: with log c and alpha apart, a = log c - alpha x falls as alpha grows."""
RESIDUAL_CENTER, RESIDUAL_SD = float(np.log(0.1)), 1.0
SIGNED_SD = 0.25
"""Prior sd of a bend of either sign."""
LOSS_CENTER, LOSS_SD = 1.0, 1.0
"""Prior of the slope of F in log loss: 1 where the loss is that of the whole answer, -log p."""
BEND_CENTER, BEND_SD = float(np.log(0.2)), 0.8
"""Prior of log kappa, per unit of log N: the slope falls by a third to a half per decade."""


def hyper_log_prior(theta: Floats, bend: Bend) -> Floats:
    """Return the log prior of hyper-parameters, shape (n, 7 or 8) -> (n,)."""
    z = (theta[:, :5] - HYPER_CENTER) / HYPER_SD
    value = -0.5 * (z**2).sum(1) + scatter_log_prior(theta[:, 5])
    value = value - 0.5 * ((theta[:, 6] - RESIDUAL_CENTER) / RESIDUAL_SD) ** 2
    if bend == "saturating":
        value = value - 0.5 * ((theta[:, 7] - BEND_CENTER) / BEND_SD) ** 2
    elif bend == "signed":
        value = value - 0.5 * (theta[:, 7] / SIGNED_SD) ** 2
    elif bend == "loss":
        value = value - 0.5 * ((theta[:, 7] - LOSS_CENTER) / LOSS_SD) ** 2
    return np.asarray(value, float)


def warp(theta: Floats, z: Floats, bend: Bend) -> Floats:
    """Return g(z) for each draw, shape (n, len(z)); the identity without a bend."""
    if bend in ("none", "loss"):
        return np.broadcast_to(z, (len(theta), len(z)))
    kappa = theta[:, 7:8]
    if bend == "saturating":
        kappa = np.exp(np.clip(kappa, -8, 2))
    kappa = np.where(np.abs(kappa) < 1e-6, 1e-6, np.clip(kappa, -2, 8))
    return np.asarray(-np.expm1(-kappa * z) / kappa, float)


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """Hyper-parameters as Newton's step needs them.

    Attributes
    ----------
    z : ndarray, shape (n, n_models)
        Warped log sizes.
    prior : tuple of ndarray, each shape (n, 1)
        Inverse of Sigma: 11, 12, 22.
    tau2 : ndarray, shape (n, 1)
    own2 : ndarray, shape (n, 1, 1)
        sigma squared.
    shift : ndarray, shape (n, n_instances, n_models), or 0
        Known part of F, v log L.
    """

    z: Floats
    prior: tuple[Floats, Floats, Floats]
    tau2: Floats
    own2: Floats
    shift: Floats | float


def find_scales(theta: Floats, z: Floats, bend: Bend, log_losses: Floats | None) -> Scales:
    """Return hyper-parameters, shape (n, 7 or 8), as Newton's step needs them."""
    sd_a = np.exp(np.clip(theta[:, 2:3], -5, 3))
    sd_b = np.exp(np.clip(theta[:, 3:4], -8, 1))
    rho = np.clip(np.tanh(theta[:, 4:5]), -0.995, 0.995)
    keep = 1 / (1 - rho**2)
    prior = keep / sd_a**2, -rho * keep / (sd_a * sd_b), keep / sd_b**2
    tau2 = np.exp(2 * np.clip(theta[:, 5:6], -7, 3))
    own2 = np.exp(2 * np.clip(theta[:, 6:7], -6, 2))[..., None]
    shift = 0.0 if log_losses is None else theta[:, 7, None, None] * log_losses
    return Scales(warp(theta, z, bend), prior, tau2, own2, shift)
