"""Between the rounds of a run that a forecast steers: what readers see, what the budget holds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from simulated import Silent, make_job, run, scripted
from test_run_job import everything

from passuntil.checkers.exact import ExactChecker
from passuntil.errors import CheckerError, EngineError, EstimationError
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.records import Completion, Instance, Outcome, Verdict
from passuntil.report.run import RunReport
from passuntil.runner import family
from passuntil.runner.analysis import fit_task
from passuntil.runner.drive import Snapshot
from passuntil.runner.export import export_run
from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.run import run_job

FORECAST = ["mode=target", "forecast=1e6", "total_budget=2500", "target_width=0.5"]
MEASURED = ("small", "middle", "large")


def require_unfinished(folder: Path) -> None:
    """No model that a round may still come for is shown, fitted or exported as finished."""
    record = RunRecord.load(folder)
    for model in MEASURED:
        task = record.tasks[model, "answers"]
        assert not task.is_complete
        assert not task.is_finished
        assert {tally.outcome for tally in task.tallies} == {Outcome.OPEN}
    with pytest.raises(EstimationError, match=r"run the job to its end first: .*small"):
        fit_task(record, "answers")
    report = RunReport.of(record)
    assert "to its end first" in report.unfitted["answers"]
    assert all(row.n_open == row.n_instances for row in report.summaries[0].rows)
    rows = folder.parent / "rows.csv"
    rows.unlink(missing_ok=True)
    assert export_run(folder, rows) == 4 * 8
    assert "steered" not in rows.read_text()


@pytest.mark.parametrize("n_complete", [1, 2])
def test_a_run_that_dies_between_two_rounds_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_complete: int
) -> None:
    job = make_job(tmp_path, *FORECAST)
    decide, calls = family.decide_rounds, []

    def dying(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == n_complete:
            raise EngineError("died before the next round was decided")
        return decide(*args)

    monkeypatch.setattr(family, "decide_rounds", dying)
    with pytest.raises(EngineError, match="died before"):
        run(job, tmp_path / "run")
    require_unfinished(tmp_path / "run")
    monkeypatch.setattr(family, "decide_rounds", decide)
    run(job, tmp_path / "run")
    record = RunRecord.load(tmp_path / "run")
    assert all(task.is_finished for task in record.tasks.values())
    assert "answers" in RunReport.of(record).fits
    run(job, tmp_path / "undisturbed")
    assert everything(tmp_path / "run") == everything(tmp_path / "undisturbed")


def test_reading_beside_the_driver_gives_no_half_round(tmp_path: Path) -> None:
    class Reading(Silent):
        n_read = 0

        def on_progress(self, snapshot: Snapshot) -> None:
            super().on_progress(snapshot)
            if snapshot.model != "huge":
                self.n_read += 1
                require_unfinished(tmp_path / "run")

        def on_round(self, task: str, words: str) -> None:
            with closing(SqliteLedger(tmp_path / "run" / LEDGER_FILE, mode="read")) as ledger:
                recorded: Any = ledger.read_meta("rounds")
            if recorded[task]["end"] is None:
                require_unfinished(tmp_path / "run")

    observer = Reading()
    run_job(
        make_job(tmp_path, *FORECAST), tmp_path / "run", observer=observer, make_sampler=scripted
    )
    assert observer.n_read >= 9


def test_a_mended_instance_gets_its_samples_within_the_total_budget(tmp_path: Path) -> None:
    class FaultyAfter37(ExactChecker):
        def check(self, instance: Instance, completion: Completion) -> Verdict:
            if instance.id == "pico-answer/3" and completion.key.index > 37:
                raise CheckerError("broken pipe")
            return super().check(instance, completion)

    own = ["forecast=1e8", "greedy=false", "family.huge.held_out=false"]
    job = make_job(tmp_path, *FORECAST, *own)
    owed = 0
    for checker in (FaultyAfter37(normalise=()), ExactChecker(normalise=())):
        run_job(
            job,
            tmp_path / "run",
            observer=Silent(),
            make_sampler=scripted,
            make_checkers=lambda job, checker=checker: {"answers": checker},
        )
        with closing(SqliteLedger(tmp_path / "run" / LEDGER_FILE, mode="read")) as ledger:
            rounds: Any = ledger.read_meta("rounds")
        record = RunRecord.load(tmp_path / "run")
        drawn = {m.name: record.tasks[m.name, "answers"].tallies for m in job.family}
        wanted = sum(sum(trials) for trials in rounds["answers"]["trials"].values())
        assert wanted <= 2500
        n_drawn = sum(tally.trials for tallies in drawn.values() for tally in tallies)
        owed = max(owed, wanted - n_drawn)
    assert owed > 0
    assert n_drawn == wanted
    assert all(task.is_complete for task in record.tasks.values())
