"""kill -9 at random moments, the same command again: nothing lost, changed or counted twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from passuntil.ledger.sqlite import SqliteLedger
from passuntil.runner.record import LEDGER_FILE

TARGET = Path(__file__).with_name("kill_target.py")
STEP_S = 0.002


def contents(folder: Path) -> dict[tuple[str, str, str], tuple[bytes, dict[str, int], int, tuple]]:
    """Verdicts, fail reasons, tokens and kept texts of every instance."""
    ledger = SqliteLedger(folder / LEDGER_FILE, mode="read")
    found: dict[tuple[str, str, str], tuple[bytes, dict[str, int], int, tuple]] = {}
    try:
        for block in ledger.blocks():
            key = (block.model, block.task, block.instance)
            verdicts, reasons, n_tokens, kept = found.get(key, (b"", {}, 0, ()))
            merged = dict(reasons)
            for reason, n in block.fail_reasons.items():
                merged[reason] = merged.get(reason, 0) + n
            found[key] = (
                verdicts + block.verdicts,
                merged,
                n_tokens + block.n_tokens,
                kept + block.kept,
            )
    finally:
        ledger.close()
    return found


def start(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(TARGET), str(folder), str(STEP_S)]
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(command, stderr=stderr)


def wait_for_commit(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Return once the process has committed something, or has ended."""
    started = time.time()
    deadline = time.monotonic() + 60
    wal = folder / (LEDGER_FILE + "-wal")
    while process.poll() is None and time.monotonic() < deadline:
        if wal.exists() and wal.stat().st_mtime > started + 0.01:
            return
        time.sleep(0.01)


@pytest.mark.parametrize(
    "n_kills", [6, pytest.param(100, marks=pytest.mark.slow)], ids=["6 kills", "100 kills"]
)
def test_tallies_equal_those_of_an_undisturbed_run(tmp_path: Path, n_kills: int) -> None:
    undisturbed = start(tmp_path / "undisturbed")
    assert undisturbed.wait(timeout=300) == 0, (tmp_path / "undisturbed" / "stderr").read_text()
    rng = random.Random(20231010)
    folder = tmp_path / "killed"
    before: dict = {}
    kills = 0
    while kills < n_kills:
        process = start(folder)
        wait_for_commit(folder, process)
        time.sleep(rng.uniform(0.0, 0.4 if n_kills < 10 else 0.05))
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        after = contents(folder)
        for key, (verdicts, *_) in before.items():
            assert after[key][0].startswith(verdicts), f"{key}: a committed verdict changed"
        before = after
    assert kills >= min(n_kills, 3), "the run ended before it was killed often enough to tell"
    last = start(folder)
    assert last.wait(timeout=300) == 0, (folder / "stderr").read_text()
    assert contents(folder) == contents(tmp_path / "undisturbed")


def test_two_drivers_on_one_run(tmp_path: Path) -> None:
    first = start(tmp_path / "run")
    wait_for_commit(tmp_path / "run", first)
    second = start(tmp_path / "run")
    assert second.wait(timeout=60) != 0
    assert f"process {first.pid} on host" in (tmp_path / "run" / "stderr").read_text()
    first.kill()
    first.wait()
