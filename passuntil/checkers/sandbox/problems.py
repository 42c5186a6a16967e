"""The problems of a checker: each prepared once, or refused."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NoReturn

from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.limits import CodeLimits
from passuntil.checkers.sandbox.problem import Problem
from passuntil.checkers.sandbox.tiers import suspect_word
from passuntil.checkers.sandbox.worker import Worker
from passuntil.errors import UsageError
from passuntil.records import CodeTests, Instance

__all__ = ["Problems"]

_CPU_S = 60.0


class Problems:
    """Records the calls of tests and what canonical solutions use. For several threads.

    Parameters
    ----------
    limits : CodeLimits
        What a sample may use.
    takes_unverified : bool
        True keeps problems whose test has to run beside the candidate.
    """

    def __init__(self, limits: CodeLimits, *, takes_unverified: bool) -> None:
        self._limits = limits
        self._takes_unverified = takes_unverified
        self._problems: dict[CodeTests, Problem] = {}
        self._refused: dict[CodeTests, str] = {}
        self._unverified: dict[str, set[str]] = {}
        self._keys = itertools.count(1)
        self._lock = threading.Lock()
        self._preparing: dict[CodeTests, threading.Lock] = {}

    def unverified(self) -> dict[str, list[str]]:
        """Return task and ids of the instances whose passes can be forged."""
        return {task: sorted(ids) for task, ids in sorted(self._unverified.items())}

    def prepared(
        self, instance: Instance, borrow: Callable[[], AbstractContextManager[Worker]]
    ) -> Problem:
        """Return the problem of an instance, prepared by a borrowed worker if it is a new one.

        Raises
        ------
        UsageError
            The instance is not a code problem, or one whose test cannot be judged from outside.
        CheckerError
            A process failed.
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
                with borrow() as worker:
                    self._problems[target] = self._prepare(worker, instance, target)
            return self._problems[target]

    def _prepare(self, worker: Worker, instance: Instance, target: CodeTests) -> Problem:
        key = next(self._keys)
        request = {
            "key": key,
            "prompt": target.prompt,
            "test": target.test,
            "entry_point": target.entry_point,
            "canonical_solution": target.canonical_solution,
        }
        answer = worker.prepare(wire.dumps(request), cpu_time_s=_CPU_S)
        known: dict[str, Any] = {"error": f"ran for {_CPU_S:.0f} s of CPU time"}
        if answer:
            known = wire.loads(answer)
        if known["error"] is not None:
            problem = self._unsplit(worker, key, instance) if self._takes_unverified else None
            if problem is not None:
                self._unverified.setdefault(instance.task, set()).add(instance.id)
                return problem
            self._refuse(
                instance,
                f"its canonical solution got {known['error']!r} from its own test; allowed: a pass "
                "with plain arguments and return values; correct the task file, leave the instance "
                "out, or judge it beside the candidate with `checker: {kind: code, unverified: "
                "true}`.",
            )
        calls = wire.dumps(known["calls"])
        return Problem(
            key=key,
            entry_point=target.entry_point,
            calls=calls,
            is_live=known["is_live"],
            sources=wire.dumps({**request, "calls": known["calls"]}),
            limits=self._limits.of_sample(
                known, len(calls), least_cpu_time_s=target.least_cpu_time_s
            ),
        )

    def _refuse(self, instance: Instance, why: str) -> NoReturn:
        assert isinstance(instance.target, CodeTests)
        self._refused[instance.target] = f"instance {instance.id}: {why}"
        raise UsageError(self._refused[instance.target])

    def _unsplit(self, worker: Worker, key: int, instance: Instance) -> Problem | None:
        """Return the problem with its test beside the candidate; None if that fails too."""
        target = instance.target
        assert isinstance(target, CodeTests)
        known: dict[str, Any] = {
            "cpu_time_s": _CPU_S / self._limits.cpu_time_factor,
            "check_cpu_time_s": 0.0,
            "output_bytes": 0,
        }
        least = target.least_cpu_time_s
        limits = self._limits.of_sample(known, 0, least_cpu_time_s=least)
        n_prompt = len(target.prompt)
        problem = Problem(key, target.entry_point, b"", False, b"", limits, target.test, n_prompt)
        text = target.prompt + target.canonical_solution
        answer = worker.run_test(problem, text.encode("utf-8", "surrogatepass"))
        if answer.reason != "pass":
            return None
        if word := suspect_word(text, n_prompt):
            self._refuse(
                instance,
                f"its canonical solution says {word!r}; allowed: what no forged pass needs, since "
                "its test runs beside the candidate; write the solution without it, or leave the "
                "instance out.",
            )
        known["cpu_time_s"] = answer.cpu_time_s
        limits = self._limits.of_sample(known, 0, least_cpu_time_s=least)
        return replace(problem, limits=limits)
