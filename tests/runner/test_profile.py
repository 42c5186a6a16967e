"""Where the time of a run goes: every second of the driver is accounted for, over all starts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from simulated import Silent, make_job, run, scripted

from passuntil.checkers.exact import ExactChecker
from passuntil.errors import CheckerError
from passuntil.records import Completion, FinishReason, Instance, SampleKey, Verdict
from passuntil.report.profile import print_profile
from passuntil.runner.profile import Phase, Stopwatch, TimedChecker, add_profiles, timed
from passuntil.runner.record import RunRecord
from passuntil.runner.run import run_job


class Slow:
    concurrency = 2
    is_cheap = False

    def prepare(self, instance: Instance) -> object:
        return None

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        time.sleep(0.01)
        if completion.text == "fault":
            raise CheckerError("fault")
        return Verdict.failed("slow")

    def describe(self) -> dict[str, object]:
        return {"name": "slow", "version": 1}

    def close(self) -> None:
        pass


class SlowBatches(Slow):
    batch_size = 3

    def check_many(self, samples: list[tuple[Instance, Completion]]) -> list[Verdict]:
        return [self.check(*sample) for sample in samples]


def completion(text: str) -> Completion:
    return Completion(SampleKey("m", "t", "i", 1), text, (1,), FinishReason.END)


def test_laps_leave_no_gap() -> None:
    begin = time.perf_counter()
    watch = Stopwatch()
    time.sleep(0.02)
    watch.lap(Phase.ENGINE)
    watch.lap(Phase.PLAN)
    time.sleep(0.01)
    watch.lap(Phase.ENGINE)
    elapsed = time.perf_counter() - begin
    assert 0.03 <= sum(watch.seconds.values()) <= elapsed
    assert watch.seconds[Phase.ENGINE] >= 0.03


def test_every_second_of_a_run_is_in_its_profile(finished_run: Path) -> None:
    record = RunRecord.load(finished_run)
    for model in record.job.family:
        seconds = record.profiles[model.name]["seconds"]
        assert set(seconds) <= {phase.value for phase in Phase}
        spent = record.speeds[model.name]["seconds"]
        assert sum(seconds.values()) == pytest.approx(spent, rel=0.05, abs=0.02)


def test_profile_is_printed(finished_run: Path) -> None:
    console = Console(width=120, record=True)
    print_profile(console, RunRecord.load(finished_run))
    text = console.export_text()
    assert all(phase.value in text for phase in Phase)
    assert "huge" in text


def test_a_resumed_run_adds_up(tmp_path: Path) -> None:
    run(make_job(tmp_path, "budget=40"), tmp_path / "run")
    before = RunRecord.load(tmp_path / "run").profiles["small"]["seconds"]["engine step"]
    added = add_profiles({"seconds": {"a": 1.0, "b": 2}}, {"seconds": {"a": 0.5, "c": 1}})
    assert added == {"seconds": {"a": 1.5, "b": 2, "c": 1}}
    assert before > 0


@pytest.mark.parametrize("make", [Slow, SlowBatches])
def test_checks_are_counted_faults_too(make: type[Slow]) -> None:
    instance = Instance("t", "i", "", None)  # type: ignore[arg-type]
    wrapped = timed({"t": make(), "u": ExactChecker()})
    checker = wrapped["t"]
    assert isinstance(checker, TimedChecker)
    assert not isinstance(wrapped["u"], TimedChecker)
    assert checker.check(instance, completion("x")).reason == "slow"
    with pytest.raises(CheckerError):
        checker.check(instance, completion("fault"))
    n_expected = 2
    if make is SlowBatches:
        assert len(checker.check_many([(instance, completion("x"))] * 2)) == 2  # type: ignore[attr-defined]
        n_expected = 4
    n, seconds = checker.take("m")
    assert n == n_expected
    assert seconds >= 0.01 * n_expected
    assert checker.take("m") == (0, 0.0)


def test_a_shared_checker_stays_shared() -> None:
    shared = Slow()
    wrapped = timed({"a": shared, "b": shared})  # type: ignore[dict-item]
    assert wrapped["a"] is wrapped["b"]


class Splitting:
    """A sampler that spends two thirds of a step on sampling."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def step(self) -> Any:
        time.sleep(0.003)
        return self._inner.step()

    def take_step_parts(self) -> dict[str, float]:
        return {"sampling": 0.002}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_parts_of_a_step_are_taken_out_of_it(tmp_path: Path) -> None:
    job = make_job(tmp_path, "budget=40")
    run_job(
        job,
        tmp_path / "run",
        observer=Silent(),
        make_sampler=lambda j, m: Splitting(scripted(j, m)),
    )
    record = RunRecord.load(tmp_path / "run")
    seconds = record.profiles["small"]["seconds"]
    assert seconds["engine step"] > 0
    assert seconds["sampling"] > 0
    assert sum(seconds.values()) == pytest.approx(record.speeds["small"]["seconds"], rel=0.05)
    console = Console(width=120, record=True)
    print_profile(console, record)
    rows = {line[:20].strip(): line for line in console.export_text().splitlines()}
    assert "%" in rows["sampling"]
    assert "%" not in rows["detokenising"]
