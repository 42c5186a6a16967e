"""What people do today: repeat the last value, or regress points. The backtest stands beside them.

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262, sections 5.2 (dataset) and 5.4 (instances).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from passuntil.errors import EstimationError
from passuntil.fitter.family import Family, mean_rate, point_rates
from passuntil.fitter.line import fit_line
from passuntil.fitter.observations import from_hazard

__all__ = ["BASELINES", "BaselineForecast", "instance_ols", "last_value"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BaselineForecast:
    """A point and its residual interval.

    Attributes
    ----------
    value, low, high : float
        PU.

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> family = as_family([1e7, 1e8], [[Tally.fixed(passes=c, trials=100)] for c in (2, 9)])
    >>> round(BASELINES["last value"](family, 1e9, 0.9).value, 6)
    0.09
    """

    value: float
    low: float
    high: float


def _point_rates(family: Family) -> Floats:
    """Mean of c/n over the sampled instances of each model, as the paper plots."""
    return np.array([mean_rate(t) for t in family.tallies])


def last_value(family: Family, n_params: float, confidence_level: float) -> BaselineForecast:
    """Repeat the largest model's PU; interval from the steps of F between neighbouring sizes.

    Parameters
    ----------
    family : Family
    n_params : float
        Size to forecast.
    confidence_level : float
        Between 0 and 1.

    Raises
    ------
    EstimationError
        A size where nothing passed.

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> counts = [[Tally.fixed(passes=c, trials=100)] for c in (2, 9, 20)]
    >>> forecast = last_value(as_family([1e7, 1e8, 1e9], counts), 1e10, 0.9)
    >>> round(forecast.low, 2), round(forecast.value, 2), round(forecast.high, 2)
    (0.0, 0.2, 0.65)
    """
    rates = _point_rates(family)
    if not (rates > 0).all():
        raise EstimationError(
            "last value: got PU = 0; allowed: PU > 0 for every size; leave the model out."
        )
    hazard = np.log(-np.log(np.minimum(rates, 1 - 1e-12)))
    x = np.log(family.n_params)
    apart = np.diff(x) > 0
    steps = np.diff(hazard)[apart] / np.sqrt(np.diff(x)[apart])
    sd = float(np.sqrt(np.mean(steps**2)) * np.sqrt(max(np.log(n_params) - x[-1], 0.0)))
    reach = float(stdtrit(len(steps), (1 + confidence_level) / 2)) * sd
    value, low, high = from_hazard(hazard[-1] + np.array([0.0, reach, -reach]))
    return BaselineForecast(float(value), float(low), float(high))


def instance_ols(family: Family, n_params: float, confidence_level: float) -> BaselineForecast:
    """Regress each instance's F on log N where it passed, and average the predictions.

    Instances that passed under fewer than two sizes keep their last rate. Interval from the
    residuals of the mean at the measured sizes, as a regression's.

    Parameters
    ----------
    family : Family
        The same instances under every model.
    n_params : float
        Size to forecast.
    confidence_level : float
        Between 0 and 1.

    Examples
    --------
    >>> from passuntil.estimator import TallyArray
    >>> from passuntil.fitter import as_family
    >>> counts = [TallyArray.fixed(passes=c, trials=1000) for c in ([2, 90], [9, 200], [20, 330])]
    >>> round(instance_ols(as_family([1e7, 1e8, 1e9], counts), 1e10, 0.9).value, 2)
    0.26
    """
    if len({len(t) for t in family.tallies}) > 1:
        raise EstimationError(
            "instance OLS: got models with unlike numbers of instances; allowed: the same "
            "instances in the same order for every model."
        )
    x = np.log(family.n_params)
    rate = np.stack([point_rates(t) for t in family.tallies], 1)
    ok = (rate > 0) & (rate < 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.where(ok, np.log(-np.log(np.where(ok, rate, 0.5))), 0.0)
    many = ok.sum(1) >= 2
    count = np.maximum(ok.sum(1), 1)
    x_mean = (ok * x).sum(1) / count
    f_mean = (ok * f).sum(1) / count
    square = (ok * (x - x_mean[:, None]) ** 2).sum(1)
    cross = (ok * (x - x_mean[:, None]) * f).sum(1)
    slope = np.where(many, cross / np.where(square > 0, square, 1.0), 0.0)

    def mean_at(where: float) -> float:
        line = from_hazard(f_mean + slope * (where - x_mean))
        return float(np.where(many, line, rate[:, -1]).mean())

    means = np.array([mean_at(v) for v in x])
    truth = rate.mean(0)
    usable = (means > 0) & (truth > 0) & (means < 1) & (truth < 1)
    df = int(usable.sum()) - 2
    value = mean_at(float(np.log(n_params)))
    if df < 1 or not 0 < value < 1:
        return BaselineForecast(value, 0.0, 1.0)
    residual = np.log(-np.log(means[usable])) - np.log(-np.log(truth[usable]))
    z = x[usable]
    spread = 1 + 1 / len(z) + (np.log(n_params) - z.mean()) ** 2 / ((z - z.mean()) ** 2).sum()
    sd = np.sqrt((residual**2).sum() / df * spread)
    reach = float(stdtrit(df, (1 + confidence_level) / 2)) * float(sd)
    center = np.log(-np.log(value))
    low, high = from_hazard(center + np.array([reach, -reach]))
    # there and back again may cost the last digit
    return BaselineForecast(value, min(float(low), value), max(float(high), value))


def dataset_ols(family: Family, n_params: float, confidence_level: float) -> BaselineForecast:
    """The paper's line through the mean of c/n, which is also the power law of -log accuracy.

    Parameters
    ----------
    family : Family
    n_params : float
        Size to forecast.
    confidence_level : float
        Between 0 and 1.

    Raises
    ------
    EstimationError
        PU is 0 or 1 at some size.

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> counts = [[Tally.fixed(passes=c, trials=1000)] for c in (21, 72, 148)]
    >>> round(dataset_ols(as_family([1e7, 1e8, 1e9], counts), 1e10, 0.9).value, 2)
    0.26
    """
    line = fit_line(family.n_params, _point_rates(family))
    x = float(np.log(n_params))
    low, high = line.hazard_interval(x, confidence_level)
    value, bottom, top = from_hazard([line.hazard(x), min(high, 700.0), max(low, -700.0)])
    return BaselineForecast(float(value), float(bottom), float(top))


BASELINES: dict[str, Callable[[Family, float, float], BaselineForecast]] = {
    "last value": last_value,
    "dataset OLS": dataset_ols,
    "instance OLS": instance_ols,
}
