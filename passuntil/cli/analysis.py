"""Commands that analyse a run: show, fit, predict, score, backtest, emergence, plan."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from passuntil.cli.common import (
    AsJson,
    HeldOut,
    Level,
    Method,
    NParams,
    RunFolder,
    Task,
    app,
    console,
    each_task,
    print_json,
)
from passuntil.errors import UsageError
from passuntil.fitter import Prediction, ScalingFit
from passuntil.report.analysis import (
    print_backtest,
    print_emergence,
    print_plan_to_narrow,
    print_scores,
)
from passuntil.report.profile import print_profile
from passuntil.report.run import RunReport
from passuntil.report.tables import print_fit, print_prediction
from passuntil.report.words import model_size
from passuntil.runner.analysis import (
    LAW,
    Covariate,
    LossSource,
    backtest_of,
    emergence_of,
    fit_task,
    plan_task,
    predict_task,
    score_file,
    seal_predictions,
)
from passuntil.runner.record import RunRecord
from passuntil.runner.sealed import CONFIDENCE_LEVEL, HEADLINE

LossesPath = Annotated[
    Path | None,
    typer.Option(
        "--losses",
        help="Gold answers' losses for loss_assisted: .jsonl, .csv, .npz, or a run's folder.",
        show_default=False,
    ),
]
LossesTask = Annotated[
    str | None,
    typer.Option("--losses-task", help=r"Its name among the losses \[default: the task's]"),
]
Against = Annotated[Covariate, typer.Option("--against", help="What grows along the axis.")]
SYMBOLS = {Covariate.N_PARAMS: "n", Covariate.COMPUTE: "C", Covariate.LOSS: "(1/L)"}
EXAMPLES = {Covariate.N_PARAMS: "12e9", Covariate.COMPUTE: "1e22", Covariate.LOSS: "2.5"}


@app.command()
def show(
    run: RunFolder,
    task: Task = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Only where the time of the run went.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the tables, fitted laws and forecasts of a run; works while it goes on."""
    if profile:
        record = RunRecord.load(run)
        if as_json:
            print_json({"profiles": record.profiles})
        else:
            print_profile(console, record)
        return
    report = RunReport.of(RunRecord.load(run), task=task)
    if as_json:
        print_json(report.to_json())
    else:
        report.print(console)


@app.command()
def fit(
    run: RunFolder,
    task: Task = None,
    method: Method = LAW,
    covariate: Against = Covariate.N_PARAMS,
    include_held_out: HeldOut = False,
    losses: LossesPath = None,
    losses_task: LossesTask = None,
    as_json: AsJson = False,
) -> None:
    """Fit log(-log PU) against log n (or compute, or loss) for each task."""
    source = _loss_source(losses, losses_task)
    record = RunRecord.load(run)
    fits = each_task(
        record,
        task,
        lambda name: fit_task(
            record,
            name,
            method=method,
            covariate=covariate,
            include_held_out=include_held_out,
            losses=source,
        ),
    )
    if as_json:
        plain = {name: found.to_json() for name, found in fits.items()}
        print_json({"against": covariate, "fits": plain})
        return
    for name, found in fits.items():
        models, _ = record.family(name, include_held_out=include_held_out)
        names = [model.name for model in models]
        print_fit(console, name, found, names, symbol=SYMBOLS[covariate])


def _loss_source(losses: Path | None, losses_task: str | None) -> LossSource | None:
    if losses is not None:
        return LossSource(losses, losses_task)
    if losses_task is not None:
        raise UsageError(
            f"--losses-task: got {losses_task!r} and no --losses; allowed: both; add --losses FILE."
        )
    return None


@app.command()
def predict(
    run: RunFolder,
    n_params: Annotated[
        float | None,
        typer.Option("--n-params", help="Size of the model to predict.", show_default=False),
    ] = None,
    at: Annotated[
        float | None,
        typer.Option("--at", help="Its compute or loss, with --against.", show_default=False),
    ] = None,
    confidence_level: Level = CONFIDENCE_LEVEL,
    task: Task = None,
    method: Method = HEADLINE,
    covariate: Against = Covariate.N_PARAMS,
    include_held_out: HeldOut = False,
    n_tokens: Annotated[
        float | None,
        typer.Option(
            "--n-tokens",
            help=r"Its training tokens, for joint \[default: the largest model's]",
            show_default=False,
        ),
    ] = None,
    losses: LossesPath = None,
    losses_task: LossesTask = None,
    losses_of: Annotated[
        str | None,
        typer.Option(
            "--losses-of",
            help=r"Its name among the losses \[default: they are extrapolated]",
            show_default=False,
        ),
    ] = None,
    seal_to: Annotated[
        Path | None,
        typer.Option(
            "--seal", help="Write the forecasts with the hash of their tallies.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict the PU of a model of another size (or compute, or loss)."""
    value = _target(covariate, n_params, at)
    _require_folder("--seal", seal_to)
    source = _loss_source(losses, losses_task)
    if losses_of is not None and source is None:
        raise UsageError(
            f"--losses-of: got {losses_of!r} and no --losses; allowed: both; add --losses FILE."
        )
    record = RunRecord.load(run)

    def forecast(name: str) -> tuple[ScalingFit, Prediction]:
        fit = fit_task(
            record,
            name,
            method=method,
            covariate=covariate,
            include_held_out=include_held_out,
            losses=source,
        )
        own = (
            source.table(record, name, [losses_of])[:, 0]
            if source is not None and losses_of is not None
            else None
        )
        axis = covariate.axis(value)
        return fit, predict_task(fit, axis, confidence_level, n_tokens=n_tokens, losses=own)

    found = each_task(record, task, forecast)
    predictions = {name: prediction for name, (_, prediction) in found.items()}
    if seal_to is not None:
        seal_predictions(seal_to, {name: fit for name, (fit, _) in found.items()}, predictions)
    if as_json:
        plain = {name: p.to_json() for name, p in predictions.items()}
        print_json({"against": covariate, "at": value, "predictions": plain})
        return
    words = model_size(value) if covariate is Covariate.N_PARAMS else f"{covariate} {value:.4g}"
    for name, prediction in predictions.items():
        print_prediction(console, name, prediction, where=words)
    if seal_to is not None:
        console.print(f"Sealed in {seal_to}", highlight=False)


def _target(covariate: Covariate, n_params: float | None, at: float | None) -> float:
    """Return the value to predict at: --n-params, or --at for another covariate."""
    given, other = (n_params, at) if covariate is Covariate.N_PARAMS else (at, n_params)
    option = "--n-params" if covariate is Covariate.N_PARAMS else "--at"
    if given is None and other is None:
        raise UsageError(
            f"predict --against {covariate}: got no {option}; allowed: the {covariate} of the "
            f"model to predict; add {option} {EXAMPLES[covariate]}."
        )
    if given is None or other is not None or not 0 < given < math.inf:
        raise UsageError(
            f"predict --against {covariate}: got --n-params {n_params}, --at {at}; allowed: a "
            f"positive, finite {option} alone; name the model to predict by its {covariate}."
        )
    return given


def _require_folder(option: str, path: Path | None) -> None:
    """Refuse a file to write whose folder is missing, before the work whose result it is for."""
    if path is not None and not path.parent.is_dir():
        raise UsageError(
            f"{option}: got {path}, and there is no folder {path.parent}; allowed: a file in an "
            "existing folder; make the folder first."
        )


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
    _require_folder("--plot", plot)
    source = _loss_source(losses, losses_task)
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
