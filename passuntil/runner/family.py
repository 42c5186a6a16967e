"""The models of a run: whose engine runs when, and what is recorded of each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, final, runtime_checkable

from passuntil.checkers.pool import CheckerPool
from passuntil.config import Job, ModelSpec
from passuntil.errors import LedgerError, PassUntilError
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Checker, Sampler
from passuntil.records import Instance
from passuntil.runner.drive import Drive, Snapshot
from passuntil.runner.instance import InstanceRun
from passuntil.runner.likelihood import measure_exact
from passuntil.runner.notes import ModelNotes
from passuntil.runner.record import InstanceRecord, fold
from passuntil.runner.rounds import RoundObserver, check_rounds, decide_rounds, rules_of
from passuntil.runner.sealed import seal_forecasts
from passuntil.runner.shares import PoolShares
from passuntil.runner.steered import SteeredEnds
from passuntil.sampler.scorer import Scorer
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
    share_s: float = 0.0

    def close(self) -> None:
        """Free the engine."""
        if self.sampler is not None:
            self.sampler.close()


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
        self._shares = PoolShares(pool)
        self._steered = SteeredEnds(ledger)
        self._notes = ModelNotes(job, folder, ledger, checkers, write_checkers)
        self._observer = observer
        self._make_sampler = make_sampler

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
            self._notes.write_weights(model)

        measure_exact(
            self._job,
            model,
            self._exact,
            checkers=self._checkers,
            ledger=self._ledger,
            on_start=on_start,
            on_engine=partial(self._notes.write_start, model.name),
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
            for task, states in _by_task(runs).items():
                self._steered.resteer(model.name, task, goal, states)
                self._steered.record(model.name, task, states)
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
                for part in self._take_turns(going):
                    self._write_end(part)
                    going.remove(part)
                    part.close()
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
            with ExitStack() as engines:  # one that fails to close must not leave the others
                for part in going:
                    engines.callback(part.close)

    def _take_turns(self, going: Sequence[_Part]) -> list[_Part]:
        """Give each model one turn; return those that are done."""
        begin = time.monotonic()
        done = [part for part in going if not self._advance(part)]
        driven = [part for part in going if part.drive is not None]
        for part in driven:
            part.share_s += (time.monotonic() - begin) / len(driven)
        return done

    def _write_end(self, part: _Part) -> None:
        assert part.drive is not None
        name = part.model.name
        self._notes.write_end(name, part.drive, part.runs, part.share_s)
        if self._job.goal(part.model) is not None:
            for task, states in _by_task(part.runs).items():
                self._steered.record(name, task, states)

    def _begin(self, part: _Part) -> None:
        self._observer.on_model(part.model, part.n_done, len(self._job.family))
        self._notes.write_weights(part.model)
        part.sampler = self._make_sampler(self._job, part.model)

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
        # what is in flight when a driver is killed is in no count: `is_ended` says where
        self._notes.write_start(name, {**sampler.provenance, "is_ended": False})
        self._notes.write_faults(name, part.runs)  # those of earlier starts are tried again
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
        self._notes.watch(snapshot)
        self._observer.on_progress(snapshot)


def _by_task(runs: Sequence[InstanceRun]) -> dict[str, list[InstanceState]]:
    states: dict[str, list[InstanceState]] = {}
    for run in runs:
        states.setdefault(run.instance.task, []).append(run.state)
    return states
