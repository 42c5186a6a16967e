"""A run read back from its folder: all that tables, fits and forecasts need, without an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import passuntil
from passuntil.config import Job, ModelSpec
from passuntil.errors import LedgerError, UsageError, nearest
from passuntil.estimator.exact import ExactRates
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Ledger
from passuntil.records import Tally
from passuntil.runner.rates import MeasuredRate, read_rates
from passuntil.runner.rounds import final_rules_of
from passuntil.runner.steered import SteeredEnds
from passuntil.stopping import InstanceState, StopRule

__all__ = ["FEW_SAMPLES", "LEDGER_FILE", "InstanceRecord", "RunRecord", "TaskRecord", "fold"]

LEDGER_FILE: Final = "ledger.sqlite"
# What ordinary evaluation draws per instance: the score from the first of them stands beside PU.
FEW_SAMPLES: Final = 20


@dataclass(slots=True)
class InstanceRecord:
    """What the ledger holds of one instance under one model."""

    state: InstanceState
    fail_reasons: Counter[str]
    n_tokens: int = 0
    overrun_samples: int = 0
    overrun_tokens: int = 0
    few_passes: int = 0
    is_greedy_pass: bool | None = None


def fold(
    ledger: Ledger, rule: StopRule | Callable[[str, str, str], StopRule]
) -> dict[tuple[str, str, str], InstanceRecord]:
    """Return the state of every (model, task, instance) that the ledger has begun.

    The rule is one for all, or a function of model, task and instance.

    The same fold serves resuming, tests and analysis.
    """
    records: dict[tuple[str, str, str], InstanceRecord] = {}

    def record(model: str, task: str, instance: str) -> InstanceRecord:
        address = (model, task, instance)
        if address not in records:
            own = rule(*address) if callable(rule) else rule
            records[address] = InstanceRecord(InstanceState(own), Counter())
        return records[address]

    for block in ledger.blocks(with_kept=False):
        found = record(block.model, block.task, block.instance)
        if block.verdicts:
            found.state.observe_prefix(block.verdicts)
            found.few_passes += sum(block.verdicts[: max(0, FEW_SAMPLES + 1 - block.start)])
        found.fail_reasons.update(block.fail_reasons)
        found.n_tokens += block.n_tokens
        found.overrun_samples += block.overrun_samples
        found.overrun_tokens += block.overrun_tokens
    for result in ledger.greedy():
        record(result.model, result.task, result.instance).is_greedy_pass = result.is_pass
    return records


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """All instances of one task under one model.

    Parameters
    ----------
    model, task : str
        Names.
    instances : mapping of str to InstanceRecord
        By instance id, in task order; those not begun have an empty state.
    faults : mapping of str to str
        Instances that were aborted after a checker fault, with the reason; their judged prefix
        counts as open.
    rates : mapping of str to MeasuredRate, or None
        Exact rates of a task with ``method: likelihood``, by instance; None for a sampled task.
    """

    model: str
    task: str
    instances: Mapping[str, InstanceRecord]
    faults: Mapping[str, str]
    rates: Mapping[str, MeasuredRate] | None = None

    @property
    def evidence(self) -> list[Tally] | ExactRates:
        """What estimators and fits take: tallies, or exact rates of what is measured so far."""
        if self.rates:
            return ExactRates(
                self.rates[name].rate for name in self.instances if name in self.rates
            )
        return self.tallies

    @property
    def tallies(self) -> list[Tally]:
        """One tally per instance in task order, so that models pair; open where none was judged."""
        return [record.state.tally() for record in self.instances.values()]

    @property
    def is_begun(self) -> bool:
        """Whether any sample was judged, or any rate calculated."""
        if self.rates is not None:
            return bool(self.rates)
        return any(record.state.n_committed for record in self.instances.values())

    @property
    def is_complete(self) -> bool:
        """Whether every instance is closed."""
        if self.rates is not None:
            return set(self.instances) <= set(self.rates)
        return all(record.state.is_closed for record in self.instances.values())

    @property
    def is_finished(self) -> bool:
        """Whether nothing is sampled any more: every instance is closed or aborted."""
        if self.rates is not None:
            return self.is_complete
        return all(
            record.state.is_closed or name in self.faults for name, record in self.instances.items()
        )

    @property
    def greedy_score(self) -> float | None:
        """Share of instances whose greedy completion passes; None before all are judged."""
        if self.rates is not None:
            flags = [rate.is_greedy_pass for rate in self.rates.values()]
            return sum(flags) / len(flags) if flags and self.is_complete else None
        results = [record.is_greedy_pass for record in self.instances.values()]
        passes = [result for result in results if result is not None]
        return sum(passes) / len(passes) if passes and len(passes) == len(results) else None

    @property
    def few_samples_score(self) -> float | None:
        """pass@1 from the first `FEW_SAMPLES` samples of each; None where one has fewer."""
        records = self.instances.values()
        if any(record.state.n_committed < FEW_SAMPLES for record in records):
            return None
        return sum(record.few_passes for record in records) / (FEW_SAMPLES * len(records))


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A whole run.

    Use :meth:`load`.
    """

    folder: Path
    job: Job
    fingerprint: str
    tasks: Mapping[tuple[str, str], TaskRecord]
    engines: Mapping[str, Sequence[Mapping[str, Any]]]
    checkers: Mapping[str, Mapping[str, Any]]
    speeds: Mapping[str, Mapping[str, float]]
    profiles: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, folder: Path) -> RunRecord:
        """Read a run; works beside a driver that writes it.

        Raises
        ------
        UsageError
            The folder holds no run.
        LedgerError
            The ledger cannot be read.
        """
        path = folder / LEDGER_FILE
        if not path.is_file():
            raise UsageError(
                f"run: got {folder}, which has no {LEDGER_FILE}; allowed: a folder that "
                "`passuntil run JOB.yaml -o FOLDER` made; check the path."
            )
        ledger = SqliteLedger(path, mode="read")
        try:
            meta = ledger.read_meta("job")
            if meta is None:
                raise LedgerError(
                    f"ledger {path}: got no job in it; allowed: one; start the run again."
                )
            return cls._read(folder, ledger, meta)
        finally:
            ledger.close()

    @classmethod
    def _read(cls, folder: Path, ledger: SqliteLedger, meta: Mapping[str, Any]) -> RunRecord:
        try:
            job = Job.from_json(meta["job"], base=Path(meta.get("base", folder)))
        except (KeyError, ValueError) as error:
            raise LedgerError(
                f"run {folder}: got a job recorded by passuntil {meta['passuntil']}, which "
                f"{passuntil.__version__} cannot read ({error}); allowed: a job of this version; "
                "read it with that one."
            ) from error
        rules = final_rules_of(job, ledger)
        records = fold(ledger, rules)
        names = ledger.read_meta("instances") or {}
        faults: Mapping[str, Any] = ledger.read_meta("faults") or {}
        tasks = {}
        for model in job.family:
            for task in job.tasks:
                ids: Sequence[str] = names[task.name]  # type: ignore[assignment]
                tasks[model.name, task.name] = TaskRecord(
                    model.name,
                    task.name,
                    {
                        i: records.get((model.name, task.name, i))
                        or InstanceRecord(InstanceState(rules(model.name, task.name, i)), Counter())
                        for i in ids
                    },
                    faults.get(model.name, {}).get(task.name, {}),
                    read_rates(ledger, model.name, task.name)
                    if task.method == "likelihood"
                    else None,
                )
        steered = SteeredEnds(ledger)
        for model in job.family:
            goal = job.goal(model)
            for task in job.tasks:
                found = tasks[model.name, task.name]
                if goal is not None and found.rates is None:
                    aborted = {i for i, name in enumerate(found.instances) if name in found.faults}
                    states = [record.state for record in found.instances.values()]
                    steered.resteer(model.name, task.name, goal, states, aborted=aborted)
        engines: Mapping[str, Any] = ledger.read_meta("engines") or {}
        checkers: Mapping[str, Any] = ledger.read_meta("checkers") or {}
        speeds: Mapping[str, Any] = ledger.read_meta("speeds") or {}
        profiles: Mapping[str, Any] = ledger.read_meta("profiles") or {}
        fingerprint = str(meta["fingerprint"])
        return cls(folder, job, fingerprint, tasks, engines, checkers, speeds, profiles)

    def family(
        self, task: str, *, include_held_out: bool = False
    ) -> tuple[list[ModelSpec], list[list[Tally] | ExactRates]]:
        """Return the models that are finished on a task, smallest first, and their evidence.

        Held-out models are left out unless asked for.
        """
        models: list[ModelSpec] = []
        tallies: list[list[Tally] | ExactRates] = []
        for model in sorted(self.job.family, key=lambda model: model.n_params):
            record = self.tasks[model.name, task]
            if record.is_finished and record.is_begun and (include_held_out or not model.held_out):
                models.append(model)
                tallies.append(record.evidence)
        return models, tallies

    def n_unended(self, model: str) -> int:
        """Return the starts of a model's engine that did not end by themselves, one going on too.

        What such a start had in flight is in no count: its samples are drawn again, and the tokens
        spent on them are not part of the overrun.
        """
        starts = self.engines.get(model, ())
        return sum(start.get("is_ended") is False for start in starts)

    def task_names(self, only: str | None = None) -> list[str]:
        """Return the tasks, or the one asked for.

        Raises
        ------
        UsageError
            The run has no such task.
        """
        names = [task.name for task in self.job.tasks]
        if only is None:
            return names
        if only not in names:
            raise UsageError(
                f"task: got {only!r}; allowed: {', '.join(names)}; name a task of the run."
                f"{nearest(only, names)}"
            )
        return [only]
