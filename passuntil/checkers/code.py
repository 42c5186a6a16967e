"""Code tests: the completion runs in a jail, its answers are judged outside of it."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import final

from passuntil.checkers.sandbox.limits import CodeLimits
from passuntil.checkers.sandbox.plan import JailPlan
from passuntil.checkers.sandbox.probe import IsolationReport, probe
from passuntil.checkers.sandbox.problem import Problem
from passuntil.checkers.sandbox.problems import Problems
from passuntil.checkers.sandbox.selftest import self_test
from passuntil.checkers.sandbox.tiers import Tiers
from passuntil.checkers.sandbox.worker import Worker
from passuntil.errors import CheckerError, NoIsolationError, UsageError
from passuntil.records import CodeTests, Completion, Instance, Verdict

__all__ = ["CodeChecker", "CodeLimits"]

VERSION = 5
"""Raised whenever a verdict could change."""


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
    batches : bool
        True runs programs that can reach nothing but themselves several to a child, which is ten
        times faster (`passuntil.checkers.sandbox.tiers`). Not without `settles`.
    unverified : bool
        True also takes problems whose test cannot be judged from outside: the test then runs
        beside the candidate, in the same jail, and whoever means to can forge a pass. Such
        instances are named by `describe`. False refuses them.
    unsafe_no_sandbox : bool
        True runs everything in plain processes with resource limits. Only for programs that you
        would run by hand; every record of the run says so.

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
        batches: bool = True,
        unverified: bool = False,
        unsafe_no_sandbox: bool = False,
    ) -> None:
        self._tiers = Tiers(
            settles=settles, batches=batches and settles, confirms_passes=confirms_passes
        )
        self._is_sandboxed = not unsafe_no_sandbox
        self._limits = limits or CodeLimits()
        count = n_workers if n_workers is not None else len(os.sched_getaffinity(0))
        if count < 1:
            raise UsageError(f"n_workers: got {count}; allowed: >= 1; one per CPU is best.")
        if unsafe_no_sandbox:
            plan = JailPlan.none(self._limits.memory_bytes)
        self._report = _isolation(plan, self._limits.memory_bytes)
        chosen = self._report.plan
        if chosen is None:
            raise NoIsolationError(self._report.refusal())
        self._has_groups = chosen.groups is not None
        # The kernel ends a jail when the thread that started it ends, so threads of a pool, which
        # come and go, must not start one.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="jail-starter")
        self._all = [Worker(chosen, self._starter) for _ in range(count)]
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        for worker in reversed(self._all):  # last in, first out: the tested one is warm
            self._idle.put(worker)
        self._problems = Problems(self._limits, takes_unverified=unverified)
        self._lock = threading.Lock()
        self._is_closed = False
        try:
            if self._is_sandboxed:
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

    @property
    def batch_size(self) -> int:
        """Number of completions that `check_many` usefully takes at once."""
        return self._tiers.most_at_once

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        """Judge one completion.

        Raises
        ------
        UsageError
            The instance is not a code problem, or one whose test cannot be judged from outside.
        CheckerError
            A jailed process failed or was killed; the next call starts a new one.
        """
        [verdict] = self.check_many([(instance, completion)])
        if isinstance(verdict, CheckerError):
            raise verdict
        return verdict

    def check_many(
        self, samples: Sequence[tuple[Instance, Completion]]
    ) -> list[Verdict | CheckerError]:
        """Judge completions, those of one instance together; a fault stands for its own samples.

        Raises
        ------
        UsageError
            As for `check`.
        """
        verdicts: list[Verdict | CheckerError] = [Verdict.failed("too_large")] * len(samples)
        programs: dict[int, bytes] = {}
        of_problem: dict[int, tuple[Problem, list[int]]] = {}
        unprepared: dict[object, CheckerError] = {}
        for number, (instance, completion) in enumerate(samples):
            try:
                if instance.target in unprepared:  # a minute each, if each tried
                    raise unprepared[instance.target]
                problem = self.prepare(instance)
            except CheckerError as error:
                verdicts[number] = unprepared[instance.target] = error
                continue
            assert isinstance(instance.target, CodeTests)
            text = instance.target.prompt + completion.text
            program = text.encode("utf-8", "surrogatepass")
            if len(program) <= self._limits.source_bytes:
                programs[number] = program
                of_problem.setdefault(problem.key, (problem, []))[1].append(number)
        for problem, numbers in of_problem.values():
            try:
                with self._borrowed() as worker:
                    reasons = self._tiers.reasons(worker, problem, [programs[n] for n in numbers])
            except CheckerError as error:
                for number in numbers:
                    verdicts[number] = error
                continue
            for number, reason in zip(numbers, reasons, strict=True):
                is_pass = reason == "pass"
                verdicts[number] = Verdict.passed() if is_pass else Verdict.failed(reason)
        return verdicts

    def prepare(self, instance: Instance) -> Problem:
        """Record the calls of an instance's test and measure its canonical solution, once.

        Raises
        ------
        UsageError
            As for `check`.
        """
        return self._problems.prepared(instance, self._borrowed)

    def describe(self) -> Mapping[str, object]:
        """Return name, version, isolation level, limits and interpreter."""
        return {
            "name": "code",
            "version": VERSION,
            "judging": "split",
            "unverified": self._problems.unverified(),
            "unsafe_no_sandbox": not self._is_sandboxed,
            **self._tiers.describe(),
            "isolation": self._report.to_json(),
            "limits": asdict(self._limits),
            # what programs and tests can make processes take before a resource limit ends them: per
            # worker a sample, a compile worker and a judge. Zygotes run neither: 20 MB each, beyond
            "memory_at_most_bytes": len(self._all)
            * (2 * self._limits.memory_bytes + JailPlan.none(0).for_judge().memory_bytes),
            "memory_of_a_jail": "control group" if self._has_groups else "sum of processes",
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

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Worker]:
        """Lend a worker."""
        worker = self._take()
        try:
            yield worker
        finally:
            self._idle.put(worker)

    def _take(self) -> Worker:
        while True:
            if self._is_closed:
                raise CheckerError("checker: got a check after close(); allowed: before; open one.")
            try:
                return self._idle.get(timeout=1.0)
            except queue.Empty:
                continue


def _isolation(plan: JailPlan | None, memory_bytes: int) -> IsolationReport:
    if plan is None:
        return probe(memory_bytes=memory_bytes)
    return IsolationReport.of(plan)
