"""Forecasts of held-out models, written before those models are sampled."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from passuntil.config import Job, ModelSpec
from passuntil.errors import CheckerError, EstimationError, LedgerError
from passuntil.fitter import fit_scaling_law, seal, tallies_digest
from passuntil.fitter.scaling_law import FITS
from passuntil.runner.record import RunRecord

__all__ = [
    "CONFIDENCE_LEVEL",
    "HEADLINE",
    "forecast_path",
    "read_forecast",
    "seal_forecasts",
    "write_json",
]

CONFIDENCE_LEVEL: Final = 0.9
# The method shown as the forecast; every other method is sealed beside it.
HEADLINE: Final = "combined"


def forecast_path(folder: Path, model: str, task: str) -> Path:
    """Return where the forecast of a model on a task lies."""
    return folder / "forecasts" / model / f"{task}.json"


def seal_forecasts(job: Job, folder: Path, model: ModelSpec) -> list[Path]:
    """Forecast a held-out model on every task from the tallies of the others.

    A forecast that exists is left as it is. Each file holds the forecast of every method of the
    fitter, or the reason why it gives none, and the SHA-256 of the tallies they used.

    Returns
    -------
    list of Path
        The files written by this call.
    """
    paths = {task.name: forecast_path(folder, model.name, task.name) for task in job.tasks}
    missing = {task: path for task, path in paths.items() if not path.exists()}
    if not missing:
        return []
    run = RunRecord.load(folder)
    # a model that was sampled already can only be fitted to, not forecast
    missing = {t: path for t, path in missing.items() if not run.tasks[model.name, t].is_begun}
    for task in missing:
        _require_complete(run, task)
    for task, path in missing.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, _forecast(run, model, task))
    return list(missing.values())


def _require_complete(run: RunRecord, task: str) -> None:
    """Refuse to seal from tallies that a retry would change."""
    for model in run.job.family:
        record = run.tasks[model.name, task]
        if not model.held_out and not record.is_complete:
            faults = "; ".join(f"{name}: {fault}" for name, fault in record.faults.items())
            raise CheckerError(
                f"forecast of {task}: got unfinished instances of {model.name} ({faults}); "
                "allowed: all of them judged; mend the checker and run the same command again."
            )


def _forecast(run: RunRecord, model: ModelSpec, task: str) -> dict[str, Any]:
    models, tallies = run.family(task)
    methods: dict[str, Any] = {}
    for method in FITS:
        try:
            fit = fit_scaling_law(
                n_params=[m.n_params for m in models], tallies=tallies, method=method
            )
            sealed = seal(fit, model.n_params, task=task, confidence_level=CONFIDENCE_LEVEL)
            methods[method] = sealed.to_json()
        except EstimationError as error:
            methods[method] = {"error": str(error)}
    return {
        "model": model.name,
        "n_params": model.n_params,
        "task": task,
        "job_fingerprint": run.fingerprint,
        "measured_models": [m.name for m in models],
        "tallies_sha256": tallies_digest(tallies),
        "confidence_level": CONFIDENCE_LEVEL,
        "headline": HEADLINE,
        "methods": methods,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_forecast(folder: Path, model: str, task: str) -> Mapping[str, Any] | None:
    """Return a sealed forecast, or None if there is none.

    Raises
    ------
    LedgerError
        The file is not a forecast.
    """
    path = forecast_path(folder, model, task)
    if not path.exists():
        return None
    try:
        forecast: dict[str, Any] = json.loads(path.read_text())
        missing = {"methods", "measured_models", "headline", "tallies_sha256"} - set(forecast)
        if missing:
            raise ValueError(f"no {', '.join(sorted(missing))}")
    except (ValueError, TypeError) as error:
        raise LedgerError(
            f"forecast {path}: got {error}; allowed: the JSON that a run wrote; restore it from a "
            "copy, or delete it to lose the forecast."
        ) from error
    return forecast


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write all or nothing: a forecast cut in half must not count as sealed."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(value, file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
