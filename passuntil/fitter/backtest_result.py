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

    Examples
    --------
    >>> row = BacktestRow("mle", 3, 1, 5e8, 0.02, 0.01, 0.04, 0.03, -0.405, True, 1.386, False)
    >>> row.low <= row.measured <= row.high
    True
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

    Examples
    --------
    >>> row = BacktestRow("mle", 3, 1, 5e8, 0.02, 0.01, 0.04, 0.03, -0.405, True, 1.386, False)
    >>> BacktestResult((row, row), (), 0.9).summary()[0].n_forecasts
    2
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

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import backtest
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (25, 60, 170, 240, 420)]
    >>> result = backtest(n_params=sizes, tallies=tallies, methods=["mle"], max_steps=1)
    >>> for line in result.summary():
    ...     print(f"{line.method:12s} {line.mean_abs_log_error:.2f} covered {line.coverage:.0%}")
    instance OLS 0.12 covered 100%
    dataset OLS  0.12 covered 100%
    mle          0.15 covered 100%
    last value   0.45 covered 100%
    >>> row = result.rows[0]
    >>> row.method, row.n_train, row.n_params, row.is_covered
    ('mle', 3, 499000000.0, True)
    """

    rows: tuple[BacktestRow, ...]
    skipped: tuple[tuple[str, int, str], ...]
    confidence_level: float

    def __repr__(self) -> str:
        methods = ", ".join(dict.fromkeys(row.method for row in self.rows))
        return (
            f"<BacktestResult: {len(self.rows)} forecasts by {methods or 'no method'}, "
            f"{len(self.skipped)} skipped; see .summary()>"
        )

    def summary(self) -> tuple[BacktestSummary, ...]:
        """Return one line per method, best mean |log error| first.

        Returns
        -------
        tuple of BacktestSummary
            Mean |log error| of each method, the share of intervals that held the measured PU, mean
            interval score and median width.

        Examples
        --------
        >>> row = BacktestRow("mle", 3, 1, 5e8, 0.02, 0.01, 0.04, 0.03, -0.405, True, 1.386, False)
        >>> BacktestResult((row,), (), 0.9).summary()[0].mean_abs_log_error
        0.405
        """
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
        """Return plain values.

        Examples
        --------
        >>> sorted(BacktestResult((), (), 0.9).to_json())
        ['confidence_level', 'rows', 'skipped', 'summary']
        """
        return {
            "confidence_level": self.confidence_level,
            "summary": [asdict(s) for s in self.summary()],
            "rows": [asdict(r) for r in self.rows],
            "skipped": [list(s) for s in self.skipped],
        }
