"""SIGKILL of the driver and of the engines' processes while several models are sampled at once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from killing import contents, finish, start, wait_for_verdicts

from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.verify import verify_run

TARGET = Path(__file__).with_name("kill_target.py")
JOB = ("models_at_once=3", "min_samples=1500")
ONE_BY_ONE = ("models_at_once=1", "min_samples=1500")
DRIVER_SHARE = 0.3


def engines(driver: int) -> list[int]:
    """Return the processes of the samplers, those that are starting too."""
    with suppress(OSError):
        return [*map(int, Path(f"/proc/{driver}/task/{driver}/children").read_text().split())]
    return []


@pytest.mark.parametrize(
    "n_kills", [6, pytest.param(100, marks=pytest.mark.slow)], ids=["6 kills", "100 kills"]
)
def test_run_of_killed_engines_equals_one_model_after_the_other(
    tmp_path: Path, n_kills: int
) -> None:
    undisturbed = finish(TARGET, tmp_path / "undisturbed", "0", *ONE_BY_ONE)
    folder, rng = tmp_path / "killed", random.Random(11)
    victims: Counter[str] = Counter()
    before = {}
    deadline = time.monotonic() + 1200
    while victims.total() < n_kills and time.monotonic() < deadline:
        process = start(TARGET, folder, "0.003", *JOB)
        if rng.random() < 0.8:
            wait_for_verdicts(folder, process, sum(len(held.verdicts) for held in before.values()))
        time.sleep(rng.uniform(0.0, 0.3))
        if process.poll() is None:
            found = engines(process.pid)
            kind = "driver" if rng.random() < DRIVER_SHARE or not found else "engine"
            with suppress(ProcessLookupError):
                os.kill(process.pid if kind == "driver" else rng.choice(found), signal.SIGKILL)
                victims[kind] += 1
        code = process.wait(timeout=60)
        assert not (code == 0 and victims.total() < n_kills), "the run ended before all kills"
        message = (folder / "stderr").read_text()
        assert code == -signal.SIGKILL or "exit status -9" in message, message
        after = contents(folder) if (folder / LEDGER_FILE).exists() else {}
        for key, held in before.items():
            assert after[key].verdicts.startswith(held.verdicts), f"{key}: a verdict changed"
            assert after[key].kept[: len(held.kept)] == held.kept, f"{key}: a kept text changed"
        before = after
    n_verdicts = sum(len(held.verdicts) for held in before.values())
    held = finish(TARGET, folder, "0", *JOB)
    n_held = sum(len(one.verdicts) for one in held.values())
    print(f"killed {dict(victims)}, the last at {n_verdicts} of {n_held} verdicts")
    assert held == undisturbed
    assert not [v for check in verify_run(folder) for v in check.violations]
    assert all(record.is_complete for record in RunRecord.load(folder).tasks.values())
    assert victims.total() == n_kills
    assert len(victims) == 2
