"""A run as a table: every number of it, and every verdict, in three formats."""

from __future__ import annotations

import builtins
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from simulated import make_job, run

from passuntil.errors import UsageError
from passuntil.ledger import SqliteLedger
from passuntil.runner.export import INSTANCE_COLUMNS, SAMPLE_COLUMNS, export_run
from passuntil.runner.record import LEDGER_FILE, RunRecord


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_row_per_instance_is_the_records(finished_run: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"tallies.{ending}"
    n = export_run(finished_run, path)
    rows = read(path)
    assert n == len(rows) == 4 * 8
    assert [*rows[0]] == [*INSTANCE_COLUMNS]
    record = RunRecord.load(finished_run)
    for row in rows:
        found = record.tasks[row["model"], row["task"]].instances[row["instance"]]
        tally = found.state.tally()
        assert (str(tally.passes), str(tally.trials)) == (str(row["passes"]), str(row["trials"]))
        assert row["outcome"] == tally.outcome
        assert str(row["n_tokens"]) == str(found.n_tokens)
        assert Counter(json.loads(row["fail_reasons"])) == found.fail_reasons
        assert not row["fault"]
    assert {row["model"] for row in rows if row["is_held_out"] in (True, "True")} == {"huge"}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_row_per_sample_is_the_ledger(finished_run: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"samples.{ending}"
    n = export_run(finished_run, path, with_samples=True)
    rows = read(path)
    assert [*rows[0]] == [*SAMPLE_COLUMNS]
    ledger = SqliteLedger(finished_run / LEDGER_FILE, mode="read")
    blocks = list(ledger.blocks())
    ledger.close()
    assert n == len(rows) == sum(len(block.verdicts) for block in blocks)
    texts = {
        (block.model, block.task, block.instance, str(text.index)): text.text
        for block in blocks
        for text in block.kept
    }
    exported = {
        (row["model"], row["task"], row["instance"], str(row["sample"])): row["text"]
        for row in rows
        if row["text"]
    }
    assert exported == texts
    passes = sum(row["is_pass"] in (True, "True") for row in rows)
    assert passes == sum(sum(block.verdicts) for block in blocks) > 0


def test_texts_that_are_no_unicode_are_written(tmp_path: Path) -> None:
    job = make_job(tmp_path, "keep_texts=all", "budget=40")
    run(job, tmp_path / "run")
    ledger = SqliteLedger(tmp_path / "run" / LEDGER_FILE)
    (block,) = [b for b in ledger.blocks() if b.model == "small"][:1]
    ledger._database.execute(
        "UPDATE kept SET text = ?", ("\ud800".encode("utf-8", "surrogatepass"),)
    )  # type: ignore[union-attr]
    ledger.close()
    assert block.kept
    for ending in ("csv", "jsonl", "parquet"):
        export_run(tmp_path / "run", tmp_path / f"samples.{ending}", with_samples=True)


def test_files_it_does_not_write(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.csv").write_text("mine")
    for name, words in (
        ("run.xlsx", "ends in .csv, .jsonl, .parquet"),
        ("there.csv", "which exists"),
        ("gone/run.csv", "there is no folder"),
    ):
        with pytest.raises(UsageError, match=words):
            export_run(finished_run, tmp_path / name)
    assert (tmp_path / "there.csv").read_text() == "mine"
    with pytest.raises(UsageError, match="Did you mean 'answers'"):
        export_run(finished_run, tmp_path / "run.csv", task="answer")
    with pytest.raises(UsageError, match=r"no ledger\.sqlite"):
        export_run(tmp_path, tmp_path / "run.csv")
    there = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return there(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'passuntil\[parquet\]'"):
        export_run(finished_run, tmp_path / "run.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there.csv"]
