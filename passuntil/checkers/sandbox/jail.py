"""A jailed process: how one is started, spoken to and ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from passuntil.checkers.sandbox import groups
from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.plan import JailPlan, inner_config, launch_config
from passuntil.errors import CheckerError

__all__ = ["JailedProcess"]

_START_TIMEOUT_S = 60.0  # 0.1 to 0.3 s on an idle machine
_WRITE_TIMEOUT_S = _READ_TIMEOUT_S = 60.0
_READ_AT_ONCE = 1 << 16  # what a pipe holds
_LAUNCHER = Path(__file__).with_name("launcher.py")


class JailedProcess:
    """A zygote, a judge or a compile worker in a jail of its own, and the pipes to it.

    Start it from a thread that lives as long as it should: the kernel kills it when the thread
    that started it ends, however that happens.

    Parameters
    ----------
    plan : JailPlan
        The jail.
    role : {"zygote", "judge", "compiler"}
        What runs in it.

    Raises
    ------
    CheckerError
        It did not start; the message holds what it said.
    """

    def __init__(self, plan: JailPlan, role: str) -> None:
        self.role = role
        requests_r, self._requests = os.pipe()
        self._answers, answers_w = os.pipe()
        self._unread = bytearray()
        self._poller = select.poll()
        self._poller.register(self._answers, select.POLLIN)
        info_r, info_w = os.pipe()
        errors_r, errors_w = os.pipe()
        theirs = [requests_r, answers_w, info_w]
        self._pidfd = -1
        self._group: Path | None = None
        try:
            if plan.groups is not None:
                self._group = _group(plan.groups, plan.memory_bytes)
            config = json.dumps(launch_config(plan, theirs, self._group))
            base = getattr(sys, "_base_executable", None) or sys.executable
            self._process = subprocess.Popen(
                [base, "-I", "-S", str(_LAUNCHER), config],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors_w,
                pass_fds=theirs,
                env={"LANG": "C.UTF-8"},
            )
        except BaseException:
            for fd in (self._requests, self._answers, info_r, errors_r):
                os.close(fd)
            if self._group is not None:
                groups.remove(self._group)
            raise
        finally:
            for fd in (*theirs, errors_w):
                os.close(fd)
        try:
            self._shake_hands(plan, role, info_r)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError | ValueError):
                said = _drain(errors_r) or f"{type(error).__name__}: {error}"
                raise CheckerError(
                    f"jailed {role}: got {said!r} (exit status {self._process.returncode}); "
                    "allowed: a start in the jail; see `passuntil doctor`."
                ) from error
            raise
        finally:
            os.close(info_r)
            os.close(errors_r)

    def _shake_hands(self, plan: JailPlan, role: str, info_r: int) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        os.set_blocking(self._requests, False)
        self.pid = self._process.pid
        if plan.level == 3:
            self.pid = int(json.loads(_until_end(info_r, deadline))["child-pid"])
        self._pidfd = os.pidfd_open(self.pid)
        self.send(repr(inner_config(plan, role)).encode())
        self.ready = wire.loads(wire.read_frame(self._answers, most=4096, deadline=deadline))

    def cpu_s(self) -> float:
        """CPU time the process has used; 0.0 if it is gone."""
        try:
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0

    def send(self, *parts: bytes) -> None:
        """Write one request; OSError if the process is gone or does not read for a minute."""
        data = memoryview(b"".join((sum(map(len, parts)).to_bytes(4, "little"), *parts)))
        while data:
            try:
                data = data[os.write(self._requests, data) :]
            except BlockingIOError:
                poller = select.poll()
                poller.register(self._requests, select.POLLOUT)
                if not poller.poll(_WRITE_TIMEOUT_S * 1000):
                    raise TimeoutError(f"the {self.role} does not read") from None

    def wait(self, timeout_s: float) -> bool:
        """Tell whether an answer, or the end of the process, came within `timeout_s`."""
        return bool(self._unread) or self._wait_for_more(timeout_s)

    def receive(self, *, most: int = 1 << 28) -> bytes:
        """Read one answer; FrameError if the process is gone.

        Answers may come many at once: what was read beyond this one waits for the next call.
        """
        deadline = time.monotonic() + _READ_TIMEOUT_S
        data, size = self._unread, -1
        while True:
            if size < 0 and len(data) >= 4:
                size = int.from_bytes(data[:4], "little")
                if size > most:
                    raise wire.FrameError(f"a frame of {size} bytes; at most {most} expected")
            if 0 <= size <= len(data) - 4:
                break
            if not self._wait_for_more(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"the {self.role} stopped within an answer")
            chunk = os.read(self._answers, _READ_AT_ONCE)
            if not chunk:
                raise wire.FrameError("the peer closed the pipe")
            data += chunk
        frame = bytes(data[4 : 4 + size])
        del data[: 4 + size]
        return frame

    def _wait_for_more(self, timeout_s: float) -> bool:
        return bool(self._poller.poll(timeout_s * 1000))

    def close(self) -> None:
        """End the process and all that runs in its jail, and wait until it is gone."""
        if self._pidfd >= 0:
            # the inner one, so that bubblewrap reaps it: killed together with bubblewrap it would
            # be a zombie of the container's init, which may never reap
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = -1
        else:
            self._process.kill()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._group is not None:
            groups.remove(self._group)
            self._group = None
        for name in ("_requests", "_answers"):
            fd = getattr(self, name)
            if fd >= 0:
                os.close(fd)
                setattr(self, name, -1)


def _group(folder: Path, memory_bytes: int) -> Path:
    try:
        return groups.create(folder, memory_bytes)
    except OSError as error:
        raise CheckerError(
            f"control group of a jail: got {error}; allowed: a group as at the start; see "
            "`passuntil doctor`."
        ) from error


def _until_end(fd: int, deadline: float) -> bytes:
    data = b""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        chunk = os.read(fd, 4096)
        if not chunk:
            return data
        data += chunk
    raise TimeoutError("bubblewrap did not report its child")


def _drain(fd: int) -> str:
    os.set_blocking(fd, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(fd, 4096):
            data += chunk
    return data.decode(errors="replace").strip()[-600:]
