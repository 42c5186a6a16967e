"""Losses of gold answers, by model and instance, from a file, a choice run or exact rates."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from passuntil.choices.store import STORE_FILE, ScoreStore
from passuntil.errors import UsageError, nearest
from passuntil.runner.record import LEDGER_FILE, RunRecord

__all__ = ["loss_table", "read_losses"]

Losses = Mapping[str, Mapping[str, float]]

_BROKEN: Final = (
    *(ValueError, KeyError, TypeError, AttributeError, OSError),
    *(csv.Error, zipfile.BadZipFile),
)
_FORMATS: Final = (
    "a .jsonl file (one object a line: model, instance, loss; task where there are several), a "
    ".csv file with those columns, a .npz file (models, instances, losses of shape (n_instances, "
    "n_models)), the folder of a choice run, or of a run with method: likelihood"
)


def read_losses(path: Path, task: str) -> Losses:
    """Return the losses of a task's gold answers, by model, then by instance.

    A loss is minus the natural log of the answer's probability, or that per token: one kind
    throughout. A choice run gives it for the correct choice of the benchmark named like the task;
    a run with ``method: likelihood``, for all that passes.

    Raises
    ------
    UsageError
        The path holds no losses of the task.
    """
    if path.is_dir():
        found = _of_folder(path, task)
    elif path.suffix not in _READERS or not path.is_file():
        raise UsageError(
            f"--losses: got {path}, which is no file or folder of losses; allowed: {_FORMATS}; "
            "name one that exists."
        )
    else:
        try:
            found = _READERS[path.suffix](path, task)
        except _BROKEN as error:
            raise UsageError(
                f"--losses: got {path}, which cannot be read as losses ({error!r}); allowed: "
                f"{_FORMATS}; mend the file."
            ) from error
    if not found:
        raise UsageError(
            f"--losses: got {path}, which has none of the task {task}; allowed: losses of that "
            "task; name the one they are stored under with --losses-task."
        )
    return found


def loss_table(
    losses: Losses, models: Sequence[str], instances: Sequence[str]
) -> NDArray[np.float64]:
    """Return losses, shape (n_instances, n_models).

    Raises
    ------
    UsageError
        A model or an instance without a loss.
    """
    for model in models:
        if model not in losses:
            raise UsageError(
                f"--losses: got none of the model {model}; allowed: one of every instance under "
                f"every model that is fitted; the models there are {', '.join(losses)}."
                f"{nearest(model, list(losses))}"
            )
        lacking = [instance for instance in instances if instance not in losses[model]]
        if lacking:
            raise UsageError(
                f"--losses: got none of {len(lacking)} of {len(instances)} instances under {model} "
                f"(first: {lacking[0]}); allowed: one of every instance; measure them."
            )
    return np.array([[losses[model][instance] for model in models] for instance in instances])


def _of_rows(rows: Iterable[Mapping[str, Any]], task: str) -> Losses:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.get("task") in (None, "", task):
            found.setdefault(str(row["model"]), {})[str(row["instance"])] = float(row["loss"])
    return found


def _of_jsonl(path: Path, task: str) -> Losses:
    lines = path.read_text().splitlines()
    return _of_rows((json.loads(line) for line in lines if line.strip()), task)


def _of_csv(path: Path, task: str) -> Losses:
    with path.open(newline="") as file:
        return _of_rows(csv.DictReader(file), task)


def _of_npz(path: Path, _task: str) -> Losses:
    with np.load(path, allow_pickle=False) as arrays:
        models, instances, losses = (arrays[k] for k in ("models", "instances", "losses"))
    if losses.shape != (len(instances), len(models)):
        raise ValueError(f"losses of shape {losses.shape}, not ({len(instances)}, {len(models)})")
    names = [str(name) for name in instances]
    return {
        str(model): dict(zip(names, losses[:, k].tolist(), strict=True))
        for k, model in enumerate(models)
    }


_READERS: Final = {".jsonl": _of_jsonl, ".csv": _of_csv, ".npz": _of_npz}


def _of_folder(path: Path, task: str) -> Losses:
    if (path / LEDGER_FILE).is_file():
        return _of_rates(path, task)
    if not (path / STORE_FILE).is_file():
        raise UsageError(
            f"--losses: got {path}, which has no {STORE_FILE} or {LEDGER_FILE}; allowed: "
            f"{_FORMATS}; check the path."
        )
    return _of_choices(path, task)


def _of_rates(path: Path, task: str) -> Losses:
    """Return minus the log of exact rates that are above 0."""
    run = RunRecord.load(path)
    return {
        model: {
            name: -float(np.log(measured.rate.value))
            for name, measured in record.rates.items()
            if measured.rate.value > 0
        }
        for (model, name_of_task), record in run.tasks.items()
        if name_of_task == task and record.rates
    }


def _of_choices(path: Path, task: str) -> Losses:
    """Return minus the log likelihood of each instance's correct choice."""
    store = ScoreStore(path, mode="read")
    try:
        instances = store.instances(task)
        found: dict[str, dict[str, float]] = {}
        families: dict[str, str] = {}
        for part in store.parts():
            if part.benchmark != task:
                continue
            family = families.setdefault(part.model, part.family)
            if family != part.family:
                raise UsageError(
                    f"--losses: got {part.model} in two families of {path}, {family} and "
                    f"{part.family}; allowed: each name in one; score the family you mean in a "
                    "folder of its own, or write its losses to a .jsonl or .csv file."
                )
            for score in store.scores(part):
                name, _, correct = instances[score.place]
                if score.choice == correct:
                    found.setdefault(part.model, {})[name] = -score.log_likelihood
        return found
    finally:
        store.close()
