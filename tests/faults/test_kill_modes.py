"""kill -9 in the modes fixed and target: the ledger ends as an undisturbed run's, in every field.

Target mode too, steered by PU or by a forecast: a round is decided from complete earlier rounds
alone, so a run that goes on from any committed prefix decides the same ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import finish, kill_repeatedly

from passuntil.records import Outcome
from passuntil.runner.record import RunRecord

SCRIPTED = Path(__file__).with_name("kill_target.py")
MODES = {
    "fixed": ["mode=fixed", "samples=400"],
    "target": ["mode=target", "target_width=0.6", "total_budget=6000", "budget=2000"],
    "forecast": ["mode=target", "forecast=1e6", "total_budget=4000", "budget=2000"],
}


@pytest.mark.parametrize("n_kills", [3, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", MODES)
def test_killed_run_equals_an_undisturbed_one(tmp_path: Path, mode: str, n_kills: int) -> None:
    arguments = ["0.002", *MODES[mode]]
    undisturbed = finish(SCRIPTED, tmp_path / "undisturbed", *arguments)
    killed = tmp_path / "killed"
    n = kill_repeatedly(SCRIPTED, killed, *arguments, n_kills=n_kills, longest_s=0.3)
    assert n >= min(n_kills, 2), "the run ended before it was killed often enough to tell"
    assert finish(SCRIPTED, killed, *arguments) == undisturbed
    for task in RunRecord.load(killed).tasks.values():
        assert {tally.outcome for tally in task.tallies} == {
            Outcome.FIXED if mode == "fixed" else Outcome.STEERED
        }
