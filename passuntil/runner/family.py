"""The models of a run: whose engine runs when, and what is recorded of each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, final, runtime_checkable

from passuntil.checkers.pool import CheckerPool
from passuntil.config import Job, ModelSpec
from passuntil.errors import LedgerError, PassUntilError, UsageError
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Checker, Sampler
from passuntil.records import Instance
from passuntil.runner.drive import Drive, Snapshot
from passuntil.runner.instance import InstanceRun
from passuntil.runner.likelihood import measure_exact
from passuntil.runner.profile import TimedChecker, add_profiles
from passuntil.runner.record import InstanceRecord, fold
from passuntil.runner.rounds import RoundObserver, check_rounds, decide_rounds, rules_of
from passuntil.runner.sealed import seal_forecasts
from passuntil.runner.shares import PoolShares
from passuntil.runner.weights import weights_digest
from passuntil.sampler.scorer import Scorer
from passuntil.steering import Steering
from passuntil.stopping import InstanceState

__all__ = ["FamilyRun", "Observer"]

# How long to leave an engine that loads in a process of its own before looking again.
_LOOK_S: Final = 0.005


class Observer(Protocol):
    """Is told how a run goes on; a progress display."""

    def on_model(self, model: ModelSpec, n_done: int, n_models: int) -> None:
        """Report that a model's engine is about to start."""
        ...

    def on_progress(self, snapshot: Snapshot) -> None:
        """Report the state of the model being sampled, a few times a second."""
        ...

    def on_forecast(self, path: Path) -> None:
        """Report that a forecast was written, before its model is sampled."""
        ...


@runtime_checkable
class StartsMeanwhile(Protocol):
    """A sampler that was made before its engine has started."""

    @property
    def is_ready(self) -> bool:
        """Whether a call would not wait for the start."""
        ...


@dataclass(slots=True, eq=False)
class _Part:
    """A model of the run that still needs samples."""

    model: ModelSpec
    runs: Sequence[InstanceRun]
    greedy: Sequence[Instance]
    n_done: int
    sampler: Sampler | None = None
    drive: Drive | None = None


@final
class FamilyRun:
    """The models of a job, ``models_at_once`` side by side, the held-out ones last.

    Parameters
    ----------
    job, folder, ledger
        What is sampled, and where it goes.
    instances : sequence of Instance
        Of all tasks.
    checkers, pool
        Judge; the pool holds the checkers.
    write_checkers : callable
        Records how completions are judged; called when that has changed.
    observer, make_sampler, make_scorer
        As in `passuntil.runner.run.run_job`.
    """

    def __init__(
        self,
        job: Job,
        folder: Path,
        *,
        ledger: SqliteLedger,
        instances: Sequence[Instance],
        checkers: Mapping[str, Checker],
        pool: CheckerPool,
        write_checkers: Callable[[], None],
        observer: Observer,
        make_sampler: Callable[[Job, ModelSpec], Sampler],
        make_scorer: Callable[[Job, ModelSpec], Scorer],
    ) -> None:
        self._job = job
        self._folder = folder
        self._ledger = ledger
        exact = {task.name for task in job.tasks if task.method == "likelihood"}
        self._instances = [i for i in instances if i.task not in exact]
        self._exact = [i for i in instances if i.task in exact]
        self._checkers = checkers
        self._make_scorer = make_scorer
        # tasks may share a checker
        self._timed = {c for c in checkers.values() if isinstance(c, TimedChecker)}
        self._shares = PoolShares(pool)
        self._write_checkers = write_checkers
        self._described = self._describe()
        self._n_faults: dict[str, int] = {}
        self._observer = observer
        self._make_sampler = make_sampler
        self._engines: dict[str, Any] = dict(ledger.read_meta("engines") or {})

    def run(self) -> None:
        """Sample and measure what the ledger does not hold yet.

        Raises
        ------
        EngineError, CheckerError, UsageError, LedgerError
            One model's ends all; what was judged of any is in the ledger.
        """
        job = self._job
        ordered = sorted(job.family, key=lambda model: model.held_out)  # stable
        places = {model.name: place for place, model in enumerate(ordered)}
        fitted = [model for model in ordered if not model.held_out]
        if job.forecast is not None:
            self._sample_rounds(fitted, places)
        known = fold(self._ledger, rules_of(job, self._ledger))
        groups = [fitted, ordered[len(fitted) :]]
        if job.models_at_once == 1:
            groups = [[model] for model in ordered]
        for group in groups:
            for model in group:
                if model.held_out:
                    for path in seal_forecasts(job, self._folder, model):
                        self._observer.on_forecast(path)
            self._sample([self._part(model, known, places[model.name]) for model in group])
            for model in group:
                self._measure(model, places[model.name])

    def _sample_rounds(self, models: Sequence[ModelSpec], places: Mapping[str, int]) -> None:
        """Sample the models in rounds until the forecast that steers them is known."""

        def find_state(model: str, task: str, instance: str) -> InstanceState | None:
            record = known.get((model, task, instance))
            return record.state if record else None

        check_rounds(self._job, self._instances)
        is_wanted = True
        while is_wanted:
            known = fold(self._ledger, rules_of(self._job, self._ledger))
            self._sample([self._part(model, known, places[model.name]) for model in models])
            known = fold(self._ledger, rules_of(self._job, self._ledger))
            is_wanted = False
            for task, words in decide_rounds(self._job, self._ledger, find_state):
                is_wanted = True
                if isinstance(self._observer, RoundObserver):
                    self._observer.on_round(task, words)

    def _measure(self, model: ModelSpec, n_done: int) -> None:
        """Calculate the pass rates of the tasks that are not sampled."""

        def on_start() -> None:
            self._observer.on_model(model, n_done, len(self._job.family))
            self._write_weights(model)

        def on_engine(provenance: Mapping[str, object]) -> None:
            self._engines.setdefault(model.name, []).append(dict(provenance))
            self._ledger.write_meta("engines", self._engines)

        measure_exact(
            self._job,
            model,
            self._exact,
            checkers=self._checkers,
            ledger=self._ledger,
            on_start=on_start,
            on_engine=on_engine,
            make_scorer=self._make_scorer,
        )

    def _part(
        self, model: ModelSpec, known: Mapping[tuple[str, str, str], InstanceRecord], n_done: int
    ) -> _Part:
        job = self._job
        runs, greedy = [], []
        rule = rules_of(job, self._ledger)
        for instance in self._instances:
            key = (model.name, instance.task, instance.id)
            record = known.get(key)
            state = record.state if record else InstanceState(rule(*key))
            keeps_all = job.keep_texts == "all"
            runs.append(InstanceRun(model.name, instance, state, keeps_all=keeps_all))
            if job.greedy and (record is None or record.is_greedy_pass is None):
                greedy.append(instance)
        goal = job.goal(model)
        if goal is not None:  # which instances are done follows from the verdicts of all
            for task in dict.fromkeys(run.instance.task for run in runs):
                group = [run.state for run in runs if run.instance.task == task]
                Steering(goal, group).advance()
        return _Part(model, runs, greedy, n_done)

    def _sample(self, parts: Sequence[_Part]) -> None:
        """Drive what is open, in turns, a few models at a time."""
        waiting = deque(p for p in parts if p.greedy or any(run.is_open for run in p.runs))
        going: list[_Part] = []
        try:
            while waiting or going:
                while waiting and len(going) < self._job.models_at_once:
                    going.append(waiting.popleft())
                    self._begin(going[-1])
                for part in [part for part in going if not self._advance(part)]:
                    self._write_end(part)
                    going.remove(part)
                    self._close(part)
        except LedgerError:
            raise  # nothing more can be written
        except BaseException as error:
            for part in going:
                if part.drive is not None:
                    if isinstance(error, PassUntilError):  # no other comes amid a write
                        part.drive.flush()
                    self._write_end(part)
            raise
        finally:
            for part in going:
                self._close(part)

    def _begin(self, part: _Part) -> None:
        self._observer.on_model(part.model, part.n_done, len(self._job.family))
        self._write_weights(part.model)
        part.sampler = self._make_sampler(self._job, part.model)

    def _close(self, part: _Part) -> None:
        if part.sampler is not None:
            part.sampler.close()

    def _advance(self, part: _Part) -> bool:
        """Give a model one turn; False when it is done."""
        if part.drive is None:
            assert part.sampler is not None
            if isinstance(part.sampler, StartsMeanwhile) and not part.sampler.is_ready:
                time.sleep(_LOOK_S)
                return True
            part.drive = self._drive(part, part.sampler)
        part.drive.watch.skip()
        return part.drive.advance()

    def _drive(self, part: _Part, sampler: Sampler) -> Drive:
        job, name = self._job, part.model.name
        # a list: a run that is resumed may go on with another version or device
        # what is in flight when a driver is killed is in no count: `is_ended` says where
        start = {**sampler.provenance, "is_ended": False}
        self._engines.setdefault(name, []).append(start)
        self._ledger.write_meta("engines", self._engines)
        self._write_faults(name, part.runs)  # those of earlier starts are tried again
        return Drive(
            name,
            part.runs,
            greedy=part.greedy,
            decodings={task.name: job.decoding(task) for task in job.tasks},
            sampler=sampler,
            pool=self._shares.of(name),
            ledger=self._ledger,
            run_seed=job.seed if job.seeding == "per_sample" else None,
            on_progress=self._on_progress,
            goal=job.goal(part.model),
        )

    def _on_progress(self, snapshot: Snapshot) -> None:
        """Record at once what is in no block, so that a killed run's folder is right too."""
        n_faults = sum(run.fault is not None for run in snapshot.instances)
        if n_faults != self._n_faults.get(snapshot.model, 0):
            self._write_faults(snapshot.model, snapshot.instances)
        described = self._describe()
        if described != self._described:
            self._described = described
            self._write_checkers()
        self._observer.on_progress(snapshot)

    def _describe(self) -> dict[str, Mapping[str, object]]:
        return {task: checker.describe() for task, checker in self._checkers.items()}

    def _write_weights(self, model: ModelSpec) -> None:
        """Record which weights are sampled; a run does not go on with others at the same path."""
        location = self._job.model_location(model)
        if not isinstance(location, Path):
            return  # a hub id; its revision is part of the job
        digest = weights_digest(location)
        found: dict[str, Any] = dict(self._ledger.read_meta("weights") or {})
        if found.setdefault(model.name, digest) != digest:
            raise UsageError(
                f"run {self._folder}: got other files in {location} than {model.name} was begun "
                "with; allowed: the same; choose another folder with -o, or restore the model."
            )
        self._ledger.write_meta("weights", found)

    def _write_end(self, part: _Part) -> None:
        model = part.model.name
        assert part.drive is not None
        self._write_faults(model, part.runs)
        self._write_speed(model, part.drive)
        self._write_profile(model, part.drive)
        self._engines[model][-1]["is_ended"] = True
        self._ledger.write_meta("engines", self._engines)

    def _write_speed(self, model: str, drive: Drive) -> None:
        """Add up what was drawn and how long it took, over all starts; plans need the speed."""
        found: dict[str, Any] = dict(self._ledger.read_meta("speeds") or {})
        before = found.get(model, {"samples": 0, "tokens": 0, "seconds": 0.0})
        last = drive.snapshot()
        speed = {
            "samples": before["samples"] + last.n_samples,
            "tokens": before["tokens"] + last.n_tokens,
            "seconds": before["seconds"] + last.elapsed_s,
        }
        self._ledger.write_meta("speeds", {**found, model: speed})

    def _write_profile(self, model: str, drive: Drive) -> None:
        """Add up where the time went, over all starts."""
        found: dict[str, Any] = dict(self._ledger.read_meta("profiles") or {})
        seconds = {str(phase): time for phase, time in drive.watch.seconds.items()}
        taken = [checker.take(model) for checker in self._timed]
        checks = {"n": sum(n for n, _ in taken), "thread_seconds": sum(s for _, s in taken)}
        now = {"seconds": seconds, "checks": checks}
        self._ledger.write_meta("profiles", {**found, model: add_profiles(found.get(model), now)})

    def _write_faults(self, model: str, runs: Sequence[InstanceRun]) -> None:
        """Record the aborted instances, for reports; a resumed run tries them again."""
        faults: dict[str, dict[str, str]] = {}
        for run in runs:
            if run.fault is not None:
                faults.setdefault(run.instance.task, {})[run.instance.id] = str(run.fault)
        self._n_faults[model] = sum(map(len, faults.values()))
        found: dict[str, Any] = dict(self._ledger.read_meta("faults") or {})
        if faults or model in found:
            self._ledger.write_meta("faults", {**found, model: faults})
