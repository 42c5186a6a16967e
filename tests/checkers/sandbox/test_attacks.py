"""Every attack, each followed by a correct sample; none may pass, leave or reach anything."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attack_programs import ATTACKS, CORRECT, PAIRS, PROBLEM, Attack

from passuntil.checkers.code import CodeChecker, CodeLimits
from passuntil.checkers.sandbox import interpreter, probe
from passuntil.checkers.sandbox.inside.lock import landlock_abi
from passuntil.checkers.sandbox.plan import JailPlan, unused_uid
from passuntil.errors import NoIsolationError
from passuntil.records import Completion, FinishReason, SampleKey

pytestmark = pytest.mark.jail

_LEAK = "passuntil-leak"


def completion(text: str) -> Completion:
    return Completion(SampleKey("m", "t", "i", 1), text, (), FinishReason.END)


@pytest.fixture(scope="module")
def checker() -> Iterator[CodeChecker]:
    os.environ["PASSUNTIL_SECRET"] = "must not be seen"
    checker = CodeChecker(n_workers=1, limits=CodeLimits(blocked_s=0.2))
    yield checker
    checker.close()
    del os.environ["PASSUNTIL_SECRET"]


@pytest.fixture(scope="module")
def listeners() -> Iterator[tuple[int, list[socket.socket]]]:
    """TCP, UDP and abstract listeners outside, which nothing may reach."""
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0passuntil-canary")
    abstract.listen()
    sockets = [tcp, udp, abstract]
    for each in sockets:
        each.setblocking(False)
    yield port, sockets
    for each in sockets:
        each.close()


def jailed_pids(checker: CodeChecker) -> set[int]:
    """Return every process below this one, whatever its name."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found - {os.getpid()}
        found |= more


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.row}-{attack.name[:30]}")
def test_attack_does_not_pass_and_the_next_sample_does(
    checker: CodeChecker, listeners: tuple[int, list[socket.socket]], attack: Attack
) -> None:
    port, sockets = listeners
    assert checker.check(PROBLEM, completion(CORRECT)).is_pass
    before = jailed_pids(checker)
    zygote = checker._all[0].zygote()
    verdict = checker.check(PROBLEM, completion(attack.source.replace("{port}", str(port))))
    assert verdict.is_pass == attack.is_correct, verdict
    assert checker.check(PROBLEM, completion(CORRECT)).is_pass
    assert checker._all[0].zygote() is zygote, "the zygote died"
    assert not left_over(checker, before), "a process was left"
    for each in sockets:
        with pytest.raises(BlockingIOError):
            each.recv(1) if each.type == socket.SOCK_DGRAM else each.accept()


def left_over(checker: CodeChecker, before: set[int]) -> set[int]:
    """Return what runs now and did not before; judge and compiler may have been replaced."""
    deadline = time.monotonic() + 2.0
    worker = checker._all[0]
    replaced = [each for each in (worker.judge(), worker.compiler.process) if each is not None]
    own = {pid for each in replaced for pid in (each.pid, each._process.pid)}
    while left := jailed_pids(checker) - before - own:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.001)  # the zygote reaps after it answered
    return set()


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_passes_from_sample_to_sample(checker: CodeChecker, name: str) -> None:
    plant, look = PAIRS[name]
    for _ in range(2):
        assert not checker.check(PROBLEM, completion(plant)).is_pass
        assert not checker.check(PROBLEM, completion(look)).is_pass


def readable_python() -> str | None:
    """Return an interpreter that the jail's user can read without staging, if there is one."""
    own = interpreter.discover().executable
    for path in (own, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            version = interpreter.discover(path).version
        except NoIsolationError:
            continue
        folders = Path(os.path.realpath(path)).parents
        is_open = all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)
        if version >= "3.11" and (is_open or os.geteuid() != 0):
            return path
    return None


@pytest.mark.parametrize("level", [2, 1])
def test_attacks_without_namespaces(level: int, listeners: tuple[int, list[socket.socket]]) -> None:
    """The jail of a container that may make none, with a victim of the same user outside."""
    python = readable_python()
    if python is None:
        pytest.skip("no interpreter that every user may read")
    uid = unused_uid()
    if level == 2 and probe.probe().level == 3 and not landlock_abi():
        pytest.skip("no Landlock")
    port, sockets = listeners
    victim = subprocess.Popen(["sleep", "1000"], user=uid, env={"SECRET": "x"})
    plan = JailPlan(level, uid, None, python=python)
    checker = CodeChecker(n_workers=1, limits=CodeLimits(blocked_s=0.2), plan=plan)
    try:
        zygote = checker._all[0].zygote()
        for attack in ATTACKS:
            before = jailed_pids(checker)
            text = attack.source.replace("{port}", str(port)).replace("{victim}", str(victim.pid))
            verdict = checker.check(PROBLEM, completion(text))
            assert verdict.is_pass == attack.is_correct, (attack.name, verdict)
            assert checker.check(PROBLEM, completion(CORRECT)).is_pass, attack.name
            assert not left_over(checker, before), attack.name
        for plant, look in PAIRS.values():
            assert not checker.check(PROBLEM, completion(plant)).is_pass
            assert not checker.check(PROBLEM, completion(look)).is_pass
        assert checker._all[0].zygote() is zygote
        assert victim.poll() is None
        late = "import sqlite3, sched\n" + CORRECT
        assert checker.check(PROBLEM, completion(late)).is_pass
        late = "import nntplib\n" + CORRECT
        assert checker.check(PROBLEM, completion(late)).reason in ("pass", "refused")
    finally:
        checker.close()
        victim.kill()
        victim.wait()
    test_nothing_was_written_outside(checker)
    for each in sockets:
        with pytest.raises(BlockingIOError):
            each.recv(1) if each.type == socket.SOCK_DGRAM else each.accept()


def test_attack_list_is_long_and_without_duplicates() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 100


def test_nothing_was_written_outside(checker: CodeChecker) -> None:
    for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", os.path.dirname(os.__file__)):
        assert not [name for name in os.listdir(folder) if name.startswith(_LEAK)]


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if attack.is_safe_outside], ids=lambda a: a.name
)
def test_attempts_would_succeed_outside(attack: Attack) -> None:
    """The programs do what they say: without a jail they report success."""
    script = attack.source + "\nprint(solve('a'))\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "7193", done.stderr


def test_jail_user_has_no_account(checker: CodeChecker) -> None:
    uid = checker._report.plan.uid if checker._report.plan else None
    if os.geteuid() != 0:
        assert uid is None
        return
    assert uid is not None
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)
