"""A run as one table in a file, for people's own tools: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

from passuntil.errors import UsageError
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.runner.record import LEDGER_FILE, RunRecord, TaskRecord

__all__ = ["export_run"]

Row = Mapping[str, Any]

INSTANCE_COLUMNS: Final[Mapping[str, type]] = {
    "model": str,
    "n_params": int,
    "is_held_out": bool,
    "task": str,
    "instance": str,
    "outcome": str,
    "passes": int,
    "trials": int,
    "min_samples": int,
    "exact_rate": float,
    "unsummed": float,
    "is_greedy_pass": bool,
    "n_tokens": int,
    "overrun_samples": int,
    "overrun_tokens": int,
    "fail_reasons": str,
    "fault": str,
}
SAMPLE_COLUMNS: Final[Mapping[str, type]] = {
    "model": str,
    "task": str,
    "instance": str,
    "sample": int,
    "is_pass": bool,
    "reason": str,
    "finish_reason": str,
    "n_tokens": int,
    "text": str,
}
_ROWS_TOGETHER: Final = 50_000


def export_run(
    folder: Path, path: Path, *, task: str | None = None, with_samples: bool = False
) -> int:
    """Write a run as a table; works beside a driver.

    Parameters
    ----------
    folder : Path
        Of the run.
    path : Path
        The file, new; ``.csv``, ``.jsonl`` or ``.parquet``.
    task : str, optional
        Only this one.
    with_samples : bool
        A row per judged sample, with text, reason and tokens where the run keeps them; otherwise
        a row per instance and model.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    UsageError
        The folder holds no run, the file exists or has another ending, or pyarrow is missing.
    """
    write = _writer(path)
    run = RunRecord.load(folder)
    names = run.task_names(task)
    draft = path.with_name(f"{path.name}.part")
    try:
        if with_samples:
            n_rows = write(draft, SAMPLE_COLUMNS, _samples(folder, names))
        else:
            n_rows = write(draft, INSTANCE_COLUMNS, _instances(run, names))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return n_rows


def _writer(path: Path) -> Callable[[Path, Mapping[str, type], Iterable[Row]], int]:
    """Return what writes such a file; refuse before the work."""
    writers = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise UsageError(
            f"export: got {path}; allowed: a file that ends in {', '.join(writers)}; rename it."
        )
    if path.exists() or not path.parent.is_dir():
        what = "which exists" if path.exists() else f"and there is no folder {path.parent}"
        raise UsageError(
            f"export: got {path}, {what}; allowed: a new file in an existing folder; name one."
        )
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401, PLC0415  # an optional part
        except ImportError as error:
            raise UsageError(
                f"export: got {path} without pyarrow; allowed: .csv, .jsonl, or Parquet with "
                "pyarrow; run `pip install 'passuntil[parquet]'`."
            ) from error
    return writers[path.suffix]


def _instances(run: RunRecord, names: Sequence[str]) -> Iterator[Row]:
    for model in run.job.family:
        about = {"model": model.name, "n_params": model.n_params, "is_held_out": model.held_out}
        for name in names:
            found = run.tasks[model.name, name]
            for instance in found.instances:
                yield {**about, "task": name, "instance": instance, **_instance(found, instance)}


def _instance(found: TaskRecord, instance: str) -> Row:
    fault = found.faults.get(instance)
    if found.rates is not None:
        rate = found.rates.get(instance)
        if rate is None:
            return {"outcome": "open"}
        return {
            "outcome": "calculated",
            "exact_rate": rate.rate.value,
            "unsummed": rate.rate.unsummed,
            "is_greedy_pass": rate.is_greedy_pass,
        }
    record = found.instances[instance]
    tally = record.state.tally()
    return {
        "outcome": str(tally.outcome),
        "passes": tally.passes,
        "trials": tally.trials,
        "min_samples": tally.min_samples,
        "is_greedy_pass": record.is_greedy_pass,
        "n_tokens": record.n_tokens,
        "overrun_samples": record.overrun_samples,
        "overrun_tokens": record.overrun_tokens,
        "fail_reasons": json.dumps(dict(sorted(record.fail_reasons.items()))),
        "fault": fault,
    }


def _samples(folder: Path, names: Sequence[str]) -> Iterator[Row]:
    wanted = set(names)
    with closing(SqliteLedger(folder / LEDGER_FILE, mode="read")) as ledger:
        for block in ledger.blocks():
            if block.task not in wanted:
                continue
            about = {"model": block.model, "task": block.task, "instance": block.instance}
            kept = {text.index: text for text in block.kept}
            for index, verdict in enumerate(block.verdicts, start=block.start):
                row = {**about, "sample": index, "is_pass": bool(verdict)}
                if (text := kept.get(index)) is not None:
                    row |= {
                        "reason": text.reason,
                        "finish_reason": text.finish_reason,
                        "n_tokens": text.n_tokens,
                        "text": text.text,
                    }
                yield row


def _write_csv(path: Path, columns: Mapping[str, type], rows: Iterable[Row]) -> int:
    n_rows = 0
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        for n_rows, row in enumerate(rows, start=1):  # noqa: B007  # the last one is the count
            writer.writerow(row)
    return n_rows


def _write_jsonl(path: Path, columns: Mapping[str, type], rows: Iterable[Row]) -> int:
    n_rows = 0
    with path.open("w", encoding="utf-8") as file:
        for n_rows, row in enumerate(rows, start=1):  # noqa: B007  # the last one is the count
            file.write(json.dumps({name: row.get(name) for name in columns}) + "\n")
    return n_rows


def _write_parquet(path: Path, columns: Mapping[str, type], rows: Iterable[Row]) -> int:
    import pyarrow  # noqa: PLC0415  # an optional part
    from pyarrow import parquet  # noqa: PLC0415

    types = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    n_rows, left = 0, iter(rows)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while together := list(islice(left, _ROWS_TOGETHER)):
            table = {name: [_plain(row.get(name)) for row in together] for name in columns}
            writer.write_table(pyarrow.table(table, schema=schema))
            n_rows += len(together)
    return n_rows


def _plain(value: Any) -> Any:
    """Return what Parquet can hold: half a surrogate pair is no text there."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value
