"""Control groups of jails: the kernel's bound on the memory of all processes of a jail together.

Resource limits bound each process. A group (cgroup v2) bounds their sum, and what they make the
kernel hold; it also takes everything in it along when it is killed. Not every host lets one make
groups: root of a host may, a container mostly may not. So it is tried.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["create", "find", "remove", "sweep"]

_PREFIX = "passuntil"
_NEEDED = ("memory", "pids")
# beyond the address spaces of the zygote and its child: bubblewrap, and what the kernel keeps
_ROOM_BYTES = 128 << 20
_MOST_PROCESSES = 128  # and threads; bubblewrap's too
_REMOVAL_S = 2.0
_ENTRY_S = 30.0
_numbers = itertools.count(1)


def find() -> Path:
    """Return a folder in which groups with limits can be made and entered; else OSError."""
    refusal = OSError(errno.ENOENT, "no cgroup v2 is mounted")
    for folder in _candidates():
        try:
            _try(folder)
            return folder
        except OSError as error:
            refusal = error
    raise refusal


def _try(folder: Path) -> None:
    """Have a process enter a group, which may be denied where making one is not."""
    group = create(folder, 256 << 20)
    try:
        entry = "import sys; open(sys.argv[1], 'w').write('0')"
        argv = [sys.executable, "-I", "-S", "-c", entry, str(group / "cgroup.procs")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_ENTRY_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, f"{folder}: no process entered a group") from error
    finally:
        remove(group)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise OSError(errno.EPERM, f"{folder}: a process cannot enter a group: {said}")


def create(folder: Path, memory_bytes: int) -> Path:
    """Make a group for a jail whose processes may have an address space of `memory_bytes`."""
    limits = _limits(folder, memory_bytes)
    group = folder / f"{_owner(os.getpid())}-{next(_numbers)}"
    group.mkdir()
    try:
        for name, value in limits.items():
            # a kernel without swap accounting has no file for it
            if name != "memory.swap.max" or (group / name).exists():
                (group / name).write_text(value)
    except OSError:
        remove(group)
        raise
    return group


def remove(group: Path) -> None:
    """End what is left in a group and remove it; what cannot be is swept by a later start."""
    with contextlib.suppress(OSError):  # before Linux 5.14
        (group / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + _REMOVAL_S
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        else:
            return


def sweep(folder: Path) -> None:
    """Remove the groups of processes that were killed before they could."""
    for group in folder.glob(f"{_PREFIX}-*"):
        with contextlib.suppress(ValueError):
            _, namespace, pid, start, _ = group.name.split("-")
            # of another container its processes cannot be looked up
            if int(namespace) == _namespace() and _start(int(pid)) != int(start):
                remove(group)


def _candidates() -> list[Path]:
    """Return the group of this process and the one above."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    roots = [Path(fields[1]) for fields in map(str.split, mounts) if fields[2] == "cgroup2"]
    own = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    paths = [path for path in own if path.startswith("/")]  # the line of v2 is "0::/path"
    if not roots or not paths:
        return []
    group = roots[0] / paths[-1].lstrip("/")
    return [group] if group == roots[0] else [group, group.parent]


def _limits(folder: Path, memory_bytes: int) -> dict[str, str]:
    """Return the limits of a group in `folder`, where groups can have them."""
    there = (folder / "cgroup.controllers").read_text().split()
    if missing := [name for name in _NEEDED if name not in there]:
        raise OSError(errno.ENOTSUP, f"{folder}: no controller {' and '.join(missing)}")
    control = folder / "cgroup.subtree_control"
    if absent := [name for name in _NEEDED if name not in control.read_text().split()]:
        control.write_text(" ".join(f"+{name}" for name in absent))
    return {
        "memory.max": str(2 * memory_bytes + _ROOM_BYTES),
        "memory.swap.max": "0",
        "pids.max": str(_MOST_PROCESSES),
    }


def _owner(pid: int) -> str:
    return f"{_PREFIX}-{_namespace()}-{pid}-{_start(pid)}"


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _start(pid: int) -> int:
    """Return when a process started, in ticks; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0
