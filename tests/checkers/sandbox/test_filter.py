"""The system call filter, interpreted here as the kernel would."""

from __future__ import annotations

import errno
import functools
import struct

import pytest

from passuntil.checkers.sandbox.filter import MACHINES, candidate_filter, zygote_filter
from passuntil.errors import NoIsolationError

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


@functools.cache
def built(machine: str, *, paths: bool = True) -> tuple[bytes, bytes]:
    return zygote_filter(machine, paths=paths), candidate_filter(machine)


def run(program: bytes, arch: int, number: int, *args: int) -> int:
    """Interpret a filter on ``struct seccomp_data``: a second implementation of BPF."""
    arguments = [*args, *[0] * (6 - len(args))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *[a & (2**64 - 1) for a in arguments])
    code = [struct.unpack_from("<HBBI", program, i) for i in range(0, len(program), 8)]
    at, accumulator = 0, 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x06:
            return value
        elif operation == 0x05:
            at += value
        else:
            held = {
                0x15: accumulator == value,
                0x45: bool(accumulator & value),
                0x35: accumulator >= value,
            }[operation]
            at += if_true if held else if_false


def both(programs: tuple[bytes, bytes], arch: int, number: int, *args: int) -> int:
    """Return a child's answer: as the kernel does, the stricter one of the two filters."""
    answers = [run(program, arch, number, *args) for program in programs]
    return min(answers, key=lambda answer: (KILL, ERRNO, ALLOW).index(answer & 0xFFFF0000))


def x86(number: int, *args: int, paths: bool = True) -> int:
    return both(built("x86_64", paths=paths), ARCH["x86_64"], number, *args)


def zygote_x86(number: int, *args: int, paths: bool = True) -> int:
    return run(built("x86_64", paths=paths)[0], ARCH["x86_64"], number, *args)


def test_a_zygote_may_fork_and_end_children_and_no_more() -> None:
    clone, fork, kill, prctl, prlimit = 56, 57, 62, 157, 302
    seccomp, pidfd_open, restrict = 317, 434, 446
    own = {fork, kill, prctl, seccomp, pidfd_open, restrict}
    for paths in (True, False):
        assert zygote_x86(clone, 0x01200011, paths=paths) == ALLOW
        assert zygote_x86(prlimit, 0, 0, 12345, paths=paths) == ALLOW
        assert zygote_x86(clone, 0x01200011 | 0x10000000, paths=paths) == ERRNO | errno.EPERM
        differing = {
            number
            for number in range(1000)
            if zygote_x86(number, paths=paths) != x86(number, paths=paths)
        }
        # called without flags, clone makes a process
        assert differing == own | {clone}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_candidate_has_no_call_that_its_zygote_has_not(machine: str) -> None:
    """What a child adds can only take away, also where its own filter allows a call."""
    zygote, _ = programs = built(machine)
    for number in range(1000):
        if run(zygote, ARCH[machine], number) != ALLOW:
            assert both(programs, ARCH[machine], number) != ALLOW


def test_ordinary_calls_are_allowed() -> None:
    for number in (0, 1, 3, 9, 12, 13, 202, 228, 231, 262, 318):
        assert x86(number) == ALLOW


@pytest.mark.parametrize(
    "number",
    # fork, vfork, execve, kill, tkill, tgkill, socket, connect, ptrace, mount, setuid, prctl, bpf,
    # perf_event_open, memfd_create, io_uring_setup, userfaultfd, execveat, pidfd_open, keyctl
    [57, 58, 59, 62, 200, 234, 41, 42, 101, 165, 105, 157, 321, 298, 319, 425, 323, 322, 434, 250],
)
def test_dangerous_calls_are_refused(number: int) -> None:
    assert x86(number) == ERRNO | errno.EPERM


def test_unknown_calls_are_refused() -> None:
    for number in range(440, 1000):
        assert x86(number) == ERRNO | errno.EPERM


@pytest.mark.parametrize("flags", [0o1, 0o2, 0o102, 0o1000, 0o2000, 0o20200000, 0o10000000])
def test_opens_that_could_write_are_refused(flags: int) -> None:
    assert x86(257, -100, 0, flags) == ERRNO | errno.EACCES
    assert x86(2, 0, flags) == ERRNO | errno.EACCES


def test_opens_that_read_are_allowed_unless_paths_are_closed() -> None:
    read = 0o2000000 | 0o200000
    assert x86(257, -100, 0, read) == ALLOW
    assert x86(257, -100, 0, read, paths=False) == ERRNO | errno.EPERM
    assert x86(4, paths=False) == ERRNO | errno.EPERM
    assert x86(5, paths=False) == ALLOW


def test_threads_yes_processes_no() -> None:
    thread = 0x3D0F00
    assert x86(56, thread) == ALLOW
    assert x86(435) == ERRNO | errno.ENOSYS
    for flags in (17, 0x4111, 0x100 | 0x800, 0x10000, thread | 0x10000000, thread | 0x2000):
        assert x86(56, flags) == ERRNO | errno.EPERM
    # flags beyond 32 bits are ignored by the kernel too
    assert x86(56, thread | 1 << 40) == ALLOW


def test_fcntl_and_ioctl_and_prlimit() -> None:
    for command in (0, 1, 2, 3, 1030):
        assert x86(72, 3, command) == ALLOW
    for command in (8, 9, 10, 15, 1024, 1026):
        assert x86(72, 3, command) == ERRNO | errno.EPERM
    assert x86(72, 3, 4, 0o4000) == ALLOW
    assert x86(72, 3, 4, 0o20000) == ERRNO | errno.EPERM
    assert x86(16, 0, 0x5401) == ALLOW
    assert x86(16, 0, 0x5412) == ERRNO | errno.ENOTTY
    assert x86(302, 0, 7, 0, 12345) == ALLOW
    assert x86(302, 0, 7, 12345, 0) == ERRNO | errno.EPERM
    assert x86(302, 0, 7, 1 << 33, 0) == ERRNO | errno.EPERM


def test_foreign_abis_kill() -> None:
    programs = built("x86_64")
    assert both(programs, 0x40000003, 20) == KILL
    assert both(programs, ARCH["x86_64"], 0x40000000 | 39) == KILL
    assert both(programs, ARCH["aarch64"], 39) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_programs_fit_the_kernel(machine: str) -> None:
    programs = built(machine)
    for program in programs:
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
    read, write = {"x86_64": (0, 1), "aarch64": (63, 64)}[machine]
    assert both(programs, ARCH[machine], read) == ALLOW == both(programs, ARCH[machine], write)
    execve = {"x86_64": 59, "aarch64": 221}[machine]
    assert both(programs, ARCH[machine], execve) == ERRNO | errno.EPERM


def test_unknown_machine_is_refused() -> None:
    for build in (zygote_filter, candidate_filter):
        with pytest.raises(NoIsolationError, match="riscv64"):
            build("riscv64")
