"""Forecast the scores of larger models from smaller ones, and hold them against what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from passuntil.choices.averaging import resample_counts
from passuntil.choices.coefficients import MIN_MODELS
from passuntil.choices.correlation import log10_compute
from passuntil.choices.extrapolation import Design, Extrapolation, LinkForecast, LinkSummary
from passuntil.choices.metrics import CHAIN, METRICS, MetricScores, metric_scores
from passuntil.choices.scales import BOUNDS, Scale, fit_line, from_scale, means_on_scale
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError, UsageError, nearest
from passuntil.estimator.intervals import check_level

__all__ = ["extrapolate"]

Floats = NDArray[np.float64]
_MOST_UNDEFINED: Final = 0.05  # of the resamples; beyond it an interval would describe the rest


def extrapolate(
    scores: ChoiceScores,
    *,
    metrics: Iterable[str] = CHAIN,
    design: Design = "largest",
    held_out: int = 1,
    confidence_level: float = 0.9,
    scale: Scale = "natural",
    n_resamples: int = 1000,
    seed: int = 0,
) -> Extrapolation:
    """Fit the smaller models, predict the larger ones, for every link of the chain.

    Parameters
    ----------
    scores : ChoiceScores
        Models of one family; sorted by compute here.
    metrics : iterable of str
        Names of `METRICS`.
    design : {"largest", "rolling"}
        "largest": the `held_out` largest models from all the others. "rolling": from the k
        smallest the next one, for every k >= 3.
    held_out : int
        At least 1; "largest" only.
    confidence_level : float
        Of every interval, between 0 and 1.
    scale : {"natural", "linear"}
        On which the mean score is a line in log10 C: see `passuntil.choices.scales`.
    n_resamples, seed : int
        Bootstrap over instances, for the intervals of errors.

    Returns
    -------
    Extrapolation

    Raises
    ------
    EstimationError
        Fewer than 3 models would be fitted.
    UsageError
        An unknown design, scale or metric.

    Notes
    -----
    The interval of a forecast is the t-interval of a new observation beside a least-squares line,
    n - 2 degrees of freedom: its width is the scatter of the fitted models around their line, so
    with three of them it is very wide. It takes the line for true.

    Errors of unlike scores are compared in units of the score's range over the fitted models.

    Examples
    --------
    >>> compute = np.geomspace(1e18, 1e21, 6)
    >>> x = np.log10(compute / 1e18)[:, None, None]
    >>> scores = ChoiceScores.of(
    ...     -np.exp(2 - 0.3 * x) * np.array([1.0, 1.5]), models=list("abcdef"), compute=compute,
    ...     correct=[0])
    >>> found = extrapolate(scores, metrics=["log_p_vocab", "p_choices"])
    >>> found.best.metric, round(found.rows[0].value, 4), round(found.rows[0].measured, 4)
    ('log_p_vocab', -3.0042, -3.0042)
    """
    level = check_level(confidence_level)
    for name, given, allowed in (
        ("design", design, get_args(Design)),
        ("scale", scale, get_args(Scale)),
    ):
        if given not in allowed:
            raise UsageError(
                f"{name}: got {given!r}; allowed: {', '.join(allowed)}." + nearest(given, allowed)
            )
    ordered = scores.by_compute()
    pairs = _pairs(ordered, design, held_out)
    counts = resample_counts(ordered.n_instances, n_resamples, seed)
    x = log10_compute(ordered)
    rows: list[LinkForecast] = []
    errors, skills = {}, {}
    for metric in metrics:
        found = metric_scores(ordered, metric)
        mine, errors[metric] = _forecast_means(
            found, ordered.models, x, pairs, counts=counts, level=level, scale=scale
        )
        skills[metric] = _skill(found, x, pairs, counts)
        rows += mine
    return Extrapolation(design, tuple(rows), _summaries(rows, errors, skills, level), level, scale)


def _pairs(scores: ChoiceScores, design: Design, held_out: int) -> list[tuple[int, int]]:
    """Return (number of models fitted, place of the model predicted)."""
    n = scores.n_models
    if design == "largest":
        if held_out < 1:
            raise UsageError(f"held_out: got {held_out}; allowed: 1 or more models.")
        pairs = [(n - held_out, place) for place in range(n - held_out, n)]
    else:
        pairs = [(k, k) for k in range(MIN_MODELS, n)]
    # models of one size, or checkpoints of one step, do not make a line
    pairs = [(k, j) for k, j in pairs if len(np.unique(scores.compute[: max(k, 0)])) >= MIN_MODELS]
    if not pairs:
        raise EstimationError(
            f"extrapolation of {scores.family}: got {n} models, {len(np.unique(scores.compute))} "
            f"amounts of compute; allowed: {MIN_MODELS} amounts or more below the held-out "
            "models; add models, or hold out fewer."
        )
    return pairs


def _forecast_means(
    found: MetricScores,
    models: Sequence[str],
    x: Floats,
    pairs: Sequence[tuple[int, int]],
    *,
    counts: Floats,
    level: float,
    scale: Scale,
) -> tuple[list[LinkForecast], Floats]:
    """Return the forecasts, and each resample's mean scaled error, shape (1 + n_resamples,)."""
    name = found.metric.name
    on_scale = means_on_scale(found, counts, scale)
    means = counts @ found.values.T / counts.shape[1]
    rows, errors = [], []
    for k, j in pairs:
        line = fit_line(x[:k], on_scale[:, :k].T, float(x[j]))
        value = from_scale(name, line.value, scale)
        span = np.ptp(means[:, :k], axis=1)
        error = np.abs(value - means[:, j]) / np.where(span > 0, span, np.nan)
        errors.append(error)
        half = t.ppf((1 + level) / 2, line.df) * line.sd[0]
        ends = np.sort(from_scale(name, line.value[0] + half * np.array([-1, 1]), scale))
        nothing = LinkForecast(
            name, models[j], k, None, None, None, float(means[0, j]), float(means[0, k - 1])
        )
        rows.append(_fill(nothing, float(value[0]), ends, float(error[0])))
    return rows, np.mean(errors, axis=0)


def _fill(row: LinkForecast, value: float, ends: Floats, error: float) -> LinkForecast:
    label = METRICS[row.metric].label
    if not np.isfinite(value):
        reason = f"{label}: a mean of 0 or 1 among the fitted models"
        return replace(row, reason=reason)
    low, high = (float(end) for end in ends)
    filled = replace(row, value=value, low=low, high=high, is_covered=low <= row.measured <= high)
    if not np.isfinite(error):
        return replace(filled, reason=f"{label}: the same under all fitted models")
    return replace(filled, scaled_error=error)


def _skill(
    found: MetricScores, x: Floats, pairs: Sequence[tuple[int, int]], counts: Floats
) -> Floats:
    """Return the forecasts' skill per instance for each resample, shape (1 + n_resamples,)."""
    low, high = BOUNDS.get(found.metric.name, (0.0, 1.0))
    ours, repeated = np.zeros(len(counts)), np.zeros(len(counts))
    for k, j in pairs:
        forecast = np.clip(fit_line(x[:k], found.values[:k], float(x[j])).value, low, high)
        ours += counts @ (forecast - found.values[j]) ** 2
        repeated += counts @ (found.values[k - 1] - found.values[j]) ** 2
    return np.asarray(1 - ours / np.where(repeated > 0, repeated, np.nan))


def _summaries(
    rows: Sequence[LinkForecast],
    errors: dict[str, Floats],
    skills: dict[str, Floats],
    level: float,
) -> tuple[LinkSummary, ...]:
    known = {metric: found for metric, found in errors.items() if np.isfinite(found[0])}
    best = min(known, key=lambda metric: float(known[metric][0]), default=None)
    links = []
    for metric, error in errors.items():
        mine = [row for row in rows if row.metric == metric and row.scaled_error is not None]
        times = np.full_like(error, np.nan)
        if best is not None and errors[best][0] > 0:
            base = errors[best]
            times = error / np.where(base > 0, base, np.nan)
        links.append(
            LinkSummary(
                metric,
                len(mine),
                sum(row.is_covered is True for row in mine),
                *_with_interval(error, level),
                *_with_interval(times, level),
                *_with_interval(skills[metric], level),
            )
        )
    return tuple(links)


def _with_interval(
    resampled: Floats, level: float
) -> tuple[float | None, float | None, float | None]:
    """Return the value (first), and percentiles of the resamples (the others)."""
    if not np.isfinite(resampled[0]):
        return None, None, None
    value, others = float(resampled[0]), resampled[1:]
    defined = others[np.isfinite(others)]
    if len(defined) < max(1.0, (1 - _MOST_UNDEFINED) * len(others)):
        return value, None, None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return value, float(low), float(high)
