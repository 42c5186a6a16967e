"""A prepared problem, its limits, and what becomes of one run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Answer", "Compiled", "Limits", "Problem"]


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
    test : str or None
        The test itself, where it has to run beside the candidate: then a pass can be forged.
    n_prompt : int
        Characters of each program that are the problem's own, not the candidate's.
    """

    key: int
    entry_point: str
    calls: bytes
    is_live: bool
    sources: bytes
    limits: Limits
    test: str | None = None
    n_prompt: int = 0

    @property
    def is_split(self) -> bool:
        """Whether candidates are judged in another process than their own."""
        return self.test is None


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
        CPU time of the candidate.
    is_disturbed : bool
        For a timeout: that it could be the host's fault.
    """

    reason: str
    outputs: bytes
    cpu_time_s: float
    is_disturbed: bool = False


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
    is_tame : bool
        Whether it may share a process with others; see `passuntil.checkers.sandbox.inside.gate`.
    """

    reason: str
    key: bytes
    code: bytes
    is_tame: bool
