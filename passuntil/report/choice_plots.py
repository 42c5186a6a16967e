"""The pictures of choices: correlations, scores, masses, and the grid of families."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt  # the backend must be chosen first
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from passuntil.choices.analysis import ChoiceAnalysis
from passuntil.choices.coefficients import CorrelationKind, correlation_kinds
from passuntil.choices.metrics import CHAIN, METRICS, metric_scores

__all__ = ["plot_choices"]

# Okabe and Ito's colours, told apart with any kind of colour blindness, each with its own line
_STYLES: Final = {
    "log_p_vocab": ("#000000", "-"),
    "p_vocab": ("#0072b2", (0, (6, 1.5))),
    "p_choices": ("#009e73", (0, (4, 1, 1, 1))),
    "brier": ("#e69f00", (0, (2, 1))),
    "accuracy": ("#d55e00", (0, (1, 1))),
}
_CORRECT: Final = "#0072b2"
_INCORRECT: Final = "#d55e00"
_QUIET: Final = "#8a8a8a"
_GRID_POINTS: Final = np.linspace(-1, 1, 801)
_MOST_THREADS: Final = 60  # instances drawn as single thin lines


def plot_choices(folder: Path, analyses: Sequence[ChoiceAnalysis]) -> list[Path]:
    """Save every plot; return the paths."""
    paths = []
    for analysis in analyses:
        name = _safe(f"{analysis.scores.benchmark}-{analysis.scores.family}")
        for kind, draw in (
            ("correlations", _draw_correlations),
            ("scores", _draw_scores),
            ("masses", _draw_masses),
            ("forecasts", _draw_forecasts),
        ):
            figure = draw(analysis)
            if figure is not None:
                paths.append(_save(figure, folder / f"{name}-{kind}.png"))
    if len(analyses) > 1:
        paths.append(_save(_draw_grid(analyses), folder / "grid.png"))
    return paths


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=160)
    plt.close(figure)
    return path


def _title(analysis: ChoiceAnalysis) -> str:
    scores = analysis.scores
    return f"{scores.benchmark}, {scores.family}: {scores.n_instances} instances, " + (
        f"{scores.n_models} models"
    )


def _finish(axis: Axes, *, x: str, y: str, title: str = "") -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(alpha=0.25, linewidth=0.6)
    if title:
        axis.set_title(title, loc="left", fontsize=10)


def _panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure and its axes, shape (rows, columns)."""
    figure = plt.figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _draw_correlations(analysis: ChoiceAnalysis) -> Figure:
    """Draw the complementary distribution functions, one panel per kind of correlation."""
    kinds = correlation_kinds()
    figure, ((*axes,),) = _panels(1, len(kinds), 4.6 * len(kinds), 4.4)
    for axis, kind in zip(axes, kinds, strict=True):
        _survival(axis, analysis, kind)
        _finish(axis, x=f"{kind.capitalize()} correlation with log10 compute", y="", title="")
        axis.legend(frameon=False, fontsize=7.5, loc="lower left", title="score: mean (none)")
    axes[0].set_ylabel("share of instances above")
    figure.suptitle(_title(analysis), x=0.01, ha="left", fontsize=11)
    return figure


def _survival(axis: Axes, analysis: ChoiceAnalysis, kind: CorrelationKind) -> None:
    for name in CHAIN:
        found = analysis.correlation(name, kind)
        if found.mean is None:
            continue
        color, line = _STYLES[name]
        none = f" ({found.n_constant})" if found.n_constant else ""
        axis.plot(
            _GRID_POINTS,
            found.survival(_GRID_POINTS),
            color=color,
            linestyle=line,
            linewidth=1.7,
            label=f"{_signed(name)}: {found.mean:.2f}{none}",
        )
    axis.set_xlim(-1, 1)
    axis.set_ylim(0, 1.02)


def _signed(name: str) -> str:
    """Return the label of a score turned so that more is better."""
    return METRICS[name].label if METRICS[name].sign > 0 else f"− {METRICS[name].label}"


def _draw_scores(analysis: ChoiceAnalysis) -> Figure:
    """Draw every link of the chain against compute: the instances thin, their mean thick."""
    figure, ((*axes,),) = _panels(1, len(CHAIN), 3.5 * len(CHAIN), 3.7)
    compute = analysis.scores.compute
    for axis, name in zip(axes, CHAIN, strict=True):
        values = metric_scores(analysis.scores, name).values
        color, _ = _STYLES[name]
        if name != "accuracy":  # lines between 0 and 1 hide each other
            axis.plot(compute, values[:, _some(values.shape[1])], color=color, alpha=0.13, lw=0.8)
        means = analysis.means[name]
        _with_interval(axis, compute, means, color)
        axis.set_xscale("log")
        found = analysis.correlation(name)
        words = "-" if found.mean is None else f"{METRICS[name].sign * found.mean:.2f}"
        _finish(axis, x="compute, FLOP", y=METRICS[name].label, title=f"mean correlation {words}")
    figure.suptitle(
        f"{_title(analysis)} (thin: instances; thick: mean, 95 %)", x=0.01, ha="left", fontsize=11
    )
    return figure


def _some(n: int) -> Any:
    """Return places of instances, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, _MOST_THREADS)).astype(int))


def _with_interval(axis: Axes, x: Any, means: Sequence[Any], color: str, **options: Any) -> None:
    middle = np.array([mean.value for mean in means])
    ends = np.array([[m.value if e is None else e for e in (m.low, m.high)] for m in means]).T
    axis.errorbar(
        x,
        middle,
        yerr=np.abs(ends - middle),
        color=color,
        marker="o",
        markersize=4,
        linewidth=1.6,
        capsize=3,
        **options,
    )


def _draw_masses(analysis: ChoiceAnalysis) -> Figure | None:
    """Draw mass on correct and on incorrect choices: against each other, and against compute."""
    scores = analysis.scores
    if not scores.is_incorrect.any():
        return None
    right = metric_scores(scores, "log_p_vocab").order / np.log(10)
    wrong = metric_scores(scores, "mass_incorrect").order / np.log(10)
    kept = np.isfinite(wrong).all(0)
    right, wrong = right[:, kept], wrong[:, kept]
    figure, ((beside, over),) = _panels(1, 2, 11.5, 4.6)
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.92, scores.n_models))
    for m, model in enumerate(scores.models):
        beside.plot(wrong[m], right[m], ".", color=shades[m], markersize=5, alpha=0.7, label=model)
    medians = np.median(wrong, 1), np.median(right, 1)
    beside.plot(*medians, "-", color="black", linewidth=1, label="medians, by compute")
    beside.scatter(*medians, c=shades, edgecolors="black", s=42, zorder=5)
    beside.set(xlim=beside.get_xlim(), ylim=beside.get_ylim())  # the diagonal must not widen them
    beside.axline((0, 0), slope=1, color=_QUIET, linewidth=0.8, linestyle=":")
    _finish(
        beside,
        x="log10 mass on incorrect choices",
        y="log10 p_vocab(correct)",
        title="a point: one instance under one model; dotted: equal",
    )
    beside.legend(frameon=False, fontsize=7, ncols=2)
    for values, color, label, marker in (
        (right, _CORRECT, "correct", "o"),
        (wrong, _INCORRECT, "all incorrect", "s"),
    ):
        some = values[:, _some(values.shape[1])]
        over.plot(scores.compute, some, color=color, alpha=0.09, linewidth=0.8)
        quarters = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
        over.fill_between(scores.compute, quarters[0], quarters[2], color=color, alpha=0.18, lw=0)
        over.plot(scores.compute, quarters[1], color=color, marker=marker, label=label)
    over.set_xscale("log")
    _finish(over, x="compute, FLOP", y="log10 mass", title="median and quartiles; thin: instances")
    over.legend(frameon=False, fontsize=8)
    figure.suptitle(_title(analysis), x=0.01, ha="left", fontsize=11)
    return figure


def _draw_forecasts(analysis: ChoiceAnalysis) -> Figure | None:
    """Draw, per link, each forecast less the measured score, in units of the fitted range."""
    designs = [found for found in (analysis.largest, analysis.rolling) if found is not None]
    if not designs:
        return None
    figure, ((*axes,),) = _panels(1, len(designs), 6.0 * len(designs), 3.6)
    for axis, found in zip(axes, designs, strict=True):
        for place, link in enumerate(found.links):
            if link.scaled_error is None:
                axis.text(0, place, " no forecast", va="center", fontsize=8, color=_QUIET)
                continue
            color, _ = _STYLES.get(link.metric, (_QUIET, "-"))
            low, high = link.scaled_error_low, link.scaled_error_high
            if low is not None and high is not None:
                axis.plot([low, high], [place, place], color=color, linewidth=5, alpha=0.35)
            axis.plot(link.scaled_error, place, "o", color=color)
        axis.set_yticks(range(len(found.links)))
        axis.set_yticklabels([METRICS[link.metric].label for link in found.links])
        axis.invert_yaxis()
        axis.set_xlim(left=0)
        what = "largest held out" if found.design == "largest" else "each next model"
        level = f"{100 * found.confidence_level:.3g} %"
        _finish(axis, x="|forecast - measured| / range over the fitted models", y="", title="")
        axis.set_title(f"{what}; bars: {level}, instances resampled", loc="left", fontsize=10)
    figure.suptitle(_title(analysis), x=0.01, ha="left", fontsize=11)
    return figure


def _draw_grid(analyses: Sequence[ChoiceAnalysis]) -> Figure:
    """Draw the complementary distribution functions of every benchmark under every family."""
    families = list(dict.fromkeys(a.scores.family for a in analyses))
    benchmarks = list(dict.fromkeys(a.scores.benchmark for a in analyses))
    found = {(a.scores.benchmark, a.scores.family): a for a in analyses}
    size = (3.6 * len(families) + 0.6, 2.9 * len(benchmarks) + 0.6)
    figure, axes = _panels(len(benchmarks), len(families), *size)
    for row, benchmark in enumerate(benchmarks):
        for column, family in enumerate(families):
            axis = axes[row, column]
            analysis = found.get((benchmark, family))
            if analysis is None:
                axis.text(0.5, 0.5, "not scored", transform=axis.transAxes, ha="center")
                continue
            _survival(axis, analysis, "pearson")
            verdict = analysis.chains["pearson"].verdict
            _finish(axis, x="", y="", title=f"{benchmark}, {family}: {verdict}")
            axis.title.set_fontsize(8)
            axis.legend(frameon=False, fontsize=5.5, loc="lower left")
    figure.supxlabel("Pearson correlation with log10 compute", fontsize=10)
    figure.supylabel("share of instances above", fontsize=10)
    return figure
