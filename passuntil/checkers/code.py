"""Code tests: the completion runs in a jail, its answers are judged outside of it."""

from __future__ import annotations

import hashlib
import itertools
import os
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, final

from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.jail import JailPlan
from passuntil.checkers.sandbox.probe import IsolationReport, probe
from passuntil.checkers.sandbox.selftest import self_test
from passuntil.checkers.sandbox.worker import Limits, Problem, Worker
from passuntil.errors import CheckerError, NoIsolationError, UsageError
from passuntil.records import CodeTests, Completion, Instance, Verdict

__all__ = ["CodeChecker", "CodeLimits"]

VERSION = 1
"""Raised whenever a verdict could change."""

_DIVERGED = "diverged"
_MOST_WORDS = 1 << 17  # about 20 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLimits:
    """What one sample may use.

    Parameters
    ----------
    cpu_time_s : float
        CPU time that every sample has, in seconds.
    cpu_time_factor : float
        A sample has this many times the CPU time of the canonical solution, where that is more.
    blocked_factor : float
        A sample may sleep this many times its CPU limit, at least `blocked_s`. Time spent waiting
        for a busy CPU does not count, so a loaded host changes no verdict.
    blocked_s : float
        Least limit on sleeping, in seconds.
    memory_bytes : int
        Address space of a sample, the interpreter included.
    output_bytes : int
        Bytes of answers that every sample has, beyond 4 times the canonical solution's.
    source_bytes : int
        Longest program that is run.
    judge_cpu_time_s : float
        CPU time of one judgement, beyond 20 times that of the canonical solution's answers.
    """

    cpu_time_s: float = 0.1
    cpu_time_factor: float = 20.0
    blocked_factor: float = 3.0
    blocked_s: float = 1.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 4096
    source_bytes: int = 256 * 1024
    judge_cpu_time_s: float = 1.0

    def __post_init__(self) -> None:
        least = {"memory_bytes": 128 << 20, "output_bytes": 256, "source_bytes": 256}
        for name, value in asdict(self).items():
            lowest = least.get(name, 0)
            if not (value >= lowest and value > 0):
                raise UsageError(
                    f"{name}: got {value!r}; allowed: > 0"
                    + (f" and >= {lowest}" if lowest else "")
                    + "; give a limit an honest program can meet."
                )


@final
class CodeChecker:
    """Judges completions of code problems in HumanEval's format.

    The program ``target.prompt + completion.text`` runs in a fresh child of a jailed process. It
    gets the inputs that the test uses and returns plain values; the test itself runs elsewhere,
    against the recorded values. Expected values, tests and canonical solutions never exist in the
    jail of the candidates, so a pass can be had only by answering right.

    Fail reasons: ``fail`` (the test rejected the answers), ``error`` (the program raised),
    ``timeout`` (CPU time, or asleep too long), ``memory``, ``crash`` (died, or left without an
    answer), ``flood`` (too much output), ``garbled`` (output of no known form), ``opaque`` (a
    value that is not plain), ``too_large`` (source).

    Parameters
    ----------
    limits : CodeLimits, optional
        What a sample may use.
    n_workers : int, optional
        Number of jails; by default one per usable CPU.
    plan : JailPlan, optional
        The jail to use; by default the strongest that works here.
    confirms_passes : bool
        True judges every pass a second time, alone in a fresh child and without any cache, and
        only two passes are one: a program that is right by chance of time or addresses is not.
    settles : bool
        True settles programs without running them where they do not compile, or compile to what
        was judged before. A pass is then always judged again from its source.

    Raises
    ------
    NoIsolationError
        No jail works here, or a program of the self-test was not stopped.
    """

    def __init__(
        self,
        *,
        limits: CodeLimits | None = None,
        n_workers: int | None = None,
        plan: JailPlan | None = None,
        confirms_passes: bool = True,
        settles: bool = True,
    ) -> None:
        self._confirms_passes = confirms_passes
        self._settles = settles
        self._codes: dict[bytes, str] = {}
        self._limits = limits or CodeLimits()
        count = n_workers if n_workers is not None else len(os.sched_getaffinity(0))
        if count < 1:
            raise UsageError(f"n_workers: got {count}; allowed: >= 1; one per CPU is best.")
        self._report = _isolation(plan, self._limits.memory_bytes)
        chosen = self._report.plan
        if chosen is None:
            raise NoIsolationError(self._report.refusal())
        # The kernel ends a jail when the thread that started it ends, so threads of a pool, which
        # come and go, must not start one.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="jail-starter")
        self._all = [Worker(chosen, self._starter) for _ in range(count)]
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        for worker in reversed(self._all):  # last in, first out: the tested one is warm
            self._idle.put(worker)
        self._problems: dict[CodeTests, Problem] = {}
        self._words: dict[bytes, str] = {}
        self._refused: dict[CodeTests, str] = {}
        self._keys = itertools.count(1)
        self._lock = threading.Lock()
        self._preparing: dict[CodeTests, threading.Lock] = {}
        self._is_closed = False
        try:
            self_test(self._all[0])
        except BaseException:
            self.close()
            raise

    @property
    def concurrency(self) -> int:
        """Number of threads that may usefully call `check` at once."""
        return len(self._all)

    @property
    def is_cheap(self) -> bool:
        """A check takes milliseconds: worth a thread and a cache."""
        return False

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        """Judge one completion.

        Raises
        ------
        UsageError
            The instance is not a code problem, or one whose test cannot be judged from outside.
        CheckerError
            A jailed process failed or was killed; the next call starts a new one.
        """
        problem = self.prepare(instance)
        assert isinstance(instance.target, CodeTests)
        program = (instance.target.prompt + completion.text).encode("utf-8", "surrogatepass")
        if len(program) > self._limits.source_bytes:
            return Verdict.failed("too_large")
        worker = self._take()
        try:
            reason = self._settled(worker, problem, program)
            if reason == "pass" and (self._confirms_passes or self._settles):
                reason = self._judge(worker, problem, program)
        finally:
            self._give_back(worker)
        return Verdict.passed() if reason == "pass" else Verdict.failed(reason)

    def prepare(self, instance: Instance) -> Problem:
        """Record the calls of an instance's test and measure its canonical solution, once.

        Raises
        ------
        UsageError
            As for `check`.
        """
        target = instance.target
        if not isinstance(target, CodeTests):
            raise UsageError(
                f"instance {instance.id}: got a target of type {type(target).__name__}; allowed: "
                "CodeTests; choose the checker that fits the task."
            )
        problem = self._problems.get(target)
        if problem is not None:
            return problem
        with self._lock:
            lock = self._preparing.setdefault(target, threading.Lock())
        with lock:
            if target in self._refused:
                raise UsageError(self._refused[target])
            if target not in self._problems:
                worker = self._take()
                try:
                    self._problems[target] = self._prepared(worker, instance, target)
                finally:
                    self._give_back(worker)
            return self._problems[target]

    def describe(self) -> Mapping[str, object]:
        """Return name, version, isolation level, limits and interpreter."""
        return {
            "name": "code",
            "version": VERSION,
            "judging": "split",
            "confirms_passes": self._confirms_passes or self._settles,
            "settles": self._settles,
            "isolation": self._report.to_json(),
            "limits": asdict(self._limits),
            "n_workers": len(self._all),
        }

    def close(self) -> None:
        """End all processes, those of checks that run as well. Idempotent."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        for _ in self._all:
            # a check in flight ends by its own limits
            self._idle.get().close()
        self._starter.shutdown()

    def _take(self) -> Worker:
        while True:
            if self._is_closed:
                raise CheckerError("checker: got a check after close(); allowed: before; open one.")
            try:
                return self._idle.get(timeout=1.0)
            except queue.Empty:
                continue

    def _give_back(self, worker: Worker) -> None:
        self._idle.put(worker)

    def _settled(self, worker: Worker, problem: Problem, program: bytes) -> str:
        """Return the reason, without a run where the program does not compile or is known.

        Nothing here is trusted with a pass: that is judged from the source afterwards.
        """
        if not self._settles or problem.is_live:
            return self._judge(worker, problem, program)
        compiled = worker.compile(program, cpu_time_s=problem.limits.cpu_time_s)
        if compiled is None:
            return self._judge(worker, problem, program)
        if compiled.reason:
            return compiled.reason
        key = problem.key.to_bytes(8, "little") + compiled.key
        reason = self._codes.get(key)
        if reason is None:
            answer = worker.run(problem, compiled.code, is_code=True)
            reason = answer.reason or self._word(worker, problem, answer.outputs)
            if reason == _DIVERGED:
                reason = worker.judge_live(problem, program).reason
            if len(self._codes) >= _MOST_WORDS:
                self._codes.clear()
            self._codes[key] = reason
        return reason

    def _judge(self, worker: Worker, problem: Problem, program: bytes) -> str:
        """Return the reason, from the source in a fresh child and without any cache."""
        if not problem.is_live:
            answer = worker.run(problem, program)
            if answer.reason:
                return answer.reason
            reason = worker.judge_outputs(problem, answer.outputs)
            if reason != _DIVERGED:
                return reason
        return worker.judge_live(problem, program).reason

    def _word(self, worker: Worker, problem: Problem, outputs: bytes) -> str:
        """Return the judge's word, asked once for the same outputs of the same problem.

        What the test does with the outputs depends on nothing else, unless it called with other
        arguments than were recorded.
        """
        key = problem.key.to_bytes(8, "little") + hashlib.blake2b(outputs, digest_size=16).digest()
        reason = self._words.get(key)
        if reason is None:
            reason = worker.judge_outputs(problem, outputs)
            if len(self._words) >= _MOST_WORDS:
                self._words.clear()
            self._words[key] = reason
        return reason

    def _prepared(self, worker: Worker, instance: Instance, target: CodeTests) -> Problem:
        key = next(self._keys)
        request = {
            "key": key,
            "prompt": target.prompt,
            "test": target.test,
            "entry_point": target.entry_point,
            "canonical_solution": target.canonical_solution,
        }
        answer = worker.prepare(wire.dumps(request), cpu_time_s=60.0)
        known: dict[str, Any] = {"error": "ran for 60 s of CPU time"}
        if answer:
            known = wire.loads(answer)
        if known["error"] is not None:
            self._refused[target] = (
                f"instance {instance.id}: its canonical solution got {known['error']!r} from "
                "its own test; allowed: a pass with plain arguments and return values; correct the "
                "task file or leave the instance out."
            )
            raise UsageError(self._refused[target])
        calls = wire.dumps(known["calls"])
        return Problem(
            key=key,
            entry_point=target.entry_point,
            calls=calls,
            is_live=known["is_live"],
            sources=wire.dumps({**request, "calls": known["calls"]}),
            limits=self._sample_limits(known, len(calls)),
        )

    def _sample_limits(self, known: Mapping[str, Any], n_call_bytes: int) -> Limits:
        limits = self._limits
        cpu_time_s = max(limits.cpu_time_s, limits.cpu_time_factor * known["cpu_time_s"])
        return Limits(
            cpu_time_s=cpu_time_s,
            blocked_s=max(limits.blocked_s, limits.blocked_factor * cpu_time_s),
            # a solution may also change its arguments, which then come back
            output_bytes=limits.output_bytes + 4 * (int(known["output_bytes"]) + n_call_bytes),
            judge_cpu_time_s=limits.judge_cpu_time_s + 20 * known["check_cpu_time_s"],
        )


def _isolation(plan: JailPlan | None, memory_bytes: int) -> IsolationReport:
    if plan is None:
        return probe(memory_bytes=memory_bytes)
    return IsolationReport.of(plan)
