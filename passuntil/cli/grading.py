"""Commands that grade forecasts and plan better ones: score, backtest, emergence, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from passuntil.cli.common import (
    AsJson,
    HeldOut,
    Level,
    NParams,
    RunFolder,
    Task,
    app,
    console,
    each_task,
    print_json,
)
from passuntil.cli.laws import Against, LossesPath, LossesTask, loss_source, require_folder
from passuntil.report.analysis import (
    print_backtest,
    print_emergence,
    print_plan_to_narrow,
    print_scores,
)
from passuntil.runner.analysis import Covariate, backtest_of, emergence_of, plan_task
from passuntil.runner.forecast_file import score_file
from passuntil.runner.record import RunRecord
from passuntil.runner.sealed import CONFIDENCE_LEVEL


@app.command()
def score(
    forecast: Annotated[Path, typer.Argument(help="File of `predict --seal`.", show_default=False)],
    run: RunFolder,
    model: Annotated[
        str | None, typer.Option("--model", help=r"The measured model \[default: that of the size]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grade a sealed forecast with a run of the bigger model."""
    scores = score_file(forecast, RunRecord.load(run), model=model)
    if as_json:
        found = [{"task": t, "model": m, **s.to_json()} for t, m, s in scores]
        print_json({"scores": found})
    else:
        print_scores(console, scores)


@app.command()
def backtest(
    run: RunFolder,
    task: Task = None,
    confidence_level: Level = CONFIDENCE_LEVEL,
    covariate: Against = Covariate.N_PARAMS,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help=r"Only this; may be repeated \[default: all without losses or tokens]",
            show_default=False,
        ),
    ] = None,
    losses: LossesPath = None,
    losses_task: LossesTask = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Save a plot.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast every measured size from the smaller ones, by every method and baseline."""
    require_folder("--plot", plot)
    source = loss_source(losses, losses_task)
    record = RunRecord.load(run)
    results = each_task(
        record,
        task,
        lambda name: backtest_of(
            record,
            name,
            covariate=covariate,
            confidence_level=confidence_level,
            methods=method or (),
            losses=source,
        ),
    )
    if plot is not None:
        # half a second of import that tables do not need
        from passuntil.report.plots import plot_backtests  # noqa: PLC0415

        plot_backtests(plot, results)
    if as_json:
        print_json({"backtests": {name: result.to_json() for name, result in results.items()}})
        return
    for name, result in results.items():
        print_backtest(console, name, result)


@app.command()
def emergence(
    run: RunFolder,
    task: Task = None,
    confidence_level: Level = 0.95,
    covariate: Against = Covariate.N_PARAMS,
    as_json: AsJson = False,
) -> None:
    """Test whether a task bends: linear, sub-scaling, accelerated, or not enough data."""
    record = RunRecord.load(run)
    results = each_task(
        record,
        task,
        lambda name: emergence_of(
            record, name, covariate=covariate, confidence_level=confidence_level
        ),
    )
    if as_json:
        print_json({"emergence": {name: result.to_json() for name, result in results.items()}})
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
    plans = each_task(
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
        print_json({"plans": {name: found.to_json() for name, found in plans.items()}})
        return
    for name, found in plans.items():
        print_plan_to_narrow(console, name, found)
