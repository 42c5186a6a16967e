"""Forecast every choice, compute every score from them: through the chain, not along it.

Each choice's log-likelihood is a line in log10 C with residuals that all choices of all instances
share as they were seen to: a fitted model that was luckier than its size was so with all of them.
Any score of a larger model follows, with its predictive distribution, and so does the answer to
whose unpredictability costs the forecast, that of the correct choice or of the incorrect ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from passuntil.choices.averaging import Mean, mean_of, share_of
from passuntil.choices.coefficients import MIN_MODELS
from passuntil.choices.correlation import log10_compute
from passuntil.choices.incorrect import need_incorrect
from passuntil.choices.metrics import CHAIN, metric_scores
from passuntil.choices.scales import fit_line
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError
from passuntil.estimator.intervals import check_level

__all__ = ["ChoiceForecast", "MeanForecast", "SideError", "forecast_choices"]

Floats = NDArray[np.float64]

_DRAWS_AT_ONCE: Final = 32
_FLOOR_NATS: Final = -1e6  # a draw of the t distribution with one degree of freedom has no bounds


@dataclass(frozen=True, slots=True)
class MeanForecast:
    """A mean score of the held-out model, computed from forecast choices.

    Attributes
    ----------
    metric : str
    value, low, high : float
        Median and interval of the predictive distribution.
    measured : float
    is_covered : bool

    Examples
    --------
    >>> row = MeanForecast("brier", 0.5, 0.4, 0.6, measured=0.55, is_covered=True)
    >>> f"{row.value} [{row.low}, {row.high}], measured {row.measured}"
    '0.5 [0.4, 0.6], measured 0.55'
    """

    metric: str
    value: float
    low: float
    high: float
    measured: float
    is_covered: bool


@dataclass(frozen=True, slots=True)
class SideError:
    """What is lost per instance when one side of the comparison is forecast.

    Attributes
    ----------
    side : str
        "both", "incorrect" (the correct choice as measured) or "correct" (the incorrect ones as
        measured): which choices were forecast.
    p_choices_error : Mean
        Mean absolute error of p_choices(correct).
    accuracy_error : Mean
        Share of instances whose accuracy comes out wrong.

    Examples
    --------
    >>> error = SideError("both", Mean(0.12, 0.1, 0.14, 80), Mean(0.1, 0.04, 0.16, 80))
    >>> error.accuracy_error.percent
    '10 % [4, 16]'
    """

    side: str
    p_choices_error: Mean
    accuracy_error: Mean


@dataclass(frozen=True, slots=True)
class ChoiceForecast:
    """Forecast of the largest model by way of its choices; see `forecast_choices`.

    Attributes
    ----------
    model : str
        The largest, held out.
    n_fitted : int
        Smaller models with a line for each choice.
    means : tuple of MeanForecast
        One per metric.
    sides : tuple of SideError
        Both sides forecast, the incorrect choices alone, the correct one alone.
    extra_of_incorrect : Mean
        Per instance, the error of p_choices with the incorrect choices forecast, less that with the
        correct one forecast.
    confidence_level : float
        Of every interval.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.arange(6.0)  # log10 of compute, from 1e18
    >>> slopes = np.array([1.4, 0.9, 0.9, 0.9])  # the first choice is correct
    >>> logs = -9 + slopes * x[:, None, None] + rng.normal(0, 1, (6, 40, 4))
    >>> scores = ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x), correct=[0] * 40)
    >>> found = forecast_choices(scores, metrics=["p_choices"], n_draws=64)
    >>> print(found.words.split(". ")[-1])
    The correct choice costs the forecast more than the incorrect ones.
    """

    model: str
    n_fitted: int
    means: tuple[MeanForecast, ...]
    sides: tuple[SideError, ...]
    extra_of_incorrect: Mean
    confidence_level: float

    @property
    def words(self) -> str:
        """For a person."""
        both, incorrect, correct = self.sides
        text = (
            f"From lines of {self.n_fitted} smaller models for every choice, p_choices(correct) "
            f"of {self.model} is off by {both.p_choices_error.words} an instance; with the "
            f"incorrect choices alone forecast by {incorrect.p_choices_error.words}, with the "
            f"correct one alone by {correct.p_choices_error.words}."
        )
        low, high = self.extra_of_incorrect.low, self.extra_of_incorrect.high
        if low is not None and low > 0:
            return f"{text} The incorrect choices cost the forecast more than the correct one."
        if high is not None and high < 0:
            return f"{text} The correct choice costs the forecast more than the incorrect ones."
        return f"{text} Neither side can be told to cost more."

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "words": self.words}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to draw."""

    metrics: tuple[str, ...]
    n_draws: int
    seed: int
    level: float


def forecast_choices(
    scores: ChoiceScores,
    *,
    metrics: Iterable[str] = CHAIN,
    confidence_level: float = 0.9,
    n_draws: int = 400,
    seed: int = 0,
) -> ChoiceForecast:
    """Return scores of the largest model, forecast through a line for each choice.

    Parameters
    ----------
    scores : ChoiceScores
        The largest model by compute is held out, the others are fitted.
    metrics : iterable of str
        Names of `METRICS`.
    confidence_level : float
        Of every interval, between 0 and 1.
    n_draws, seed : int
        Draws of the predictive distribution.

    Returns
    -------
    ChoiceForecast
        `extra_of_incorrect` is, per instance, the error of p_choices with the incorrect choices
        forecast less that with the correct one forecast.

    Raises
    ------
    EstimationError
        Fewer than 3 models below the largest, or no incorrect choice anywhere.

    Notes
    -----
    With fitted models k, residuals R (k, choices) and leverage h of the held-out compute, a draw
    is line + sqrt(1 + h) z R / sqrt(k - 2) / sqrt(chi^2_{k-2} / (k - 2)), z normal of shape
    (k,), the same for all choices: the marginal of each choice is the t-interval of its line.

    Examples
    --------
    >>> x = np.arange(5.0)
    >>> logs = -9 + np.array([2.0, -0.5])[None, None, :] * x[:, None, None]
    >>> scores = ChoiceScores.of(
    ...     logs, models=list("abcde"), compute=10 ** (18 + x), correct=[0])
    >>> forecast_choices(scores, metrics=["log_p_vocab"]).means[0].value
    -1.0
    """
    level = check_level(confidence_level)
    ordered = scores.by_compute()
    x = log10_compute(ordered)
    need_incorrect(ordered)
    k = ordered.n_models - 1
    if len(np.unique(x[:k])) < MIN_MODELS:
        raise EstimationError(
            f"forecast of {ordered.models[-1]}: got {k} smaller models, {len(np.unique(x[:k]))} "
            f"amounts of compute; allowed: {MIN_MODELS} amounts or more; add models."
        )
    truth = ordered.take_models([k])
    logs = ordered.log_likelihood[:k][:, ordered.is_choice]
    centre = fit_line(x[:k], logs, float(x[k])).value
    means = _means(truth, x, logs, centre, _Plan(tuple(metrics), n_draws, seed, level))
    sides, extra = _sides(truth, centre, level)
    return ChoiceForecast(truth.models[0], k, means, sides, extra, level)


def _with_logs(truth: ChoiceScores, logs: Floats) -> ChoiceScores:
    """Return the held-out model with other log-likelihoods, one "model" per row of logs."""
    n = len(logs)
    padded = np.zeros((n, *truth.shape[1:]))
    padded[:, truth.is_choice] = np.clip(logs, _FLOOR_NATS, 0.0)
    return replace(
        truth,
        models=tuple(map(str, range(n))),
        compute=np.repeat(truth.compute, n),
        log_likelihood=padded,
        n_params=None,
        n_train_tokens=None,
        n_tokens=None if truth.n_tokens is None else np.repeat(truth.n_tokens, n, axis=0),
        is_greedy=None,
    )


def _draws(x: Floats, logs: Floats, n_draws: int, seed: int) -> Floats:
    """Return joint draws of the held-out model less its lines, in units of the fitted residuals.

    Shape (n_draws, k): times the residuals (k, choices), they are deviations of every choice.
    """
    k = len(logs)
    df = k - 2
    dx = x[:k] - x[:k].mean()
    leverage = 1 / k + (x[k] - x[:k].mean()) ** 2 / (dx @ dx)
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(n_draws, k))
    heavy = np.sqrt(rng.chisquare(df, n_draws) / df)
    return np.asarray(np.sqrt((1 + leverage) / df) * normal / heavy[:, None])


def _means(
    truth: ChoiceScores, x: Floats, logs: Floats, centre: Floats, plan: _Plan
) -> tuple[MeanForecast, ...]:
    dx = x[:-1] - x[:-1].mean()
    residuals = logs - logs.mean(0) - dx[:, None] * (dx @ logs / (dx @ dx))
    draws = _draws(x, logs, plan.n_draws, plan.seed)
    drawn: dict[str, list[Floats]] = {metric: [] for metric in plan.metrics}
    for first in range(0, plan.n_draws, _DRAWS_AT_ONCE):
        part = _with_logs(truth, centre + draws[first : first + _DRAWS_AT_ONCE] @ residuals)
        for metric in plan.metrics:
            drawn[metric].append(metric_scores(part, metric).values.mean(1))
    tails = [(1 - plan.level) / 2, 0.5, (1 + plan.level) / 2]
    found = []
    for metric, parts in drawn.items():
        low, middle, high = (float(end) for end in np.quantile(np.concatenate(parts), tails))
        measured = float(metric_scores(truth, metric).values.mean())
        found.append(MeanForecast(metric, middle, low, high, measured, low <= measured <= high))
    return tuple(found)


def _sides(truth: ChoiceScores, centre: Floats, level: float) -> tuple[tuple[SideError, ...], Mean]:
    is_incorrect = truth.is_incorrect[truth.is_choice]
    measured = truth.log_likelihood[0, truth.is_choice]
    forecasts = {
        "both": centre,
        "incorrect": np.where(is_incorrect, centre, measured),
        "correct": np.where(is_incorrect, measured, centre),
    }
    mixed = _with_logs(truth, np.array(list(forecasts.values())))
    shares = np.abs(
        metric_scores(mixed, "p_choices").values - metric_scores(truth, "p_choices").values
    )
    wrong = metric_scores(mixed, "accuracy").values != metric_scores(truth, "accuracy").values
    sides = tuple(
        SideError(side, mean_of(shares[i], level), share_of(wrong[i].astype(float), level))
        for i, side in enumerate(forecasts)
    )
    return sides, mean_of(shares[1] - shares[2], level)
