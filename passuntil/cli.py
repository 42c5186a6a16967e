"""The command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

import passuntil
from passuntil.config import Job, load_job
from passuntil.doctor import examine
from passuntil.errors import EstimationError, PassUntilError, RunInterrupted, UsageError
from passuntil.report.analysis import (
    print_backtest,
    print_emergence,
    print_plan_to_narrow,
    print_scores,
)
from passuntil.report.cost import print_plan
from passuntil.report.progress import RunProgress
from passuntil.report.run import RunReport
from passuntil.report.tables import print_fit, print_prediction
from passuntil.runner.analysis import (
    LAW,
    Covariate,
    backtest_of,
    emergence_of,
    fit_task,
    plan_task,
    score_file,
    seal_fits,
)
from passuntil.runner.record import RunRecord
from passuntil.runner.run import run_job
from passuntil.runner.sealed import CONFIDENCE_LEVEL, HEADLINE

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Pass rates down to 1e-5, and forecasts of larger models from small ones.",
)
console = Console()
if not console.is_terminal:
    console.width = 110  # a log file has no width of its own
errors = Console(stderr=True)

Result = TypeVar("Result")

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)]
Task = Annotated[str | None, typer.Option("--task", "-t", help="Only this task.")]
Method = Annotated[str, typer.Option("--method", "-m", help="How to fit.")]
HeldOut = Annotated[
    bool, typer.Option("--include-held-out", help="Fit the held-out models as well.")
]
NParams = Annotated[float, typer.Option("--n-params", help="Size of the model to predict.")]
Level = Annotated[float, typer.Option("--confidence-level", help="Of the interval.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="JOB.yaml, or builtin:NAME.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Replace keys: budget=2000", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run [default: runs/NAME]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved job and its cost; sample nothing.")
    ] = False,
) -> None:
    """Sample a job, judge, and report. The same command resumes an interrupted run."""
    resolved = load_job(job, overrides or [])
    folder = output or Path("runs") / resolved.name
    if dry_run:
        print_plan(console, resolved, folder)
        return
    _run(resolved, folder)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder.")] = Path("runs/demo"),
) -> None:
    """Small bundled models predict a bigger one, on this machine, in minutes."""
    _run(load_job("builtin:demo"), output)
    console.print("  the job         passuntil run builtin:demo --dry-run", highlight=False)
    console.print("  the full job    passuntil run builtin:pico", highlight=False)


@app.command()
def show(run: RunFolder, task: Task = None, as_json: AsJson = False) -> None:
    """Show the tables, fitted laws and forecasts of a run; works while it goes on."""
    report = RunReport.of(RunRecord.load(run), task=task)
    if as_json:
        _print_json(report.to_json())
    else:
        report.print(console)


@app.command()
def fit(
    run: RunFolder,
    task: Task = None,
    method: Method = LAW,
    include_held_out: HeldOut = False,
    as_json: AsJson = False,
) -> None:
    """Fit log(-log PU) against log n for each task."""
    record = RunRecord.load(run)
    fits = _each_task(
        record,
        task,
        lambda name: fit_task(record, name, method=method, include_held_out=include_held_out),
    )
    if as_json:
        _print_json({"fits": {name: found.to_json() for name, found in fits.items()}})
        return
    for name, found in fits.items():
        models, _ = record.family(name, include_held_out=include_held_out)
        print_fit(console, name, found, [model.name for model in models])


@app.command()
def predict(
    run: RunFolder,
    n_params: NParams,
    confidence_level: Level = CONFIDENCE_LEVEL,
    task: Task = None,
    method: Method = HEADLINE,
    include_held_out: HeldOut = False,
    seal_to: Annotated[
        Path | None,
        typer.Option(
            "--seal", help="Write the forecasts with the hash of their tallies.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict the PU of a model of another size."""
    record = RunRecord.load(run)
    fits = _each_task(
        record,
        task,
        lambda name: fit_task(record, name, method=method, include_held_out=include_held_out),
    )
    if seal_to is not None:
        seal_fits(seal_to, fits, n_params, confidence_level=confidence_level)
    predictions = {name: found.predict(n_params, confidence_level) for name, found in fits.items()}
    if as_json:
        _print_json({"predictions": {name: p.to_json() for name, p in predictions.items()}})
        return
    for name, prediction in predictions.items():
        print_prediction(console, name, prediction)
    if seal_to is not None:
        console.print(f"Sealed in {seal_to}", highlight=False)


@app.command()
def score(
    forecast: Annotated[Path, typer.Argument(help="File of `predict --seal`.", show_default=False)],
    run: RunFolder,
    model: Annotated[
        str | None, typer.Option("--model", help="The measured model [default: that of the size]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grade a sealed forecast with a run of the bigger model."""
    scores = score_file(forecast, RunRecord.load(run), model=model)
    if as_json:
        found = [{"task": t, "model": m, **s.to_json()} for t, m, s in scores]
        _print_json({"scores": found})
    else:
        print_scores(console, scores)


@app.command()
def backtest(
    run: RunFolder,
    task: Task = None,
    confidence_level: Level = CONFIDENCE_LEVEL,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Save a plot.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast every measured size from the smaller ones, by every method and baseline."""
    record = RunRecord.load(run)
    results = _each_task(
        record, task, lambda name: backtest_of(record, name, confidence_level=confidence_level)
    )
    if plot is not None:
        # half a second of import that tables do not need
        from passuntil.report.plots import plot_backtests  # noqa: PLC0415

        plot_backtests(plot, results)
    if as_json:
        _print_json({"backtests": {name: result.to_json() for name, result in results.items()}})
        return
    for name, result in results.items():
        print_backtest(console, name, result)


@app.command()
def emergence(
    run: RunFolder,
    task: Task = None,
    confidence_level: Level = 0.95,
    covariate: Annotated[
        Covariate, typer.Option("--against", help="What grows along the axis.")
    ] = Covariate.N_PARAMS,
    as_json: AsJson = False,
) -> None:
    """Test whether a task bends: linear, sub-scaling, accelerated, or not enough data."""
    record = RunRecord.load(run)
    results = _each_task(
        record,
        task,
        lambda name: emergence_of(
            record, name, covariate=covariate, confidence_level=confidence_level
        ),
    )
    if as_json:
        _print_json({"emergence": {name: result.to_json() for name, result in results.items()}})
        return
    for name, result in results.items():
        print_emergence(console, name, result)


@app.command()
def plan(
    run: RunFolder,
    n_params: NParams,
    confidence_level: Level = CONFIDENCE_LEVEL,
    task: Task = None,
    new_size: Annotated[
        list[float] | None,
        typer.Option(
            "--new-size", help="What would one more model of this size bring?", show_default=False
        ),
    ] = None,
    include_held_out: HeldOut = False,
    as_json: AsJson = False,
) -> None:
    """Say how many samples, on which model, would halve a forecast's interval."""
    record = RunRecord.load(run)
    plans = _each_task(
        record,
        task,
        lambda name: plan_task(
            record,
            name,
            n_params,
            new_sizes=new_size or (),
            confidence_level=confidence_level,
            include_held_out=include_held_out,
        ),
    )
    if as_json:
        _print_json({"plans": {name: found.to_json() for name, found in plans.items()}})
        return
    for name, found in plans.items():
        print_plan_to_narrow(console, name, found)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine can do, and what to install for the rest."""
    findings = examine()
    if as_json:
        _print_json({"findings": [finding.to_json() for finding in findings]})
        return
    for finding in findings:
        mark = "[green]yes[/]" if finding.is_ok else "[yellow]no [/]"
        console.print(f"{mark}  [bold]{finding.name}[/]: {finding.found}", highlight=False)
        if finding.remedy:
            console.print(f"     {finding.remedy}", style="dim", highlight=False)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(passuntil.__version__, highlight=False)


def main() -> None:
    """Run the command line; an error of ours is a message, not a traceback."""
    try:
        app()
    except RunInterrupted as interrupted:
        errors.print(f"Interrupted: {interrupted}.", highlight=False)
        sys.exit(130)
    except PassUntilError as error:
        errors.print(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        errors.print(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)


def _run(job: Job, folder: Path) -> None:
    with RunProgress(job, console) as progress:
        run_job(job, folder, observer=progress)
    report = RunReport.of(RunRecord.load(folder))
    report.print(console)
    plot = folder / "pu.png"
    report.plot(plot)
    summary = folder / "summary.json"
    summary.write_text(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
    console.print("\nWhere everything lies", style="bold")
    for what, path in (
        ("plot", plot),
        ("tables (JSON)", summary),
        ("forecasts", folder / "forecasts"),
        ("every verdict", folder / "ledger.sqlite"),
    ):
        console.print(f"  {what:15} {path}", highlight=False, soft_wrap=True)
    console.print(f"  {'again':15} passuntil show {folder}", highlight=False, soft_wrap=True)


def _each_task(
    record: RunRecord, only: str | None, compute: Callable[[str], Result]
) -> dict[str, Result]:
    """Compute something for every task; a task that cannot have it does not hide the others."""
    found: dict[str, Result] = {}
    failed: dict[str, EstimationError] = {}
    for name in record.task_names(only):
        try:
            found[name] = compute(name)
        except EstimationError as error:
            failed[name] = error
    if not found:
        raise next(iter(failed.values()))
    for name, failure in failed.items():
        errors.print(f"{name}: {failure}", style="yellow", markup=False, highlight=False)
    return found


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))
