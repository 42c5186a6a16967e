"""What more samples, or one more model, would bring to a forecast.

The forecast's variance in F is that of a weighted regression with noise se^2 + tau^2 a model;
more samples shrink se, one more model adds a row, and tau is a floor that samples do not touch.
Where a model's rates are exact, se is 0 already and only another model is left to plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from passuntil.errors import EstimationError, UsageError
from passuntil.estimator.exact import ExactRates
from passuntil.estimator.inputs import one_number
from passuntil.estimator.intervals import check_level
from passuntil.fitter.family import Family
from passuntil.fitter.fit import LawFit
from passuntil.fitter.laws import bounded_exp
from passuntil.fitter.scaling_law import fit_mle

__all__ = ["ModelOption", "Plan", "plan"]

Floats = NDArray[np.float64]
MOST = 1e4
"""Largest factor of samples that is worth naming."""
WIDEST = 1e9
"""Of intervals of log PU that mean anything."""


@dataclass(frozen=True, slots=True)
class ModelOption:
    """One way to spend samples.

    Attributes
    ----------
    n_params : float
    is_new : bool
        Whether the model has not been measured yet.
    samples : float
        Extra samples meant here: as many as the model has (or for a new one, as many as the
        model of the nearest size has; 0 where that one's rates are exact).
    log_width : float
        Width of the interval of log PU after it.
    factor_to_halve : float or None
        Times the present samples of this model alone that halve the interval; None where no
        number does.
    samples_to_halve : float or None
        The same as extra samples.

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> for option in plan(as_family(sizes, tallies), 2449e6, new_sizes=[1.5e9]).options[-2:]:
    ...     print(f"{option.n_params:.3g}: new {option.is_new}, {option.samples:.0f} samples")
    8.92e+08: new False, 10000 samples
    1.5e+09: new True, 10000 samples
    """

    n_params: float
    is_new: bool
    samples: float
    log_width: float
    factor_to_halve: float | None
    samples_to_halve: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would narrow a forecast.

    Attributes
    ----------
    n_params : float
        Size forecast.
    confidence_level : float
    log_width : float
        Width of the interval of log PU now, from the regression's information.
    least_log_width : float
        Width with endless samples of the measured models: what model scatter leaves. The width
        now, where every rate is exact.
    factor_to_halve : float or None
        Times the samples of every model that halve the width; None where scatter forbids it.
    samples_to_halve : float or None
        The same as extra samples in all.
    hours_to_halve : float or None
        At the given speed.
    best : ModelOption or None
        The option that narrows most per sample; None where there is none: every rate is exact
        and no new size was named.
    options : tuple of ModelOption
        Models that were sampled, then the new sizes.
    words : str

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> few = [[Tally.fixed(passes=c, trials=400)] for c in (2, 4, 7, 11, 16)]
    >>> found = plan(as_family([36e6, 109e6, 241e6, 499e6, 892e6], few), 2449e6)
    >>> found.least_log_width < found.log_width  # what endless samples would leave
    True
    >>> found.best.n_params
    892000000.0
    """

    n_params: float
    confidence_level: float
    log_width: float
    least_log_width: float
    factor_to_halve: float | None
    samples_to_halve: float | None
    hours_to_halve: float | None
    best: ModelOption | None
    options: tuple[ModelOption, ...] = field(repr=False)
    words: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Information:
    """Weighted regression of F on x with noise se^2 + tau^2, averaged over draws of tau."""

    x: Floats
    se: Floats
    tau: Floats
    weights: Floats
    x_new: float
    slope: float  # |d log PU / dF|
    z: float

    def log_width(self, se: Floats, x: Floats | None = None) -> float:
        where = self.x if x is None else x
        noise = se[None, :] ** 2 + self.tau[:, None] ** 2
        w = 1 / noise
        total = w.sum(1)
        mean = (w @ where) / total
        square = (w * (where - mean[:, None]) ** 2).sum(1)
        variance = self.tau**2 + 1 / total + (self.x_new - mean) ** 2 / square
        return float(2 * self.z * self.slope * np.sqrt(self.weights @ variance))

    def factor(self, goal: float, which: NDArray[np.bool_]) -> float | None:
        """Return the factor of samples of the chosen models that reaches a width, or None."""

        def width(log_factor: float) -> float:
            return self.log_width(np.where(which, self.se * np.exp(-log_factor / 2), self.se))

        low, high = 0.0, float(np.log(MOST))
        if width(high) > goal:
            return None
        for _ in range(60):
            mid = (low + high) / 2
            low, high = (mid, high) if width(mid) > goal else (low, mid)
        return float(np.exp(high))


def plan(
    family: Family,
    n_params: float,
    *,
    confidence_level: float = 0.9,
    new_sizes: Iterable[float] = (),
    samples_per_second: float | None = None,
) -> Plan:
    """Return what more samples or more models would bring to the forecast of a size.

    Parameters
    ----------
    family : Family
        From `as_family`.
    n_params : float
        Size to forecast.
    confidence_level : float
        Of the interval.
    new_sizes : iterable of float
        Sizes of models that could be measured too.
    samples_per_second : float, optional
        Measured speed, for hours.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        A size or a speed that is not positive, or a level outside (0, 1).
    EstimationError
        No model with a pass rate inside (0, 1), or no line through them.

    Notes
    -----
    Standard errors fall as 1/sqrt(samples) under the same design (floor and passes grown alike).
    Exact rates have none: samples of those models are no option, and a new model next to one is
    taken to be measured exactly too.

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> found = plan(as_family(sizes, tallies), 2449e6, new_sizes=[1.5e9])
    >>> found.best.n_params, found.best.is_new
    (1500000000.0, True)
    >>> found.samples_to_halve is None, round(found.least_log_width / found.log_width, 1)
    (True, 0.8)
    """
    level = check_level(confidence_level)
    if not isinstance(family, Family):
        raise UsageError(
            f"family: got {type(family).__name__}; allowed: a Family; make one with "
            "as_family(n_params, tallies), or take fit.family."
        )
    size, sizes = _size("n_params", n_params), _sizes(new_sizes)
    speed = None if samples_per_second is None else one_number(samples_per_second)
    if samples_per_second is not None and (speed is None or not speed > 0):
        raise UsageError(
            f"samples_per_second: got {samples_per_second!r}; allowed: > 0; give a measured speed."
        )
    fit = fit_mle(family)
    info = _information(fit, size, level)
    samples = np.array(
        [
            0.0 if isinstance(t, ExactRates) else float(t.trials.sum(dtype=float))
            for t in family.tallies
        ]
    )
    is_sampled = np.array([not isinstance(t, ExactRates) for t in family.tallies])
    now = info.log_width(info.se)
    if not 0 < now < WIDEST:
        raise EstimationError(
            f"plan: got an interval of log PU of width {now:.3g}; allowed: above 0 and below "
            f"{WIDEST:g}; the measured models do not determine a line: measure sizes further apart "
            "that pass neither never nor always."
        )
    factor = info.factor(now / 2, is_sampled)
    options = [
        _measured_option(info, i, float(family.n_params[i]), samples, now)
        for i in np.flatnonzero(is_sampled)
    ]
    options += [_new_option(info, new, samples) for new in sizes]
    best = max(options, key=lambda o: (now - o.log_width) / max(o.samples, 1.0), default=None)
    extra = None if factor is None else float((factor - 1) * samples.sum())
    hours = None if extra is None or speed is None else extra / speed / 3600
    least = info.log_width(info.se / np.sqrt(MOST))
    return Plan(
        size,
        level,
        now,
        least,
        factor,
        extra,
        hours,
        best,
        tuple(options),
        _words((now, least), extra, hours, best, is_sampled=bool(is_sampled.any())),
    )


def _size(name: str, value: object) -> float:
    size = one_number(value)
    if size is None or not 0 < size < np.inf:
        raise UsageError(
            f"{name}: got {value!r}; allowed: a number, finite and > 0; name a model's size, and "
            "write 7e9 for 7B."
        )
    return size


def _sizes(new_sizes: Iterable[float]) -> list[float]:
    try:
        if not isinstance(new_sizes, str | bytes):
            return [_size("new_sizes", size) for size in tuple(new_sizes)]
    except TypeError:  # one number, of whatever type
        pass
    raise UsageError(
        f"new_sizes: got {new_sizes!r}; allowed: a sequence of sizes; write [2e9] for one."
    )


def _information(fit: LawFit, n_params: float, level: float) -> _Information:
    posterior = fit.posterior
    draws = posterior.draws
    hazard = fit.mixture(n_params).mean
    return _Information(
        posterior.x,
        np.minimum(posterior.observations.hazard_sds, 10.0),
        bounded_exp(draws.points[:, -1]),
        draws.weights,
        float(np.log(n_params)),
        float(bounded_exp(hazard)),  # log PU = -exp(F)
        float(ndtri((1 + level) / 2)),
    )


def _measured_option(
    info: _Information, i: int, size: float, samples: Floats, now: float
) -> ModelOption:
    which = np.arange(len(samples)) == i
    width = info.log_width(np.where(which, info.se / np.sqrt(2), info.se))
    factor = info.factor(now / 2, which)
    extra = None if factor is None else float((factor - 1) * samples[i])
    return ModelOption(size, False, float(samples[i]), width, factor, extra)


def _new_option(info: _Information, size: float, samples: Floats) -> ModelOption:
    near = int(np.argmin(np.abs(info.x - np.log(size))))
    width = info.log_width(np.append(info.se, info.se[near]), np.append(info.x, np.log(size)))
    return ModelOption(float(size), True, float(samples[near]), width, None, None)


def _words(
    widths: tuple[float, float],
    extra: float | None,
    hours: float | None,
    best: ModelOption | None,
    *,
    is_sampled: bool,
) -> str:
    now, least = widths
    if not is_sampled:
        text = "Every rate is exact: more samples bring nothing, only more models do."
    elif extra is None:
        text = (
            f"No number of samples halves the interval: model scatter alone leaves "
            f"{100 * least / now:.0f} % of its width; measure more models."
        )
    else:
        text = f"{extra:,.0f} more samples over all models halve the interval"
        text += "." if hours is None else f", {hours:.1f} hours at this speed."
    if best is None:
        return text + " Name sizes in new_sizes to see what one more would bring."
    kind = "a new model" if best.is_new else "the measured model"
    left = f"{100 * best.log_width / now:.0f} % of the width."
    if not best.samples:
        return text + (
            f" {kind.capitalize()} of {best.n_params:.3g} parameters, measured exactly, "
            f"leaves {left}"
        )
    return text + (
        f" Per sample, {kind} of {best.n_params:.3g} parameters brings most: {best.samples:,.0f} "
        f"samples there leave {left}"
    )
