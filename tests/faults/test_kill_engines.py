"""SIGKILL of the driver and of the engines' processes while several models are sampled at once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from killing import Held, contents, finish, start, wait_for_verdicts

from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.verify import verify_run

TARGET = Path(__file__).with_name("kill_target.py")
VLLM = Path(__file__).with_name("vllm_target.py")
JOB = ("models_at_once=3", "min_samples=1500")
VLLM_JOB = ("models_at_once=2", "min_samples=1500", "budget=2000")
ONE_BY_ONE = ("models_at_once=1", "min_samples=1500")
DRIVER_SHARE = 0.3


def engines(driver: int) -> list[int]:
    """Return the processes of the samplers, those that are starting too."""
    with suppress(OSError):
        return [*map(int, Path(f"/proc/{driver}/task/{driver}/children").read_text().split())]
    return []


def kill_parts(
    target: Path, folder: Path, *arguments: str, kinds: Iterable[str], longest_s: float
) -> Counter[str]:
    """Start the run again and again and kill the driver or an engine; return how often each.

    No committed verdict may change.
    """
    rng = random.Random(11)
    victims: Counter[str] = Counter()
    before: dict[tuple[str, str, str], Held] = {}
    for wanted in kinds:
        process = start(target, folder, *arguments)
        if rng.random() < 0.8:
            wait_for_verdicts(folder, process, sum(len(held.verdicts) for held in before.values()))
        time.sleep(rng.uniform(0.0, longest_s))
        if process.poll() is None:
            found = engines(process.pid)
            kind = wanted if found else "driver"
            with suppress(ProcessLookupError):
                os.kill(process.pid if kind == "driver" else rng.choice(found), signal.SIGKILL)
                victims[kind] += 1
        code = process.wait(timeout=60)
        assert code != 0, "the run ended before all kills"
        message = (folder / "stderr").read_text()
        assert code == -signal.SIGKILL or "exit status -9" in message, message
        after = contents(folder) if (folder / LEDGER_FILE).exists() else {}
        for key, held in before.items():
            assert after[key].verdicts.startswith(held.verdicts), f"{key}: a verdict changed"
            assert after[key].kept[: len(held.kept)] == held.kept, f"{key}: a kept text changed"
        before = after
    print(f"killed {dict(victims)}, the last at {n_judged(before)} verdicts")
    return victims


def n_judged(found: dict[tuple[str, str, str], Held]) -> int:
    return sum(len(held.verdicts) for held in found.values())


def check_whole(folder: Path) -> None:
    """The run is complete, and keeps its promises."""
    assert not [v for check in verify_run(folder) for v in check.violations]
    assert all(record.is_complete for record in RunRecord.load(folder).tasks.values())


@pytest.mark.parametrize(
    "n_kills", [6, pytest.param(100, marks=pytest.mark.slow)], ids=["6 kills", "100 kills"]
)
def test_run_of_killed_engines_equals_one_model_after_the_other(
    tmp_path: Path, n_kills: int
) -> None:
    undisturbed = finish(TARGET, tmp_path / "undisturbed", "0", *ONE_BY_ONE)
    rng = random.Random(12)
    kinds = ["driver" if rng.random() < DRIVER_SHARE else "engine" for _ in range(n_kills)]
    folder = tmp_path / "killed"
    victims = kill_parts(TARGET, folder, "0.003", *JOB, kinds=kinds, longest_s=0.3)
    held = finish(TARGET, folder, "0", *JOB)
    print(f"finished with {n_judged(held)} verdicts")
    assert held == undisturbed
    check_whole(folder)
    assert victims.total() == n_kills
    assert len(victims) == 2


@pytest.mark.engine
@pytest.mark.slow
def test_killed_engine_processes_of_vllm_leave_the_tallies_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    """Verdicts only: batch composition changes the last bits of logits, so that a text in some
    hundred thousand may be another.
    """
    pytest.importorskip("vllm", reason="vLLM is not installed: run `make`")
    folder = tmp_path / "killed"
    kinds = ["engine", "engine", "driver", "engine", "driver"]
    victims = kill_parts(VLLM, folder, *VLLM_JOB, kinds=kinds, longest_s=0.5)
    held = finish(VLLM, folder, *VLLM_JOB)
    undisturbed = finish(VLLM, tmp_path / "undisturbed", *VLLM_JOB)
    n_other = sum(held[key] != one for key, one in undisturbed.items())
    print(f"{n_judged(held)} verdicts; {n_other} of {len(held)} instances differ in text or tokens")
    assert {key: one.verdicts for key, one in held.items()} == {
        key: one.verdicts for key, one in undisturbed.items()
    }
    check_whole(folder)
    assert victims["engine"] >= 3
    assert victims["driver"] >= 1
