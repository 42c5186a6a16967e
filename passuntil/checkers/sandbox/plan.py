"""Which layers a jail has, and what its launcher and its inside are told."""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from passuntil.checkers.sandbox.filter import candidate_filter, zygote_filter
from passuntil.checkers.sandbox.interpreter import Interpreter, discover
from passuntil.errors import NoIsolationError

__all__ = ["JailPlan", "find_bwrap", "inner_config", "launch_config", "unused_uid"]

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
_FIRST = ("heap", "preimport")
# What a role does not need stays out: `random`, imported for the judge, once brought the zygote's
# children a hook that seeded them anew.
_MODULES = {
    "zygote": (
        "heap",
        "preimport",
        "wire",
        "lock",
        "script",
        "gate",
        "candidate",
        "child",
        "zygote",
    ),
    "judge": ("heap", "preimport", "wire", "lock", "script", "judge"),
    "compiler": ("wire", "lock", "gate", "compiler"),
}
# Users 60578 to 60705 are unused by Debian's and systemd's allocation, and below 65536, so that
# containers with the usual uid map have them.
_UIDS = range(60578, 60706)

# Reads the modules from the request pipe: a jail needs no file of this package. The host writes a
# literal, since importing json would take memory before `heap` has laid it out.
_BOOT = """
import os, sys, types
def read(n):
    data = b""
    while len(data) < n:
        chunk = os.read(3, n - len(data))
        if not chunk:
            os._exit(71)
        data += chunk
    return data
config = eval(read(int.from_bytes(read(4), "little")), {})
for name in config["packages"]:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
for name, source in config["modules"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    if hasattr(module, "boot"):
        module.boot(config)
sys.modules[config["main"]].main(config)
"""


@dataclass(frozen=True, slots=True)
class JailPlan:
    """Which layers a jail has.

    Parameters
    ----------
    level : int
        3: namespaces by bubblewrap; 2: none, Landlock and seccomp carry it; 1: none and no
        Landlock, so the filter refuses every path; 0: no isolation, on request only.
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
    groups : Path or None
        Folder in which a control group can be made for each jail; None makes none.
    """

    level: int
    uid: int | None
    bwrap: str | None
    memory_bytes: int = 1 << 30
    use_landlock: bool = True
    use_seccomp: bool = True
    python: str | None = None
    packages: tuple[str, ...] = ()
    groups: Path | None = None

    @classmethod
    def none(cls, memory_bytes: int) -> JailPlan:
        """Return the plan without isolation: a process with resource limits."""
        return cls(0, None, None, memory_bytes, use_landlock=False, use_seccomp=False)

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
def _modules(role: str) -> list[tuple[str, str]]:
    """Return names and sources of what a role needs, in the order in which they are loaded."""
    folder = resources.files(_INSIDE)
    return [
        (f"{_INSIDE}.{name}", (folder / f"{name}.py").read_text("utf-8")) for name in _MODULES[role]
    ]


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


def launch_config(plan: JailPlan, fds: list[int], group: Path | None = None) -> dict[str, Any]:
    """Return what the launcher is told.

    `fds` are the descriptors that the process keeps, `group` the control group it enters.
    """
    python = plan.show()
    argv, mapped = _bwrap_argv(plan) if plan.level == 3 else (_python_argv(python), [])
    return {
        "argv": argv,
        "env": {} if plan.level == 3 else _ENVIRONMENT,
        "fds": fds,
        "group": None if group is None else str(group),
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


def inner_config(plan: JailPlan, role: str) -> dict[str, Any]:
    """Return what the jailed process is told first."""
    machine = os.uname().machine
    can_import = plan.level != 1
    seccomp = (
        (zygote_filter(machine, paths=can_import), candidate_filter(machine))
        if plan.use_seccomp
        else (b"", b"")
    )
    python = plan.show()
    parts = _INSIDE.split(".")
    return {
        "main": f"{_INSIDE}.{role}",
        "packages": [".".join(parts[: n + 1]) for n in range(len(parts))],
        "modules": _modules(role),
        "forks": role == "zygote",
        "machine": machine,
        "zygote_filter": seccomp[0].hex(),
        "candidate_filter": seccomp[1].hex(),
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


def find_bwrap() -> str | None:
    """Return the path of bubblewrap, or None."""
    return shutil.which("bwrap")
