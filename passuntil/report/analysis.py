"""Backtests, emergence tests, plans and graded forecasts, in print."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from passuntil.fitter import BacktestResult, EmergenceResult, ForecastScore, Plan
from passuntil.report.tables import make_table, print_table
from passuntil.report.words import count, model_size, percent, rate, rate_interval

__all__ = ["print_backtest", "print_emergence", "print_plan_to_narrow", "print_scores"]


def print_backtest(console: Console, task: str, result: BacktestResult) -> None:
    """Print how each method did when it forecast the sizes that are measured already."""
    level = percent(result.confidence_level)
    table = make_table(
        f"{task}: forecasts of measured sizes from smaller ones",
        left=("method",),
        right=("forecasts", "mean |log error|", f"{level} coverage", "interval score", "width"),
    )
    for line in result.summary():
        table.add_row(
            line.method,
            str(line.n_forecasts),
            f"{line.mean_abs_log_error:.3g}",
            percent(line.coverage),
            f"{line.mean_interval_score:.3g}",
            f"{line.median_log_width:.3g}",
        )
    print_table(console, table)
    console.print("  Errors, scores and widths in log PU; smaller is better.", style="dim")
    for method, k, reason in result.skipped:
        console.print(f"  {method} from {k} sizes: {reason}", style="yellow", highlight=False)


def print_emergence(console: Console, task: str, result: EmergenceResult) -> None:
    """Print the verdict on curvature."""
    console.print(f"[bold]{task}[/]: {result.verdict}", highlight=False)
    console.print(f"  {result.words}", highlight=False)
    if not result.shapes:
        return
    table = make_table(
        "  shapes of F, best first", left=("shape",), right=("AICc", "leave-one-out error")
    )
    for shape in result.shapes:
        left_out = "-" if shape.loo_score is None else f"{shape.loo_score:.3g}"
        table.add_row(shape.name, f"{shape.aicc:.2f}", left_out)
    print_table(console, table)


def print_plan_to_narrow(console: Console, task: str, plan: Plan) -> None:
    """Print what more samples, or one more model, would bring."""
    console.print(f"[bold]{task}[/]: {plan.words}", highlight=False)
    if not plan.options:
        return
    table = make_table(
        f"  {percent(plan.confidence_level)} interval of log PU at {model_size(plan.n_params)}: "
        f"width {plan.log_width:.3g} now",
        left=("spend on",),
        right=("samples", "width then", "samples to halve it"),
    )
    for option in plan.options:
        kind = "new model" if option.is_new else "model"
        halve = option.samples_to_halve
        table.add_row(
            f"{kind} of {model_size(option.n_params)}",
            count(option.samples),
            f"{option.log_width:.3g}",
            "no number does" if halve is None else count(halve),
        )
    print_table(console, table)


def print_scores(console: Console, scores: Sequence[tuple[str, str, ForecastScore]]) -> None:
    """Print sealed forecasts beside a later run; each with its task and model."""
    for task, model, score in scores:
        console.print(f"[bold]{task}[/], {model}: {score.words}", highlight=False)
        if score.measured.value is not None and score.chance_below is not None:
            console.print(
                f"  measured {rate(score.measured.value)} "
                f"{rate_interval(score.measured.low, score.measured.high)}; the forecast gave a "
                f"chance of {percent(score.chance_below)} to a lower PU.",
                style="dim",
                highlight=False,
            )
