"""The zygote's view of one child: its answers, its CPU time, its end."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import time

from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.inside.candidate import ANSWERS, REQUESTS

__all__ = ["ANSWER", "Child"]

ANSWER = struct.Struct("<cdB")
"""Status, CPU seconds of the candidate, signal that killed it.

Status A: answered, the body is the child's; T: CPU limit; W: the same, but others took part of its
CPU, so that its seconds may have been slow ones; B: blocked, killed by the host; X: killed by a
signal; Q: ended without an answer; F: flood; G: garbled; !: it could not be locked, so it did not
run, and the body says why.
"""

_SIGKILL = 9  # not signal.SIGKILL: what the zygote touches between two forks is copied
_OWN = 0.1  # of its CPU time a child may have waited for the CPU that still counts as its own
_LENGTH = 4
_READ_AT_ONCE = 1 << 16


class Child:
    """One child, from its fork to its end."""

    __slots__ = (  # a dictionary would be another page per child
        *("_clock", "_data", "_fault", "_in", "_limit", "_most", "_out", "_pid", "_since"),
        *("_started", "_status"),
    )

    def __init__(self, pid: int, pipes: tuple[int, int, int], cpu_time_s: float, most: int) -> None:
        self._pid = pid
        self._out, self._in, self._fault = pipes
        self._limit = cpu_time_s
        self._most = most
        # clock id of a process's CPU time, from the kernel's <linux/posix-timers.h>; load on the
        # host stretches wall time, not this
        self._clock = (~pid << 3) | 2
        self._status: int | None = None
        self._data = b""
        self._since = 0.0
        self._started = time.monotonic()

    def _cpu(self) -> float:
        """CPU seconds since the answer before."""
        try:
            return time.clock_gettime(self._clock) - self._since
        except OSError:
            return 0.0

    def answer(self) -> tuple[bytes, ...]:
        """Wait for the next frame of the child and return the answer to send."""
        data, size = self._data, -1
        while True:
            if size < 0 and len(data) >= _LENGTH:
                size = int.from_bytes(data[:_LENGTH], "little")
                if size > self._most:
                    return (ANSWER.pack(b"F", self._cpu(), 0),)
            if 0 <= size <= len(data) - _LENGTH:
                break
            if event := self._wait_for(self._out):
                return (ANSWER.pack(event, self._cpu(), 0),)
            chunk = os.read(self._out, _READ_AT_ONCE)
            if not chunk:
                return self._without_answer(data)
            data += chunk
        self._data = data[_LENGTH + size :]
        used = self._cpu()
        self._since += used
        return ANSWER.pack(b"A", used, 0), data[_LENGTH : _LENGTH + size]

    def _wait_for(self, fd: int) -> bytes:
        """Wait until `fd` is ready; T if the CPU time is used up first, B if it is given up."""
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        poller.register(REQUESTS, select.POLLIN)
        while True:
            left = self._limit - self._cpu()
            if left <= 0:
                return self._used_up()
            ready = dict(poller.poll(left * 1000 + 1))
            if fd in ready:
                return b""
            if REQUESTS in ready:
                # K, or the host is gone and FrameError ends the zygote and with it the child
                if wire.read_frame(REQUESTS)[:1] == b"K":
                    return b"B"
                raise wire.FrameError("a request while a child runs")

    def _used_up(self) -> bytes:
        """Tell a limit met on a CPU of its own from one met beside others."""
        total = self._since + self._limit
        waited = time.monotonic() - self._started - total
        return b"W" if waited > _OWN * total else b"T"

    def _without_answer(self, data: bytes) -> tuple[bytes, ...]:
        """Tell how a child ends that closed its pipe before a whole frame."""
        with contextlib.suppress(BlockingIOError):
            return ANSWER.pack(b"!", self._cpu(), 0), os.read(self._fault, 1000)
        pidfd = os.pidfd_open(self._pid)
        event = self._wait_for(pidfd)  # it may live on without its pipe
        os.close(pidfd)
        if event:
            return (ANSWER.pack(event, self._cpu(), 0),)
        _, self._status, usage = os.wait4(self._pid, 0)
        cpu = usage.ru_utime + usage.ru_stime - self._since
        if os.WIFSIGNALED(self._status):
            number = os.WTERMSIG(self._status)
            # RLIMIT_CPU's SIGKILL is ours; any other one comes from outside
            if number == _SIGKILL and cpu >= self._limit:
                return (ANSWER.pack(self._used_up(), cpu, 0),)
            return (ANSWER.pack(b"X", cpu, number),)
        return (ANSWER.pack(b"G" if data else b"Q", cpu, 0),)

    def answer_all(self, n: int) -> None:
        """Send on the answers of `n` tame candidates, until one ends the child."""
        for _ in range(n):
            answer = self.answer()
            wire.write_frame(ANSWERS, *answer)
            if len(answer) < 2 or answer[1][:1] != b".":
                return

    def converse(self) -> None:
        """Pass calls to a live child and its answers back until the host ends it."""
        answer = self.answer()  # the program is loaded, or failed to
        while True:
            wire.write_frame(ANSWERS, *answer)
            while (request := wire.read_frame(REQUESTS))[:1] == b"K":
                pass  # given up just as it answered: a second answer would be taken for the next
            if request[:1] == b"E":
                return
            if request[:1] == b"C" and ANSWER.unpack_from(answer[0])[0] == b"A":
                with contextlib.suppress(BrokenPipeError):  # its end shows on the other pipe
                    wire.write_frame(self._in, request[1:])
                answer = self.answer()

    def end(self) -> None:
        """Kill and reap it."""
        if self._status is None:
            os.kill(self._pid, _SIGKILL)  # it is not reaped, so it is still there
            os.waitpid(self._pid, 0)
        os.close(self._out)
        if self._in >= 0:
            os.close(self._in)
