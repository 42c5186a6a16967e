"""The fork server of a jail: one child per sample, killed by CPU time, judged by nobody here.

It runs no candidate code and knows no expected value, test or solution: a child inherits its
memory. Requests come in on descriptor 3, answers leave on descriptor 4.

    request   R: run all calls      operation, limits, entry point, program, calls
              M: the same             the program is marshalled code
              L: start live         the same without calls; then C: one call, ..., E: end
              K: the host gives up waiting for a blocked child
    answer    status, CPU seconds, signal, body
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import marshal
import os
import select
import signal
import struct
import sys
import time
import types
from typing import Any, NamedTuple

from passuntil.checkers.sandbox.inside import script, wire
from passuntil.checkers.sandbox.inside.lock import Lock, set_undumpable

__all__ = ["ANSWER", "REQUEST", "main"]

REQUESTS, ANSWERS = 3, 4

REQUEST = struct.Struct("<cdIHI")
"""Operation, CPU limit in seconds, most output bytes, lengths of entry point and program."""
ANSWER = struct.Struct("<cdB")
"""Status, CPU seconds of the child, signal that killed it.

Status A: answered, the body is the child's; T: CPU limit; B: blocked, killed by the host;
X: killed by a signal; Q: ended without an answer; F: flood; G: garbled; !: it could not be
locked, so it did not run, and the body says why.
"""

# A child that has to import what its siblings also import pays milliseconds, so all that ordinary
# solutions use is here. Heavier modules (asyncio: 113 ms) are imported on demand.
PREIMPORT = (  # noqa: SIM905
    "abc array base64 binascii bisect calendar cmath collections collections.abc contextlib copy "
    "dataclasses datetime decimal enum fractions functools hashlib heapq io itertools json keyword "
    "locale math numbers operator os pprint queue random re statistics string struct sys textwrap "
    "threading time types typing unicodedata"
).split()

# Where no path can be opened after the fork, what is not here cannot be imported.
PREIMPORT_ALL = [
    *("argparse", "ast", "asyncio", "atexit", "builtins", "bz2", "codecs", "concurrent.futures"),
    *("configparser", "contextvars", "csv", "ctypes", "difflib", "dis", "doctest", "email"),
    *("encodings.idna", "encodings.latin_1", "encodings.utf_16", "errno", "fcntl", "filecmp"),
    *("fnmatch", "gc", "getopt", "glob", "graphlib", "gzip", "hmac", "html", "http.client"),
    *("importlib.util", "inspect", "ipaddress", "linecache", "logging", "lzma", "marshal", "mmap"),
    *("multiprocessing", "optparse", "pathlib", "pickle", "platform", "pty", "reprlib", "resource"),
    *("sched", "secrets", "select", "selectors", "shlex", "shutil", "signal", "socket", "sqlite3"),
    *("subprocess", "symtable", "tempfile", "timeit", "tokenize", "traceback", "unittest"),
    *("unittest.mock", "urllib.parse", "urllib.request", "uuid", "warnings", "weakref"),
    *("xml.etree.ElementTree", "zipfile", "zlib", "zoneinfo"),
]

_LENGTH = 4
_READ_AT_ONCE = 1 << 16
_MOST_FILES = 4096  # above the RLIMIT_NOFILE of every jail


def main(config: dict[str, Any]) -> None:
    """Prepare once, then serve until the request pipe closes."""
    _preimport([*PREIMPORT, *(() if config["can_import"] else PREIMPORT_ALL)])
    sys.modules["random"].seed(0)  # inherited by every child
    lock = Lock(
        machine=config["machine"],
        seccomp=bytes.fromhex(config["seccomp"]),
        readable=config["readable"],
        listed=config["listed"],
        use_landlock=config["use_landlock"],
        n_processes=config["n_processes"],
    )
    lock.prepare()
    set_undumpable()
    # Deep recursion, a first compile and the codec touch pages once here, not in every child.
    wire.loads(wire.dumps(wire.pack([1, 2.0, "a", (1,), {"a": {1}}])))
    exec(compile("def f(x):\n    return [x]\n", "<warm>", "exec"), {})
    gc.collect()
    gc.freeze()
    gc.disable()
    ready = {"landlock_abi": lock.abi, "pid": os.getpid(), "uid": os.getuid()}
    wire.write_frame(ANSWERS, wire.dumps(ready))
    # until now stderr told the host what went wrong; 0 is /dev/null
    os.dup2(0, 1)
    os.dup2(0, 2)
    server = _Server(lock, is_pid_1=os.getpid() == 1)
    with contextlib.suppress(wire.FrameError):
        while True:
            server.serve(wire.read_frame(REQUESTS))


def _preimport(names: list[str]) -> None:
    """Import modules without their fork hooks.

    The hooks of threading and random touch 170 pages in every child (0.6 of 2.1 ms measured):
    threading forgets threads that a zygote does not have, random draws a seed that samples must
    not have.
    """
    register = os.register_at_fork
    os.register_at_fork = lambda **hooks: None
    try:
        for name in names:
            with contextlib.suppress(ImportError):  # an interpreter built without it
                importlib.import_module(name)
    finally:
        os.register_at_fork = register


class _Fds(NamedTuple):
    """A child's ends of its pipes; `in_r` is -1 unless it is live."""

    out_w: int
    in_r: int
    fault_w: int


class _Program(NamedTuple):
    """What a child runs."""

    entry: str
    program: bytes
    is_code: bool
    calls: list[Any]

    def code(self) -> types.CodeType:
        if self.is_code:
            code: types.CodeType = marshal.loads(self.program)
            return code
        source = self.program.decode("utf-8", "surrogatepass")
        # without the __future__ flags of this file
        return compile(source, "<candidate>", "exec", dont_inherit=True)


class _Server:
    def __init__(self, lock: Lock, *, is_pid_1: bool) -> None:
        self._lock = lock
        self._is_pid_1 = is_pid_1
        fault_r, self._fault_w = os.pipe()
        os.set_blocking(fault_r, False)
        self._fault_r = fault_r
        self._calls: tuple[bytes, list[Any]] = (b"[]", [])

    def serve(self, frame: bytes) -> None:
        operation = frame[:1]
        if operation in (b"K", b"E"):
            return  # came after the child's own end
        if operation not in (b"R", b"M", b"L"):
            raise wire.FrameError(f"unknown request {operation!r}")
        is_live = operation == b"L"
        _, cpu_time_s, most, n_entry, n_program = REQUEST.unpack_from(frame)
        at = REQUEST.size
        entry = frame[at : at + n_entry].decode()
        program = frame[at + n_entry : at + n_entry + n_program]
        calls = self._decoded(frame[at + n_entry + n_program :])
        out_r, out_w = os.pipe()
        in_r, in_w = os.pipe() if is_live else (-1, -1)
        pid = os.fork()
        if pid == 0:
            fds = _Fds(out_w, in_r, self._fault_w)
            candidate = _Program(entry, program, operation == b"M", calls)
            _child(self._lock, cpu_time_s, candidate, fds)
        os.close(out_w)
        if is_live:
            os.close(in_r)
        child = _Child(pid, (out_r, in_w, self._fault_r), cpu_time_s, most)
        try:
            if is_live:
                child.converse()
            else:
                wire.write_frame(ANSWERS, *child.answer())
        finally:
            # after the answer, so that the host judges while the kernel frees the child's memory
            child.end()
            if self._is_pid_1:
                self._sweep()

    def _decoded(self, data: bytes) -> list[Any]:
        """Return the calls, which come from the host: decoded once, inherited by every child."""
        if data != self._calls[0]:
            self._calls = (data, wire.loads(data or b"[]"))
        return self._calls[1]

    def _sweep(self) -> None:
        """End and reap whatever else lives in this process namespace."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
            while True:
                try:
                    os.waitpid(-1, 0)
                except ChildProcessError:
                    return


class _Child:
    """The zygote's view of one child."""

    def __init__(self, pid: int, pipes: tuple[int, int, int], cpu_time_s: float, most: int) -> None:
        self._pid = pid
        self._out, self._in, self._fault = pipes
        self._limit = cpu_time_s
        self._most = most
        # clock id of a process's CPU time, from the kernel's <linux/posix-timers.h>; load on the
        # host stretches wall time, not this
        self._clock = (~pid << 3) | 2
        self._status: int | None = None

    def cpu(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return 0.0

    def answer(self) -> tuple[bytes, ...]:
        """Wait for one frame of the child and return the answer to send."""
        data = b""
        need = _LENGTH
        while len(data) < need:
            if event := self._wait_for(self._out):
                return (ANSWER.pack(event, self.cpu(), 0),)
            chunk = os.read(self._out, _READ_AT_ONCE)
            if not chunk:
                return self._without_answer(data)
            data += chunk
            if need == _LENGTH <= len(data):
                need = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
                if need > _LENGTH + self._most:
                    return (ANSWER.pack(b"F", self.cpu(), 0),)
        return ANSWER.pack(b"A", self.cpu(), 0), data[_LENGTH:need]

    def _wait_for(self, fd: int) -> bytes:
        """Wait until `fd` is ready; T if the CPU time is used up first, B if it is given up."""
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        poller.register(REQUESTS, select.POLLIN)
        while True:
            left = self._limit - self.cpu()
            if left <= 0:
                return b"T"
            ready = dict(poller.poll(left * 1000 + 1))
            if fd in ready:
                return b""
            if REQUESTS in ready:
                # K, or the host is gone and FrameError ends the zygote and with it the child
                if wire.read_frame(REQUESTS)[:1] == b"K":
                    return b"B"
                raise wire.FrameError("a request while a child runs")

    def _without_answer(self, data: bytes) -> tuple[bytes, ...]:
        """Tell how a child ends that closed its pipe before a whole frame."""
        with contextlib.suppress(BlockingIOError):
            return ANSWER.pack(b"!", self.cpu(), 0), os.read(self._fault, 1000)
        pidfd = os.pidfd_open(self._pid)
        event = self._wait_for(pidfd)  # it may live on without its pipe
        os.close(pidfd)
        if event:
            return (ANSWER.pack(event, self.cpu(), 0),)
        _, self._status, usage = os.wait4(self._pid, 0)
        cpu = usage.ru_utime + usage.ru_stime
        if os.WIFSIGNALED(self._status):
            number = os.WTERMSIG(self._status)
            # RLIMIT_CPU's SIGKILL is ours; any other one comes from outside
            if number == signal.SIGKILL and cpu >= self._limit:
                return (ANSWER.pack(b"T", cpu, 0),)
            return (ANSWER.pack(b"X", cpu, number),)
        return (ANSWER.pack(b"G" if data else b"Q", cpu, 0),)

    def converse(self) -> None:
        """Pass calls to a live child and its answers back until the host ends it."""
        answer = self.answer()  # the program is loaded, or failed to
        while True:
            wire.write_frame(ANSWERS, *answer)
            request = wire.read_frame(REQUESTS)
            if request[:1] == b"E":
                return
            if request[:1] == b"C" and ANSWER.unpack_from(answer[0])[0] == b"A":
                with contextlib.suppress(BrokenPipeError):  # its end shows on the other pipe
                    wire.write_frame(self._in, request[1:])
                answer = self.answer()

    def end(self) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._out)
        if self._in >= 0:
            os.close(self._in)


def _child(lock: Lock, cpu_time_s: float, candidate: _Program, fds: _Fds) -> None:
    """Run the candidate and never return. Nothing it sends is trusted."""
    try:
        lock.apply(cpu_time_s=cpu_time_s)
        # the zygote's own pipes are overwritten here, and closed below with all the rest
        os.dup2(fds.out_w, REQUESTS)
        if fds.in_r >= 0:
            os.dup2(fds.in_r, ANSWERS)
        lock.filter_calls()
    except BaseException as error:
        # the candidate never holds this pipe, so it cannot feign a fault of the checker
        os.write(fds.fault_w, str(error).encode()[:1000])
        os._exit(3)
    try:
        os.closerange(ANSWERS if fds.in_r < 0 else ANSWERS + 1, _MOST_FILES)
        gc.enable()
        _candidate(candidate, is_live=fds.in_r >= 0)
    except MemoryError:
        with contextlib.suppress(BaseException):
            wire.write_frame(REQUESTS, b"LMemoryError")
    except BaseException:
        os._exit(1)
    os._exit(0)


def _candidate(candidate: _Program, *, is_live: bool) -> None:
    try:
        module = types.ModuleType("candidate")
        sys.modules["candidate"] = module
        code = candidate.code()
        if candidate.entry == script.ENTRY_POINT:
            function = script.as_function(code)
        else:
            exec(code, module.__dict__)
            function = module.__dict__[candidate.entry]
    except BaseException as error:
        wire.write_frame(REQUESTS, b"L" + _names(error))
        return
    if is_live:
        wire.write_frame(REQUESTS, b"V[]")
        while True:
            call = wire.loads(wire.read_frame(ANSWERS))
            wire.write_frame(REQUESTS, b"V" + wire.dumps([_call(function, call)]))
    outputs = [_call(function, call) for call in candidate.calls]
    wire.write_frame(REQUESTS, b"V" + wire.dumps(outputs))


def _names(error: BaseException) -> bytes:
    return ",".join(kind.__name__ for kind in type(error).__mro__).encode("utf-8", "replace")


def _call(function: Any, call: Any) -> list[Any]:
    """Call once: [0, value, changed arguments], [1, exception] or [2, type that is opaque]."""
    args = wire.unpack(call[0])
    kwargs = wire.unpack(call[1])
    try:
        value = function(*args, **kwargs)
        answer = [0, wire.pack(value)]
    except wire.OpaqueError as error:
        answer = [2, str(error)[:80]]
    except BaseException as error:
        return [1, _exception(error), *_changed(call, args, kwargs)]
    return answer + _changed(call, args, kwargs)


def _exception(error: BaseException) -> Any:
    """Return the class names, most derived first, and the arguments where they are plain."""
    names = [kind.__name__ for kind in type(error).__mro__]
    try:
        return [names, wire.pack(list(error.args))]
    except wire.OpaqueError:
        return [names, [str(error)[:1000]]]


def _changed(call: Any, args: Any, kwargs: Any) -> list[Any]:
    """Return the arguments if the call changed them: a test may look at them."""
    try:
        now = [wire.pack(args), wire.pack(kwargs)]
    except wire.OpaqueError:
        return []
    return [] if now == call else [now]
