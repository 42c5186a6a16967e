"""Modes fixed and target as whole runs; tasks side by side; clocks that jump."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from simulated import Silent, make_job, run, scripted
from test_run_job import Dying, everything, tallies

from passuntil.checkers.exact import ExactChecker
from passuntil.checkers.pool import CheckerPool
from passuntil.cli import app
from passuntil.config import load_job
from passuntil.errors import CheckerError, EngineError, EstimationError, UsageError
from passuntil.estimator import pass_at_k, pass_rate
from passuntil.ledger import MemoryLedger
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Decoding
from passuntil.records import Completion, ExactAnswer, Instance, Outcome, Verdict
from passuntil.runner.drive import Drive
from passuntil.runner.instance import InstanceRun
from passuntil.runner.recheck import recheck_run
from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.run import run_job
from passuntil.runner.steered import STEERED
from passuntil.runner.verify import verify_run
from passuntil.sampler.scripted import ScriptedSampler, bernoulli
from passuntil.stopping import InstanceState, StopRule

MODES = {
    "fixed": ["mode=fixed", "samples=150"],
    "target": ["mode=target", "target_width=0.5", "total_budget=1500", "budget=800"],
    "forecast": ["mode=target", "forecast=1e6", "total_budget=2500", "target_width=0.5"],
}


@pytest.fixture(params=MODES)
def overrides(request: pytest.FixtureRequest) -> list[str]:
    chosen: list[str] = MODES[request.param]
    return chosen


def test_ledger_does_not_depend_on_capacity_nor_on_deaths(
    tmp_path: Path, overrides: list[str]
) -> None:
    job = make_job(tmp_path, *overrides)
    run(job, tmp_path / "a", capacity=5)
    run(job, tmp_path / "b", capacity=200)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    deaths = 0
    least = 150 if job.forecast is None else 25  # steps; a round's part of a model is short
    for attempt in range(300):
        try:
            run_job(
                job,
                tmp_path / "c",
                observer=Silent(),
                make_sampler=lambda j, m, n=least + 13 * attempt % 200: Dying(scripted(j, m), n),
            )
            break
        except EngineError:
            deaths += 1
    assert deaths > 1
    assert everything(tmp_path / "c") == everything(tmp_path / "a")
    assert tallies(tmp_path / "c") == tallies(tmp_path / "a")


def test_finished_run_starts_no_engine(tmp_path: Path, overrides: list[str]) -> None:
    job = make_job(tmp_path, *overrides)
    started = run(job, tmp_path / "run").models
    # of rounds that a forecast steers, each starts the engines anew
    assert len(started) == 4 or (job.forecast is not None and len(started) > 4)
    assert run(job, tmp_path / "run").models == []


def test_fixed_draws_so_many_and_no_more(tmp_path: Path) -> None:
    run(make_job(tmp_path, *MODES["fixed"]), tmp_path / "run")
    record = RunRecord.load(tmp_path / "run")
    for task in record.tasks.values():
        assert {(t.outcome, t.trials) for t in task.tallies} == {(Outcome.FIXED, 150)}
        assert pass_at_k(task.tallies, [1, 150], method="fixed_n").shape == (2,)
        assert not any(r.overrun_samples for r in task.instances.values())


def test_target_is_steered_and_says_so(tmp_path: Path) -> None:
    run(make_job(tmp_path, *MODES["target"]), tmp_path / "run")
    record = RunRecord.load(tmp_path / "run")
    for (model, _), task in record.tasks.items():
        found = task.tallies
        assert {t.outcome for t in found} == {Outcome.STEERED}, model
        assert sum(t.trials for t in found) <= 1500
        assert len({t.trials for t in found}) > 1
        assert not any(r.overrun_samples for r in task.instances.values())
        with pytest.raises(EstimationError, match="open or steered"):
            pass_rate(found).confidence_interval(method="exact")
    # easy instances need few samples, hopeless ones are not drawn to the end of the budget
    trials = [t.trials for t in record.tasks["huge", "answers"].tallies]
    assert trials[-1] < max(trials)


def test_an_end_that_was_reached_stays_one_whatever_the_rule_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version may choose other rounds: a finished run is finished, its seals hold."""
    job = make_job(tmp_path, *MODES["target"])
    run(job, tmp_path / "run")
    before = everything(tmp_path / "run")
    monkeypatch.setattr("passuntil.steering.dataset.MISSING_SHARE", 0.9)
    monkeypatch.setattr("passuntil.steering.dataset.ROUND_PER_INSTANCE", 31)
    monkeypatch.setattr("passuntil.steering.dataset.PRIOR_A", 2.0)
    monkeypatch.setattr("passuntil.steering.dataset.AGAIN", 0.5)
    anew = run(make_job(tmp_path, *MODES["target"]), tmp_path / "anew").models
    assert len(anew) == 4
    assert everything(tmp_path / "anew") != before, "the other rule draws other samples"
    record = RunRecord.load(tmp_path / "run")
    assert all(task.is_finished for task in record.tasks.values())
    assert not any(check.violations for check in verify_run(tmp_path / "run"))
    assert run(job, tmp_path / "run").models == []
    assert everything(tmp_path / "run") == before


def test_an_end_is_recorded_by_the_next_start_where_a_kill_came_first(tmp_path: Path) -> None:
    job = make_job(tmp_path, *MODES["target"])
    run(job, tmp_path / "run")
    with closing(SqliteLedger(tmp_path / "run" / LEDGER_FILE)) as ledger:
        written = ledger.read_meta(STEERED)
        ledger.write_meta(STEERED, {})
    assert run(job, tmp_path / "run").models == []
    with closing(SqliteLedger(tmp_path / "run" / LEDGER_FILE, mode="read")) as ledger:
        assert ledger.read_meta(STEERED) == written != {}


def test_rounds_of_a_forecast_are_recorded_and_told(tmp_path: Path) -> None:
    class Told(Silent):
        def __init__(self) -> None:
            super().__init__()
            self.words: list[str] = []

        def on_round(self, task: str, words: str) -> None:
            self.words.append(words)

    job = make_job(tmp_path, *MODES["forecast"])
    observer = Told()
    run_job(job, tmp_path / "run", observer=observer, make_sampler=scripted)
    with closing(SqliteLedger(tmp_path / "run" / LEDGER_FILE, mode="read")) as ledger:
        recorded: Any = ledger.read_meta("rounds")
    found = recorded["answers"]
    assert [entry["words"] for entry in found["history"]] == observer.words
    assert [entry["samples"] for entry in found["history"]] == [480, 1920, 2500]
    assert found["end"] == "budget"
    record = RunRecord.load(tmp_path / "run")
    for model in ("small", "middle", "large"):
        tallies = record.tasks[model, "answers"].tallies
        assert [t.trials for t in tallies] == found["trials"][model]
        assert {t.outcome for t in tallies} == {Outcome.STEERED}
    held_out = record.tasks["huge", "answers"].tallies
    assert 160 <= sum(t.trials for t in held_out) <= 2500 // 3
    assert observer.models == ["small", "middle", "large"] * 3 + ["huge"]


def test_a_run_steered_by_a_forecast_can_be_judged_anew_and_verified(tmp_path: Path) -> None:
    job = make_job(tmp_path, *MODES["forecast"], "keep_texts=all")
    run(job, tmp_path / "run")
    recheck_run(tmp_path / "run", output=tmp_path / "again")
    assert not any(check.violations for check in verify_run(tmp_path / "again"))
    old, new = (RunRecord.load(tmp_path / name) for name in ("run", "again"))
    for address, task in old.tasks.items():
        assert [t.trials for t in task.tallies] == [t.trials for t in new.tasks[address].tallies]


def test_a_forecast_refuses_a_budget_below_its_first_round(tmp_path: Path) -> None:
    job = make_job(tmp_path, *MODES["forecast"], "total_budget=479")
    with pytest.raises(UsageError, match="got 479; allowed: at least min_samples"):
        run(job, tmp_path / "run")


def test_an_aborted_instance_gets_no_more_of_a_forecasts_samples(tmp_path: Path) -> None:
    class FaultyAfter37(ExactChecker):
        def check(self, instance: Instance, completion: Completion) -> Verdict:
            if instance.id == "pico-answer/3" and completion.key.index > 37:
                raise CheckerError("broken pipe")
            return super().check(instance, completion)

    own = ["forecast=1e8", "greedy=false", "family.huge.held_out=false"]
    job = make_job(tmp_path, *MODES["forecast"], *own)
    run_job(
        job,
        tmp_path / "run",
        observer=Silent(),
        make_sampler=scripted,
        make_checkers=lambda job: {"answers": FaultyAfter37(normalise=())},
    )
    for model in job.family:
        task = RunRecord.load(tmp_path / "run").tasks[model.name, "answers"]
        assert list(task.faults) == ["pico-answer/3"]
        assert task.instances["pico-answer/3"].state.n_committed <= 37
        assert task.is_finished


@pytest.mark.parametrize("command", ["show", "fit"])
def test_every_mode_is_shown_and_fitted(
    tmp_path: Path, overrides: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(make_job(tmp_path, *overrides), tmp_path / "run")
    app([command, str(tmp_path / "run"), "--json"], standalone_mode=False)
    shown = json.loads(capsys.readouterr().out)
    if command == "show":
        assert '"n_given": 8' in json.dumps(shown)
        app(["show", str(tmp_path / "run")], standalone_mode=False)
        assert re.search("150 samples each|steered until", capsys.readouterr().out)


def test_a_steered_task_with_an_aborted_instance_is_finished_on_reading(tmp_path: Path) -> None:
    class FaultyAfter37(ExactChecker):
        def check(self, instance: Instance, completion: Completion) -> Verdict:
            if instance.id == "pico-answer/3" and completion.key.index > 37:
                raise CheckerError("broken pipe")
            return super().check(instance, completion)

    job = make_job(tmp_path, *MODES["target"], "greedy=false")
    found = []
    for capacity in (5, 200):
        folder = tmp_path / str(capacity)
        with pytest.raises(CheckerError, match="unfinished instances"):  # the held-out model's seal
            run_job(
                job,
                folder,
                observer=Silent(),
                make_sampler=lambda j, m, n=capacity: scripted(j, m, capacity=n),
                make_checkers=lambda job: {"answers": FaultyAfter37(normalise=())},
            )
        record = RunRecord.load(folder).tasks["small", "answers"]
        assert list(record.faults) == ["pico-answer/3"]
        assert record.instances["pico-answer/3"].state.n_committed == 37
        assert record.is_finished
        found.append(record.tallies)
    assert found[0] == found[1]


def test_slow_checker_of_one_task_does_not_hold_up_the_other() -> None:
    """While the first task's checker is stuck, the second task is finished."""
    released = threading.Event()

    class Stuck:
        is_cheap = False
        concurrency = 2

        def prepare(self, instance: Instance) -> None:
            """Do nothing."""

        def check(self, instance: Instance, completion: Completion) -> Verdict:
            released.wait(30)
            return Verdict.failed("mismatch")

        def describe(self) -> dict[str, object]:
            return {"name": "stuck", "version": 1}

        def close(self) -> None:
            """Do nothing."""

    rule = StopRule(passes=1, min_samples=1, budget=400)
    runs = [
        InstanceRun(
            "m", Instance(task, f"{task}{i}", "p", ExactAnswer(("yes",))), InstanceState(rule)
        )
        for task in ("slow", "fast")
        for i in range(4)
    ]
    backlogs: list[int] = []

    def watch(snapshot: Any) -> None:
        backlogs.append(snapshot.backlog)
        fast = [r for r in snapshot.instances if r.instance.task == "fast"]
        if all(r.state.is_closed for r in fast):
            released.set()

    capacity = 16
    script = bernoulli(lambda key: 0.0, fail_text=lambda key: f"{key.instance} {key.index}")
    with CheckerPool({"slow": Stuck(), "fast": ExactChecker()}) as pool:
        drive = Drive(
            "m",
            runs,
            greedy=(),
            decodings={"slow": Decoding(max_tokens=16), "fast": Decoding(max_tokens=16)},
            sampler=ScriptedSampler(script, capacity=capacity),
            pool=pool,
            ledger=MemoryLedger(),
            run_seed=0,
            on_progress=watch,
        )
        drive.run()
    assert released.is_set(), "the fast task waited for the slow one"
    assert all(run.state.is_closed for run in runs)
    assert max(backlogs) <= 4 * capacity, "what waits for verdicts is bounded"


def test_wall_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path)
    run(job, tmp_path / "steady")
    jumps = iter(range(10**9))
    # hours back and forth at every look at the clock
    monkeypatch.setattr(time, "time", lambda: 1e9 + 7e4 * (-1) ** next(jumps) * (next(jumps) % 9))
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))
    observer = run(job, tmp_path / "jumping")
    assert observer.snapshots > 0
    assert everything(tmp_path / "jumping") == everything(tmp_path / "steady")
    speeds = RunRecord.load(tmp_path / "jumping").speeds
    assert all(0 < speed["seconds"] < 600 for speed in speeds.values())


def test_job_of_a_mode_is_recorded_and_read_back(tmp_path: Path, overrides: list[str]) -> None:
    job = make_job(tmp_path, *overrides)
    run(job, tmp_path / "run")
    recorded = RunRecord.load(tmp_path / "run").job
    assert (recorded.mode, recorded.stop_rule()) == (job.mode, job.stop_rule())
    assert (recorded.goal(), recorded.forecast_goal()) == (job.goal(), job.forecast_goal())
    assert load_job(str(tmp_path / "job.yaml"), overrides).fingerprint() == recorded.fingerprint()
