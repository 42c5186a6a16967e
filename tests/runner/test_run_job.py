"""A whole run on the scripted sampler: tallies, order, resuming, sealing."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated import CHANCE, JOB, Silent, make_job, run, scripted

from passuntil.checkers.exact import ExactChecker
from passuntil.config import CodeSpec, Job, bundled
from passuntil.errors import CheckerError, EngineError, RunInterrupted, UsageError
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import SampleRequest
from passuntil.records import Completion, Instance, Outcome, SampleKey, Tally, Verdict
from passuntil.runner.drive import Snapshot
from passuntil.runner.record import LEDGER_FILE, RunRecord, fold
from passuntil.runner.run import run_job
from passuntil.stopping import InstanceState, StopRule


def tallies(folder: Path) -> dict[tuple[str, str], list[Tally]]:
    return {key: record.tallies for key, record in RunRecord.load(folder).tasks.items()}


def everything(folder: Path) -> list[Any]:
    """All the ledger holds but overrun, which depends on what happened to be under way."""
    ledger = SqliteLedger(folder / LEDGER_FILE, mode="read")
    try:
        blocks = [replace(b, overrun_samples=0, overrun_tokens=0) for b in ledger.blocks()]
        flat: dict[Any, list[Any]] = {}
        for b in blocks:
            entry = flat.setdefault((b.model, b.task, b.instance), [b"", {}, 0, ()])
            entry[0] += b.verdicts
            for reason, n in b.fail_reasons.items():
                entry[1][reason] = entry[1].get(reason, 0) + n
            entry[2] += b.n_tokens
            entry[3] += b.kept
        return [sorted(flat.items()), sorted(map(repr, ledger.greedy()))]
    finally:
        ledger.close()


def sequential_tally(job: Any, model: str, instance: str, place: int) -> Tally:
    """The definition: samples drawn one after the other."""
    state = InstanceState(job.stop_rule())
    index = 0
    while not state.is_closed:
        index += 1
        draw = SampleKey(model, "answers", instance, index).seed(0) / 2**63
        state.observe(index, draw < CHANCE[model] * 0.4**place)
    return state.tally()


@pytest.mark.parametrize("capacity", [1, 7, 256])
def test_tallies_are_those_of_sequential_sampling(tmp_path: Path, capacity: int) -> None:
    job = make_job(tmp_path, "budget=500")
    run(job, tmp_path / "run", capacity=capacity)
    record = RunRecord.load(tmp_path / "run")
    for model in job.family:
        for place, (name, instance) in enumerate(
            record.tasks[model.name, "answers"].instances.items()
        ):
            assert instance.state.tally() == sequential_tally(job, model.name, name, place)
    outcomes = {t.outcome for found in tallies(tmp_path / "run").values() for t in found}
    assert outcomes == {Outcome.STOPPED, Outcome.FLOOR_REACHED, Outcome.CENSORED}


def test_ledger_does_not_depend_on_capacity(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    run(job, tmp_path / "a", capacity=5)
    run(job, tmp_path / "b", capacity=200)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")


def test_finished_run_starts_no_engine(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    assert run(job, tmp_path / "run").models == ["small", "middle", "large", "huge"]
    again = run(job, tmp_path / "run")
    assert again.models == []
    assert again.forecasts == []


def test_forecast_is_sealed_before_the_held_out_model(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    seen: list[bool] = []

    class Watching(Silent):
        def on_forecast(self, path: Path) -> None:
            super().on_forecast(path)
            seen.append(RunRecord.load(tmp_path / "run").tasks["huge", "answers"].is_begun)

    observer = Watching()
    run_job(job, tmp_path / "run", observer=observer, make_sampler=scripted)
    assert seen == [False]
    (path,) = observer.forecasts
    forecast = json.loads(path.read_text())
    assert forecast["measured_models"] == ["small", "middle", "large"]
    prediction = forecast["methods"]["mle"]
    assert 0 < prediction["low"] < prediction["value"] < prediction["high"] < 1


def test_model_measured_before_it_was_held_out_gets_no_seal(tmp_path: Path) -> None:
    job = make_job(tmp_path, "family.huge.held_out=false")
    run(job, tmp_path / "run")
    late = make_job(tmp_path)
    assert run(late, tmp_path / "run").forecasts == []


def test_another_job_is_refused(tmp_path: Path) -> None:
    run(make_job(tmp_path), tmp_path / "run")
    before = everything(tmp_path / "run")
    with pytest.raises(UsageError, match=r"budget: was 2000, is 3000"):
        run(make_job(tmp_path, "budget=3000"), tmp_path / "run")
    assert everything(tmp_path / "run") == before


class Dying:
    """A sampler that dies after some steps."""

    def __init__(self, inner: Any, n_steps: int) -> None:
        self._inner = inner
        self._n_steps = n_steps

    def step(self) -> list[Completion]:
        self._n_steps -= 1
        if self._n_steps < 0:
            raise EngineError("engine died")
        return self._inner.step()

    def submit(self, requests: list[SampleRequest]) -> None:
        self._inner.submit(requests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_engine_that_dies_again_and_again_loses_nothing(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    run(job, tmp_path / "undisturbed")
    deaths = 0
    for attempt in range(300):
        try:
            run_job(
                job,
                tmp_path / "run",
                observer=Silent(),
                make_sampler=lambda j, m, n=40 + 13 * attempt % 200: Dying(scripted(j, m), n),
            )
            break
        except EngineError:
            deaths += 1
    assert deaths > 5
    assert everything(tmp_path / "run") == everything(tmp_path / "undisturbed")


class Faulty:
    """A checker that cannot judge some instance."""

    is_cheap = True
    concurrency = 1

    def __init__(self, broken: str) -> None:
        self._broken = broken

    def prepare(self, instance: Instance) -> None:
        pass

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        if instance.id == self._broken:
            raise CheckerError("broken pipe")
        return Verdict.failed("mismatch")

    def describe(self) -> dict[str, object]:
        return {"name": "faulty", "version": 1}

    def close(self) -> None:
        pass


def test_checker_fault_gives_the_instance_up_and_is_never_a_fail(tmp_path: Path) -> None:
    job = make_job(tmp_path, "budget=50", "greedy=false")
    broken = "pico-answer/3"
    with pytest.raises(CheckerError, match="unfinished instances of small"):
        run_job(
            job,
            tmp_path / "run",
            observer=Silent(),
            make_sampler=scripted,
            make_checkers=lambda job: {"answers": Faulty(broken)},
        )
    assert not (tmp_path / "run" / "forecasts").exists()
    record = RunRecord.load(tmp_path / "run").tasks["small", "answers"]
    assert list(record.faults) == [broken]
    assert "broken pipe" in record.faults[broken]
    assert record.instances[broken].state.n_committed == 0
    assert [t.trials for t in record.tallies][3] == 0, "models must pair instance by instance"
    others = [r for name, r in record.instances.items() if name != broken]
    assert all(
        r.state.tally() == Tally.censored(passes=0, trials=50, min_samples=20) for r in others
    )


class Reading(Silent):
    """Reads the run at every report, as one who looks at a killed run's folder would."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.seen: list[tuple[bool, list[str]]] = []  # whether some are open, the aborted ones

    def on_progress(self, snapshot: Snapshot) -> None:
        found = RunRecord.load(self._folder).tasks["small", "answers"]
        self.seen.append((any(run.is_open for run in snapshot.instances), list(found.faults)))


def test_aborted_instances_are_on_record_at_once_until_they_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passuntil.runner.drive._SNAPSHOT_INTERVAL_S", 0.0)
    job, broken = make_job(tmp_path, "budget=50", "greedy=false"), "pico-answer/3"
    for checker, expected in ((Faulty(broken), [broken]), (Faulty("none"), [])):
        observer = Reading(tmp_path / "run")
        with suppress(CheckerError):  # of the forecast, which needs every instance
            run_job(
                job,
                tmp_path / "run",
                observer=observer,
                make_sampler=scripted,
                make_checkers=lambda job, checker=checker: {"answers": checker},
            )
        assert observer.seen[-1] == (False, expected)
        assert (True, expected) in observer.seen
        if not expected:
            assert all(not faults for _, faults in observer.seen)


def test_fold_of_a_ledger_is_the_state(tmp_path: Path) -> None:
    run(make_job(tmp_path), tmp_path / "run")
    ledger = SqliteLedger(tmp_path / "run" / LEDGER_FILE, mode="read")
    records = fold(ledger, StopRule(passes=1, min_samples=20, budget=2000))
    ledger.close()
    assert len(records) == 4 * 8
    assert all(record.state.is_closed for record in records.values())
    assert all(record.is_greedy_pass is not None for record in records.values())


def test_overrun_is_counted(tmp_path: Path) -> None:
    run(make_job(tmp_path), tmp_path / "run", capacity=256)
    records = [
        r for t in RunRecord.load(tmp_path / "run").tasks.values() for r in t.instances.values()
    ]
    assert sum(r.overrun_samples for r in records) > 0
    censored = [r for r in records if r.state.tally().outcome is Outcome.CENSORED]
    assert all(r.overrun_samples == 0 for r in censored)


class FaultyLate(Faulty):
    """A checker whose faults come only beyond the floor, where easy instances are closed."""

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        if completion.key.index > 20:
            raise CheckerError("broken pipe")
        return Verdict.passed()


def test_fault_beyond_the_stop_harms_nothing(tmp_path: Path) -> None:
    job = make_job(tmp_path, "greedy=false")
    run_job(
        job,
        tmp_path / "run",
        observer=Silent(),
        make_sampler=lambda j, m: scripted(j, m, capacity=300),
        make_checkers=lambda job: {"answers": FaultyLate("")},
    )
    record = RunRecord.load(tmp_path / "run")
    assert all(task.is_complete and not task.faults for task in record.tasks.values())


class Alarmed(ExactChecker):
    """A checker that had to stop sharing children, or not."""

    def __init__(self, stopped: str) -> None:
        super().__init__(normalise=())
        self._stopped = stopped

    def describe(self) -> dict[str, object]:
        return {**super().describe(), "batches": {"size": 8, "stopped": self._stopped}}


def test_an_alarm_of_shared_children_outlives_the_next_start(tmp_path: Path) -> None:
    job = make_job(tmp_path, "budget=50", "greedy=false")
    for stopped in ("", "'pass' beside neighbours and 'wrong' alone", ""):
        run_job(
            job,
            tmp_path / "run",
            observer=Silent(),
            make_sampler=scripted,
            make_checkers=lambda job, words=stopped: {"answers": Alarmed(words)},
        )
    told = RunRecord.load(tmp_path / "run").checkers["answers"]
    assert told["batches"] == {"size": 8, "stopped": "'pass' beside neighbours and 'wrong' alone"}


@pytest.mark.parametrize("stopped", ["", "'pass' beside neighbours and 'wrong' alone"])
def test_after_an_alarm_every_sample_runs_alone(tmp_path: Path, stopped: str) -> None:
    text = JOB.replace("pico-answer\n    format: answers", "pico-code\n    format: humaneval")
    job = make_job(tmp_path, text=text.replace("{normalise: []}", "{kind: code}"))
    asked: list[bool] = []

    def make_checkers(job: Job) -> dict[str, Alarmed]:
        (task,) = job.tasks
        assert isinstance(task.checker, CodeSpec)
        asked.append(task.checker.batches)
        raise CheckerError("enough")

    with closing(SqliteLedger(tmp_path / LEDGER_FILE)) as ledger:
        ledger.write_meta("checkers", {"answers": {"batches": {"stopped": stopped}}})
    with pytest.raises(CheckerError, match="enough"):
        run_job(job, tmp_path, observer=Silent(), make_checkers=make_checkers)
    assert asked == [not stopped]


def test_size_corrected_in_the_job_is_used(tmp_path: Path) -> None:
    run(make_job(tmp_path), tmp_path / "run")
    run(make_job(tmp_path, "family.small.n_params=21000"), tmp_path / "run")
    assert RunRecord.load(tmp_path / "run").job.family[0].n_params == 21_000


def test_other_weights_at_the_same_path_are_refused(tmp_path: Path) -> None:
    shutil.copytree(bundled("model")["pico-20k"], tmp_path / "model")
    text = JOB.replace("builtin:pico-20k", "model")
    job = make_job(tmp_path, text=text)
    with pytest.raises(EngineError):
        run_job(
            job,
            tmp_path / "run",
            observer=Silent(),
            make_sampler=lambda j, m: Dying(scripted(j, m), 30),
        )
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(UsageError, match="other files"):
        run(job, tmp_path / "run")


def test_interrupt_keeps_what_was_judged(tmp_path: Path) -> None:
    class Interrupting(Silent):
        def on_progress(self, snapshot: Snapshot) -> None:
            if snapshot.n_samples > 200:
                raise RunInterrupted("now")

    job = make_job(tmp_path)
    with pytest.raises(RunInterrupted):
        run_job(
            job,
            tmp_path / "run",
            observer=Interrupting(),
            make_sampler=lambda j, m: Slow(scripted(j, m)),
        )
    records = RunRecord.load(tmp_path / "run").tasks.values()
    assert sum(r.state.n_committed for t in records for r in t.instances.values()) > 100


class Slow(Dying):
    """A sampler slow enough that the display is called."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner, 10**9)

    def step(self) -> list[Completion]:
        time.sleep(0.02)
        return super().step()
