"""SIGKILL of the driver and of every kind of process below it, in one job."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from killing import Held, contents, finish, start, wait_for_verdicts

from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.verify import verify_run

TARGET = Path(__file__).with_name("code_target.py")
STEP_S = "0.01"
# launcher: a jail that is being made. bubblewrap: its supervisor. child: a candidate's own process,
# which lives for milliseconds. The engine is in the driver's process.
KINDS = ("driver", "launcher", "bubblewrap", "zygote", "child", "judge", "compiler")
# How long to look for one of the kind that was drawn, before another kind is drawn.
LOOK_S = 1.0
# Of the starts; the others may be hit before anything is judged.
UNDISTURBED_STARTS = 0.8

pytestmark = pytest.mark.jail


def children(pid: int) -> list[int]:
    """Return the processes that any thread of `pid` started."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def living(driver: int, roles: dict[int, str]) -> dict[str, list[int]]:
    """Return every process of the run by its kind."""
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    found["driver"].append(driver)
    for outer in children(driver):
        command = b""
        with suppress(OSError):
            command = Path(f"/proc/{outer}/cmdline").read_bytes()
        is_bwrap = command.partition(b"\0")[0].endswith(b"bwrap")
        found["bubblewrap" if is_bwrap else "launcher"].append(outer)
        for inner in children(outer):
            found[roles.get(inner, "launcher")].append(inner)
            found["child"] += children(inner)
    return {kind: [pid for pid in pids if is_alive(pid)] for kind, pids in found.items()}


def read_roles(folder: Path) -> dict[int, str]:
    roles: dict[int, str] = {}
    with suppress(OSError):
        for line in (folder / "roles").read_text().splitlines():
            pid, _, role = line.partition(" ")
            roles[int(pid)] = role
    return roles


def kill_one(process: subprocess.Popen[bytes], folder: Path, rng: random.Random) -> str | None:
    """Kill a process of a kind drawn at random; return it, or None if none was found."""
    kind = rng.choice(KINDS)
    deadline = time.monotonic() + LOOK_S
    while process.poll() is None and time.monotonic() < deadline:
        victims = living(process.pid, read_roles(folder))[kind]
        if victims:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
                return kind
    return None


def require_growth(
    before: dict[tuple[str, str, str], Held], folder: Path
) -> dict[tuple[str, str, str], Held]:
    """Return what the ledger holds; nothing it held before may have changed."""
    after = contents(folder) if (folder / LEDGER_FILE).exists() else {}
    for key, held in before.items():
        assert after[key].verdicts.startswith(held.verdicts), f"{key}: a verdict changed"
        assert after[key].kept[: len(held.kept)] == held.kept, f"{key}: a kept text changed"
    return after


def is_complete(folder: Path) -> bool:
    return all(record.is_complete for record in RunRecord.load(folder).tasks.values())


@pytest.mark.parametrize(
    ("n_kills", "budget"),
    [(7, "1000"), pytest.param(100, "6000", marks=pytest.mark.slow)],
    ids=["7 kills", "100 kills"],
)
def test_run_whose_parts_are_killed_equals_an_undisturbed_one(
    tmp_path: Path, n_kills: int, budget: str
) -> None:
    undisturbed = finish(TARGET, tmp_path / "undisturbed", "0", budget)
    folder, rng = tmp_path / "killed", random.Random(7)
    victims: Counter[str] = Counter()
    before: dict[tuple[str, str, str], Held] = {}

    def begin() -> subprocess.Popen[bytes]:
        process = start(TARGET, folder, STEP_S, budget)
        if rng.random() < UNDISTURBED_STARTS:
            wait_for_verdicts(folder, process, sum(len(held.verdicts) for held in before.values()))
        return process

    deadline = time.monotonic() + 1800
    process = begin()
    while victims.total() < n_kills and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.0, 0.3))
        if process.poll() is None:
            if (kind := kill_one(process, folder, rng)) is not None:
                victims[kind] += 1
            continue
        # ended by itself, killed, or told that a jail died while it was being prepared
        message = (folder / "stderr").read_text()
        is_fault = "CheckerError" in message or "NoIsolationError" in message
        assert process.wait() in (0, -signal.SIGKILL) or is_fault, message
        before = require_growth(before, folder)
        if process.returncode == 0 and is_complete(folder):
            break
        process = begin()
    process.kill()
    process.wait()
    before = require_growth(before, folder)
    n_verdicts = sum(len(held.verdicts) for held in before.values())
    print(f"killed at {n_verdicts} verdicts: {dict(victims)}")
    for _ in range(3):  # a sample whose checks all died is judged by the next start
        held = finish(TARGET, folder, "0", budget)
        if is_complete(folder):
            break
    print(f"finished with {sum(len(one.verdicts) for one in held.values())} verdicts")
    assert held == undisturbed
    assert not [v for check in verify_run(folder) for v in check.violations]
    assert victims.total() == n_kills, "the run ended before it was killed often enough"
    assert set(victims) == set(KINDS) or n_kills < 100
