"""Commands that analyse a run: show, fit, predict."""

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
    RunFolder,
    Task,
    app,
    console,
    each_task,
    print_json,
)
from passuntil.cli.laws import Against, LossesPath, LossesTask, loss_source, require_folder
from passuntil.errors import UsageError
from passuntil.fitter import Prediction, ScalingFit
from passuntil.report.profile import print_profile
from passuntil.report.run import RunReport
from passuntil.report.tables import print_fit, print_prediction
from passuntil.report.words import model_size
from passuntil.runner.analysis import LAW, Covariate, fit_task, predict_task
from passuntil.runner.forecast_file import seal_predictions
from passuntil.runner.record import RunRecord
from passuntil.runner.sealed import CONFIDENCE_LEVEL, HEADLINE

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
    source = loss_source(losses, losses_task)
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
    require_folder("--seal", seal_to)
    source = loss_source(losses, losses_task)
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
