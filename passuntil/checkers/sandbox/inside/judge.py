"""The judge: runs the benchmark's own ``check`` against recorded calls, in its own jail.

The only process that knows tests, expected values and canonical solutions. It runs trusted code
only; from the candidate it gets plain values. ``candidate`` is replaced by a replay of the
outputs recorded in the other jail: arguments are compared, and where they differ from the recorded
ones the host has the sample judged again with live calls.

    request   P: prepare     JSON {key, prompt, test, entry_point, canonical_solution}
              I: install     the same and {calls}, prepared by another judge
              J: judge       key, outputs
              V: judge live  key; asks by C frames, the host answers with O or L frames
              Z: forget      key
    answer    P: JSON {calls, n_calls, is_live, cpu_time_s, output_bytes, check_cpu_time_s, error}
              J, V: verdict: a reason, or "diverged"
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import os
import random
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from passuntil.checkers.sandbox.inside import script, wire
from passuntil.checkers.sandbox.inside.lock import set_undumpable
from passuntil.checkers.sandbox.inside.preimport import PREIMPORT

__all__ = ["main"]

REQUESTS, ANSWERS = 3, 4

_PASS, _FAIL, _DIVERGED = "pass", "fail", "diverged"


class _DivergedError(BaseException):
    """The test called with other arguments than were recorded."""


class _UnanswerableError(BaseException):
    """A live candidate is gone."""


def main(config: dict[str, Any]) -> None:
    """Serve until the request pipe closes."""
    sys.path += config["packages_path"]
    for name in PREIMPORT:
        importlib.import_module(name)
    set_undumpable()
    wire.write_frame(ANSWERS, wire.dumps({"pid": os.getpid(), "uid": os.getuid()}))
    os.dup2(0, 1)
    os.dup2(0, 2)
    judge = _Judge()
    with contextlib.suppress(wire.FrameError):
        while True:
            frame = wire.read_frame(REQUESTS)
            wire.write_frame(ANSWERS, judge.serve(frame[:1], frame[1:]))


@dataclass(slots=True)
class _Problem:
    """One problem: its trusted program, compiled once, and the calls its test makes."""

    program: types.CodeType
    test: types.CodeType
    entry_point: str
    calls: list[bytes]

    @classmethod
    def compiled(cls, request: dict[str, Any]) -> _Problem:
        prompt = request["prompt"] + request["canonical_solution"]
        return cls(
            compile(prompt, "<canonical>", "exec", dont_inherit=True),
            compile(request["test"], "<test>", "exec", dont_inherit=True),
            request["entry_point"],
            [wire.dumps(call) for call in request.get("calls", [])],
        )

    def run(self, candidate: Callable[[Any], Any]) -> None:
        """Run the test against what `candidate` makes of the canonical function.

        Everything is fresh, so that no judgement can depend on an earlier one. Helpers that the
        test takes from the program are the prompt's own, not the candidate's redefinitions.
        """
        limit = sys.getrecursionlimit()
        try:
            self._run(candidate)
        finally:
            sys.setrecursionlimit(limit)  # which solutions and preludes raise

    def _run(self, candidate: Callable[[Any], Any]) -> None:
        random.seed(0)
        module = types.ModuleType("problem")
        sys.modules["problem"] = module
        names = module.__dict__
        if self.entry_point == script.ENTRY_POINT:
            replaced = candidate(script.as_function(self.program))
        else:
            exec(self.program, names)
            replaced = candidate(script.find(names, self.entry_point))
        names[self.entry_point] = replaced
        exec(self.test, names)
        names[self.entry_point] = replaced  # also where the test calls it by its own name
        names["check"](replaced)

    def resolve(self, names: list[str]) -> type[BaseException]:
        """Return the first of the class names that is a builtin or prompt-defined exception."""
        module = sys.modules.get("problem")
        for name in names:
            kind = getattr(builtins, name, None) or getattr(module, name, None)
            if isinstance(kind, type) and issubclass(kind, BaseException):
                return kind
        return Exception


class _Judge:
    def __init__(self) -> None:
        self._problems: dict[int, _Problem] = {}

    def serve(self, operation: bytes, body: bytes) -> bytes:
        if operation in (b"P", b"I"):
            request = wire.loads(body)
            if operation == b"I":
                problem = self._problems[request["key"]] = _Problem.compiled(request)
                # imports of the test (numpy: 0.3 s) must not count as the first sample's time
                with contextlib.suppress(BaseException):
                    problem.run(lambda canonical: canonical)
                return b"{}"
            return wire.dumps(self._prepare(request))
        key = int.from_bytes(body[:4], "little")
        if operation == b"J":
            return self._judge(self._problems[key], body[4:]).encode()
        if operation == b"V":
            return self._judge_live(self._problems[key]).encode()
        if operation == b"Z":
            self._problems.pop(key, None)
            gc.collect()
            return b"{}"
        raise wire.FrameError(f"unknown request {operation!r}")

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record the calls of the test by running it on the canonical solution, twice."""
        try:
            problem = _Problem.compiled(request)
            runs = [_Recorder() for _ in range(3)]
            for recorder in runs:
                before = time.process_time()
                problem.run(recorder.attach)
                recorder.total_s = time.process_time() - before
        except BaseException as error:
            kind, text = type(error).__name__, str(error)[:300]
            return {"error": f"{kind}: {text}" if text else kind}
        problem.calls = [wire.dumps(call) for call in runs[0].calls]
        self._problems[request["key"]] = problem
        return {
            "error": None,
            "calls": runs[0].calls,
            # a test that draws its inputs anew each time has nothing to replay
            "is_live": any(run.calls != runs[0].calls for run in runs),
            "cpu_time_s": min(run.candidate_s for run in runs),
            "check_cpu_time_s": min(run.total_s for run in runs),
            "output_bytes": max(run.output_bytes for run in runs),
        }

    def _judge(self, problem: _Problem, outputs: bytes) -> str:
        try:
            packed = wire.loads(outputs)
            if type(packed) is not list:
                return "garbled"
        except (ValueError, RecursionError):
            return "garbled"
        replay = _Replay(problem, packed)
        return _verdict(problem, replay)

    def _judge_live(self, problem: _Problem) -> str:
        return _verdict(problem, _Live(problem))


def _verdict(problem: _Problem, answers: _Answers) -> str:
    reason = _PASS
    try:
        problem.run(lambda canonical: answers)
    except BaseException as error:
        reason = answers.blame(error)
    # the test may have swallowed what was raised into it
    return answers.override or reason


class _Recorder:
    """Runs the canonical solution as a candidate would be run, across the codec and back."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.candidate_s = 0.0
        self.total_s = 0.0
        self.output_bytes = 2

    def attach(self, canonical: Any) -> Callable[..., Any]:
        def candidate(*args: Any, **kwargs: Any) -> Any:
            call = [wire.pack(args), wire.pack(kwargs)]
            self.calls.append(call)
            own_args, own_kwargs = wire.unpack(call[0]), wire.unpack(call[1])
            before = time.process_time()
            try:
                packed = wire.pack(canonical(*own_args, **own_kwargs))
            finally:
                self.candidate_s += time.process_time() - before
                changed = [wire.pack(own_args), wire.pack(own_kwargs)]
                wire.assign(args, own_args)
                wire.assign(kwargs, own_kwargs)
            self.output_bytes += len(wire.dumps([0, packed]))
            self.output_bytes += len(wire.dumps(changed)) if changed != call else 1
            return wire.unpack(packed)

        return candidate


class _Answers:
    """Stands in for the candidate inside the test."""

    def __init__(self, problem: _Problem) -> None:
        self._problem = problem
        self._raised: BaseException | None = None
        self.override: str | None = None

    def blame(self, error: BaseException) -> str:
        """Return the reason for what ended the test."""
        if error is not self._raised:
            return _FAIL
        if isinstance(error, MemoryError):
            return "memory"
        return "import" if isinstance(error, ImportError) else "error"

    def _deliver(self, answer: Any, args: Any, kwargs: Any) -> Any:
        """Do to the caller what the candidate did: change its arguments, return or raise."""
        try:
            status, body = answer[0], answer[1]
            if status == 2:
                self.override = "opaque"
                raise TypeError("opaque value")
            if len(answer) > 2:
                changed = answer[2]
                wire.assign(args, wire.unpack(changed[0]))
                wire.assign(kwargs, wire.unpack(changed[1]))
            if status == 0:
                return wire.unpack(body)
            if status != 1:
                raise ValueError("unknown status")
            names, details = body
            kind = self._problem.resolve([str(name) for name in names])
            if issubclass(kind, StopIteration | StopAsyncIteration | GeneratorExit):
                # raised through a map() or iter() of the test it would end the loop over the
                # remaining assertions, and the test would pass
                kind = RuntimeError
            details = wire.unpack(details)
        except (ValueError, TypeError, IndexError, KeyError, RecursionError, ArithmeticError):
            self.override = self.override or "garbled"
            raise
        try:
            self._raised = kind(*details)
        except Exception:
            # UnicodeDecodeError and the like insist on their own arguments
            self._raised = Exception(*details)
        raise self._raised


class _Replay(_Answers):
    """Answers from the record."""

    def __init__(self, problem: _Problem, outputs: list[Any]) -> None:
        super().__init__(problem)
        self._outputs = outputs
        self._n = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        n = self._n
        self._n += 1
        calls = self._problem.calls
        try:
            call = wire.dumps([wire.pack(args), wire.pack(kwargs)])
        except wire.OpaqueError:
            call = b""
        if n >= len(calls) or call != calls[n]:
            self.override = _DIVERGED
            raise _DivergedError
        if n >= len(self._outputs):
            self.override = "garbled"
            raise ValueError("fewer outputs than calls")
        return self._deliver(self._outputs[n], args, kwargs)


class _Live(_Answers):
    """Answers from the candidate's process, through the host."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.override == "gone":
            raise _UnanswerableError
        call = wire.dumps([wire.pack(args), wire.pack(kwargs)])
        wire.write_frame(ANSWERS, b"C", call)
        answer = wire.read_frame(REQUESTS)
        if answer[:1] != b"O":
            self.override = "gone"  # the host knows the reason
            raise _UnanswerableError
        try:
            [packed] = wire.loads(answer[1:])
        except (ValueError, TypeError, RecursionError):
            self.override = "garbled"
            raise
        return self._deliver(packed, args, kwargs)
