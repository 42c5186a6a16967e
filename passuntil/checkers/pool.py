"""Judging completions as they finish: threads, retries, and one judgement per distinct text."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Protocol, Self, final, runtime_checkable

from passuntil.checkers.decoding import DecodingThread
from passuntil.errors import CheckerError, UsageError, nearest
from passuntil.ports import Checker, Undecoded
from passuntil.records import Completion, Instance, SampleKey, Verdict

__all__ = ["BatchChecker", "CheckerPool", "Judgement"]

# time for a check in progress to end by itself before its checker is closed under it
_JOIN_S = 5.0


@runtime_checkable
class BatchChecker(Checker, Protocol):
    """A checker that judges many completions faster than one after the other."""

    @property
    def batch_size(self) -> int:
        """Number of completions that `check_many` usefully takes at once, >= 1."""
        ...

    def check_many(
        self, samples: Sequence[tuple[Instance, Completion]]
    ) -> list[Verdict | CheckerError]:
        """Judge each as `check` would; a fault stands where `check` would have raised it."""
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """A completion and its verdict, or the fault that kept it from one. Exactly one is None."""

    completion: Completion
    verdict: Verdict | None
    error: CheckerError | None = None

    @property
    def key(self) -> SampleKey:
        """Which sample it is."""
        return self.completion.key


@dataclass(frozen=True, slots=True)
class _Job:
    digest: bytes
    instance: Instance
    completion: Completion


@final
class CheckerPool:
    """Calls checkers from threads; one thread submits and collects.

    Cheap checkers judge inside `submit`. The others have `concurrency` threads each (a checker
    that serves several tasks has them once), and equal text of an instance is judged once: later
    ones take the cached verdict, or join the judgement in progress. A thread before them decodes
    what has no text yet.

    Parameters
    ----------
    checkers : mapping of str to Checker
        By task name. The pool closes them.
    retries : int
        How often a check that raised ``CheckerError`` is tried again, >= 0.
    max_backlog : int
        Completions waiting for a verdict at which `submit` blocks, >= 1.
    max_cached : int
        Verdicts remembered, least recently used ones leave first; >= 0. About 200 bytes each.

    Notes
    -----
    A ``CheckerError`` is never cached: it reaches all completions that joined, and the next equal
    text is judged anew. What waits for a `BatchChecker` is shared out evenly among its threads, a
    batch each; nothing waits for a batch to fill. Any other exception of a checker, such as the
    UsageError of a broken task, is raised by the next call.
    """

    def __init__(
        self,
        checkers: Mapping[str, Checker],
        *,
        retries: int = 2,
        max_backlog: int = 4096,
        max_cached: int = 100_000,
    ) -> None:
        for name, value, least in (
            ("retries", retries, 0),
            ("max_backlog", max_backlog, 1),
            ("max_cached", max_cached, 0),
        ):
            if value < least:
                raise UsageError(f"{name}: got {value}; allowed: >= {least}; raise it.")
        self._checkers = dict(checkers)
        self._cheap = {task: c for task, c in checkers.items() if c.is_cheap}
        self._retries = retries
        self._max_backlog = max_backlog
        self._max_cached = max_cached
        self._results: SimpleQueue[Judgement | None] = SimpleQueue()  # None only wakes `collect`
        self._queues: dict[int, SimpleQueue[_Job | None]] = {}  # by id(checker)
        self._decoding = DecodingThread(self._take, self._fail)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._has_room = threading.Condition(self._lock)
        # guarded by the lock:
        self._backlog = 0
        self._n_joined = 0
        self._cache: OrderedDict[bytes, Verdict] = OrderedDict()
        self._in_progress: dict[bytes, list[Completion]] = {}
        self._fatal: BaseException | None = None
        self._is_closed = False

    @property
    def backlog(self) -> int:
        """Completions without a verdict. Once it is 0, one `collect` returns all that is left."""
        return self._backlog

    @property
    def n_joined(self) -> int:
        """Completions that took the verdict of an equal text."""
        return self._n_joined

    def submit(self, instance: Instance, finished: Completion | Undecoded) -> None:
        """Take a completion; blocks while the backlog is full.

        Raises
        ------
        UsageError
            No checker has the instance's task, or the pool is closed.
        """
        if self._fatal is not None:
            raise self._fatal
        if self._is_closed or instance.task not in self._checkers:
            raise self._refusal(instance.task)
        if instance.task in self._cheap:
            # a text costs less than what a thread that decodes takes from this one
            completion = finished.completion() if isinstance(finished, Undecoded) else finished
            self._results.put(self._judge(self._cheap[instance.task], instance, completion))
            return
        with self._lock:
            while self._backlog >= self._max_backlog and self._fatal is None:
                self._has_room.wait()
            self._backlog += 1
        if isinstance(finished, Undecoded):
            self._decoding.put(instance, finished)
        else:
            self._take(instance, finished)

    def collect(self, timeout_s: float = 0.0) -> list[Judgement]:
        """Return the judgements not yet returned, in any order.

        If there are none but some are on their way, waits up to `timeout_s` seconds for the first.
        """
        is_idle = self._backlog == 0  # read before the queue: results are put before it falls
        judgements: list[Judgement] = []
        try:
            first = self._results.get(block=not is_idle and timeout_s > 0, timeout=timeout_s)
            while True:
                if first is not None:
                    judgements.append(first)
                first = self._results.get_nowait()
        except Empty:
            pass
        if self._fatal is not None and not judgements:
            raise self._fatal
        return judgements

    def close(self) -> None:
        """Drop what is not judged, end the threads, close the checkers. Idempotent."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._decoding.close(_JOIN_S)
        for queue in self._queues.values():
            for _ in self._threads:
                queue.put(None)
        for thread in self._threads:
            thread.join(_JOIN_S)
        for checker in {id(c): c for c in self._checkers.values()}.values():
            checker.close()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, instance: Instance, completion: Completion) -> None:
        """Hand a completion to its checker, unless an equal one is judged or about to be."""
        job = _Job(_digest(instance, completion), instance, completion)
        with self._lock:
            if self._is_closed:
                return
            verdict = self._cache.get(job.digest)
            if verdict is not None:
                self._cache.move_to_end(job.digest)
                self._n_joined += 1
                self._results.put(Judgement(completion, verdict))
                self._leave(1)
                return
            joined = self._in_progress.setdefault(job.digest, [])
            joined.append(completion)
            if len(joined) > 1:
                self._n_joined += 1
                return
        self._queue(self._checkers[instance.task]).put(job)

    def _leave(self, n: int) -> None:
        self._backlog -= n
        self._has_room.notify_all()

    def _judge(self, checker: Checker, instance: Instance, completion: Completion) -> Judgement:
        for attempt in range(self._retries + 1):
            try:
                return Judgement(completion, checker.check(instance, completion))
            except CheckerError as error:
                if attempt == self._retries or self._is_closed:
                    return Judgement(completion, None, error)
        raise AssertionError("unreachable")

    def _fail(self, error: BaseException) -> None:
        """Have the driver's thread raise it."""
        with self._lock:
            self._fatal = error
            self._has_room.notify_all()
        self._results.put(None)

    def _queue(self, checker: Checker) -> SimpleQueue[_Job | None]:
        """Return the checker's queue; its threads start with the first completion."""
        with self._lock:  # texts come from two threads
            queue = self._queues.get(id(checker))
            if queue is None:
                queue = self._queues[id(checker)] = SimpleQueue()
                for i in range(max(1, checker.concurrency)):
                    thread = threading.Thread(
                        target=self._work, args=(checker, queue), name=f"checker-{i}", daemon=True
                    )
                    self._threads.append(thread)
                    thread.start()
        return queue

    def _work(self, checker: Checker, queue: SimpleQueue[_Job | None]) -> None:
        while (job := queue.get()) is not None and not self._is_closed:
            jobs = [job, *self._more(checker, queue)]
            try:
                judgements = self._judge_all(checker, jobs)
            except BaseException as error:
                self._fail(error)
                return
            for each, judgement in zip(jobs, judgements, strict=True):
                self._publish(each, judgement)

    def _more(self, checker: Checker, queue: SimpleQueue[_Job | None]) -> list[_Job]:
        """Take this thread's share of what else waits, if the checker judges many at once."""
        if not isinstance(checker, BatchChecker):
            return []
        share = -(-queue.qsize() // max(1, checker.concurrency))
        jobs: list[_Job] = []
        while len(jobs) < min(share, checker.batch_size - 1):
            try:
                job = queue.get_nowait()
            except Empty:
                break
            if job is None:  # the end, for this thread
                queue.put(None)
                break
            jobs.append(job)
        return jobs

    def _judge_all(self, checker: Checker, jobs: Sequence[_Job]) -> list[Judgement]:
        if len(jobs) == 1 or not isinstance(checker, BatchChecker):
            return [self._judge(checker, job.instance, job.completion) for job in jobs]
        verdicts = checker.check_many([(job.instance, job.completion) for job in jobs])
        return [
            self._judge(checker, job.instance, job.completion)
            if isinstance(verdict, CheckerError)
            else Judgement(job.completion, verdict)
            for job, verdict in zip(jobs, verdicts, strict=True)
        ]

    def _publish(self, job: _Job, judgement: Judgement) -> None:
        with self._lock:
            completions = self._in_progress.pop(job.digest)
            for completion in completions:
                self._results.put(Judgement(completion, judgement.verdict, judgement.error))
            if judgement.verdict is not None:
                self._cache[job.digest] = judgement.verdict
                if len(self._cache) > self._max_cached:
                    self._cache.popitem(last=False)
            self._leave(len(completions))

    def _refusal(self, task: str) -> UsageError:
        if self._is_closed:
            return UsageError("checker pool: got a completion after close; make a new pool.")
        return UsageError(
            f"task: got {task!r}; allowed: {', '.join(self._checkers)}; give the pool a checker "
            f"for it.{nearest(task, self._checkers)}"
        )


def _digest(instance: Instance, completion: Completion) -> bytes:
    """Address a judgement: what a verdict may depend on, in 16 bytes however long the text."""
    head = f"{len(instance.task)}:{instance.task}{len(instance.id)}:{instance.id}"
    content = f"{head}{completion.finish_reason.value}:{completion.text}"
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()
