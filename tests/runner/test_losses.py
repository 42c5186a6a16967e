"""Laws with losses of gold answers or training tokens, on a run's folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_likelihood_run import calculate, job

from passuntil.choices.formats import ChoiceInstance
from passuntil.choices.store import Part, Score, ScoreStore
from passuntil.config import Job
from passuntil.errors import UsageError
from passuntil.runner.analysis import (
    Covariate,
    LossSource,
    backtest_of,
    fit_task,
    predict_task,
)
from passuntil.runner.forecast_file import seal_predictions
from passuntil.runner.losses import loss_table, read_losses
from passuntil.runner.record import RunRecord

__all__ = ["job"]  # a fixture

MODELS = ("small", "middle", "large", "huge")
# in every format: model, then instance
LOSSES = {m: {f"i{s}": (s + 2.0) * 0.8**k for s in range(3)} for k, m in enumerate(MODELS)}


@pytest.fixture(scope="module")
def record(finished_run: Path) -> RunRecord:
    """The run, its models with training tokens."""
    run = RunRecord.load(finished_run)
    family = tuple(
        m.model_copy(update={"n_tokens": 20.0 * m.n_params * (1 + k)})
        for k, m in enumerate(run.job.family)
    )
    return replace(run, job=run.job.model_copy(update={"family": family}))


@pytest.fixture(scope="module")
def losses(record: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of losses that fall with size and rise with the place of the instance."""
    path = tmp_path_factory.mktemp("losses") / "losses.jsonl"
    rows = [
        {"model": model, "instance": name, "task": task, "loss": (1 + place) * 0.7**k}
        for k, model in enumerate(MODELS)
        for place, name in enumerate(record.tasks[model, "answers"].instances)
        for task in ("answers",)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(losses: dict[str, dict[str, float]]) -> list[tuple[str, str, float]]:
    return [(m, i, value) for m, found in losses.items() for i, value in found.items()]


def write_jsonl(folder: Path) -> Path:
    lines = [
        json.dumps({"model": m, "instance": i, "loss": x, "task": "t"}) + "\n"
        for m, i, x in rows_of(LOSSES)
    ]
    other = json.dumps({"model": "small", "instance": "i0", "loss": 9, "task": "other"})
    path = folder / "losses.jsonl"
    path.write_text("".join(lines) + "\n" + other)
    return path


def write_csv(folder: Path) -> Path:
    path = folder / "losses.csv"
    body = "".join(f"{x!r},{m},{i}\n" for m, i, x in rows_of(LOSSES))
    path.write_text("loss,model,instance\n" + body)
    return path


def write_npz(folder: Path) -> Path:
    path = folder / "losses.npz"
    names = list(LOSSES["small"])
    table = np.array([[LOSSES[m][i] for m in MODELS] for i in names])
    np.savez(path, models=np.array(MODELS), instances=np.array(names), losses=table)
    return path


def write_choices(folder: Path) -> Path:
    store = ScoreStore(folder / "choices", mode="write")
    names = list(LOSSES["small"])
    store.write_instances(
        "t", [ChoiceInstance(i, (("q", "a"), ("q", "b")), ("a", "b"), 1) for i in names]
    )
    for m in MODELS:
        right = [Score(k, 1, -LOSSES[m][i], 1, False) for k, i in enumerate(names)]
        wrong = [Score(k, 0, -99.0, 1, False) for k in range(len(names))]
        store.append(Part("family", m, "t"), right + wrong)
        store.append(Part("family", m, "u"), wrong)
    store.close()
    return folder / "choices"


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_npz, write_choices])
def test_every_format_gives_the_same_losses(tmp_path: Path, write) -> None:
    assert read_losses(write(tmp_path), "t") == LOSSES


def test_one_name_in_two_families_of_choices_is_refused(tmp_path: Path) -> None:
    folder = write_choices(tmp_path)
    store = ScoreStore(folder, mode="write")
    store.append(Part("other", "small", "t"), [Score(0, 1, -5.0, 1, False)])
    store.append(Part("other", "elsewhere", "u"), [Score(0, 1, -5.0, 1, False)])
    store.close()
    with pytest.raises(UsageError, match=r"got small in two families of .*, family and other"):
        read_losses(folder, "t")


def test_losses_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file or folder of losses; allowed: a .jsonl"):
        read_losses(tmp_path / "absent.csv", "t")
    with pytest.raises(UsageError, match=r"no scores\.sqlite or ledger\.sqlite"):
        read_losses(tmp_path, "t")
    with pytest.raises(UsageError, match=r"has none of the task v; .* --losses-task"):
        read_losses(write_choices(tmp_path), "v")
    (tmp_path / "bad.csv").write_text("model,loss\nsmall,1\n")
    with pytest.raises(UsageError, match="cannot be read as losses"):
        read_losses(tmp_path / "bad.csv", "t")
    with pytest.raises(UsageError, match=r"none of the model smal; .*Did you mean 'small'"):
        loss_table(LOSSES, ["smal"], ["i0"])
    with pytest.raises(UsageError, match=r"none of 1 of 2 instances under small \(first: i7\)"):
        loss_table(LOSSES, ["small"], ["i0", "i7"])


def test_exact_rates_are_losses(tmp_path: Path, job: Job) -> None:
    record = calculate(job, tmp_path / "run")
    found = read_losses(tmp_path / "run", "toy")
    rates = record.tasks["small", "toy"].rates
    assert rates is not None
    for name, measured in rates.items():
        assert np.exp(-found["small"][name]) == pytest.approx(measured.rate.value)


def test_a_run_is_fitted_with_losses(record: RunRecord, losses: Path, tmp_path: Path) -> None:
    source = LossSource(losses)
    fit = fit_task(record, "answers", method="loss_assisted", losses=source)
    own = source.table(record, "answers", ["huge"])[:, 0]
    blind, told = predict_task(fit, 1e6, 0.9), predict_task(fit, 1e6, 0.9, losses=own)
    for forecast in (blind, told):
        assert 0 < forecast.low < forecast.value < forecast.high < 1
    assert blind.value != told.value
    seal_predictions(tmp_path / "sealed.json", {"answers": fit}, {"answers": told})
    (sealed,) = json.loads((tmp_path / "sealed.json").read_text())["forecasts"]
    assert sealed["value"] == told.value


def test_a_run_is_fitted_with_tokens(record: RunRecord) -> None:
    fit = fit_task(record, "answers", method="joint")
    assert fit.n_tokens.tolist() == [20.0 * 20_000, 40.0 * 75_000, 60.0 * 280_000]
    little, much = (predict_task(fit, 1e6, 0.9, n_tokens=n) for n in (1e7, 1e9))
    assert little.value < much.value


def test_backtest_with_losses_and_tokens(record: RunRecord, losses: Path) -> None:
    methods = ["joint", "loss_assisted", "ols"]
    found = backtest_of(
        record, "answers", confidence_level=0.9, methods=methods, losses=LossSource(losses)
    )
    assert {row.method for row in found.rows} >= {"joint", "loss_assisted"}
    assert found.skipped == ()


def test_what_methods_need(record: RunRecord, finished_run: Path, losses: Path) -> None:
    with pytest.raises(UsageError, match=r"got no --losses; allowed: --losses with"):
        fit_task(record, "answers", method="loss_assisted")
    with pytest.raises(UsageError, match="got --losses with --method mle"):
        fit_task(record, "answers", losses=LossSource(losses))
    with pytest.raises(UsageError, match="small: got no n_tokens in the job"):
        fit_task(RunRecord.load(finished_run), "answers", method="joint")
    with pytest.raises(UsageError, match="joint: got --against compute"):
        fit_task(record, "answers", method="joint", covariate=Covariate.COMPUTE)
    line = fit_task(record, "answers")
    with pytest.raises(UsageError, match="--n-tokens: got a value with --method mle"):
        predict_task(line, 1e6, 0.9, n_tokens=1e9)
    with pytest.raises(UsageError, match="--losses-of: got a value with --method mle"):
        predict_task(line, 1e6, 0.9, losses=np.ones(8))
