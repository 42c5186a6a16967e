"""What a child gives up before it runs a line of the candidate: descriptors, files, system calls.

Prepared once in the zygote, applied in every child after the fork; measured at about 0.1 ms.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from dataclasses import dataclass
from typing import Any

__all__ = ["Lock", "LockError", "landlock_abi", "set_undumpable"]

_PR_SET_DUMPABLE = 4
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SYSCALL = {"x86_64": 317, "aarch64": 277}
_SECCOMP_SET_MODE_FILTER = 1
# the same numbers on every architecture that has them
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION_FLAG = 1
_LANDLOCK_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3


class LockError(OSError):
    """A restriction could not be applied."""


_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _check(what: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise LockError(code, f"{what}: {errno.errorcode.get(code, code)} {os.strerror(code)}")
    return result


def set_undumpable() -> None:
    """Deny ptrace and /proc/<pid>/mem to processes of the same uid; children inherit it."""
    _check("prctl(PR_SET_DUMPABLE)", _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def landlock_abi() -> int:
    """Return Landlock's ABI version, 0 where the kernel has none or denies it."""
    version = _syscall(
        ctypes.c_long(_LANDLOCK_CREATE),
        ctypes.c_void_p(None),
        ctypes.c_size_t(0),
        ctypes.c_uint32(_LANDLOCK_VERSION_FLAG),
    )
    return max(0, int(version))


def _ruleset(abi: int, readable: list[str], listed: list[str]) -> int:
    """Return a descriptor of a ruleset: reading below `readable`, names below `listed`, no more."""
    files = (1 << 13) - 1  # ABI 1: thirteen rights
    files |= (1 << 13 if abi >= 2 else 0) | (1 << 14 if abi >= 3 else 0)
    files |= 1 << 15 if abi >= 5 else 0
    ports = 0b11 if abi >= 4 else 0  # bind and connect of TCP
    scope = 0b11 if abi >= 6 else 0  # abstract sockets and signals
    attributes = struct.pack("QQQ", files, ports, scope)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _check(
        "landlock_create_ruleset",
        _syscall(
            ctypes.c_long(_LANDLOCK_CREATE),
            ctypes.c_char_p(attributes),
            ctypes.c_size_t(size),
            ctypes.c_uint32(0),
        ),
    )
    wishes = [(path, _READ_FILE | _READ_DIR) for path in readable]
    for path, wanted in [*wishes, *((path, _READ_DIR) for path in listed)]:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # covered in this jail, or not for this user: then it is not readable
        rights = wanted if os.path.isdir(path) else wanted & _READ_FILE
        rule = struct.pack("=Qi", rights, fd)
        _check(
            "landlock_add_rule",
            _syscall(
                ctypes.c_long(_LANDLOCK_ADD),
                ctypes.c_int(ruleset),
                ctypes.c_int(_LANDLOCK_PATH_BENEATH),
                ctypes.c_char_p(rule),
                ctypes.c_uint32(0),
            ),
        )
        os.close(fd)
    return ruleset


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    @classmethod
    def of(cls, instructions: bytes) -> _Program:
        """Return it for the bytes, which it keeps alive."""
        return cls(len(instructions) // 8, instructions)


@dataclass(slots=True)
class Lock:
    """The prepared restrictions of one zygote.

    Parameters
    ----------
    machine : str
        ``os.uname().machine``.
    zygote_filter, candidate_filter : bytes
        BPF programs, of the zygote and so of its children, and of a child alone; empty for none.
    readable, listed : list of str
        Paths a child may read, and folders whose names it may list, for Landlock.
    use_landlock : bool
        False leaves Landlock out, for tests and for kernels without it.
    n_processes : int
        RLIMIT_NPROC of the zygote and its children; 0 leaves it as it is. A second layer: the
        filter lets threads through only, and each takes 8 MB of the address space.
    """

    machine: str
    zygote_filter: bytes
    candidate_filter: bytes
    readable: list[str]
    listed: list[str]
    use_landlock: bool
    n_processes: int
    abi: int = 0
    _parent: int = -1
    _ruleset_fd: int = -1
    _restrict: tuple[Any, ...] = ()
    _load: tuple[Any, ...] = ()
    _program: Any = None

    def prepare(self) -> None:
        """Build the ruleset and the filter; LockError where the kernel refuses."""
        self._parent = os.getpid()
        _check("prctl(PR_SET_NO_NEW_PRIVS)", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        if self.n_processes:
            resource.setrlimit(resource.RLIMIT_NPROC, (self.n_processes, self.n_processes))
        self.abi = landlock_abi() if self.use_landlock else 0
        if self.abi:
            self._ruleset_fd = _ruleset(self.abi, self.readable, self.listed)
            numbers = (_LANDLOCK_RESTRICT, self._ruleset_fd, 0)
            self._restrict = tuple(ctypes.c_long(number) for number in numbers)
        if self.candidate_filter:
            self._program = _Program.of(self.candidate_filter)
            self._load = self._call_with(self._program)

    def _call_with(self, program: _Program) -> tuple[Any, ...]:
        numbers = (_SECCOMP_SYSCALL[self.machine], _SECCOMP_SET_MODE_FILTER, 0)
        return (*map(ctypes.c_long, numbers), ctypes.byref(program))

    def filter_zygote(self) -> None:
        """Load the filter that this process hands down; LockError where the kernel refuses."""
        if self.zygote_filter:
            _load(self._call_with(_Program.of(self.zygote_filter)))

    def apply(self, *, cpu_time_s: float) -> None:
        """Restrict this process for good.

        The limits have no margin between soft and hard: what a program could raise it would.
        """
        # RLIMIT_CPU counts whole seconds and only backs up the zygote's own clock
        seconds = int(cpu_time_s) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if self._parent != 1:
            # without a process namespace the zygote's death must take the child along
            _check("prctl(PR_SET_PDEATHSIG)", _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0))
            if os.getppid() != self._parent:
                os._exit(1)
        if self._ruleset_fd >= 0:
            _check("landlock_restrict_self", _syscall(*self._restrict))

    def filter_calls(self) -> None:
        """Load the filter that takes from a child what its zygote may call."""
        if self._program is not None:
            _load(self._load)


def _load(call: tuple[Any, ...]) -> None:
    _check("seccomp(SECCOMP_SET_MODE_FILTER)", _syscall(*call))
