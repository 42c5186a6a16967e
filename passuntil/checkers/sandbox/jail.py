"""A jailed process: how one is started, spoken to and ended."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from passuntil.checkers.sandbox.filter import candidate_filter
from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.interpreter import Interpreter, discover
from passuntil.errors import CheckerError, NoIsolationError

__all__ = ["JailPlan", "JailedProcess", "unused_uid"]

_START_TIMEOUT_S = 60.0  # 0.1 to 0.3 s on an idle machine
_WRITE_TIMEOUT_S = 60.0
_LAUNCHER = Path(__file__).with_name("launcher.py")
_INSIDE = "passuntil.checkers.sandbox.inside"
_ENVIRONMENT = {
    "HOME": "/",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/nonexistent",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
}
# Users 60578 to 60705 are unused by Debian's and systemd's allocation, and below 65536, so that
# containers with the usual uid map have them.
_UIDS = range(60578, 60706)

# Reads the modules from the request pipe: a jail needs no file of this package.
_BOOT = """
import json, os, sys, types
def read(n):
    data = b""
    while len(data) < n:
        chunk = os.read(3, n - len(data))
        if not chunk:
            os._exit(71)
        data += chunk
    return data
config = json.loads(read(int.from_bytes(read(4), "little")))
for name in config["packages"]:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
for name, source in config["modules"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
sys.modules[config["main"]].main(config)
"""


@dataclass(frozen=True, slots=True)
class JailPlan:
    """Which layers a jail has.

    Parameters
    ----------
    level : int
        3: namespaces by bubblewrap; 2: none, Landlock and seccomp carry it; 1: none and no
        Landlock, so the filter refuses every path.
    uid : int or None
        User to become; None keeps the own one.
    bwrap : str or None
        Path of bubblewrap, at level 3.
    memory_bytes : int
        RLIMIT_AS of every process.
    use_landlock, use_seccomp : bool
        False leaves the layer out, for tests.
    python : str or None
        Interpreter to show; None is the one that runs now.
    packages : tuple of str
        Installed packages to show besides the standard library. Candidates have none: benchmark
        packages carry their answers.
    """

    level: int
    uid: int | None
    bwrap: str | None
    memory_bytes: int = 1 << 30
    use_landlock: bool = True
    use_seccomp: bool = True
    python: str | None = None
    packages: tuple[str, ...] = ()

    def for_judge(self) -> JailPlan:
        """Return the plan of a judge: trusted code, so more memory, and numpy for its tests."""
        packages = ("numpy",) if importlib.util.find_spec("numpy") and not self.python else ()
        return replace(self, memory_bytes=4 << 30, packages=packages)

    def show(self) -> Interpreter:
        """Return the interpreter and what a jail must show of it."""
        try:
            return discover(self.python, self.packages)
        except NoIsolationError:
            # packages that do not import stay out; a test that needs them is refused by name
            return discover(self.python)


def unused_uid() -> int | None:
    """Return a uid without an account if this process is root, else None."""
    if os.geteuid() != 0:
        return None
    for uid in _UIDS:
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid
    raise NoIsolationError(
        f"uid for the jail: all of {_UIDS.start} ... {_UIDS.stop - 1} have accounts; allowed: one "
        "without; free one of them."
    )


@functools.cache
def _modules() -> list[tuple[str, str]]:
    folder = resources.files(_INSIDE)
    names = ("wire", "lock", "script", "zygote", "judge", "compiler")
    return [(f"{_INSIDE}.{name}", (folder / f"{name}.py").read_text("utf-8")) for name in names]


@functools.cache
def _disables_userns(bwrap: str) -> bool:
    """Tell whether this bubblewrap is 0.8 or later."""
    done = subprocess.run([bwrap, "--help"], capture_output=True, timeout=30, check=False)
    return b"--disable-userns" in done.stdout + done.stderr


def _bwrap_argv(plan: JailPlan) -> tuple[list[str], list[int]]:
    """Return bubblewrap's arguments and the positions of paths that staging moves."""
    assert plan.bwrap is not None
    python = plan.show()
    argv = [plan.bwrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
    argv += ["--unshare-uts", "--unshare-cgroup-try", "--hostname", "jail", "--new-session"]
    argv += ["--disable-userns"] if _disables_userns(plan.bwrap) else []
    argv += ["--as-pid-1", "--die-with-parent", "--cap-drop", "ALL", "--info-fd", "5"]
    mapped = []
    for path, name in [*((path, path) for path in python.visible), *python.packages.items()]:
        mapped.append(len(argv) + 1)
        argv += ["--ro-bind", path, name]
    for path in python.hidden:
        argv += ["--tmpfs", path, "--remount-ro", path]
    argv += ["--remount-ro", "/", "--chdir", "/", "--clearenv"]
    for name, value in _ENVIRONMENT.items():
        argv += ["--setenv", name, value]
    return [*argv, "--", *_python_argv(python)], mapped


def _python_argv(python: Interpreter) -> list[str]:
    # -I would ignore PYTHONHASHSEED
    return [python.executable, "-s", "-P", "-S", "-B", "-c", _BOOT]


def _launch_config(plan: JailPlan, fds: list[int]) -> dict[str, Any]:
    python = plan.show()
    argv, mapped = _bwrap_argv(plan) if plan.level == 3 else (_python_argv(python), [])
    return {
        "argv": argv,
        "env": {} if plan.level == 3 else _ENVIRONMENT,
        "fds": fds,
        "is_staged": plan.level == 3 and plan.uid is not None,
        "limits": {
            "RLIMIT_AS": plan.memory_bytes,
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": 1 << 20,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_STACK": 8 << 20,
        },
        "mapped": mapped,
        "no_new_privs": plan.level != 3,
        "parent": os.getpid(),
        "sources": [*python.visible, *python.packages],
        "uid": plan.uid,
    }


def _inner_config(plan: JailPlan, role: str) -> dict[str, Any]:
    machine = os.uname().machine
    can_import = plan.level != 1
    seccomp = candidate_filter(machine, paths=can_import) if plan.use_seccomp else b""
    python = plan.show()
    parts = _INSIDE.split(".")
    return {
        "main": f"{_INSIDE}.{role}",
        "packages": [".".join(parts[: n + 1]) for n in range(len(parts))],
        "modules": _modules(),
        "machine": machine,
        "seccomp": seccomp.hex(),
        # each rule costs every child; all that bubblewrap shows may be read
        "readable": _coarse(python.visible) if plan.level == 3 else python.readable(),
        "listed": [] if plan.level == 3 else python.listed(),
        "can_import": can_import,
        "packages_path": sorted(
            {
                os.path.dirname(name if plan.level == 3 else path)
                for path, name in python.packages.items()
            }
        ),
        "use_landlock": plan.use_landlock and plan.level > 1,
        "n_processes": _n_processes(plan),
    }


def _coarse(paths: tuple[str, ...]) -> list[str]:
    """Return the top folders of `paths`; files of /etc stay themselves."""
    return sorted(
        {path if path.startswith("/etc/") else "/" + path.split("/")[1] for path in paths}
    )


def _n_processes(plan: JailPlan) -> int:
    """Return RLIMIT_NPROC, which counts a user's threads: in this jail alone only at level 3."""
    if plan.level == 3:
        return 64
    return 4096 if plan.uid is not None else 0


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
        self.answers, answers_w = os.pipe()
        info_r, info_w = os.pipe()
        errors_r, errors_w = os.pipe()
        theirs = [requests_r, answers_w, info_w]
        self._pidfd = -1
        try:
            config = json.dumps(_launch_config(plan, theirs))
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
            for fd in (self._requests, self.answers, info_r, errors_r):
                os.close(fd)
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
        self.send(wire.dumps(_inner_config(plan, role)))
        self.ready = wire.loads(wire.read_frame(self.answers, most=4096, deadline=deadline))

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
        poller = select.poll()
        poller.register(self.answers, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))

    def receive(self, *, most: int = 1 << 28) -> bytes:
        """Read one answer; FrameError if the process is gone."""
        return wire.read_frame(self.answers, most=most, deadline=time.monotonic() + 60.0)

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
        for name in ("_requests", "answers"):
            fd = getattr(self, name)
            if fd >= 0:
                os.close(fd)
                setattr(self, name, -1)


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


def find_bwrap() -> str | None:
    """Return the path of bubblewrap, or None."""
    return shutil.which("bwrap")
