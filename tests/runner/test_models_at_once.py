"""Models side by side: the same verdicts, the held-out ones last, one failure stops all safely."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from simulated import Silent, make_job, scripted

from passuntil.config import Job, ModelSpec
from passuntil.errors import EngineError, RunInterrupted
from passuntil.fitter import Plan, plan
from passuntil.ledger import SqliteLedger
from passuntil.runner import analysis
from passuntil.runner.drive import Snapshot
from passuntil.runner.engine import start_engine
from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.run import run_job
from passuntil.sampler.process import ProcessSampler


def apart(job: Job, model: ModelSpec) -> ProcessSampler:
    return ProcessSampler("simulated:scripted", {"job": job, "model": model})


class Watching(Silent):
    """Remembers in which order things were said, and which models were shown at which time."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.shown: list[str] = []

    def on_model(self, model: ModelSpec, n_done: int, n_models: int) -> None:
        super().on_model(model, n_done, n_models)
        self.said.append(f"{model.name} {n_done} {n_models}")

    def on_progress(self, snapshot: Snapshot) -> None:
        super().on_progress(snapshot)
        self.shown.append(snapshot.model)
        if snapshot.n_in_engine == 0 and not any(run.is_open for run in snapshot.instances):
            self.said.append(f"{snapshot.model} ends")

    def on_forecast(self, path: Path) -> None:
        self.said.append("forecast")


def contents(folder: Path) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Return all that the ledger holds but overrun, which depends on what was under way."""
    ledger = SqliteLedger(folder / LEDGER_FILE, mode="read")
    try:
        found: dict[tuple[str, ...], tuple[Any, ...]] = {
            (b.model, b.task, b.instance, str(b.start)): (
                b.verdicts,
                b.fail_reasons,
                b.n_tokens,
                b.kept,
            )
            for b in ledger.blocks()
        }
        found.update({(g.model, g.task, g.instance): (g,) for g in ledger.greedy()})
        return found
    finally:
        ledger.close()


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp("one")
    run_job(make_job(folder), folder / "run", observer=Silent(), make_sampler=scripted)
    return contents(folder / "run")


@pytest.mark.parametrize(("make_sampler", "n"), [(scripted, 2), (scripted, 5), (apart, 2)])
def test_same_verdicts_side_by_side(
    tmp_path: Path, one_by_one: dict[tuple[str, ...], tuple[Any, ...]], make_sampler: Any, n: int
) -> None:
    observer = Watching()
    job = make_job(tmp_path, f"models_at_once={n}")
    run_job(job, tmp_path / "run", observer=observer, make_sampler=make_sampler)
    assert contents(tmp_path / "run") == one_by_one
    assert observer.models == ["small", "middle", "large", "huge"]
    begun = [said for said in observer.said if "ends" not in said]
    assert begun[: min(n, 3)] == ["small 0 4", "middle 1 4", "large 2 4"][:n]
    held_out = observer.said.index("huge 3 4")
    assert {"small ends", "middle ends", "large ends"} <= set(observer.said[:held_out])
    assert observer.said[held_out - 1] == "forecast"
    record = RunRecord.load(tmp_path / "run")
    assert all(record.n_unended(model.name) == 0 for model in record.job.family)
    for model in record.job.family:
        spent = sum(record.profiles[model.name]["seconds"].values())
        assert 0 < spent <= 1.05 * record.speeds[model.name]["seconds"]


def test_a_run_may_go_on_with_another_number(tmp_path: Path, one_by_one: object) -> None:
    for n in (1, 3):
        job = make_job(tmp_path, f"models_at_once={n}")
        observer: Any = Interrupting(0) if n == 1 else Silent()
        try:
            run_job(job, tmp_path / "run", observer=observer, make_sampler=scripted)
        except RunInterrupted:
            assert n == 1
    assert contents(tmp_path / "run") == one_by_one


class Interrupting(Silent):
    """Ctrl-C once the second model was shown often enough."""

    def __init__(self, left: int, model: str = "small") -> None:
        super().__init__()
        self._left = left
        self._model = model

    def on_progress(self, snapshot: Snapshot) -> None:
        if snapshot.model == self._model:
            self._left -= 1
        if self._left < 0:
            raise RunInterrupted("stopped by Ctrl-C")


class Killing(Silent):
    """Kills the engine of one model once samples of two are judged."""

    def __init__(self) -> None:
        super().__init__()
        self.engines: dict[str, ProcessSampler] = {}
        self.begun: set[str] = set()

    def start(self, job: Job, model: ModelSpec) -> ProcessSampler:
        self.engines[model.name] = ProcessSampler(
            "test_models_at_once:unhurried", {"job": job, "model": model}
        )
        return self.engines[model.name]

    def on_progress(self, snapshot: Snapshot) -> None:
        if any(run.state.n_committed for run in snapshot.instances):
            self.begun.add(snapshot.model)
        if self.begun == {"small", "middle"}:
            os.kill(self.engines["small"].pid, signal.SIGKILL)


class Unhurried:
    """Outlives the first look at its progress."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def step(self) -> Any:
        time.sleep(0.01)
        return self._inner.step()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def unhurried(job: Job, model: ModelSpec) -> Unhurried:
    return Unhurried(scripted(job, model))


def test_a_dead_engine_stops_all_and_loses_nothing(
    tmp_path: Path, one_by_one: dict[tuple[str, ...], tuple[Any, ...]]
) -> None:
    job, observer = make_job(tmp_path, "models_at_once=2"), Killing()
    with pytest.raises(EngineError, match="exit status -9"):
        run_job(job, tmp_path / "run", observer=observer, make_sampler=observer.start)
    held = {key[:3] for key in contents(tmp_path / "run") if len(key) == 4}
    assert {model for model, _, _ in held} == {"small", "middle"}
    record = RunRecord.load(tmp_path / "run")
    assert record.n_unended("small") == record.n_unended("middle") == 0
    assert all(engine._process.poll() is not None for engine in observer.engines.values())
    run_job(job, tmp_path / "run", observer=Silent(), make_sampler=apart)
    assert contents(tmp_path / "run") == one_by_one


def test_ctrl_c_writes_all_models_and_ends_their_engines(tmp_path: Path) -> None:
    job, made = make_job(tmp_path, "models_at_once=2"), []

    def start(job: Job, model: ModelSpec) -> ProcessSampler:
        options = {"job": job, "model": model}
        made.append(ProcessSampler("test_models_at_once:unhurried", options))
        return made[-1]

    observer = Interrupting(1, "middle")
    with pytest.raises(RunInterrupted):
        run_job(job, tmp_path / "run", observer=observer, make_sampler=start)
    record = RunRecord.load(tmp_path / "run")
    for name in ("small", "middle"):
        assert record.speeds[name]["samples"] > 0
        assert record.tasks[name, "answers"].is_begun
    assert [engine._process.poll() is not None for engine in made] == [True, True]


class Clinging(Unhurried):
    """Fails to close."""

    def __init__(self, inner: Any, name: str) -> None:
        super().__init__(inner)
        self.name = name
        self.n_closed = 0

    def close(self) -> None:
        self.n_closed += 1
        if self.name != "large":
            raise OSError(f"{self.name} does not close")
        self._inner.close()


@pytest.mark.parametrize("left", [1, 10**6])  # Ctrl-C, and an end in peace
def test_an_engine_that_fails_to_close_does_not_keep_the_others(tmp_path: Path, left: int) -> None:
    job, made = make_job(tmp_path, "models_at_once=3", "budget=200"), []

    def start(job: Job, model: ModelSpec) -> Clinging:
        made.append(Clinging(scripted(job, model), model.name))
        return made[-1]

    with pytest.raises(OSError, match="does not close"):
        run_job(job, tmp_path / "run", observer=Interrupting(left, "middle"), make_sampler=start)
    assert [(engine.name, engine.n_closed) for engine in made] == [
        ("small", 1), ("middle", 1), ("large", 1)
    ]  # fmt: skip


def test_plans_reckon_with_the_time_that_models_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[float] = []

    def watched(*args: Any, samples_per_second: float, **options: Any) -> Plan:
        planned.append(samples_per_second)
        return plan(*args, samples_per_second=samples_per_second, **options)

    monkeypatch.setattr(analysis, "plan", watched)
    overlap = {}
    for n in (1, 3):
        overrides = (f"models_at_once={n}", "family.huge.held_out=false", "budget=200")
        job = make_job(tmp_path, *overrides)
        begin = time.monotonic()
        run_job(job, tmp_path / f"{n}", observer=Silent(), make_sampler=unhurried)
        elapsed = time.monotonic() - begin
        record = RunRecord.load(tmp_path / f"{n}")
        speeds = record.speeds.values()
        shares = sum(speed["share_seconds"] for speed in speeds)
        assert 0 < shares <= elapsed
        overlap[n] = sum(speed["seconds"] for speed in speeds) / shares
        analysis.plan_task(
            record, "answers", 4e6, new_sizes=(), confidence_level=0.9, include_held_out=False
        )
        n_samples = sum(speed["samples"] for speed in speeds)
        assert planned[-1] == pytest.approx(n_samples / shares)
    assert overlap[1] < 1.2 < 1.5 < overlap[3]


def test_more_models_at_once_get_processes(tmp_path: Path) -> None:
    job = make_job(tmp_path, "models_at_once=2")
    sampler = start_engine(job, job.family[0])
    assert isinstance(sampler, ProcessSampler)
    sampler.close()
