"""A zygote, a judge and a compile worker, and how a sample passes through both."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from passuntil.checkers.sandbox.compiling import CompileWorker
from passuntil.checkers.sandbox.frames import read_answer, read_body, request
from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.jail import JailedProcess
from passuntil.checkers.sandbox.patience import LONGEST_RUN_S
from passuntil.checkers.sandbox.plan import JailPlan
from passuntil.checkers.sandbox.problem import Answer, Limits, Problem
from passuntil.errors import CheckerError

__all__ = ["Worker"]

# Of its CPU time a program may use this share beside others; with more it runs alone. Nothing that
# stays below would meet its limit alone, where memory is colder, and an endless one costs less.
_SHARE = 1 / 32


class Worker:
    """A zygote, a judge and a compile worker, started when needed and again after a fault.

    One thread at a time.

    Parameters
    ----------
    plan : JailPlan
        Their jail; the judge has more memory in its own.
    starter : Executor
        Where processes are started: a thread that outlives them.
    """

    def __init__(self, plan: JailPlan, starter: Executor) -> None:
        self._plan = plan
        self._starter = starter
        self._zygote: JailedProcess | None = None
        self._judge: JailedProcess | None = None
        self.compiler = CompileWorker(plan, starter)
        self._tester: JailedProcess | None = None
        self._installed: set[int] = set()

    def zygote(self) -> JailedProcess:
        """Return the running zygote."""
        if self._zygote is None:
            self._zygote = self._starter.submit(JailedProcess, self._plan, "zygote").result()
        return self._zygote

    def judge(self) -> JailedProcess:
        """Return the running judge."""
        if self._judge is None:
            self._installed.clear()
            plan = self._plan.for_judge()
            self._judge = self._starter.submit(JailedProcess, plan, "judge").result()
        return self._judge

    def close(self) -> None:
        """End all processes."""
        self.drop_zygote()
        self._drop_tester()
        self.drop_judge()
        self.compiler.close()

    def drop_zygote(self) -> None:
        """End the zygote; the next run starts a new one."""
        if self._zygote is not None:
            zygote, self._zygote = self._zygote, None
            zygote.close()

    def drop_judge(self) -> None:
        """End the judge; the next judgement starts a new one."""
        if self._judge is not None:
            judge, self._judge = self._judge, None
            judge.close()

    def run(self, problem: Problem, program: bytes, *, is_code: bool = False) -> Answer:
        """Run `program`, source or marshalled code, on the recorded calls in a fresh child.

        Raises
        ------
        CheckerError
            The zygote failed; it is replaced by the next call.
        """
        zygote = self.zygote()
        with _faults("zygote", self.drop_zygote):
            operation = b"M" if is_code else b"R"
            zygote.send(request(operation, problem, program), problem.calls)
            answer = read_answer(zygote, problem.limits)
        reason = self._reason(answer.reason)
        return answer if reason == answer.reason else replace(answer, reason=reason)

    def run_batch(self, problem: Problem, codes: Sequence[bytes]) -> list[Answer | None]:
        """Run tame programs of marshalled code one after the other in as few children as can be.

        None stands for a program that has to run alone: it met a limit, or could have noticed what
        its neighbours left.

        Raises
        ------
        CheckerError
            The zygote failed; it is replaced by the next call.
        """
        answers: list[Answer | None] = []
        limits = replace(problem.limits, cpu_time_s=_SHARE * problem.limits.cpu_time_s)
        shared = replace(problem, limits=limits)
        zygote = self.zygote()
        with _faults("zygote", self.drop_zygote):
            while len(answers) < len(codes):
                rest = codes[len(answers) :]
                zygote.send(request(b"B", shared, wire.join(rest)), shared.calls)
                for _ in rest:
                    answer = read_answer(zygote, limits, is_batch=True)
                    marks, body = answer.outputs[:2], answer.outputs[2:]
                    plain = read_body(body, answer.cpu_time_s) if marks[1:] == b"+" else None
                    is_garbled = plain is not None and plain.reason == "garbled"
                    answers.append(None if is_garbled else plain)
                    if answer.reason or marks[:1] != b".":
                        break
        return answers

    def run_test(self, problem: Problem, program: bytes) -> Answer:
        """Run program and test in one child: what it says can be forged.

        Raises
        ------
        CheckerError
            The zygote failed; it is replaced by the next call.
        """
        # of its own: a zygote that has seen a test hands it down to every child
        if self._tester is None:
            self._tester = self._starter.submit(JailedProcess, self._plan, "zygote").result()
        zygote = self._tester
        nonce = secrets.token_hex(16)
        with _faults("zygote", self._drop_tester):
            trial = wire.dumps([problem.test, nonce])
            zygote.send(request(b"U", problem, program), trial)
            answer = read_answer(zygote, problem.limits)
        words = {nonce.encode(): "pass", b"fail": "fail"}
        reason = self._reason(answer.reason) or words.get(answer.outputs, "garbled")
        return Answer(reason, b"", answer.cpu_time_s)

    def _drop_tester(self) -> None:
        if self._tester is not None:
            tester, self._tester = self._tester, None
            tester.close()

    def judge_outputs(self, problem: Problem, outputs: bytes) -> str:
        """Return the judge's word on recorded outputs: a reason, or ``"diverged"``.

        Raises
        ------
        CheckerError
            The judge failed; it is replaced by the next call.
        """
        judge = self.judge()
        with _faults("judge", self.drop_judge):
            self._install(judge, problem)
            before = judge.cpu_s()
            judge.send(b"J", problem.key.to_bytes(4, "little"), outputs)
            frame = self._judge_frame(judge, before, problem.limits)
            if frame is None:
                # outputs made to be slow to compare: a set of multiples of 2**61 - 1 cost 10 s
                self.drop_judge()
                return "timeout"
            return self._reason(frame.decode())

    def judge_live(self, problem: Problem, program: bytes) -> Answer:
        """Run the test against a living child, call by call.

        Raises
        ------
        CheckerError
            The zygote or the judge failed; both are replaced by the next call.
        """
        zygote, judge = self.zygote(), self.judge()
        with _faults("zygote or judge", self.close):
            self._install(judge, problem)
            zygote.send(request(b"L", problem, program))
            answer = read_answer(zygote, problem.limits)
            if answer.reason:
                zygote.send(b"E")
                return replace(answer, reason=self._reason(answer.reason))
            before = judge.cpu_s()
            judge.send(b"V", problem.key.to_bytes(4, "little"))
            reason = ""
            while True:
                frame = self._judge_frame(judge, before, problem.limits)
                if frame is None or frame[:1] != b"C":
                    break
                zygote.send(frame)
                answer = read_answer(zygote, problem.limits)
                reason = answer.reason
                judge.send(b"L" if reason else b"O", answer.outputs)
            zygote.send(b"E")
            if frame is None:
                self.drop_judge()
                return Answer("timeout", b"", answer.cpu_time_s)
            return Answer(self._reason(reason or frame.decode()), b"", answer.cpu_time_s)

    def prepare(self, problem: bytes, *, cpu_time_s: float) -> bytes:
        """Have the judge record the calls of a problem; an empty answer means it ran too long."""
        judge = self.judge()
        with _faults("judge", self.drop_judge):
            before = judge.cpu_s()
            judge.send(b"P", problem)
            frame = self._judge_frame(judge, before, Limits(0.0, 0.0, 0, cpu_time_s))
            if frame is None:
                self.drop_judge()
            return frame or b""

    def _reason(self, reason: str) -> str:
        """Name a failed import: at level 1 only what was imported beforehand can be."""
        if reason == "import":
            return "refused" if self._plan.level == 1 else "error"
        return reason

    def _install(self, judge: JailedProcess, problem: Problem) -> None:
        if problem.key not in self._installed:
            judge.send(b"I", problem.sources)
            judge.receive()
            self._installed.add(problem.key)

    def _judge_frame(self, judge: JailedProcess, before: float, limits: Limits) -> bytes | None:
        """Return the judge's next frame, None if it used up its CPU time."""
        deadline = time.monotonic() + LONGEST_RUN_S
        while True:
            left = limits.judge_cpu_time_s - (judge.cpu_s() - before)
            if judge.wait(max(left, 0.0) + 0.001):
                return judge.receive()
            if left <= 0:
                return None
            if time.monotonic() > deadline:
                raise TimeoutError(f"no verdict within {LONGEST_RUN_S} s")


@contextlib.contextmanager
def _faults(who: str, drop: Callable[[], None]) -> Iterator[None]:
    """End the processes on any error, and raise what the pipes raise as a fault of the checker."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        drop()
        raise CheckerError(
            f"{who}: got {type(error).__name__}: {error}; allowed: a live process in its jail; it "
            "is started again by the next check."
        ) from error
    except BaseException:
        drop()
        raise
