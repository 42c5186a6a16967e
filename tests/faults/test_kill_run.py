"""kill -9 at random moments, the same command again: nothing lost, changed or counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import finish, kill_repeatedly, start, wait_for_verdicts

from passuntil.config import load_job
from passuntil.runner.record import RunRecord

SCRIPTED = Path(__file__).with_name("kill_target.py")
STEP_S = "0.002"
VLLM = Path(__file__).with_name("vllm_target.py")


@pytest.mark.parametrize(
    ("n_kills", "longest_s"),
    [(6, 0.4), pytest.param(100, 0.05, marks=pytest.mark.slow)],
    ids=["6 kills", "100 kills"],
)
def test_scripted_run_equals_an_undisturbed_one(
    tmp_path: Path, n_kills: int, longest_s: float
) -> None:
    undisturbed = finish(SCRIPTED, tmp_path / "undisturbed", STEP_S)
    killed = tmp_path / "killed"
    n = kill_repeatedly(SCRIPTED, killed, STEP_S, n_kills=n_kills, longest_s=longest_s)
    assert n >= min(n_kills, 3), "the run ended before it was killed often enough to tell"
    assert finish(SCRIPTED, killed, STEP_S) == undisturbed


@pytest.mark.engine
@pytest.mark.parametrize("n_kills", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_vllm_run_loses_nothing(tmp_path: Path, n_kills: int) -> None:
    """Batch composition changes the last bits of logits, so tallies need not be equal; committed
    verdicts stay, and every instance is judged in one contiguous stretch up to its stop.
    """
    pytest.importorskip("vllm", reason="vLLM is not installed: run `make`")
    folder = tmp_path / "killed"
    n = kill_repeatedly(VLLM, folder, n_kills=n_kills, longest_s=0.8)
    print(f"killed {n} times")
    assert n >= min(n_kills, 5), "the run ended before it was killed often enough to tell"
    held = finish(VLLM, folder)
    rule = load_job(str(folder / "job.yaml")).stop_rule()
    records = RunRecord.load(folder).tasks
    assert len(held) == 12
    for (model, task, instance), one in held.items():
        state = records[model, task].instances[instance].state
        assert state.is_closed
        assert state.n_committed == len(one.verdicts) <= rule.budget
        assert sum(one.fail_reasons.values()) == one.verdicts.count(0)
        assert [k.index for k in one.kept if k.is_pass] == [
            i + 1 for i, verdict in enumerate(one.verdicts) if verdict
        ]


def test_two_drivers_on_one_run(tmp_path: Path) -> None:
    first = start(SCRIPTED, tmp_path / "run", STEP_S)
    wait_for_verdicts(tmp_path / "run", first, 0)
    second = start(SCRIPTED, tmp_path / "run", STEP_S)
    assert second.wait(timeout=60) != 0
    message = (tmp_path / "run" / "stderr").read_text()
    assert f"process {first.pid} on host" in message
    first.kill()
    first.wait()
