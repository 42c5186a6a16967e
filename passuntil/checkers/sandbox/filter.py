"""The system call filters of a jail, as BPF bytes made without libseccomp.

An allowlist holds for the zygote and so for every child, which inherits it: what a candidate may
call, and the few calls a zygote needs to make and end children. Those few are denied to a child by
a filter of its own, before it runs a line of the candidate; the kernel takes the stricter answer of
the two. Made so since a filter costs when it is loaded, in proportion to its length: the whole
allowlist, loaded by every child, was 4 % of a sample's time.

The default answer is EPERM, not a kill: many honest programs probe (``isatty``, locale files) and
carry on. A call in a foreign ABI (32-bit ``int 0x80``, x32) kills, since its numbers mean others.
"""

from __future__ import annotations

import errno
import struct

from passuntil.checkers.sandbox import calls
from passuntil.checkers.sandbox.calls import MACHINES
from passuntil.errors import NoIsolationError

__all__ = ["MACHINES", "candidate_filter", "zygote_filter"]

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQ, _JUMP_SET, _JUMP_GE, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_JUMP_ALWAYS = 0x05
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH = 0, 4

# O_WRONLY O_RDWR O_CREAT O_TRUNC O_APPEND __O_TMPFILE, and O_PATH, which Landlock lets through
_WRITES = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000 | 0o10000000
# CLONE_VM CLONE_SIGHAND CLONE_THREAD: what a thread has and a process has not
_THREAD = (0x100, 0x800, 0x10000)
# CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}, CLONE_PTRACE, CLONE_PARENT, CLONE_PIDFD
_NO_THREAD = 0x80 | 0x20000 | 0x7E000000 | 0x2000 | 0x8000 | 0x1000
# F_DUPFD F_GETFD F_SETFD F_GETFL F_DUPFD_CLOEXEC. Never F_SETOWN and F_SETSIG: with O_ASYNC on a
# pipe they send any signal to any process of the uid, and killed the fork server.
_FCNTL_COMMANDS = (0, 1, 2, 3, 1030)
_F_SETFL, _O_ASYNC = 4, 0o20000
# TCGETS (isatty), FIONREAD, FIOCLEX, FIONCLEX
_IOCTL_COMMANDS = (0x5401, 0x541B, 0x5451, 0x5450)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _deny(code: int) -> bytes:
    return _op(_RETURN, _ERRNO | code)


def _argument(n: int, *, high: bool = False) -> bytes:
    """Load half of argument `n`; both architectures are little-endian."""
    return _op(_LOAD, 16 + 8 * n + (4 if high else 0))


_PERMIT = _op(_RETURN, _ALLOW)


def _without_bits(n: int, bits: int, code: int) -> bytes:
    return _argument(n) + _op(_JUMP_SET, bits, 0, 1) + _deny(code) + _PERMIT


def _one_of(n: int, values: tuple[int, ...], code: int) -> bytes:
    tests = b"".join(_op(_JUMP_EQ, value, 0, 1) + _PERMIT for value in values)
    return _argument(n) + tests + _deny(code)


def _clone() -> bytes:
    """Threads only. The bits are tested one by one: BPF has no 'all of these' test on the load."""
    code = _argument(0) + _op(_JUMP_SET, _NO_THREAD, 0, 1) + _deny(errno.EPERM)
    for bit in _THREAD:
        code += _op(_JUMP_SET, bit, 1, 0) + _deny(errno.EPERM)
    return code + _PERMIT


def _fcntl() -> bytes:
    commands = b"".join(_op(_JUMP_EQ, value, 0, 1) + _PERMIT for value in _FCNTL_COMMANDS)
    set_flags = _without_bits(2, _O_ASYNC, errno.EPERM)
    return (
        _argument(1)
        + commands
        + _op(_JUMP_EQ, _F_SETFL, 0, len(set_flags) // 8)
        + set_flags
        + _deny(errno.EPERM)
    )


def _prlimit() -> bytes:
    """Questions only: the new limit is a null pointer."""
    is_null = _op(_JUMP_EQ, 0, 1, 0) + _deny(errno.EPERM)
    return _argument(2) + is_null + _argument(2, high=True) + is_null + _PERMIT


def zygote_filter(machine: str, *, paths: bool = True) -> bytes:
    """Return the BPF program for a zygote on `machine`, which its children inherit.

    Parameters
    ----------
    machine : str
        ``os.uname().machine``, one of `MACHINES`.
    paths : bool
        False refuses every call that takes a path, reading ones too: for kernels without
        Landlock, where nothing else hides the host's files.

    Raises
    ------
    NoIsolationError
        The system call numbers of `machine` are not known here.
    """
    column = _column(machine)
    bodies: dict[int, bytes] = {}

    def add(numbers: tuple[int | None, int | None], body: bytes) -> None:
        number = numbers[column]
        if number is not None:
            bodies[number] = body

    for name, numbers in calls.ALLOWED.items():
        if paths or name not in calls.PATH_CALLS:
            add(numbers, _PERMIT)
    for numbers in (*calls.ZYGOTE_ONLY.values(), calls.PRLIMIT):
        add(numbers, _PERMIT)
    if paths:
        add(calls.OPEN, _without_bits(1, _WRITES, errno.EACCES))
        add(calls.OPENAT, _without_bits(2, _WRITES, errno.EACCES))
    add(calls.CLONE, _without_bits(0, _NO_THREAD, errno.EPERM))
    # flags in memory cannot be tested; on ENOSYS the C library takes clone
    add(calls.CLONE3, _deny(errno.ENOSYS))
    add(calls.FCNTL, _fcntl())
    add(calls.IOCTL, _one_of(1, _IOCTL_COMMANDS, errno.ENOTTY))
    if machine == "x86_64":
        bodies[_X32_BIT] = _op(_RETURN, _KILL)
    return _foreign_kill(machine) + _tree(_ranges(bodies, _deny(errno.EPERM)))


def candidate_filter(machine: str) -> bytes:
    """Return the BPF program that a child adds: it takes away what is its zygote's alone.

    Raises
    ------
    NoIsolationError
        The system call numbers of `machine` are not known here.
    """
    column = _column(machine)
    known = (numbers[column] for numbers in calls.ZYGOTE_ONLY.values())
    bodies = {number: _deny(errno.EPERM) for number in known if number is not None}
    bodies[calls.CLONE[column]] = _clone()
    bodies[calls.PRLIMIT[column]] = _prlimit()
    return _foreign_kill(machine) + _tree(_ranges(bodies, _PERMIT))


def _column(machine: str) -> int:
    if machine not in MACHINES:
        raise NoIsolationError(
            f"seccomp filter: got machine {machine!r}; allowed: {', '.join(MACHINES)}; "
            "run code tasks on one of these."
        )
    return MACHINES.index(machine)


def _foreign_kill(machine: str) -> bytes:
    """Kill a call in another ABI; what follows finds the number loaded."""
    check_arch = _op(_JUMP_EQ, _AUDIT_ARCH[machine], 1, 0) + _op(_RETURN, _KILL)
    return _op(_LOAD, _ARCH) + check_arch + _op(_LOAD, _NR)


def _ranges(bodies: dict[int, bytes], default: bytes) -> list[tuple[int, bytes]]:
    """Return (first number, body) of ranges that cover all numbers."""
    ranges = [(0, default)]
    for number in sorted(bodies):
        for at, body in ((number, bodies[number]), (number + 1, default)):
            if at == ranges[-1][0]:
                ranges.pop()
            if not ranges or ranges[-1][1] != body:
                ranges.append((at, body))
        if number == _X32_BIT:
            ranges.pop()  # all numbers from there on
    return ranges


def _tree(ranges: list[tuple[int, bytes]]) -> bytes:
    """Return a binary search for the range of the loaded number.

    The kernel tries a filter on all numbers when it is loaded, a child's in every child: a search
    is half as long as a list.
    """
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    low, high = _tree(ranges[:middle]), _tree(ranges[middle:])
    distance = len(low) // 8
    if distance < 256:
        return _op(_JUMP_GE, ranges[middle][0], distance, 0) + low + high
    far = _op(_JUMP_ALWAYS, distance)
    return _op(_JUMP_GE, ranges[middle][0], 0, 1) + far + low + high
