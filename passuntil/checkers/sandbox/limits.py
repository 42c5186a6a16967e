"""What one sample may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from passuntil.checkers.sandbox.problem import Limits
from passuntil.errors import UsageError

__all__ = ["CodeLimits"]


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

    def of_sample(
        self, known: Mapping[str, Any], n_call_bytes: int, *, least_cpu_time_s: float
    ) -> Limits:
        """Return the limits of one problem's samples, from what its canonical solution used."""
        needed = self.cpu_time_factor * known["cpu_time_s"]
        cpu_time_s = max(self.cpu_time_s, needed, least_cpu_time_s)
        return Limits(
            cpu_time_s=cpu_time_s,
            blocked_s=max(self.blocked_s, self.blocked_factor * cpu_time_s),
            # a solution may also change its arguments, which then come back
            output_bytes=self.output_bytes + 4 * (int(known["output_bytes"]) + n_call_bytes),
            judge_cpu_time_s=self.judge_cpu_time_s + 20 * known["check_cpu_time_s"],
        )
