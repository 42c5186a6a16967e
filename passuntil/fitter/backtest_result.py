"""What a backtest found: every forecast beside what was measured, and a line per method.

References
----------
.. [1] Gneiting & Raftery 2007, JASA 102, Eq. 43 (interval score).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["LOWEST", "BacktestResult", "BacktestRow", "BacktestSummary"]

LOWEST = 1e-6
"""Ends of intervals below this count as this in logarithms: nobody samples further."""


@dataclass(frozen=True, slots=True)
class BacktestRow:
    """One forecast beside what was measured.

    Attributes
    ----------
    method : str
    n_train : int
        Sizes fitted, the k smallest.
    steps : int
        Sizes ahead.
    n_params : float
        Size predicted.
    value, low, high : float
        Forecast.
    measured : float
        PU of the tallies (or the given truth).
    log_error : float
        log(value / measured).
    is_covered : bool
        Whether the interval holds the measured value.
    interval_score : float
        Of log PU: width + (2 / (1 - level)) x miss [1]_; smaller is better.
    is_flagged : bool
        Whether the straight line failed its lack-of-fit test at the sizes fitted.
    """

    method: str
    n_train: int
    steps: int
    n_params: float
    value: float
    low: float
    high: float
    measured: float
    log_error: float
    is_covered: bool
    interval_score: float
    is_flagged: bool


@dataclass(frozen=True, slots=True)
class BacktestSummary:
    """How a method did over all its forecasts.

    Attributes
    ----------
    method : str
    n_forecasts : int
    mean_abs_log_error : float
    coverage : float
    mean_interval_score : float
    median_log_width : float
    """

    method: str
    n_forecasts: int
    mean_abs_log_error: float
    coverage: float
    mean_interval_score: float
    median_log_width: float


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """All forecasts of a backtest.

    Attributes
    ----------
    rows : tuple of BacktestRow
    skipped : tuple of (str, int, str)
        Method, n_train and reason, where a method has no forecast.
    confidence_level : float
    """

    rows: tuple[BacktestRow, ...]
    skipped: tuple[tuple[str, int, str], ...]
    confidence_level: float

    def summary(self) -> tuple[BacktestSummary, ...]:
        """Return one line per method, best mean |log error| first."""
        out = []
        for method in dict.fromkeys(r.method for r in self.rows):
            rows = [r for r in self.rows if r.method == method]
            widths = [np.log(max(r.high, LOWEST) / max(r.low, LOWEST)) for r in rows]
            out.append(
                BacktestSummary(
                    method,
                    len(rows),
                    float(np.mean([abs(r.log_error) for r in rows])),
                    float(np.mean([r.is_covered for r in rows])),
                    float(np.mean([r.interval_score for r in rows])),
                    float(np.median(widths)),
                )
            )
        return tuple(sorted(out, key=lambda s: s.mean_abs_log_error))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "confidence_level": self.confidence_level,
            "summary": [asdict(s) for s in self.summary()],
            "rows": [asdict(r) for r in self.rows],
            "skipped": [list(s) for s in self.skipped],
        }
