"""Judges the texts a run kept anew, without an engine, by the checkers of today.

The run's own verdicts stay as they are: what differs is reported, and the tallies that would follow
go into a run of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import passuntil
from passuntil.checkers.pool import CheckerPool, Judgement
from passuntil.config import Job, build_checkers
from passuntil.errors import UsageError
from passuntil.ledger import SqliteLedger
from passuntil.ports import Block, Checker, KeptText
from passuntil.records import Completion, FinishReason, Instance, SampleKey, Verdict
from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.rejudged import require_all_texts, write_rejudged
from passuntil.runner.sealed import write_json
from passuntil.tasks import task_digest

__all__ = [
    "REPORT_FILE",
    "Change",
    "Recheck",
    "TaskRecheck",
    "only_tasks",
    "recheck_run",
    "recorded_instances",
]

REPORT_FILE: Final = "recheck.json"


@dataclass(frozen=True, slots=True)
class Change:
    """A text whose verdict is another one today; both as reasons."""

    instance: str
    index: int
    was: str
    now: str


@dataclass(slots=True)
class TaskRecheck:
    """What came of one task under one model.

    Attributes
    ----------
    n_judged : int
        Samples that the ledger counts.
    n_passing, n_failing : int
        Texts judged anew, by the verdict recorded.
    n_unkept : int
        Failing samples without a text: nothing can be said of them.
    n_faults : int
        Texts that the checker could not judge.
    changed : list of Change
        Other verdicts.
    other_reasons : Counter of (str, str)
        Fails that fail for another reason today.
    """

    model: str
    task: str
    n_judged: int = 0
    n_passing: int = 0
    n_failing: int = 0
    n_unkept: int = 0
    n_faults: int = 0
    changed: list[Change] = field(default_factory=list)
    other_reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "model": self.model,
            "task": self.task,
            "judged": self.n_judged,
            "rechecked_passing": self.n_passing,
            "rechecked_failing": self.n_failing,
            "failing_without_text": self.n_unkept,
            "not_judged": self.n_faults,
            "agreeing": self.n_passing + self.n_failing - self.n_faults - len(self.changed),
            "changed": [
                {"instance": c.instance, "index": c.index, "was": c.was, "now": c.now}
                for c in self.changed
            ],
            "other_reasons": [
                {"was": was, "now": now, "n": n} for (was, now), n in self.other_reasons.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Recheck:
    """A whole recheck: per task and model, and the checkers then and now."""

    tasks: list[TaskRecheck]
    checkers: Mapping[str, Mapping[str, Any]]

    @property
    def n_changed(self) -> int:
        """Verdicts that differ."""
        return sum(len(task.changed) for task in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "passuntil": passuntil.__version__,
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "checkers": self.checkers,
            "changed": self.n_changed,
            "not_rechecked": "failing samples without a text, and greedy completions, whose "
            "finish reason is not recorded",
            "tasks": [task.to_json() for task in self.tasks],
        }


def recorded_instances(run: RunRecord, only: str | None = None) -> dict[tuple[str, str], Instance]:
    """Return the instances a run was made of, by task and id.

    Raises
    ------
    UsageError
        A task file is gone, or is another one than the run was made with.
    """
    found: dict[tuple[str, str], Instance] = {}
    recorded: Any = run.job.to_json()["tasks"]
    digests = {task["name"]: task["digest"] for task in recorded}
    for name in run.task_names(only):
        spec = run.job.task(name)
        source = run.job.task_source(spec)
        if digests[name] not in (None, task_digest(source, spec.format)):
            raise UsageError(
                f"task {name}: got {source.path}, which has changed since the run was begun; "
                "allowed: the same content; restore the file."
            )
        found.update({(name, instance.id): instance for instance in run.job.instances(name)})
    return found


def only_tasks(job: Job, names: Container[str]) -> Job:
    """Return the job with these tasks alone: the checkers of others need not work here."""
    return job.model_copy(update={"tasks": tuple(t for t in job.tasks if t.name in names)})


def recheck_run(
    folder: Path,
    *,
    task: str | None = None,
    output: Path | None = None,
    make_checkers: Callable[[Job], Mapping[str, Checker]] = build_checkers,
) -> Recheck:
    """Judge the kept texts of a run anew; write the report beside it.

    Parameters
    ----------
    folder : Path
        The run; its ledger is only read.
    task : str, optional
        Only this task.
    output : Path, optional
        A new folder, for a run with today's verdicts. Its greedy completions are left out, and
        `passuntil run` goes on with it where a stop moved back.
    make_checkers : callable
        Starts the checkers.

    Raises
    ------
    UsageError
        `output` exists, or not every sample has its text; a task file has changed.
    CheckerError, LedgerError
        From the hands.
    """
    run = RunRecord.load(folder)
    if output is not None and (task is not None or (output / LEDGER_FILE).exists()):
        raise UsageError(
            f"-o: got {output} with {'one task only' if task else 'a run in it'}; allowed: a new "
            "folder, and all tasks; choose another one, or leave --task out."
        )
    instances = recorded_instances(run, task)
    with closing(SqliteLedger(folder / LEDGER_FILE, mode="read")) as ledger:
        if output is not None:
            require_all_texts(ledger)
        names = set(run.task_names(task))
        # their jails start here, for these tasks alone, and the pool ends them
        checkers = make_checkers(only_tasks(run.job, names))
        with CheckerPool(checkers, retries=run.job.checker.retries) as pool:
            work = _Recheck(instances, pool)
            work.judge(block for block in ledger.blocks() if block.task in names)
            now = {name: dict(checkers[name].describe()) for name in names}
        was = {name: dict(run.checkers.get(name, {})) for name in now}
        done = Recheck(
            [*work.tasks.values()],
            {name: {"was": was[name], "now": now[name]} for name in sorted(now)},
        )
        write_json(folder / REPORT_FILE, done.to_json())
        if output is not None:
            _require_all_verdicts(work.tasks.values(), folder)
            write_rejudged(output, run, ledger, verdicts=work.verdicts, checkers=now)
    return done


def _require_all_verdicts(tasks: Iterable[TaskRecheck], folder: Path) -> None:
    n_faults = sum(task.n_faults for task in tasks)
    if n_faults:
        raise UsageError(
            f"-o: got {n_faults} texts that the checkers could not judge; allowed: none; see "
            f"{folder / REPORT_FILE}, mend the checker, and recheck."
        )


class _Recheck:
    """Texts on their way through the checkers."""

    def __init__(self, instances: Mapping[tuple[str, str], Instance], pool: CheckerPool) -> None:
        self.tasks: dict[tuple[str, str], TaskRecheck] = {}
        self.verdicts: dict[SampleKey, Verdict] = {}  # those that are not the recorded ones
        self._instances = instances
        self._pool = pool
        self._recorded: dict[SampleKey, KeptText] = {}  # under way

    def judge(self, blocks: Iterable[Block]) -> None:
        """Judge every kept text of the blocks."""
        for block in blocks:
            address = (block.model, block.task)
            found = self.tasks.setdefault(address, TaskRecheck(*address))
            found.n_judged += len(block.verdicts)
            n_failing = sum(not kept.is_pass for kept in block.kept)
            found.n_failing += n_failing
            found.n_passing += len(block.kept) - n_failing
            found.n_unkept += block.verdicts.count(0) - n_failing
            for kept in block.kept:
                key = SampleKey(block.model, block.task, block.instance, kept.index)
                self._recorded[key] = kept
                # a verdict depends on the text and on how it ended, never on its tokens
                reason = FinishReason(kept.finish_reason)
                self._pool.submit(
                    self._instances[block.task, block.instance],
                    Completion(key, kept.text, (), reason),
                )
            self._take(self._pool.collect())
        while self._recorded:
            self._take(self._pool.collect(timeout_s=1.0))

    def _take(self, judgements: Iterable[Judgement]) -> None:
        for judgement in judgements:
            key = judgement.key
            kept, verdict = self._recorded.pop(key), judgement.verdict
            found = self.tasks[key.model, key.task]
            if verdict is None:
                found.n_faults += 1
            elif verdict.is_pass != kept.is_pass:
                found.changed.append(Change(key.instance, key.index, kept.reason, verdict.reason))
                self.verdicts[key] = verdict
            elif verdict.reason != kept.reason:
                found.other_reasons[kept.reason, verdict.reason] += 1
                self.verdicts[key] = verdict
