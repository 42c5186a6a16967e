"""Requests to a zygote, and its answers as what became of a run."""

from __future__ import annotations

import struct

from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.inside.child import ANSWER
from passuntil.checkers.sandbox.inside.zygote import REQUEST
from passuntil.checkers.sandbox.jail import JailedProcess
from passuntil.checkers.sandbox.patience import Patience
from passuntil.checkers.sandbox.problem import Answer, Limits, Problem
from passuntil.errors import CheckerError

__all__ = ["read_answer", "read_body", "request"]

_TIMEOUTS = {b"T": False, b"W": True, b"B": True}  # disturbed or not
_ENDINGS = {b"F": "flood", b"G": "garbled", b"Q": "crash"}
_SIGKILL = 9


def request(operation: bytes, problem: Problem, program: bytes) -> bytes:
    """Return a request to run `program`; what it is called with is sent behind it."""
    entry = problem.entry_point.encode()
    limits = problem.limits
    head = REQUEST.pack(operation, limits.cpu_time_s, limits.output_bytes, len(entry), len(program))
    return head + entry + program


def read_answer(zygote: JailedProcess, limits: Limits, *, is_batch: bool = False) -> Answer:
    """Wait for the zygote's answer; the CPU limit is its duty, the blocked time is ours.

    Of a batch the child's marks and body are handed on as they are.
    """
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
    if status == b"A" and is_batch:
        return Answer("", body, cpu_time_s)
    if status == b"A":
        return read_body(body, cpu_time_s)
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
    if status in _TIMEOUTS:
        return Answer("timeout", b"", cpu_time_s, is_disturbed=_TIMEOUTS[status])
    return Answer(_ENDINGS[status], b"", cpu_time_s)


def read_body(body: bytes, cpu_time_s: float) -> Answer:
    """Read what the child sent; a child may lie about its failure, never about a pass."""
    if body[:1] == b"V":
        return Answer("", body[1:], cpu_time_s)
    if body[:1] == b"L":
        names = body[1:].split(b",")
        reason = "memory" if b"MemoryError" in names else "error"
        reason = "import" if b"ImportError" in names else reason
        return Answer(reason, b"", cpu_time_s)
    return Answer("garbled", b"", cpu_time_s)
