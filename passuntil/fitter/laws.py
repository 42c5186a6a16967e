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
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtri

__all__ = [
    "LAWS",
    "Law",
    "bounded_exp",
    "damping_draws",
    "normal_log_density",
    "scatter_log_prior",
]

Floats = NDArray[np.float64]
SCATTER_LEAST, SCATTER_MOST = 0.01, 1.0
"""Model scatter in F below the first is nothing to a forecast; above the second there is no law."""
MOST_LOG = 300.0
ALPHA_CENTER, ALPHA_SD = 0.15, 0.3
ALPHA_LOG_CENTER, ALPHA_LOG_SD = float(np.log(0.25)), 0.6
"""Exponent of the part that falls, where another part stays."""
SHARE_CENTER, SHARE_SD = 0.0, 1.2
"""Log odds of the share of -log PU that stays, at the largest measured size."""
DAMPING_CENTER, DAMPING_SD = float(np.log(0.3)), 0.8
"""Log of the rate at which the slope fades, per unit of log N."""


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


def bounded_exp(value: ArrayLike) -> Floats:
    """Return exp, with an end where its square would have none: a draw out there weighs nothing."""
    return np.asarray(np.exp(np.minimum(value, MOST_LOG)), float)


def scatter_log_prior(log_scatter: Floats) -> Floats:
    """Return the log prior of log tau, unnormalised.

    Notes
    -----
    p(tau) ~ 1 / ((tau + 0.01) (1 + tau^2)): even in log tau where scatter matters, which makes the
    forecast interval of a few sizes the t interval of regression where scatter dominates (it covers
    as claimed whatever tau is), and lets it shrink to sampling noise where points lie on a line.
    A half-t in its place covers less at large tau, or is wider at tau = 0
    (benchmarks/scatter_prior.py).
    """
    tau = np.exp(np.clip(log_scatter, -40, 20))
    value = log_scatter - np.log(tau + SCATTER_LEAST) - np.log1p((tau / SCATTER_MOST) ** 2)
    return np.asarray(value, float)


def normal_log_density(value: Floats, center: float, sd: float) -> Floats:
    """Return the log density of Normal(center, sd)."""
    return np.asarray(-0.5 * ((value - center) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)))


def _line_start(x: Floats, f: Floats) -> Floats:
    if np.ptp(x) == 0:
        return np.array([f.mean(), ALPHA_CENTER])
    slope = np.polyfit(x - x[-1], f, 1)
    return np.array([slope[1], -slope[0]])


def _line(theta: Floats, x: Floats, x_last: float) -> Floats:
    return theta[:, :1] - theta[:, 1:2] * (x - x_last)


def _line_prior(theta: Floats) -> Floats:
    return normal_log_density(theta[:, 0], 1.0, 2.0) + normal_log_density(
        theta[:, 1], ALPHA_CENTER, ALPHA_SD
    )


def _damped(theta: Floats, x: Floats, x_last: float) -> Floats:
    """Beyond the data the slope fades at rate kappa [2]; within them, the line."""
    ahead = np.maximum(x - x_last, 0.0)
    kappa = np.exp(np.clip(theta[:, 2:3], -6, 3))
    way = np.minimum(x - x_last, 0.0) - np.expm1(-kappa * ahead) / kappa
    return np.asarray(theta[:, :1] - theta[:, 1:2] * way, float)


def _damped_prior(theta: Floats) -> Floats:
    return _line_prior(theta) + normal_log_density(theta[:, 2], DAMPING_CENTER, DAMPING_SD)


def _damped_start(x: Floats, f: Floats) -> Floats:
    return np.append(_line_start(x, f), DAMPING_CENTER)


def damping_draws(n: int) -> Floats:
    """Return n damping rates spread evenly over their prior, shape (n,)."""
    golden = (np.arange(n) * 0.6180339887498949 + 0.5) % 1.0
    rates = np.exp(DAMPING_CENTER + DAMPING_SD * ndtri(np.clip(golden, 1e-4, 1 - 1e-4)))
    return np.asarray(rates, float)


def _saturating(theta: Floats, x: Floats, x_last: float) -> Floats:
    """-log PU = E + A N^-alpha; parameters F(x_last), log alpha, log odds of E's share there."""
    share = expit(theta[:, 2:3])
    alpha = np.exp(np.clip(theta[:, 1:2], -6, 2))
    power = np.exp(np.clip(-alpha * (x - x_last), -50, 50))
    return np.asarray(theta[:, :1] + np.log(share + (1 - share) * power), float)


def _saturating_prior(theta: Floats) -> Floats:
    exponent = normal_log_density(theta[:, 1], ALPHA_LOG_CENTER, ALPHA_LOG_SD)
    return (
        normal_log_density(theta[:, 0], 1.0, 2.0)
        + exponent
        + normal_log_density(theta[:, 2], SHARE_CENTER, SHARE_SD)
    )


def _saturating_start(x: Floats, f: Floats) -> Floats:
    return np.array([_line_start(x, f)[0], ALPHA_LOG_CENTER, SHARE_CENTER])


LAWS: dict[str, Law] = {
    "line": Law("line", 2, _line, _line_prior, _line_start, (0.1, 0.05)),
    "saturating": Law(
        "saturating", 3, _saturating, _saturating_prior, _saturating_start, (0.1, 0.3, 0.7)
    ),
    "damped": Law("damped", 3, _damped, _damped_prior, _damped_start, (0.1, 0.05, 0.5)),
}
