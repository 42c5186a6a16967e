"""The paper's fit: ordinary least squares of F = log(-log PU) on log N. Kept as the reference.

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262, Eqs 3-4 and section 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from passuntil.errors import UsageError
from passuntil.fitter.laws import bounded_exp
from passuntil.fitter.observations import from_hazard, to_hazard

__all__ = ["Line", "fit_line"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """F = log c - alpha x by least squares.

    Attributes
    ----------
    log_c, alpha : float
    residual_sd : float
        Root mean square residual on n - 2 degrees of freedom; 0 for two points.
    n_points : int
    x_mean, x_square : float
        Mean of x and sum of squared deviations.

    Examples
    --------
    >>> line = fit_line([36e6, 109e6, 241e6], [0.0021, 0.0072, 0.0148])
    >>> round(line.alpha, 2), round(line_rate(line, 499e6), 3)
    (0.2, 0.026)
    """

    log_c: float
    alpha: float
    residual_sd: float
    n_points: int
    x_mean: float
    x_square: float

    @property
    def c(self) -> float:
        """The constant of -log PU = c N^-alpha."""
        return float(bounded_exp(self.log_c))

    def hazard(self, x: float) -> float:
        """Return F at x.

        Parameters
        ----------
        x : float
            Log size, natural.

        Examples
        --------
        >>> line = fit_line([10.0, 100.0], np.exp(-5.0 * np.array([10.0, 100.0]) ** -0.2))
        >>> round(float(np.exp(-np.exp(line.hazard(np.log(1000.0))))), 4)
        0.2848
        """
        return self.log_c - self.alpha * x

    def hazard_interval(self, x: float, confidence_level: float) -> tuple[float, float]:
        """Return the t prediction interval of F of a new model; infinite with two points.

        Parameters
        ----------
        x : float
            Log size, natural.
        confidence_level : float
            Between 0 and 1.

        Notes
        -----
        F -+ t(n - 2) s sqrt(1 + 1/n + (x - mean)^2 / sum of squares).

        Examples
        --------
        >>> line = fit_line([36e6, 109e6, 241e6], [0.0021, 0.0075, 0.0145])
        >>> low, high = line.hazard_interval(np.log(499e6), 0.9)
        >>> round(float(low), 2), round(float(high), 2)
        (1.19, 1.4)
        >>> fit_line([36e6, 109e6], [0.0021, 0.0072]).hazard_interval(np.log(499e6), 0.9)
        (-inf, inf)
        """
        df = self.n_points - 2
        if df < 1:
            return -np.inf, np.inf
        spread = 1 + 1 / self.n_points + (x - self.x_mean) ** 2 / self.x_square
        reach = float(stdtrit(df, (1 + confidence_level) / 2)) * self.residual_sd * spread**0.5
        return self.hazard(x) - reach, self.hazard(x) + reach


def fit_line(n_params: ArrayLike, pu: ArrayLike, *, weights: ArrayLike | None = None) -> Line:
    """Return the least squares line of F on log N.

    Parameters
    ----------
    n_params, pu : array_like of float, shape (n_models,)
        Sizes, and PU strictly between 0 and 1.
    weights : array_like of float, shape (n_models,), optional
        Inverse variances of F.

    Returns
    -------
    Line

    Raises
    ------
    EstimationError
        PU is 0 or 1 somewhere: F is infinite, and a clipped value would be made up.
    UsageError
        Fewer than two different sizes.

    Notes
    -----
    F = log(-log PU) = log c - alpha log N [1]_; residual sd on n - 2 degrees of freedom.

    References
    ----------
    .. [1] Hu et al. 2023, arXiv 2310.03262, Eqs 3-4.

    Examples
    --------
    >>> import numpy as np
    >>> sizes = np.array([36e6, 109e6, 241e6])
    >>> line = fit_line(sizes, np.exp(-200 * sizes**-0.2))
    >>> round(line.c, 6), round(line.alpha, 9)
    (200.0, 0.2)
    """
    sizes = np.asarray(n_params, float)
    if sizes.ndim != 1 or len(np.unique(sizes)) < 2 or not (sizes > 0).all():
        raise UsageError(
            f"n_params: got {sizes.tolist()}; allowed: two or more different positive sizes."
        )
    x, f = np.log(sizes), to_hazard(pu)
    if f.shape != x.shape:
        raise UsageError(f"pu: got shape {f.shape}; allowed: {x.shape}, one value a size.")
    w = np.ones(len(x)) if weights is None else np.asarray(weights, float)
    w = w / w.mean()
    mean = float(w @ x / w.sum())
    square = float(w @ (x - mean) ** 2)
    f_mean = float(w @ f / w.sum())
    slope = float(w @ ((x - mean) * (f - f_mean)) / square)
    residual = f - f_mean - slope * (x - mean)
    df = len(x) - 2
    sd = float(np.sqrt(w @ residual**2 / df)) if df else 0.0
    return Line(f_mean - slope * mean, -slope, sd, len(x), mean, square)


def line_rate(line: Line, n_params: float) -> float:
    """Return PU of the line at a size."""
    return float(from_hazard(line.hazard(float(np.log(n_params)))))
