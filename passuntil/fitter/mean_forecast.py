"""The mean of the instances' pass rates at one size, given draws of the hyper-parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passuntil.fitter.latents import Latents

__all__ = ["NODES", "NODE_WEIGHTS", "MeanForecast", "forecast_mean"]

Floats = NDArray[np.float64]
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


@dataclass(frozen=True, slots=True, eq=False)
class MeanForecast:
    """The instances' mean at one size, for each drawn hyper-parameter.

    Attributes
    ----------
    hazard : ndarray, shape (n_draws,)
        F of the expected mean.
    instance_variance, scatter_variance, new_variance : ndarray, shape (n_draws,)
        Variance of F from the instances' own lines, from the measured models' scatter, from the
        new model's.
    """

    hazard: Floats
    instance_variance: Floats
    scatter_variance: Floats
    new_variance: Floats

    @property
    def sds(self) -> Floats:
        """Total sd of F given the hyper-parameters."""
        return np.sqrt(self.instance_variance + self.scatter_variance + self.new_variance)


def forecast_mean(
    latents: Latents,
    *,
    tau: Floats,
    residual: Floats,
    z: Floats,
    measured_z: Floats,
    counts: Floats,
) -> MeanForecast:
    """Return the mean of PU_s at warped log size z, given each draw of hyper-parameters.

    Parameters
    ----------
    latents : Latents
    tau : ndarray of float, shape (n_draws,)
        Model scatter.
    residual : ndarray of float, shape (n_draws,)
        Scatter sigma of an instance under one model.
    z : ndarray of float, shape (n_draws, 1)
        g of the size asked for.
    measured_z : ndarray of float, shape (n_draws, n_models)
        g of the measured sizes.
    counts : ndarray of float, shape (n_rows,)
        Instances each row stands for.
    """
    a11, a12, a22 = latents.curve
    det = a11 * a22 - a12**2
    center = latents.a - latents.alpha * z
    variance = (a22 + 2 * a12 * z + a11 * z * z) / det + residual[:, None] ** 2
    f = np.clip(center[..., None] + np.sqrt(variance)[..., None] * NODES, -25.0, 6.0)
    rise = np.exp(f)
    rate = np.exp(-rise)
    mean = rate @ NODE_WEIGHTS
    second = rate**2 @ NODE_WEIGHTS
    slope = -(rate * rise) @ NODE_WEIGHTS  # dP/dF
    total = counts.sum()
    pu = np.clip(mean @ counts / total, 1e-12, 1 - 1e-9)
    to_f = 1 / (pu * np.log(pu))  # dF/dPU
    own = np.maximum(second - mean**2, 0) @ counts / total**2
    # how each measured model's scatter moves the forecast: through the instances' lines
    w = latents.weights
    weight = slope * counts / (total * det)
    part0 = ((weight * (a22 + a12 * z))[:, None, :] @ w)[:, 0]
    part1 = ((weight * (a12 + a11 * z))[:, None, :] @ w)[:, 0]
    gradient = -(part0 + part1 * measured_z)
    spread = np.linalg.solve(latents.schur, gradient[..., None])[..., 0]
    past = (gradient * spread).sum(1)
    new = (slope @ counts / total) ** 2 * tau**2
    return MeanForecast(np.log(-np.log(pu)), own * to_f**2, past * to_f**2, new * to_f**2)
