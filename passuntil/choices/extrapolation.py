"""What held-out forecasts say of each link of the chain: which predicts a larger model best."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from passuntil.choices.metrics import METRICS
from passuntil.choices.scales import Scale

__all__ = ["Design", "Extrapolation", "LinkForecast", "LinkSummary"]

Design = Literal["largest", "rolling"]


@dataclass(frozen=True, slots=True)
class LinkForecast:
    """The mean of one score under one model, forecast from smaller models.

    Attributes
    ----------
    metric, model : str
        Which score of which held-out model.
    n_fitted : int
        Smaller models the line was fitted to.
    value, low, high : float or None
        Forecast and its interval; None where `reason` says why there is none.
    measured, last_value : float
        The score of the held-out model, and of the largest fitted one.
    scaled_error : float or None
        |forecast - measured| in units of the range of the score over the fitted models.
    is_covered : bool or None
        Whether the interval holds the measured score.
    reason : str or None

    Examples
    --------
    >>> row = LinkForecast("brier", "1B", 4, 0.5, 0.4, 0.6, measured=0.55, last_value=0.7)
    >>> row.low <= row.measured <= row.high
    True
    """

    metric: str
    model: str
    n_fitted: int
    value: float | None
    low: float | None
    high: float | None
    measured: float
    last_value: float
    scaled_error: float | None = None
    is_covered: bool | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LinkSummary:
    """How well one score was forecast.

    Attributes
    ----------
    n_forecasts, n_covered : int
        Forecasts that exist, and those whose interval holds the measured score.
    scaled_error, scaled_error_low, scaled_error_high : float or None
        Mean over forecasts, and its interval from resampled instances.
    times_best, times_best_low, times_best_high : float or None
        The same divided by that of the best link, resampled together.
    skill, skill_low, skill_high : float or None
        Of the forecasts per instance: 1 - squared error / squared error of repeating the largest
        fitted model's score. 0: no better than repeating; 1: exact; below 0: worse.

    Examples
    --------
    >>> summary = LinkSummary("brier", 1, 1, 0.1, 0.08, 0.12, 2.0, 1.5, 2.6, 0.4, 0.3, 0.5)
    >>> summary.times_best  # off by twice what the best link is off
    2.0
    """

    metric: str
    n_forecasts: int
    n_covered: int
    scaled_error: float | None
    scaled_error_low: float | None
    scaled_error_high: float | None
    times_best: float | None
    times_best_low: float | None
    times_best_high: float | None
    skill: float | None
    skill_low: float | None
    skill_high: float | None


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Held-out forecasts of every link; see `extrapolate`.

    Attributes
    ----------
    design : str
        "largest" or "rolling".
    rows : tuple of LinkForecast
        One per metric and held-out model.
    links : tuple of LinkSummary
        One per metric.
    confidence_level : float
    scale : str

    Examples
    --------
    >>> import numpy as np
    >>> from passuntil.choices import ChoiceScores, extrapolate
    >>> rng = np.random.default_rng(0)
    >>> x = np.arange(6.0)  # log10 of compute, from 1e18
    >>> slopes = np.array([1.4, 0.9, 0.9, 0.9])  # the first choice is correct
    >>> logs = -9 + slopes * x[:, None, None] + rng.normal(0, 1, (6, 40, 4))
    >>> scores = ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x), correct=[0] * 40)
    >>> found = extrapolate(scores, n_resamples=100)
    >>> found.best.metric, [link.metric for link in found.links if link.skill < 0]
    ('p_choices', ['p_vocab'])
    >>> print(found.words.split(" of its range")[0])
    Forecasts of f, from all smaller models: p_choices(correct) is best, off by 0.013
    """

    design: Design
    rows: tuple[LinkForecast, ...]
    links: tuple[LinkSummary, ...]
    confidence_level: float
    scale: Scale

    @property
    def best(self) -> LinkSummary | None:
        """The link with the smallest scaled error; None where none was forecast."""
        known = [link for link in self.links if link.scaled_error is not None]
        return min(known, key=lambda link: link.scaled_error or 0.0, default=None)

    @property
    def words(self) -> str:
        """Which metric predicts best, and by how much, for a person."""
        best = self.best
        if best is None:
            return "No link could be forecast: " + "; ".join(sorted(self._reasons)) + "."
        targets = ", ".join(dict.fromkeys(row.model for row in self.rows))
        how = "from all smaller models" if self.design == "largest" else "each from all before it"
        text = (
            f"Forecasts of {targets}, {how}: {METRICS[best.metric].label} is best, off by "
            f"{_times(best.scaled_error)} of its range over the fitted models "
            f"({best.n_covered} of {best.n_forecasts} inside the "
            f"{100 * self.confidence_level:.3g} % interval)."
        )
        others = [link for link in self.links if link is not best and link.times_best is not None]
        if others:
            text += " Times that: " + ", ".join(
                f"{METRICS[link.metric].label} {_times(link.times_best)} "
                f"[{_times(link.times_best_low)}, {_times(link.times_best_high)}]"
                for link in others
            )
            ties = [
                METRICS[link.metric].label
                for link in others
                if link.times_best_low is None or link.times_best_low <= 1
            ]
            text += f"; not told apart from it: {', '.join(ties)}." if ties else "."
        if self._reasons:
            text += " Not forecast: " + "; ".join(sorted(self._reasons)) + "."
        return text

    @property
    def _reasons(self) -> set[str]:
        return {row.reason for row in self.rows if row.reason is not None}

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "design": self.design,
            "scale": self.scale,
            "confidence_level": self.confidence_level,
            "words": self.words,
            "links": [asdict(link) for link in self.links],
            "rows": [asdict(row) for row in self.rows],
        }


def _times(number: float | None) -> str:
    return "-" if number is None else f"{number:.2g}"
