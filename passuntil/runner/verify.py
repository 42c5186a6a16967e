"""Whether a run's folder keeps its promises: the ledger, its records, the sealed forecasts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from passuntil.config import Job
from passuntil.errors import LedgerError, UsageError
from passuntil.fitter import SealedForecast, tallies_digest
from passuntil.ledger import SqliteLedger
from passuntil.ledger.audit import Check, audit
from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.rounds import rules_of
from passuntil.stopping import InstanceState

__all__ = ["verify_run"]

_META: Final = "the run's records are complete"
_RULE: Final = "every tally is one the stopping rule can give"
_GREEDY: Final = "greedy results belong to the job"
_SEALS: Final = "sealed forecasts are intact and their tallies are the ledger's"

_ALWAYS: Final = ("job", "instances", "checkers")


def verify_run(folder: Path) -> list[Check]:
    """Check everything that can be checked without an engine; works beside a driver.

    Where the file itself is damaged, what is read out of it is not checked: those have n = 0.

    Raises
    ------
    UsageError
        The folder holds no run.
    """
    path = folder / LEDGER_FILE
    if not path.is_file():
        raise UsageError(
            f"run: got {folder}, which has no {LEDGER_FILE}; allowed: a folder that "
            "`passuntil run JOB.yaml -o FOLDER` made; check the path."
        )
    try:
        checks = audit(path)
    except LedgerError as error:
        return [Check("the database file is intact", 1, [str(error)])]
    above = {what: Check(what) for what in (_META, _RULE, _GREEDY, _SEALS)}
    if not _has_violations(checks):
        with closing(SqliteLedger(path, mode="read")) as ledger:
            meta, job = _check_meta(ledger, folder, above[_META])
            if job is not None:
                _check_rule(ledger, job, meta, above[_RULE])
                _check_greedy(ledger, meta, above[_GREEDY])
        if not _has_violations(above.values()):
            _check_seals(folder, above[_SEALS])
    return [*checks, *above.values()]


def _has_violations(checks: Iterable[Check]) -> bool:
    return any(check.violations for check in checks)


def _check_meta(
    ledger: SqliteLedger, folder: Path, check: Check
) -> tuple[dict[str, Any], Job | None]:
    """Check that a resume or an analysis finds all it needs."""
    meta: dict[str, Any] = {key: ledger.read_meta(key) for key in (*_ALWAYS, "engines", "weights")}
    check.n = len(meta)
    check.violations += [f"no record {key!r}" for key in _ALWAYS if meta[key] is None]
    if check.violations:
        return meta, None
    try:
        job = Job.from_json(meta["job"]["job"], base=folder)
    except (KeyError, ValueError) as error:
        check.violations.append(f"the job cannot be read: {error}")
        return meta, None
    if job.fingerprint() != meta["job"].get("fingerprint"):
        check.violations.append("the job is not the one its fingerprint was taken of")
    for task in job.tasks:
        if not meta["instances"].get(task.name):
            check.violations.append(f"no instances of task {task.name}")
        if "version" not in meta["checkers"].get(task.name, {}):
            check.violations.append(f"no checker version of task {task.name}")
    return meta, job


def _addresses(meta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for task, instances in meta["instances"].items():
        yield from ((task, instance) for instance in instances)


def _check_rule(ledger: SqliteLedger, job: Job, meta: Mapping[str, Any], check: Check) -> None:
    """Check that no instance was sampled past its stop, and that each belongs to the job."""
    known, models = set(_addresses(meta)), {model.name for model in job.family}
    rule = rules_of(job, ledger)
    states: dict[tuple[str, str, str], InstanceState] = {}
    for block in ledger.blocks(with_kept=False):
        address = (block.model, block.task, block.instance)
        where = "/".join(address)
        if address not in states:
            check.n += 1
            states[address] = InstanceState(rule(*address))
            if block.model not in models or (block.task, block.instance) not in known:
                check.violations.append(f"{where}: not in the job")
            if block.model not in (meta["engines"] or {}):
                check.violations.append(f"{where}: no record of the engine of {block.model}")
        try:
            if block.verdicts:
                states[address].observe_prefix(block.verdicts)
        except UsageError as error:
            check.violations.append(f"{where}: {error}")


def _check_greedy(ledger: SqliteLedger, meta: Mapping[str, Any], check: Check) -> None:
    known = set(_addresses(meta))
    for result in ledger.greedy():
        check.n += 1
        if (result.task, result.instance) not in known:
            check.violations.append(f"{result.model}/{result.task}/{result.instance}: not in it")


def _check_seals(folder: Path, check: Check) -> None:
    """Check each forecast against its own hash and the tallies it was made from."""
    run = RunRecord.load(folder)
    for path in sorted((folder / "forecasts").glob("*/*.json")):
        check.n += 1
        where = path.relative_to(folder)
        try:
            forecast: dict[str, Any] = json.loads(path.read_text())
            if forecast["job_fingerprint"] != run.fingerprint:
                check.violations.append(f"{where}: sealed for another job")
            names: Sequence[str] = forecast["measured_models"]
            tallies = [run.tasks[name, forecast["task"]].evidence for name in names]
            digest = tallies_digest(tallies)
            if digest != forecast["tallies_sha256"]:
                check.violations.append(f"{where}: the tallies of {', '.join(names)} are others")
            for method, sealed in forecast["methods"].items():
                if "error" in sealed:
                    continue
                if SealedForecast.from_json(sealed).tallies_sha256 != digest:
                    check.violations.append(f"{where}: {method} was sealed from other tallies")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            check.violations.append(f"{where}: {type(error).__name__}: {error}")
