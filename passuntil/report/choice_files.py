"""Choices as files: one JSON, and tables as CSV and, where pyarrow is installed, Parquet."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from passuntil.choices.analysis import ChoiceAnalysis
from passuntil.choices.coefficients import correlation_kinds
from passuntil.choices.metrics import metric_scores

__all__ = ["INSTALL_PARQUET", "choice_tables", "has_parquet", "write_choice_files"]

INSTALL_PARQUET: Final = "pip install 'passuntil[parquet]'"

Row = dict[str, Any]


def write_choice_files(
    folder: Path, analyses: Sequence[ChoiceAnalysis], whole: Mapping[str, Any]
) -> list[Path]:
    """Write choices.json and the tables; return the paths."""
    paths = [folder / "choices.json"]
    paths[0].write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for name, rows in choice_tables(analyses).items():
        if not rows:
            continue
        paths.append(_write_csv(folder / f"{name}.csv", rows))
        if has_parquet():
            paths.append(_write_parquet(folder / f"{name}.parquet", rows))
    return paths


def has_parquet() -> bool:
    """Whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def choice_tables(analyses: Sequence[ChoiceAnalysis]) -> dict[str, list[Row]]:
    """Return the tables by name.

    scores: one row per family, benchmark, model and instance, one column per score.
    correlations: one per family, benchmark, instance and score; empty where the score is constant.
    choices: one per family, benchmark, instance and choice, with its line in log10 compute.
    forecasts: one per family, benchmark, design, score and held-out model.
    """
    makers: dict[str, Callable[[ChoiceAnalysis], Iterator[Row]]] = {
        "scores": _scores,
        "correlations": _correlations,
        "choices": _choices,
        "forecasts": _forecasts,
    }
    return {
        name: [{**_key(one), **row} for one in analyses for row in rows(one)]
        for name, rows in makers.items()
    }


def _key(analysis: ChoiceAnalysis) -> Row:
    return {"family": analysis.scores.family, "benchmark": analysis.scores.benchmark}


def _scores(analysis: ChoiceAnalysis) -> Iterator[Row]:
    scores = analysis.scores
    values = {name: metric_scores(scores, name).values for name in analysis.means}
    for m, model in enumerate(scores.models):
        for i, instance in enumerate(scores.instances):
            yield {
                "model": model,
                "compute": float(scores.compute[m]),
                "instance": instance,
                "n_choices": int(scores.n_choices[i]),
                **{name: float(array[m, i]) for name, array in values.items()},
            }


def _correlations(analysis: ChoiceAnalysis) -> Iterator[Row]:
    for metric in analysis.means:
        found = {kind: analysis.correlation(metric, kind) for kind in correlation_kinds()}
        for i, instance in enumerate(analysis.scores.instances):
            yield {
                "instance": instance,
                "metric": metric,
                **{k: float(c.values[i]) if c.exists[i] else None for k, c in found.items()},
            }


def _choices(analysis: ChoiceAnalysis) -> Iterator[Row]:
    scores, lines = analysis.scores, analysis.scaling
    if lines is None:
        return
    for i, instance in enumerate(scores.instances):
        for j in range(int(scores.n_choices[i])):
            yield {
                "instance": instance,
                "choice": j,
                "is_correct": j == scores.correct[i],
                "nats_per_decade": float(lines.slopes[i, j]),
                "scatter_nats": float(lines.scatter[i, j]),
                "pearson": float(lines.correlations[i, j]),
            }


def _forecasts(analysis: ChoiceAnalysis) -> Iterator[Row]:
    for found in (analysis.largest, analysis.rolling):
        for row in () if found is None else found.to_json()["rows"]:
            yield {"design": found.design if found is not None else "", **row}


def _write_csv(path: Path, rows: Sequence[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns(rows), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _write_parquet(path: Path, rows: Sequence[Row]) -> Path:
    import pyarrow  # noqa: PLC0415  # an optional part
    from pyarrow import parquet  # noqa: PLC0415

    columns = {name: [row.get(name) for row in rows] for name in _columns(rows)}
    parquet.write_table(pyarrow.table(columns), path, compression="zstd")
    return path


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return every column of any row: families may have scores that others lack."""
    return list(dict.fromkeys(name for row in rows for name in row))
