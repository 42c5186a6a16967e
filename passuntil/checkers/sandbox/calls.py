"""System call numbers, by what a jail does with the call."""

from __future__ import annotations

__all__ = [
    "ALLOWED",
    "CLONE",
    "CLONE3",
    "FCNTL",
    "IOCTL",
    "MACHINES",
    "OPEN",
    "OPENAT",
    "PATH_CALLS",
    "PRLIMIT",
    "ZYGOTE_ONLY",
]

MACHINES = ("x86_64", "aarch64")
"""Machines whose system call numbers are known here."""

# name: (x86_64, aarch64), from <asm/unistd_64.h> and <asm-generic/unistd.h>; None: does not exist.
# Not here, so EPERM: all of sockets, processes, exec, signals to others, mounts, namespaces,
# ptrace, keys, bpf, perf, io_uring, userfaultfd, memfd, IPC, file changes, limits, scheduling.
ALLOWED: dict[str, tuple[int | None, int | None]] = {
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

PATH_CALLS = {
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

# what a zygote needs beyond its children
ZYGOTE_ONLY: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None),  # musl's; glibc's is a clone
    "kill": (62, 129),
    "prctl": (157, 167),
    "seccomp": (317, 277),
    "pidfd_open": (434, 434),
    "landlock_restrict_self": (446, 446),
}

OPEN = (2, None)
OPENAT = (257, 56)
CLONE = (56, 220)
CLONE3 = (435, 435)
FCNTL = (72, 25)
PRLIMIT = (302, 261)
IOCTL = (16, 29)
