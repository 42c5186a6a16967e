"""The scales on which the mean of a score is taken to be a straight line in log10 compute.

================ =========================== =====================================================
score            natural scale of the mean   why
================ =========================== =====================================================
log_p_vocab      log(-mean)                  a power law of the loss
p_vocab          log(-log mean)              the task scaling law of pass rates, Hu et al. 2023
mass_*           log mean                    may exceed 1 where one choice begins another
p_choices,       logit mean                  between 0 and 1
accuracy*
brier            logit(mean / 2)             between 0 and 2
================ =========================== =====================================================

Undefined where a mean is 0 or 1 (a pass rate of 0 has no log(-log)): not a number inside this
package, a reason for the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from passuntil.choices.metrics import MetricScores

__all__ = ["BOUNDS", "Line", "Scale", "fit_line", "from_scale", "means_on_scale"]

Floats = NDArray[np.float64]
Scale = Literal["natural", "linear"]

BOUNDS: Final = {
    "log_p_vocab": (-np.inf, 0.0),
    "brier": (0.0, 2.0),
    "mass_incorrect": (0.0, np.inf),
    "mass_choices": (0.0, np.inf),
}
"""Ends of each score; [0, 1] for those not named."""


def means_on_scale(found: MetricScores, counts: Floats, scale: Scale) -> Floats:
    """Return means over resamples of the instances, on a scale.

    Parameters
    ----------
    found : MetricScores
        Scores of shape (n_models, n_instances).
    counts : ndarray of float, shape (n_resamples, n_instances)
        How often each instance is in each resample; rows sum to n_instances.
    scale : {"natural", "linear"}

    Returns
    -------
    ndarray of float, shape (n_resamples, n_models)
        NaN where the scale is not defined.
    """
    name = found.metric.name
    means = counts @ found.values.T / counts.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "linear":
            on_scale = means
        elif name == "log_p_vocab":
            on_scale = np.log(-means)
        elif name == "brier":
            on_scale = logit(means / 2)
        elif name == "p_vocab":
            on_scale = np.log(-_log_means(found, counts))
        elif name.startswith("mass"):
            on_scale = _log_means(found, counts)
        else:
            on_scale = logit(means)
    return np.where(np.isfinite(on_scale), on_scale, np.nan)


def _log_means(found: MetricScores, counts: Floats) -> Floats:
    """Return logs of means of probabilities, kept where the probabilities underflow."""
    top = found.order.max(1)
    top = np.where(np.isfinite(top), top, 0.0)
    means = counts @ np.exp(found.order - top[:, None]).T / counts.shape[1]
    return np.asarray(np.log(means) + top)


def from_scale(name: str, on_scale: Floats, scale: Scale) -> Floats:
    """Return means of the score called `name` from their places on a scale.

    Parameters
    ----------
    name : str
        A name of `METRICS`.
    on_scale : ndarray of float
        Any shape.
    scale : {"natural", "linear"}
        Linear places are cut to what the score can be.

    Examples
    --------
    >>> from_scale("accuracy", np.array([0.0, 2.0]), "natural").round(3)
    array([0.5  , 0.881])
    >>> from_scale("accuracy", np.array([0.5, 1.2]), "linear")
    array([0.5, 1. ])
    """
    if scale == "linear":
        return np.asarray(np.clip(on_scale, *BOUNDS.get(name, (0.0, 1.0))))
    inverse: Callable[[Floats], Floats] = expit
    if name == "log_p_vocab":
        inverse = lambda z: -np.exp(z)  # noqa: E731  # four one-line inverses side by side
    elif name == "brier":
        inverse = lambda z: 2 * expit(z)  # noqa: E731
    elif name == "p_vocab":
        inverse = lambda z: np.exp(-np.exp(z))  # noqa: E731
    elif name.startswith("mass"):
        inverse = np.exp
    with np.errstate(over="ignore"):
        return np.asarray(inverse(on_scale), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Line:
    """Least-squares lines at one point beyond the data.

    Attributes
    ----------
    value : ndarray of float, shape (m,)
        Heights of the m lines there.
    sd : ndarray of float, shape (m,)
        Of a new observation there, t-distributed with `df` degrees of freedom.
    df : int
        Points less 2.

    Examples
    --------
    >>> line = fit_line(np.arange(4.0), np.array([[0.0], [1.1], [1.9], [3.0]]), 5.0)
    >>> line.value.round(2), line.sd.round(2), line.df
    (array([4.93]), array([0.18]), 2)
    """

    value: Floats
    sd: Floats
    df: int


def fit_line(x: Floats, y: Floats, at: float) -> Line:
    """Return least-squares lines through the columns of y, at a new x.

    Parameters
    ----------
    x : ndarray of float, shape (n,)
        n >= 3, not all equal.
    y : ndarray of float, shape (n, m)
    at : float

    Notes
    -----
    sd^2 = s^2 (1 + 1/n + (at - mean x)^2 / sum (x - mean x)^2), s^2 = residual sum of squares
    / (n - 2).

    Examples
    --------
    >>> line = fit_line(np.array([0.0, 1.0, 2.0]), np.array([[0.0], [1.0], [2.0]]), 4.0)
    >>> line.value.round(6), line.df
    (array([4.]), 1)
    """
    n, centre = len(x), x.mean()
    dx = x - centre
    spread = float(dx @ dx)
    slope = dx @ y / spread
    middle = y.mean(0)
    residual = y - middle - dx[:, None] * slope
    df = n - 2
    variance = (residual**2).sum(0) / df * (1 + 1 / n + (at - centre) ** 2 / spread)
    return Line(middle + slope * (at - centre), np.sqrt(variance), df)
