"""The picture of a run: log(-log PU) against log n."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt  # the backend must be chosen first
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from passuntil.fitter import BacktestResult, ScalingFit
from passuntil.report.forecasts import GradedForecast
from passuntil.report.summary import ModelRow, TaskSummary
from passuntil.report.words import model_size
from passuntil.runner.chance import ChanceFloor
from passuntil.runner.record import FEW_SAMPLES

__all__ = ["plot_backtests", "plot_run"]

_BAND_LEVEL: Final = 0.9
_PU_TICKS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99)
_INK: Final = "#1b6ca8"
_HELD_OUT: Final = "#c8442d"
_QUIET: Final = "#8a8a8a"


def plot_run(
    path: Path,
    summaries: Sequence[TaskSummary],
    fits: Mapping[str, ScalingFit],
    forecasts: Sequence[GradedForecast],
    floors: Mapping[str, ChanceFloor],
) -> None:
    """Draw one panel per task and save them.

    The axis of PU is scaled by F = log(-log PU), so that the law is a straight line; it grows
    upwards. Ordinary evaluation (greedy, and pass@1 from a few samples) is drawn on the same axes;
    where it reads 0 it has no place on them and stands at the lower edge.
    """
    figure, axes = plt.subplots(
        1, len(summaries), figsize=(5.6 * len(summaries), 5.2), squeeze=False, layout="constrained"
    )
    for axis, summary in zip(axes[0], summaries, strict=True):
        fit = fits.get(summary.task)
        mine = [graded for graded in forecasts if graded.task == summary.task]
        _draw_task(axis, summary, fit, mine, floors.get(summary.task))
    _add_legend(figure, axes[0])
    figure.savefig(path, dpi=160)
    plt.close(figure)


def _add_legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """Name everything drawn once, below the panels: it hides no point there."""
    drawn: dict[str, Any] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        drawn.update(zip(labels, handles, strict=True))
    if drawn:
        figure.legend(
            list(drawn.values()),
            list(drawn),
            loc="outside lower center",
            ncols=min(4, len(drawn)),
            frameon=False,
            fontsize=8,
        )


def _draw_task(
    axis: Axes,
    summary: TaskSummary,
    fit: ScalingFit | None,
    forecasts: Sequence[GradedForecast],
    floor: ChanceFloor | None,
) -> None:
    rows = [row for row in summary.rows if row.pu is not None]
    if not rows:
        axis.set_title(f"{summary.task}: nothing sampled yet", loc="left")
        return
    sizes = np.array([row.n_params for row in summary.rows], dtype=float)
    if fit is not None:
        _draw_law(axis, fit, sizes)
    for graded in forecasts:
        _draw_forecast(axis, graded)
    for held_out, color, label in (
        (False, _INK, "PU, 95 % interval"),
        (True, _HELD_OUT, "PU of the held-out model"),
    ):
        _draw_measured(axis, [r for r in rows if r.held_out is held_out], color, label)
    axis.set_xscale("log")
    axis.set_xlim(sizes.min() / 1.5, sizes.max() * 1.5)
    axis.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: model_size(n)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="x", labelrotation=45)
    _scale_rates(axis, rows, floor)
    if floor is not None:
        _draw_floor(axis, floor)
    _draw_ordinary(axis, rows, [row.greedy for row in rows], "s", "greedy score", shift=1.0)
    _draw_ordinary(
        axis,
        rows,
        [row.few_samples for row in rows],
        "x",
        f"pass@1 from {FEW_SAMPLES} samples",
        shift=0.94,
    )
    axis.set_xlabel("parameters n")
    axis.set_ylabel("PU   (scaled by log(−log PU))")
    axis.set_title(summary.title, loc="left")
    axis.grid(alpha=0.25, linewidth=0.6)


def _hazard(rate: Any) -> Any:
    """Return -F, so that up is better; rates of 0 and 1, which have none, stay on the page."""
    return -np.log(-np.log(np.clip(rate, 1e-9, 1 - 1e-9)))


def _draw_law(axis: Axes, fit: ScalingFit, sizes: Any) -> None:
    grid = np.geomspace(sizes.min() / 1.3, sizes.max() * 1.3, 60)
    predictions = [fit.predict(float(n), confidence_level=_BAND_LEVEL) for n in grid]
    low, mid, high = (
        np.array([getattr(p, name) for p in predictions]) for name in ("low", "value", "high")
    )
    ok = (low > 0) & (high < 1)
    axis.plot(grid, _hazard(mid), color=_INK, linewidth=1.2, label=f"fit ({fit.method})")
    axis.fill_between(
        grid[ok],
        _hazard(low[ok]),
        _hazard(high[ok]),
        color=_INK,
        alpha=0.12,
        linewidth=0,
        label=f"{100 * _BAND_LEVEL:.0f} % of a new model",
    )


def _draw_measured(axis: Axes, rows: Sequence[ModelRow], color: str, label: str) -> None:
    limit_label = "nothing passed: upper limit of PU"
    for row in rows:
        assert row.pu is not None
        if not row.pu.value:  # nothing passed, or every exact rate is 0
            high = _hazard(row.pu.high)
            axis.plot(row.n_params, high, "v", color=color, fillstyle="none", label=limit_label)
            limit_label = "_nolegend_"
            continue
        middle = _hazard(row.pu.value)
        low, high = _hazard(row.pu.low), _hazard(row.pu.high)
        axis.errorbar(
            row.n_params,
            middle,
            yerr=[[middle - low], [high - middle]],
            fmt="o",
            color=color,
            capsize=3,
            markersize=5,
            label=label,
        )
        label = "_nolegend_"


def _draw_forecast(axis: Axes, graded: GradedForecast) -> None:
    for method in graded.methods:
        if method.name != graded.headline or method.value is None:
            continue
        x = graded.n_params * 1.06  # beside the measured point, not under it
        ends = [_hazard(method.low), _hazard(method.high)]
        axis.plot([x, x], ends, color=_HELD_OUT, alpha=0.45, linewidth=5, solid_capstyle="butt")
        axis.plot(
            x,
            _hazard(method.value),
            "D",
            color=_HELD_OUT,
            fillstyle="none",
            markersize=6,
            label=f"sealed forecast, {100 * graded.confidence_level:.0f} % interval",
        )


def _draw_floor(axis: Axes, floor: ChanceFloor) -> None:
    """Draw the band of what answers to other questions score; at its limit where none passed."""
    low, high = (float(_hazard(min(max(p, 1e-9), 0.999))) for p in (floor.low, floor.high))
    bottom = max(low, axis.get_ylim()[0])
    axis.axhspan(bottom, high, color=_QUIET, alpha=0.25, linewidth=0)
    is_seen = floor.value > 0
    axis.axhline(
        float(_hazard(min(floor.value, 0.999))) if is_seen else high,
        color=_QUIET,
        linewidth=0.9,
        linestyle="-" if is_seen else ":",
        label="chance floor" if is_seen else "chance floor is below",
    )


def _scale_rates(axis: Axes, rows: Sequence[ModelRow], floor: ChanceFloor | None) -> None:
    """Label the axis in PU and leave room for scores of 0 at the lower edge."""
    rates = [r for row in rows if row.pu for r in (row.pu.value, row.pu.low, row.pu.high) if r]
    if floor is not None:
        rates.append(floor.value or floor.high)
    ordinary = [s for row in rows for s in (row.greedy, row.few_samples) if s and s < 1]
    shown = _hazard(np.clip([*rates, *ordinary], 1e-7, 0.999))
    axis.set_ylim(shown.min() - 0.25, shown.max() + 0.35)
    axis.yaxis.set_major_locator(FixedLocator(_ticks(axis)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{np.exp(-np.exp(-y)):.3g}"))


def _ticks(axis: Axes) -> list[float]:
    """Return the ticks of PU that leave room for each other's labels, from the top down."""
    low, high = axis.get_ylim()
    chosen: list[float] = []
    for place in (float(_hazard(p)) for p in reversed(_PU_TICKS)):
        if low <= place <= high and (not chosen or chosen[-1] - place > 0.05 * (high - low)):
            chosen.append(place)
    return chosen


def _draw_ordinary(
    axis: Axes,
    rows: Sequence[ModelRow],
    scores: Sequence[float | None],
    marker: str,
    label: str,
    *,
    shift: float,
) -> None:
    """Draw one ordinary score per model, beside its PU by a factor `shift`; 0 at the lower edge."""
    edge = axis.get_ylim()[0]
    label = f"{label} (at the edge: reads 0)" if 0 in scores else label
    for row, score in zip(rows, scores, strict=True):
        if score is None or score >= 1:
            continue
        height = _hazard(score) if score else edge
        axis.plot(
            row.n_params * shift,
            height,
            marker,
            color=_QUIET,
            fillstyle="none",
            clip_on=False,
            label=label,
            zorder=5,
        )
        label = "_nolegend_"


def plot_backtests(path: Path, results: Mapping[str, BacktestResult]) -> None:
    """Draw forecast over measured PU of every method, one panel per task, and save them."""
    figure, axes = plt.subplots(
        1, len(results), figsize=(7 * len(results), 4.6), squeeze=False, layout="constrained"
    )
    for axis, (task, result) in zip(axes[0], results.items(), strict=True):
        _draw_backtest(axis, task, result)
    figure.savefig(path, dpi=160)
    plt.close(figure)


def _draw_backtest(axis: Axes, task: str, result: BacktestResult) -> None:
    targets = sorted({(row.n_params, row.n_train) for row in result.rows})
    methods = [line.method for line in result.summary()]
    for i, method in enumerate(methods):
        rows = [row for row in result.rows if row.method == method]
        x = np.array([targets.index((row.n_params, row.n_train)) for row in rows], dtype=float)
        x += 0.7 * (i / max(1, len(methods) - 1) - 0.5)
        ratios, lows, highs = (
            np.maximum([getattr(row, name) / row.measured for row in rows], 1e-3)
            for name in ("value", "low", "high")
        )
        axis.errorbar(
            x,
            ratios,
            yerr=np.stack([ratios - lows, highs - ratios]),
            fmt="o",
            markersize=4,
            linewidth=1,
            color=f"C{i % 10}",
            label=method,
        )
    axis.axhline(1, color=_QUIET, linewidth=0.8)
    axis.set_yscale("log")
    axis.set_xticks(range(len(targets)))
    axis.set_xticklabels([f"{model_size(n)}\nfrom {k} sizes" for n, k in targets], fontsize=8)
    axis.set_ylabel("forecast PU / measured PU")
    level = f"{100 * result.confidence_level:.0f} %"
    axis.set_title(f"{task}: {level} intervals", loc="left")
    axis.legend(frameon=False, fontsize=8)
