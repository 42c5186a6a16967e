"""The system call filter of a candidate: an allowlist, as BPF bytes made without libseccomp.

The default answer is EPERM, not a kill: many honest programs probe (``isatty``, locale files) and
carry on. A call in a foreign ABI (32-bit ``int 0x80``, x32) kills, since its numbers mean others.
"""

from __future__ import annotations

import errno
import struct

from passuntil.errors import NoIsolationError

__all__ = ["MACHINES", "candidate_filter"]

MACHINES = ("x86_64", "aarch64")
"""Machines whose system call numbers are known here."""

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQ, _JUMP_SET, _JUMP_GE, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_JUMP_ALWAYS = 0x05
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH = 0, 4

# name: (x86_64, aarch64), from <asm/unistd_64.h> and <asm-generic/unistd.h>; None: does not exist.
# Not here, so EPERM: all of sockets, processes, exec, signals to others, mounts, namespaces,
# ptrace, keys, bpf, perf, io_uring, userfaultfd, memfd, IPC, file changes, limits, scheduling.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # files that are open, and memory
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "close_range": (436, 436),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    # waiting
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "pause": (34, None),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "restart_syscall": (219, 128),
    # threads and own signals
    "futex": (202, 98),
    "set_tid_address": (218, 96),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "alarm": (37, None),
    "getitimer": (36, 102),
    "setitimer": (38, 103),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # questions
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getgroups": (115, 158),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "uname": (63, 160),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "time": (201, None),
    "gettimeofday": (96, 169),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "getrandom": (318, 278),
    # reading files that the jail shows: late imports
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
}

_PATH_CALLS = {
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getcwd",
    "getdents64",
}

_OPEN = (2, None)
_OPENAT = (257, 56)
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_FCNTL = (72, 25)
_PRLIMIT = (302, 261)
_IOCTL = (16, 29)

# O_WRONLY O_RDWR O_CREAT O_TRUNC O_APPEND __O_TMPFILE, and O_PATH, which Landlock lets through
_WRITES = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000 | 0o10000000
# CLONE_VM CLONE_SIGHAND CLONE_THREAD: what a thread has and a process has not
_THREAD = 0x100 | 0x800 | 0x10000
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
    for bit in (0x100, 0x800, 0x10000):
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


def candidate_filter(machine: str, *, paths: bool = True) -> bytes:
    """Return the BPF program for a candidate on `machine`.

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
    if machine not in MACHINES:
        raise NoIsolationError(
            f"seccomp filter: got machine {machine!r}; allowed: {', '.join(MACHINES)}; "
            "run code tasks on one of these."
        )
    column = MACHINES.index(machine)
    bodies: dict[int, bytes] = {}

    def add(numbers: tuple[int | None, int | None], body: bytes) -> None:
        number = numbers[column]
        if number is not None:
            bodies[number] = body

    for name, numbers in _ALLOWED.items():
        if paths or name not in _PATH_CALLS:
            add(numbers, _PERMIT)
    if paths:
        add(_OPEN, _without_bits(1, _WRITES, errno.EACCES))
        add(_OPENAT, _without_bits(2, _WRITES, errno.EACCES))
    add(_CLONE, _clone())
    # flags in memory cannot be tested; on ENOSYS the C library takes clone
    add(_CLONE3, _deny(errno.ENOSYS))
    add(_FCNTL, _fcntl())
    add(_PRLIMIT, _prlimit())
    add(_IOCTL, _one_of(1, _IOCTL_COMMANDS, errno.ENOTTY))
    if machine == "x86_64":
        bodies[_X32_BIT] = _op(_RETURN, _KILL)
    check_arch = _op(_JUMP_EQ, _AUDIT_ARCH[machine], 1, 0) + _op(_RETURN, _KILL)
    return _op(_LOAD, _ARCH) + check_arch + _op(_LOAD, _NR) + _tree(_ranges(bodies))


def _ranges(bodies: dict[int, bytes]) -> list[tuple[int, bytes]]:
    """Return (first number, body) of ranges that cover all numbers."""
    default = _deny(errno.EPERM)
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

    The kernel tries a filter on all numbers when it is loaded, in every child: a search instead of
    a list brought that from 0.2 to 0.1 ms.
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
