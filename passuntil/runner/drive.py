"""Samples one model until every instance is closed: plan, draw, judge, commit."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final, final

from passuntil.checkers.pool import Judgement
from passuntil.errors import LedgerError, PassUntilError
from passuntil.planning import Progress, interleave, next_leases
from passuntil.ports import DecodesLater, Decoding, GreedyResult, Ledger, Sampler, SampleRequest
from passuntil.records import Instance, SampleKey
from passuntil.runner.instance import InstanceRun
from passuntil.runner.profile import Phase, SplitsSteps, Stopwatch
from passuntil.runner.shares import Judge
from passuntil.steering import Goal, Steering

__all__ = ["Drive", "Snapshot"]

# The index of the greedy completion; samples begin at 1.
_GREEDY: Final = 0
# A second between transactions: what a kill can lose is drawn again.
_FLUSH_INTERVAL_S: Final = 1.0
_SNAPSHOT_INTERVAL_S: Final = 0.25
# Completions that wait for a verdict, in engine capacities, shared by the tasks: a task beyond its
# part gets no new samples until its checker has caught up, and the engine draws the others'. What
# is in the engine already may still come on top.
_BACKLOG_LIMIT: Final = 3
_WAIT_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a progress display shows.

    Parameters
    ----------
    model : str
        The model being sampled.
    instances : sequence of InstanceRun
        All its instances.
    n_samples, n_tokens : int
        Judged samples and generated tokens of this drive, overrun included.
    elapsed_s : float
        Seconds since the drive began.
    n_in_engine, backlog : int
        Requests under way, and completions that wait for a verdict.
    """

    model: str
    instances: Sequence[InstanceRun]
    n_samples: int
    n_tokens: int
    elapsed_s: float
    n_in_engine: int
    backlog: int


@final
class Drive:
    """One model's part of a run.

    Parameters
    ----------
    runs : sequence of InstanceRun
        All instances of the model, in the order they are opened.
    greedy : iterable of Instance
        Instances that still need their greedy completion.
    decodings : mapping of str to Decoding
        By task.
    sampler, pool, ledger : Sampler, Judge, Ledger
        The hands.
    run_seed : int or None
        None draws from the engine's stream.
    goal : Goal, optional
        What ends each task in target mode; the states are under ``StopRule.steered`` then.
    on_progress : callable
        Called with a `Snapshot` a few times a second.
    """

    def __init__(
        self,
        model: str,
        runs: Sequence[InstanceRun],
        *,
        greedy: Iterable[Instance],
        decodings: Mapping[str, Decoding],
        sampler: Sampler,
        pool: Judge,
        ledger: Ledger,
        run_seed: int | None,
        on_progress: Callable[[Snapshot], None],
        goal: Goal | None = None,
    ) -> None:
        self._model = model
        by_task: dict[str, list[InstanceRun]] = {}
        for run in runs:
            by_task.setdefault(run.instance.task, []).append(run)
        # tasks side by side: a slow checker of one does not leave its samples for the end
        mixed = interleave(list(by_task.values()))
        self._runs = {(run.instance.task, run.instance.id): run for run in mixed}
        self._steered = (
            []
            if goal is None
            else [(group, Steering(goal, [r.state for r in group])) for group in by_task.values()]
        )
        self._backlog: Counter[str] = Counter()  # by task
        self._backlog_limit = _BACKLOG_LIMIT * sampler.capacity // max(1, len(by_task))
        self._wanted_greedy = list(greedy)
        self._n_greedy_open = len(self._wanted_greedy)
        self._greedy: list[GreedyResult] = []
        self._decodings = decodings
        self._sampler = sampler
        self._step = sampler.step_undecoded if isinstance(sampler, DecodesLater) else sampler.step
        self._splitter = sampler if isinstance(sampler, SplitsSteps) else None
        self._pool = pool
        self._ledger = ledger
        self._run_seed = run_seed
        self._on_progress = on_progress
        self._n_in_engine = 0
        self._n_samples = 0
        self._n_tokens = 0
        self._started = self._flushed = self._shown = time.monotonic()
        self.watch = Stopwatch()

    def run(self) -> None:
        """Sample until every instance is closed or aborted.

        Raises
        ------
        EngineError, UsageError
            From the sampler; what was judged before is in the ledger.
        LedgerError
            From the ledger; what it held before is intact.
        """
        while self.advance():
            pass

    def advance(self) -> bool:
        """Take one turn; False once every instance is closed or aborted, and written.

        Raises
        ------
        EngineError, UsageError, LedgerError
            As `run`.
        """
        if self._is_done():
            self.flush()
            self._on_progress(self.snapshot())
            return False
        try:
            self._fill_engine()
            self._draw()
            self._judge()
            self._report()
        except LedgerError:
            raise  # a second write would only hide the reason
        except PassUntilError:
            self.flush()
            raise
        return True

    def _draw(self) -> None:
        """Advance the engine and pass on what it finished."""
        done = self._step()
        self.watch.lap(Phase.ENGINE)
        if self._splitter is not None:
            self.watch.split(Phase.ENGINE, self._splitter.take_step_parts())
        for finished in done:
            self._n_in_engine -= 1
            self._n_tokens += finished.n_tokens
            run = self._runs[finished.key.task, finished.key.instance]
            run.in_engine.discard(finished.key.index)
            run.n_in_pool += 1
            self._backlog[run.instance.task] += 1
            self._pool.submit(run.instance, finished)
        self.watch.lap(Phase.HAND_OVER)

    def _is_done(self) -> bool:
        return self._n_greedy_open == 0 and not any(
            run.is_open or run.n_in_pool for run in self._runs.values()
        )

    def _fill_engine(self) -> None:
        """Top the engine up once a few places are free."""
        self._steer()
        capacity = self._sampler.capacity
        room = capacity - self._n_in_engine
        if room < max(1, capacity // 32):
            return
        requests = [self._greedy_request(i) for i in self._wanted_greedy[:room]]
        del self._wanted_greedy[: len(requests)]
        held = {task for task, n in self._backlog.items() if n > self._backlog_limit}
        open_runs = [
            run for run in self._runs.values() if run.is_open and run.instance.task not in held
        ]
        leases = next_leases(
            [Progress(run.state, run.leased) for run in open_runs],
            room=room - len(requests),
            capacity=capacity,
        )
        for lease in leases:
            run = open_runs[lease.position]
            run.leased = lease.stop - 1
            indices = range(lease.start, lease.stop)
            run.in_engine.update(indices)
            requests.extend(self._requests(run, indices))
        self.watch.lap(Phase.PLAN)
        self._sampler.submit(requests)
        self.watch.lap(Phase.SUBMIT)
        self._n_in_engine += len(requests)

    def _steer(self) -> None:
        for runs, steering in self._steered:
            if not steering.is_finished:
                aborted = {i for i, run in enumerate(runs) if run.fault is not None}
                steering.advance(aborted=aborted)

    def _requests(self, run: InstanceRun, indices: range) -> Iterator[SampleRequest]:
        prompt, decoding = run.instance.prompt, self._decodings[run.instance.task]
        seeds = None if self._run_seed is None else run.seeds(self._run_seed)
        for index in indices:
            yield SampleRequest(run.key(index), prompt, decoding, seeds and seeds(index))

    def _greedy_request(self, instance: Instance) -> SampleRequest:
        key = SampleKey(self._model, instance.task, instance.id, _GREEDY)
        decoding = replace(self._decodings[instance.task], temperature=0.0, top_p=1.0, top_k=0)
        return SampleRequest(key, instance.prompt, decoding, None)

    def _judge(self) -> None:
        """Take verdicts; wait for one when the engine has nothing to do."""
        must_wait = self._pool.backlog > 0 and self._n_in_engine == 0
        judgements = self._pool.collect(timeout_s=_WAIT_S if must_wait else 0.0)
        if must_wait:
            self.watch.lap(Phase.WAIT)
        for judgement in judgements:
            self._take(judgement)
        self.watch.lap(Phase.VERDICTS)

    def _take(self, judgement: Judgement) -> None:
        completion, verdict = judgement.completion, judgement.verdict
        run = self._runs[completion.key.task, completion.key.instance]
        run.n_in_pool -= 1
        self._backlog[run.instance.task] -= 1
        is_greedy = completion.key.index == _GREEDY
        if is_greedy:
            self._n_greedy_open -= 1
        else:
            self._n_samples += 1
        if judgement.error is not None:
            if not is_greedy:  # an unjudged greedy completion is drawn again by the next start
                self._drop(run, run.take_fault(completion, judgement.error))
        elif verdict is not None and is_greedy:
            instance = run.instance
            self._greedy.append(
                GreedyResult(
                    self._model,
                    instance.task,
                    instance.id,
                    verdict.is_pass,
                    verdict.reason,
                    completion.text,
                )
            )
        elif verdict is not None:
            self._drop(run, run.take(completion, verdict))

    def _drop(self, run: InstanceRun, indices: Set[int]) -> None:
        """Abort useless samples at once and count them as overrun."""
        if not indices:
            return
        self.watch.lap(Phase.VERDICTS)
        n_tokens = self._sampler.abort([run.key(index) for index in indices])
        self.watch.lap(Phase.ABORT)
        run.in_engine.difference_update(indices)
        run.add_overrun(len(indices), n_tokens)
        self._n_in_engine -= len(indices)
        self._n_tokens += n_tokens

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._flushed >= _FLUSH_INTERVAL_S:
            self.flush()
        if now - self._shown >= _SNAPSHOT_INTERVAL_S:
            self._shown = now
            self._on_progress(self.snapshot())
            self.watch.lap(Phase.DISPLAY)

    def flush(self) -> None:
        """Write what is judged."""
        blocks = [block for run in self._runs.values() if (block := run.pop_block()) is not None]
        greedy, self._greedy = self._greedy, []
        if blocks or greedy:
            self._ledger.append(blocks, greedy)
        self.watch.lap(Phase.LEDGER)
        self._flushed = time.monotonic()

    def snapshot(self) -> Snapshot:
        """Return where the model stands."""
        return Snapshot(
            model=self._model,
            instances=tuple(self._runs.values()),
            n_samples=self._n_samples,
            n_tokens=self._n_tokens,
            elapsed_s=time.monotonic() - self._started,
            n_in_engine=self._n_in_engine,
            backlog=self._pool.backlog,
        )
