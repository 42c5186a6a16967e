"""Laws F(x) of a dataset: F = log(-log PU), x = log of the covariate (parameters, compute ...).

A law is a function of its parameters with a weak prior. The prior's numbers were chosen on
simulated families, never on a real one (benchmarks/coverage_forecast.py).

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262, Eqs 1-4 (the line).
.. [2] Gardner & McKenzie 1985, Management Science 31 (damped trend).
.. [3] Krajewski et al. 2025, arXiv 2512.08894 (-log PU = A N^-alpha + B D^-beta).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LAWS", "Law", "scatter_log_prior"]

Floats = NDArray[np.float64]
SCATTER_SCALE = 0.06
"""Scale of the half-t prior (3 degrees of freedom) of model scatter in F."""
ALPHA_CENTER, ALPHA_SD = 0.15, 0.3


@dataclass(frozen=True, slots=True)
class Law:
    """A law of F in one covariate.

    Attributes
    ----------
    name : str
    n_parameters : int
        Shape parameters; model scatter is not among them.
    hazard : callable
        (theta (n, d), x (m,), x_last) -> F (n, m); `x_last` is the largest measured x.
    log_prior : callable
        theta (n, d) -> (n,).
    start : callable
        (x, F) of the measured models -> theta (d,).
    step : tuple of float
        Natural steps of the parameters.
    """

    name: str
    n_parameters: int
    hazard: Callable[[Floats, Floats, float], Floats]
    log_prior: Callable[[Floats], Floats]
    start: Callable[[Floats, Floats], Floats]
    step: tuple[float, ...]


def scatter_log_prior(log_scatter: Floats) -> Floats:
    """Return the log prior of log tau: half-t with 3 degrees of freedom, Jacobian included."""
    ratio = np.exp(np.clip(log_scatter, -40, 20)) / SCATTER_SCALE
    return np.asarray(-2.0 * np.log1p(ratio**2 / 3) + log_scatter, float)


def _normal(value: Floats, center: float, sd: float) -> Floats:
    return np.asarray(-0.5 * ((value - center) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)))


def _line_start(x: Floats, f: Floats) -> Floats:
    slope = np.polyfit(x - x[-1], f, 1) if len(x) > 1 else np.array([-ALPHA_CENTER, f[0]])
    return np.array([slope[1], -slope[0]])


def _line(theta: Floats, x: Floats, x_last: float) -> Floats:
    return theta[:, :1] - theta[:, 1:2] * (x - x_last)


def _line_prior(theta: Floats) -> Floats:
    return _normal(theta[:, 0], 1.0, 2.0) + _normal(theta[:, 1], ALPHA_CENTER, ALPHA_SD)


LAWS: dict[str, Law] = {
    "line": Law("line", 2, _line, _line_prior, _line_start, (0.1, 0.05)),
}
