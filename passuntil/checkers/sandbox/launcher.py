"""Runs between the host and a jail, as ``python -I -S launcher.py CONFIG``: standard library only.

It gives up root, sets limits and becomes bubblewrap or, where namespaces are denied, the jailed
interpreter itself. Root first shows the files in a mount namespace of its own, because the uid
without privileges may not be able to walk to them (an interpreter below /root).
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import sys
from typing import Any

_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_STAGE = "/tmp"  # any folder does: what it holds is covered in this namespace only

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = [None if part is None else os.fsencode(part) for part in (source, target, kind)]
    result = _libc.mount(*encoded, ctypes.c_ulong(flags), data.encode() or None)
    _call(f"mount {source} on {target}", result)


def _stage(sources: list[str]) -> dict[str, str]:
    """Show `sources` in a private mount namespace; return where each is found there."""
    _call("unshare(CLONE_NEWNS)", _libc.unshare(_CLONE_NEWNS))
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    fds = [os.open(source, os.O_PATH) for source in sources]
    _mount("none", _STAGE, "tmpfs", 0, "mode=755,size=1m")
    shown: dict[str, str] = {}
    for number, (source, fd) in enumerate(zip(sources, fds, strict=True)):
        target = f"{_STAGE}/{number}"
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(f"/proc/self/fd/{fd}", target, None, _MS_BIND | _MS_REC)
        os.close(fd)
        shown[source] = target
    return shown


def _arrange(fds: list[int]) -> None:
    """Move the inherited descriptors to 3, 4, ..., whatever their numbers are."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds]
    for number, fd in enumerate(high, start=3):
        os.dup2(fd, number)
        os.close(fd)
    os.closerange(3 + len(high), 100)


def main(config: dict[str, Any]) -> None:
    """Prepare this process and become the program of `config`."""
    if config["group"] is not None:
        with open(f"{config['group']}/cgroup.procs", "w") as group:
            group.write("0")  # this process, and all that it starts
    os.umask(0o077)
    _arrange(config["fds"])
    parent = config["parent"]
    shown = {}
    if config["is_staged"]:
        # root of a container may not; an interpreter that all can read needs no staging
        with contextlib.suppress(PermissionError):
            shown = _stage(config["sources"])
    program = os.open(config["argv"][0], os.O_RDONLY | os.O_CLOEXEC)
    for name, value in config["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    uid = config["uid"]
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    # after the change of uid, which clears it
    _call("prctl(PR_SET_PDEATHSIG)", _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)  # the host died meanwhile
    if config["no_new_privs"]:
        _call("prctl(PR_SET_NO_NEW_PRIVS)", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    argv = [
        shown.get(part, part) if at in config["mapped"] else part
        for at, part in enumerate(config["argv"])
    ]
    os.execve(program, argv, config["env"])


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(70)
