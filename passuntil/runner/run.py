"""A whole run: its record and its checkers around the sampling of its models."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import passuntil
from passuntil.checkers.pool import CheckerPool
from passuntil.config import CodeSpec, Job, ModelSpec, build_checkers, diff_jobs
from passuntil.errors import UsageError
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Checker, Sampler
from passuntil.records import Instance
from passuntil.runner.engine import start_engine
from passuntil.runner.family import FamilyRun, Observer
from passuntil.runner.profile import timed
from passuntil.runner.rates import RATES
from passuntil.runner.record import LEDGER_FILE
from passuntil.sampler.scorer import Scorer
from passuntil.sampler.start import start_scorer

__all__ = ["Observer", "run_job"]


def run_job(
    job: Job,
    folder: Path,
    *,
    observer: Observer,
    make_sampler: Callable[[Job, ModelSpec], Sampler] = start_engine,
    make_checkers: Callable[[Job], Mapping[str, Checker]] = build_checkers,
    make_scorer: Callable[[Job, ModelSpec], Scorer] = start_scorer,
) -> None:
    """Run a job, or go on with it where `folder` holds a part of it.

    Parameters
    ----------
    job : Job
        What to sample.
    folder : Path
        Where the ledger and the forecasts lie; made if it is not there.
    observer : Observer
        Is told of progress.
    make_sampler, make_checkers, make_scorer : callable
        Start the hands; replaced in simulations.

    Raises
    ------
    UsageError
        `folder` holds a run of another job, or a task file is broken.
    EngineError, CheckerError, LedgerError
        From the hands. What was judged before is in the ledger; the same call goes on from there.
    """
    instances = [instance for task in job.tasks for instance in job.instances(task)]
    folder.mkdir(parents=True, exist_ok=True)
    ledger = SqliteLedger(folder / LEDGER_FILE)
    try:
        _write_job(job, ledger, instances, folder)
        checkers = timed(make_checkers(_without_stopped_sharing(job, ledger)))
        # the drive bounds what waits; see passuntil.runner.drive
        with CheckerPool(checkers, retries=job.checker.retries, max_backlog=1 << 20) as pool:
            _write_checkers(ledger, checkers, folder)
            for instance in instances:
                checkers[instance.task].prepare(instance)
            _write_checkers(ledger, checkers, folder)  # they know their instances now
            try:
                FamilyRun(
                    job,
                    folder,
                    ledger=ledger,
                    instances=instances,
                    checkers=checkers,
                    pool=pool,
                    write_checkers=lambda: _write_checkers(ledger, checkers, folder),
                    observer=observer,
                    make_sampler=make_sampler,
                    make_scorer=make_scorer,
                ).run()
            finally:
                _write_checkers(ledger, checkers, folder)  # what they had to give up meanwhile
    finally:
        ledger.close()


def _write_job(job: Job, ledger: SqliteLedger, instances: Sequence[Instance], folder: Path) -> None:
    """Record the job. Once samples are judged, what decides them may no longer change."""
    meta = ledger.read_meta("job")
    if meta is not None and _has_samples(ledger):
        recorded: Any = meta["job"]
        differences = diff_jobs(recorded, job.to_json())
        if differences:
            lines = "\n  ".join(differences)
            raise UsageError(
                f"run {folder}: got a job that differs from the one it was begun with; allowed: "
                f"the same one; choose another folder with -o, or change back:\n  {lines}"
            )
    by_task: dict[str, list[str]] = {task.name: [] for task in job.tasks}
    for instance in instances:
        by_task[instance.task].append(instance.id)
    ledger.write_meta("instances", by_task)
    ledger.write_meta(
        "job",
        {
            "job": job.to_json(),
            "fingerprint": job.fingerprint(),
            "base": str(job.base.absolute()),
            "passuntil": passuntil.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: metadata.version(name) for name in ("numpy", "scipy")},
            "command": sys.argv,
        },
    )


def _has_samples(ledger: SqliteLedger) -> bool:
    has_rates = ledger.read_meta(RATES) is not None
    return has_rates or any(True for _ in ledger.greedy()) or any(True for _ in ledger.blocks())


def _write_checkers(ledger: SqliteLedger, checkers: Mapping[str, Checker], folder: Path) -> None:
    """Record how completions are judged; verdicts of two checker versions do not mix."""
    described: dict[str, Any] = {task: dict(c.describe()) for task, c in checkers.items()}
    recorded: Mapping[str, Any] = ledger.read_meta("checkers") or {}
    for task, checker in described.items():
        was, now = recorded.get(task, checker).get("version"), checker.get("version")
        if was != now:
            raise UsageError(
                f"run {folder}: got version {now} of the checker of {task}; allowed: version "
                f"{was}, with which the run was begun; choose another folder with -o, or install "
                "that version."
            )
        before = recorded.get(task, {}).get("batches", {})
        if before.get("stopped"):
            checker["batches"] = before  # the ledger holds verdicts from shared children
    ledger.write_meta("checkers", described)


def _without_stopped_sharing(job: Job, ledger: SqliteLedger) -> Job:
    """Return the job with shared children off where an earlier start had to stop sharing."""
    recorded: Mapping[str, Any] = ledger.read_meta("checkers") or {}
    tasks = []
    for task in job.tasks:
        stopped = recorded.get(task.name, {}).get("batches", {}).get("stopped")
        if stopped and isinstance(task.checker, CodeSpec):
            alone = task.checker.model_copy(update={"batches": False})
            tasks.append(task.model_copy(update={"checker": alone}))
        else:
            tasks.append(task)
    return job.model_copy(update={"tasks": tuple(tasks)})
