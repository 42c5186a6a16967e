"""A zygote, a judge and a compile worker, and how a sample passes through both."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.inside.compiler import KEY_BYTES
from passuntil.checkers.sandbox.inside.zygote import ANSWER, REQUEST
from passuntil.checkers.sandbox.jail import JailedProcess, JailPlan
from passuntil.checkers.sandbox.patience import LONGEST_RUN_S, Patience
from passuntil.errors import CheckerError

__all__ = ["Answer", "Compiled", "Limits", "Problem", "Worker"]

_MOST_COMPILED = 20_000  # newer Pythons keep interned names for ever


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use.

    Parameters
    ----------
    cpu_time_s : float
        CPU time of the child.
    blocked_s : float
        Wall time it may spend asleep, time in which it waits for a CPU not counted.
    output_bytes : int
        Most bytes of its answer.
    judge_cpu_time_s : float
        CPU time of one judgement.
    """

    cpu_time_s: float
    blocked_s: float
    output_bytes: int
    judge_cpu_time_s: float


@dataclass(frozen=True, slots=True)
class Problem:
    """A prepared problem.

    Parameters
    ----------
    key : int
        Its number at the judges.
    entry_point : str
        Function under test.
    calls : bytes
        What the test calls it with; all of the problem that a jail of candidates ever holds.
    is_live : bool
        The test draws new inputs each time, so calls cannot be recorded.
    sources : bytes
        What a judge needs to know of it.
    limits : Limits
        Of one sample.
    """

    key: int
    entry_point: str
    calls: bytes
    is_live: bool
    sources: bytes
    limits: Limits


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one run.

    Parameters
    ----------
    reason : str
        A final reason, or an empty string where `outputs` is to be judged.
    outputs : bytes
        Recorded outputs, as sent by the candidate: not trusted, not parsed on the host.
    cpu_time_s : float
        CPU time of the child.
    """

    reason: str
    outputs: bytes
    cpu_time_s: float


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the compile worker says of a program.

    Parameters
    ----------
    reason : str
        Why it does not compile, or an empty string.
    key : bytes
        Equal for programs that differ in comments and blank lines only.
    code : bytes
        Marshalled code.
    """

    reason: str
    key: bytes
    code: bytes


class Worker:
    """A zygote, a judge and a compile worker, started when needed and again after a fault.

    One thread at a time.

    Parameters
    ----------
    plan : JailPlan
        Jail of both.
    starter : Executor
        Where processes are started: a thread that outlives them.
    """

    def __init__(self, plan: JailPlan, starter: Executor) -> None:
        self._plan = plan
        self._starter = starter
        self._zygote: JailedProcess | None = None
        self._judge: JailedProcess | None = None
        self._compiler: JailedProcess | None = None
        self._n_compiled = 0
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
        """End both processes."""
        self.drop_zygote()
        self.drop_judge()
        self._drop_compiler()

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

    def compile(self, program: bytes, *, cpu_time_s: float) -> Compiled | None:
        """Compile without running; None where that fails in any way that a child must tell."""
        try:
            if self._compiler is None or self._n_compiled >= _MOST_COMPILED:
                self._drop_compiler()
                self._n_compiled = 0
                start = self._starter.submit(JailedProcess, self._plan, "compiler")
                self._compiler = start.result()
            self._n_compiled += 1
            compiler = self._compiler
            before = compiler.cpu_s()
            compiler.send(program)
            while not compiler.wait(max(0.0, cpu_time_s - (compiler.cpu_s() - before)) + 0.001):
                if compiler.cpu_s() - before >= cpu_time_s:
                    self._drop_compiler()
                    return None
            frame = compiler.receive()
        except OSError:
            self._drop_compiler()
            return None
        except BaseException:
            self._drop_compiler()
            raise
        if frame[:1] == b"C":
            return Compiled("", frame[1 : 1 + KEY_BYTES], frame[1 + KEY_BYTES :])
        return Compiled("memory" if frame == b"M" else "error", b"", b"")

    def _drop_compiler(self) -> None:
        if self._compiler is not None:
            compiler, self._compiler = self._compiler, None
            compiler.close()

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
            zygote.send(_request(operation, problem, program), problem.calls)
            answer = _read_answer(zygote, problem.limits)
        return replace(answer, reason=self._reason(answer.reason))

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
            zygote.send(_request(b"L", problem, program))
            answer = _read_answer(zygote, problem.limits)
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
                answer = _read_answer(zygote, problem.limits)
                reason = answer.reason
                judge.send(b"L" if reason else b"O", answer.outputs)
            zygote.send(b"E")
            if frame is None:
                self.drop_judge()
                return Answer("timeout", b"", answer.cpu_time_s)
            return Answer(self._reason(reason or frame.decode()), b"", answer.cpu_time_s)

    def prepare(self, request: bytes, *, cpu_time_s: float) -> bytes:
        """Have the judge record the calls of a problem; an empty answer means it ran too long."""
        judge = self.judge()
        with _faults("judge", self.drop_judge):
            before = judge.cpu_s()
            judge.send(b"P", request)
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


def _request(operation: bytes, problem: Problem, program: bytes) -> bytes:
    entry = problem.entry_point.encode()
    limits = problem.limits
    head = REQUEST.pack(operation, limits.cpu_time_s, limits.output_bytes, len(entry), len(program))
    return head + entry + program


_ENDINGS = {b"T": "timeout", b"B": "timeout", b"F": "flood", b"G": "garbled", b"Q": "crash"}
_SIGKILL = 9


def _read_answer(zygote: JailedProcess, limits: Limits) -> Answer:
    """Wait for the zygote's answer; the CPU limit is its duty, the blocked time is ours."""
    patience = Patience(zygote, limits.blocked_s)
    while not zygote.wait(patience.next_look_s()):
        if patience.is_exhausted():
            zygote.send(b"K")
    frame = zygote.receive(most=limits.output_bytes + ANSWER.size + 4096)
    try:
        status, cpu_time_s, number = ANSWER.unpack_from(frame)
    except struct.error as error:
        raise wire.FrameError("the zygote sent no answer") from error
    body = frame[ANSWER.size :]
    if status == b"A":
        return _read_body(body, cpu_time_s)
    if status == b"!":
        raise CheckerError(
            f"jailed child: got {body.decode(errors='replace')!r}; allowed: a child that gives up "
            "its rights; see `passuntil doctor`."
        )
    if status == b"X":
        if number == _SIGKILL:
            # a candidate may signal nobody, not even itself: someone else did, or memory ran out
            raise CheckerError(
                "jailed child: got SIGKILL from outside the jail; allowed: to run to its limits; "
                "free memory on this machine (see the kernel log for 'Out of memory')."
            )
        return Answer("crash", b"", cpu_time_s)
    return Answer(_ENDINGS[status], b"", cpu_time_s)


def _read_body(body: bytes, cpu_time_s: float) -> Answer:
    """Read what the child sent; a child may lie about its failure, never about a pass."""
    if body[:1] == b"V":
        return Answer("", body[1:], cpu_time_s)
    if body[:1] == b"L":
        names = body[1:].split(b",")
        reason = "memory" if b"MemoryError" in names else "error"
        reason = "import" if b"ImportError" in names else reason
        return Answer(reason, b"", cpu_time_s)
    return Answer("garbled", b"", cpu_time_s)


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
