"""Tables of a run for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from passuntil.config import Job
from passuntil.fitter import Prediction, ScalingFit
from passuntil.report.forecasts import GradedForecast
from passuntil.report.summary import ModelRow, TaskSummary
from passuntil.report.words import count, model_size, percent, rate, rate_interval
from passuntil.runner.record import FEW_SAMPLES, RunRecord

__all__ = [
    "make_table",
    "print_checkers",
    "print_fit",
    "print_forecasts",
    "print_prediction",
    "print_table",
    "print_task",
]


def print_task(console: Console, summary: TaskSummary, run: RunRecord) -> None:
    """Print one row per model."""
    job = run.job
    table = make_table(
        f"{summary.title}: {_design(job, summary.task)}",
        left=("model",),
        right=(
            *("n", "PU", "95 % interval", "greedy", "pass@1", "passes/trials"),
            *("censored", "samples", "overrun"),
        ),
    )
    for row in summary.rows:
        table.add_row(*_cells(row), style="bold" if row.held_out else None)
    print_table(console, table)
    if any(row.held_out for row in summary.rows):
        console.print("  * held out: forecast from the others, then sampled.", style="dim")
    labels = {row.pu.label for row in summary.rows if row.pu is not None and row.pu.value}
    cautions = {row.pu.caution for row in summary.rows if row.pu is not None and row.pu.caution}
    if labels:
        console.print(f"  PU: {'; '.join(sorted(labels))}.", style="dim", highlight=False)
    for caution in sorted(cautions):
        console.print(f"  Caution: {caution}.", style="yellow", highlight=False)
    if any(row.few_samples is not None for row in summary.rows):
        console.print(
            f"  greedy, pass@1: ordinary evaluation, from one greedy completion and from the first "
            f"{FEW_SAMPLES} samples.",
            style="dim",
            highlight=False,
        )
    for row in summary.rows:
        _print_unfinished(console, row)


def print_table(console: Console, table: Table) -> None:
    """Print at the table's own width: a narrow terminal breaks lines, but no number is cut."""
    unbounded = console.options.update(width=10_000)
    width = Measurement.get(console, unbounded, table).maximum
    wide = Console(
        file=console.file,
        width=max(console.width, width),
        force_terminal=console.is_terminal,
        no_color=console.no_color,
    )
    wide.print(table)


def make_table(title: str, *, left: Sequence[str], right: Sequence[str]) -> Table:
    """Return an empty table with columns aligned left and right."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _design(job: Job, task: str) -> str:
    """Say how the numbers of samples came about."""
    if job.task(task).method == "likelihood":
        return "pass rates calculated, nothing sampled"
    if job.mode == "fixed":
        return f"{count(job.stop_rule().budget)} samples each"
    if job.mode == "target":
        aim = f"the forecast at {model_size(job.forecast)}" if job.forecast else "PU"
        ends = [
            *([f"interval of {percent(job.target_width)} of {aim}"] if job.target_width else []),
            *([f"{count(job.total_budget)} samples"] if job.total_budget else []),
        ]
        return f"steered until {' or '.join(ends)}"
    return f"stop at {job.passes} passing, floor {job.min_samples}, budget {count(job.budget)}"


def _cells(row: ModelRow) -> list[str]:
    name = f"{row.model} *" if row.held_out else row.model
    cells = [name, model_size(row.n_params)]
    if row.pu is None:
        return [*cells, *("-" for _ in range(8))]
    cells.append("-" if row.pu.value is None else rate(row.pu.value))
    cells.append(rate_interval(row.pu.low, row.pu.high))
    cells.append("-" if row.greedy is None else f"{row.greedy:.3g}")
    cells.append("-" if row.few_samples is None else f"{row.few_samples:.3g}")
    if row.n_exact:
        return [*cells, "exact", "-", "0", "-"]
    cells.append(f"{row.passes}/{count(row.trials)}")
    cells.append(f"{row.n_censored}/{row.n_instances}")
    cells.append(count(row.trials + row.overrun_samples))
    cells.append(percent(row.overrun_tokens / max(1, row.n_tokens + row.overrun_tokens)))
    return cells


def _print_unfinished(console: Console, row: ModelRow) -> None:
    if row.n_open and row.pu is not None:
        console.print(
            f"  {row.model}: {row.n_open} of {row.n_instances} instances are still open; run the "
            "same command again to go on.",
            style="yellow",
            highlight=False,
        )
    if row.n_aborted:
        console.print(
            f"  {row.model}: {row.n_aborted} instances aborted after checker faults; run the "
            "same command again to retry them.",
            style="red",
            highlight=False,
        )


def print_fit(
    console: Console, task: str, fit: ScalingFit, names: Sequence[str], *, symbol: str = "n"
) -> None:
    """Print the fitted law; `symbol` is what it was fitted against."""
    console.print(
        f"{task}: -log PU = {fit.c:.4g} {symbol}^-{fit.alpha:.4g}   "
        f"({fit.method}, {len(names)} models, {names[0]} to {names[-1]})",
        highlight=False,
    )
    console.print(f"  {fit.lack_of_fit.words}", highlight=False)


def print_prediction(console: Console, task: str, prediction: Prediction, *, where: str) -> None:
    """Print one forecast of the model `where` names."""
    console.print(
        f"{task}: PU({where}) = {rate(prediction.value)}, "
        f"{percent(prediction.confidence_level)} interval "
        f"{rate_interval(prediction.low, prediction.high)}   ({prediction.method})",
        highlight=False,
    )
    console.print(f"  {prediction.words}", highlight=False)


def print_forecasts(console: Console, forecasts: Sequence[GradedForecast]) -> None:
    """Print sealed forecasts beside what was measured."""
    if not forecasts:
        return
    level = percent(forecasts[0].confidence_level)
    table = make_table(
        "Held-out models: forecast sealed first, then measured",
        left=("task", "model", "method"),
        right=("forecast", f"{level} interval", "measured", "95 % interval", "error", "inside"),
    )
    for graded in forecasts:
        for method in graded.methods:
            measured = graded.measured
            table.add_row(
                graded.task,
                graded.model,
                method.name,
                "-" if method.value is None else rate(method.value),
                "-" if method.value is None else rate_interval(method.low, method.high),
                "-" if measured is None or measured.value is None else rate(measured.value),
                "-" if measured is None else rate_interval(measured.low, measured.high),
                "-" if method.error is None else f"{100 * method.error:+.0f} %",
                {True: "yes", False: "no", None: "-"}[method.is_covered],
                style="bold" if method.name == graded.headline else None,
            )
    print_table(console, table)
    for graded in forecasts:
        console.print(
            f"  {graded.task}: {graded.path} (tallies {graded.tallies_sha256[:12]}, "
            f"{graded.seal_words})",
            style="dim",
            highlight=False,
            soft_wrap=True,
        )


def print_checkers(console: Console, checkers: Mapping[str, Mapping[str, Any]]) -> None:
    """Print how completions were judged."""
    for task, checker in checkers.items():
        words = ", ".join(f"{key} {value}" for key, value in checker.items() if _is_plain(value))
        isolation = checker.get("isolation")
        if isolation:
            level = isolation["level"]
            words += f", jail level {level}" if level else ", UNSANDBOXED"
        unverified = checker.get("unverified", {}).get(task)
        if unverified:
            words += f", unverified (test beside the candidate): {', '.join(unverified)}"
        stopped = checker.get("batches", {}).get("stopped")
        if stopped:
            words += f", SHARED CHILDREN STOPPED: {stopped}"
        console.print(f"  {task}: {words}", style="dim", highlight=False)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
