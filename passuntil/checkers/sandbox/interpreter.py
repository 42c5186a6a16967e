"""What a jail must show for Python to run: the interpreter, its standard library, its libraries.

Nothing else of the host is shown. Packages are not: benchmark packages carry their answers.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from passuntil.errors import NoIsolationError

__all__ = ["PACKAGES", "Interpreter", "discover"]

PACKAGES = "/packages"
"""Folder of a jail that holds packages."""

# Run by the interpreter itself: imports all extension modules, then asks the dynamic linker for
# the libraries in memory under the names by which it found them.
_QUESTION = """
import ctypes, importlib, json, os, sys, sysconfig
stdlib = sysconfig.get_path("stdlib")
platstdlib = sysconfig.get_path("platstdlib")
dynload = os.path.join(platstdlib, "lib-dynload")
skip = ("_test", "_xx", "xx", "_ctypes_test", "_tkinter", "_curses", "readline", "nis", "_dbm",
        "_gdbm")
for name in sorted(os.listdir(dynload)) if os.path.isdir(dynload) else ():
    if not name.startswith(skip):
        try:
            importlib.import_module(name.split(".")[0])
        except ImportError:
            pass
sys.path += sys.argv[1].split(os.pathsep)
for name in sys.argv[2:]:
    importlib.import_module(name)
class Info(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]
kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)
names = []
def note(info, size, data):
    names.append(os.fsdecode(info.contents.name))
    return 0
ctypes.CDLL(None).dl_iterate_phdr(kind(note), None)
print(json.dumps({"stdlib": [stdlib, platstdlib], "names": names, "version": sys.version}))
"""

# Below the standard library, but not of it, or of no use to a solution.
_HIDDEN = (
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "ensurepip",
    "lib2to3",
    "turtledemo",
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that can be shown in a jail.

    Parameters
    ----------
    executable : str
        Its real path, not that of a virtual environment's link.
    visible : tuple of str
        Files and folders that it needs, shown under their own names.
    hidden : tuple of str
        Folders below `visible` that are covered.
    packages : mapping of str to str
        Folders of packages, and the names under which a jail shows them.
    version : str
        ``sys.version``.
    """

    executable: str
    visible: tuple[str, ...]
    hidden: tuple[str, ...]
    packages: Mapping[str, str]
    version: str

    def readable(self) -> list[str]:
        """Return `visible` without `hidden`, for Landlock, which can only add rights downwards."""
        paths = []
        for path in self.visible:
            if not any(hidden.startswith(f"{path}/") for hidden in self.hidden):
                paths.append(path)
                continue
            inner = (os.path.join(path, name) for name in sorted(os.listdir(path)))
            paths += [each for each in inner if each not in self.hidden]
        return paths

    def listed(self) -> list[str]:
        """Return the folders whose names alone may be listed; imports look through them."""
        return [path for path in self.visible if os.path.isdir(path)]


@functools.cache
def discover(executable: str | None = None, packages: tuple[str, ...] = ()) -> Interpreter:
    """Ask the interpreter, by default the one that runs now, what it and `packages` need.

    Packages are shown to judges only, whose trusted tests may use them (EvalPlus: numpy).

    Raises
    ------
    NoIsolationError
        It does not run or does not answer.
    """
    base = getattr(sys, "_base_executable", None) or sys.executable
    executable = os.path.realpath(executable or base)
    # vLLM sets it for its own process; nothing of it belongs into a jail
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-c", _QUESTION, os.pathsep.join(sys.path), *packages],
            env=environment,
            capture_output=True,
            timeout=60,
            check=True,
        )
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        detail = getattr(error, "stderr", b"") or b""
        raise NoIsolationError(
            f"interpreter for the jail: {executable} failed: {error} "
            f"{detail.decode(errors='replace')[-300:]}; allowed: a CPython 3.11 to 3.13 with "
            "ctypes; run passuntil under one."
        ) from error
    stdlib = tuple(dict.fromkeys(os.path.realpath(path) for path in answer["stdlib"]))
    shown = {folder: f"{PACKAGES}/{os.path.basename(folder)}" for folder in _folders(packages)}
    libraries = [
        name
        for name in answer["names"]
        if os.path.isabs(name)
        and os.path.exists(name)
        and not os.path.realpath(name).startswith((*stdlib, *shown))
    ]
    cache = ["/etc/ld.so.cache"] if os.path.exists("/etc/ld.so.cache") else []
    visible = tuple(dict.fromkeys([executable, *answer["stdlib"], *libraries, *cache]))
    hidden = tuple(
        path
        for folder in dict.fromkeys(answer["stdlib"])
        for name in _HIDDEN
        if os.path.isdir(path := os.path.join(folder, name)) and not os.path.islink(path)
    )
    return Interpreter(executable, visible, hidden, shown, answer["version"])


def _folders(packages: tuple[str, ...]) -> list[str]:
    """Return the folders of installed packages and of the libraries they bundle."""
    folders = []
    for name in packages:
        found = importlib.util.find_spec(name)
        if found is not None and found.submodule_search_locations:
            folder = os.path.realpath(found.submodule_search_locations[0])
            folders += [path for path in (folder, f"{folder}.libs") if os.path.isdir(path)]
    return folders
