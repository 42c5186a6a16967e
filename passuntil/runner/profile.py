"""Where the time of a run goes: laps of the drive's loop, and the checks beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, final, runtime_checkable

from passuntil.checkers.pool import BatchChecker
from passuntil.errors import CheckerError
from passuntil.ports import Checker
from passuntil.records import Completion, Instance, Verdict

__all__ = ["Phase", "SplitsSteps", "Stopwatch", "TimedChecker", "add_profiles", "timed"]


class Phase(StrEnum):
    """What the driver's thread is busy with; one at a time, so that the shares add up to 1.

    Sampling, the engine's scheduling and detokenising are in the engine step unless the sampler
    tells them apart (`SplitsSteps`). Texts that a thread of the checker pool makes are in none;
    those that cheap checkers judge are made while handing over.
    """

    PLAN = "planning"
    SUBMIT = "submitting"
    ENGINE = "engine step"
    SAMPLING = "sampling"
    SCHEDULING = "scheduling"
    DETOKENISING = "detokenising"
    HAND_OVER = "handing over"
    VERDICTS = "taking verdicts"
    ABORT = "aborting"
    LEDGER = "ledger"
    DISPLAY = "display"
    WAIT = "waiting for checks"


@final
class Stopwatch:
    """Adds up laps: each ends a phase, and the next begins there, so no time is left out.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> watch.lap(Phase.PLAN)
    >>> list(watch.seconds)
    [<Phase.PLAN: 'planning'>]
    """

    __slots__ = ("_last", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[Phase, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: Phase) -> None:
        """Count the time since the lap before to `phase`."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now

    def skip(self) -> None:
        """Leave out the time since the lap before: others had it."""
        self._last = time.perf_counter()

    def split(self, whole: Phase, parts: Mapping[str, float]) -> None:
        """Count seconds that lie within a phase to others instead."""
        for part, seconds in parts.items():
            self.seconds[whole] = self.seconds.get(whole, 0.0) - seconds
            self.seconds[Phase(part)] = self.seconds.get(Phase(part), 0.0) + seconds


@runtime_checkable
class SplitsSteps(Protocol):
    """A sampler that can tell what its steps are made of."""

    def take_step_parts(self) -> Mapping[str, float]:
        """Return seconds since the last call by the value of a `Phase`; none if not asked to."""
        ...


class TimedChecker:
    """A checker that knows how long its checks took, in all threads together."""

    def __init__(self, inner: Checker) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._taken: dict[str, tuple[int, float]] = {}  # by model

    @property
    def concurrency(self) -> int:
        """Of the checker inside."""
        return self._inner.concurrency

    @property
    def is_cheap(self) -> bool:
        """Of the checker inside."""
        return self._inner.is_cheap

    def prepare(self, instance: Instance) -> object:
        """Make ready; see ``passuntil.ports.Checker.prepare``."""
        return self._inner.prepare(instance)

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        """Judge one completion; see ``passuntil.ports.Checker.check``."""
        begin = time.perf_counter()
        try:
            return self._inner.check(instance, completion)
        finally:
            self._add([completion], time.perf_counter() - begin)

    def _add(self, completions: Sequence[Completion], seconds: float) -> None:
        """Share the time out evenly."""
        with self._lock:
            for completion in completions:
                n, before = self._taken.get(completion.key.model, (0, 0.0))
                added = seconds / len(completions)
                self._taken[completion.key.model] = (n + 1, before + added)

    def take(self, model: str) -> tuple[int, float]:
        """Return a model's checks and seconds since the last call."""
        with self._lock:
            return self._taken.pop(model, (0, 0.0))

    def describe(self) -> Mapping[str, object]:
        """Return what a report must say of it."""
        return self._inner.describe()

    def close(self) -> None:
        """Free processes. Idempotent."""
        self._inner.close()


@final
class TimedBatchChecker(TimedChecker):
    """The same for a checker that judges many at once."""

    def __init__(self, inner: BatchChecker) -> None:
        super().__init__(inner)
        self._batches = inner

    @property
    def batch_size(self) -> int:
        """Of the checker inside."""
        return self._batches.batch_size

    def check_many(
        self, samples: Sequence[tuple[Instance, Completion]]
    ) -> list[Verdict | CheckerError]:
        """Judge each; see ``passuntil.checkers.pool.BatchChecker.check_many``."""
        begin = time.perf_counter()
        try:
            return self._batches.check_many(samples)
        finally:
            self._add([c for _, c in samples], time.perf_counter() - begin)


def timed(checkers: Mapping[str, Checker]) -> dict[str, Checker]:
    """Return the checkers, those with threads of their own timed; shared ones stay shared.

    A cheap check takes about as long as reading the clock; the driver's thread counts it as
    handing over.
    """
    wrapped = {id(checker): _timed(checker) for checker in checkers.values()}
    return {task: wrapped[id(checker)] for task, checker in checkers.items()}


def _timed(checker: Checker) -> Checker:
    if checker.is_cheap:
        return checker
    if isinstance(checker, BatchChecker):
        return TimedBatchChecker(checker)
    return TimedChecker(checker)


def add_profiles(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sum of two profiles of one model: a resumed run adds to what it recorded."""
    if before is None:
        return dict(now)
    return {
        key: add_profiles(before.get(key), value)
        if isinstance(value, Mapping)
        else before.get(key, 0) + value
        for key, value in now.items()
    } | {key: value for key, value in before.items() if key not in now}
