"""Read what people already have: result files of other tools.

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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from passuntil.errors import UsageError, nearest
from passuntil.estimator.outcomes import OutcomeTable

__all__ = ["read_evalplus", "read_human_eval", "read_lm_eval"]


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

    References
    ----------
    .. [1] human-eval, ``evaluate_functional_correctness``.

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

    References
    ----------
    .. [2] evalplus, ``evalplus.evaluate``.

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

    References
    ----------
    .. [3] EleutherAI/lm-evaluation-harness, ``--log_samples``.

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
