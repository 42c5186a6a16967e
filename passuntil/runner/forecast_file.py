"""Forecasts sealed in a file of their own, and graded with a run of the bigger model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from passuntil.errors import EstimationError, UsageError, nearest
from passuntil.fitter import (
    ForecastScore,
    Prediction,
    ScalingFit,
    SealedForecast,
    score,
    seal_prediction,
)
from passuntil.runner.record import RunRecord
from passuntil.runner.sealed import write_json

__all__ = ["score_file", "seal_predictions"]


def seal_predictions(
    path: Path, fits: Mapping[str, ScalingFit], predictions: Mapping[str, Prediction]
) -> None:
    """Write the forecast of each task, to be graded by `score_file`; a file that exists stays.

    Raises
    ------
    UsageError
        The file exists.
    """
    if path.exists():
        raise UsageError(
            f"--seal: got {path}, which exists; allowed: a new file; a sealed forecast is not "
            "replaced."
        )
    sealed = [
        seal_prediction(fits[task], forecast, task=task) for task, forecast in predictions.items()
    ]
    write_json(path, {"forecasts": [forecast.to_json() for forecast in sealed]})


def score_file(
    path: Path, run: RunRecord, *, model: str | None
) -> list[tuple[str, str, ForecastScore]]:
    """Grade the forecasts of a file; return task, model and score of each.

    Raises
    ------
    UsageError
        The file holds no forecasts, or the run has no such task, or no model of that size.
    """
    try:
        content = json.loads(path.read_text())
        found = [SealedForecast.from_json(plain) for plain in content["forecasts"]]
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(
            f"forecast: got {path}, which cannot be read ({error.strerror}); allowed: a file that "
            "`passuntil predict --seal` wrote; check the path."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"forecast: got {path}, which holds no sealed forecasts; allowed: a file that "
            "`passuntil predict --seal` wrote; name that one, or seal the forecast anew."
        ) from error
    scores = []
    for sealed in found:
        (task,) = run.task_names(sealed.task)
        name = _measured_model(run, sealed, model)
        record = run.tasks[name, task]
        if not record.is_complete:
            raise EstimationError(
                f"{task}: got unfinished instances of {name}; allowed: all judged; run the job to "
                "its end first."
            )
        scores.append((task, name, score(sealed, record.evidence)))
    return scores


def _measured_model(run: RunRecord, sealed: SealedForecast, name: str | None) -> str:
    names = [model.name for model in run.job.family]
    if name is not None:
        if name not in names:
            raise UsageError(
                f"--model: got {name!r}; allowed: {', '.join(names)}; name a model of the run."
                f"{nearest(name, names)}"
            )
        return name
    fitting = [m.name for m in run.job.family if abs(m.n_params / sealed.n_params - 1) < 0.01]
    if len(fitting) != 1:
        raise UsageError(
            f"{sealed.task}: got a forecast of {sealed.n_params:.6g} parameters and "
            f"{len(fitting)} models of that size in the run; allowed: one (within 1 %); name the "
            "model with --model."
        )
    return fitting[0]
