"""The fork server of a jail: one child per sample, killed by CPU time, judged by nobody here.

It runs no candidate code and knows no expected value, test or solution: a child inherits its
memory. Requests come in on descriptor 3, answers leave on descriptor 4.

    request   R: run all calls      operation, limits, entry point, programs, calls
              M: the same             the program is marshalled code
              B: the same             several tame programs of marshalled code, one after the other
              U: run the test         R, with the test and a nonce for calls: a zygote of its own
              L: start live         R without calls; then C: one call, ..., E: end
              K: the host gives up waiting for a blocked child
    answer    status, CPU seconds, signal, body; to B one per program until one ends the child
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import struct
import sys
from typing import Any

from passuntil.checkers.sandbox.inside import candidate, heap, wire
from passuntil.checkers.sandbox.inside.candidate import ANSWERS, REQUESTS, Task
from passuntil.checkers.sandbox.inside.child import Child
from passuntil.checkers.sandbox.inside.lock import Lock, set_undumpable

__all__ = ["REQUEST", "main"]

REQUEST = struct.Struct("<cdIHI")
"""Operation, CPU limit in seconds, most output bytes, lengths of entry point and programs."""


def main(config: dict[str, Any]) -> None:
    """Prepare once, then serve until the request pipe closes."""
    lock = Lock(
        machine=config["machine"],
        zygote_filter=bytes.fromhex(config["zygote_filter"]),
        candidate_filter=bytes.fromhex(config["candidate_filter"]),
        readable=config["readable"],
        listed=config["listed"],
        use_landlock=config["use_landlock"],
        n_processes=config["n_processes"],
    )
    lock.prepare()
    set_undumpable()
    candidate.warm_up()
    sys.modules["random"].seed(0)  # inherited by every child
    server = _Server(lock, is_pid_1=os.getpid() == 1)
    gc.collect()
    heap.use_large_pages()
    gc.freeze()
    gc.disable()
    lock.filter_zygote()
    ready = {"landlock_abi": lock.abi, "pid": os.getpid(), "uid": os.getuid()}
    wire.write_frame(ANSWERS, wire.dumps(ready))
    # until now stderr told the host what went wrong; 0 is /dev/null
    os.dup2(0, 1)
    os.dup2(0, 2)
    with contextlib.suppress(wire.FrameError):
        while True:
            server.serve(wire.read_frame(REQUESTS))


class _Server:
    def __init__(self, lock: Lock, *, is_pid_1: bool) -> None:
        self._lock = lock
        self._is_pid_1 = is_pid_1
        self._room = resource.getrlimit(resource.RLIMIT_AS)[0] // 2
        fault_r, self._fault_w = os.pipe()
        os.set_blocking(fault_r, False)
        self._fault_r = fault_r
        self._calls: tuple[bytes, list[Any]] = (b"[]", [])

    def serve(self, frame: bytes) -> None:
        operation = frame[:1]
        if operation in (b"K", b"E"):
            return  # came after the child's own end
        if operation not in (b"R", b"M", b"B", b"U", b"L"):
            raise wire.FrameError(f"unknown request {operation!r}")
        is_live = operation == b"L"
        _, cpu_time_s, most, _, _ = REQUEST.unpack_from(frame)
        task = self._task(operation, frame)
        out_r, out_w = os.pipe()
        in_r, in_w = os.pipe() if is_live else (-1, -1)
        pid = os.fork()
        if pid == 0:
            fds = (out_w, in_r, self._fault_w)
            candidate.run(self._lock, cpu_time_s * len(task.programs), task, fds)
        os.close(out_w)
        if is_live:
            os.close(in_r)
        child = Child(pid, (out_r, in_w, self._fault_r), cpu_time_s, most)
        try:
            if is_live:
                child.converse()
            elif task.is_batch:
                child.answer_all(len(task.programs))
            else:
                wire.write_frame(ANSWERS, *child.answer())
        finally:
            # after the answer, so that the host judges while the kernel frees the child's memory
            child.end()
            if self._is_pid_1:
                self._sweep()

    def _task(self, operation: bytes, frame: bytes) -> Task:
        _, _, _, n_entry, n_programs = REQUEST.unpack_from(frame)
        at = REQUEST.size
        entry = frame[at : at + n_entry].decode()
        programs = frame[at + n_entry : at + n_entry + n_programs]
        rest = frame[at + n_entry + n_programs :]
        is_batch = operation == b"B"
        if operation == b"U":
            test, nonce = wire.loads(rest)
            return Task(
                entry, [programs], is_code=False, is_batch=False, calls=[], trial=(test, nonce)
            )
        return Task(
            entry,
            wire.split(programs) if is_batch else [programs],
            is_code=operation in (b"M", b"B"),
            is_batch=is_batch,
            calls=self._decoded(rest),
            room=self._room,
        )

    def _decoded(self, data: bytes) -> list[Any]:
        """Return the calls, which come from the host: decoded once, inherited by every child."""
        if data != self._calls[0]:
            self._calls = (data, wire.loads(data or b"[]"))
        return self._calls[1]

    def _sweep(self) -> None:
        """End and reap whatever else lives in this process namespace."""
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return  # orphans would have become children of process 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
            while True:
                try:
                    os.waitpid(-1, 0)
                except ChildProcessError:
                    return
