"""Read the logs of Inspect (inspect_ai), through its own reader.

References
----------
.. [1] inspect_ai, ``read_eval_log``: ``EvalLog.samples`` with ``id``, ``epoch`` and ``scores``, a
   ``Score`` per scorer with ``value`` "C" or "I" (or 1 and 0, or true and false).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from passuntil.errors import UsageError, nearest
from passuntil.estimator.outcomes import OutcomeTable

__all__ = ["read_inspect"]

VERDICTS: dict[Any, bool] = {"C": True, "I": False, 1: True, 0: False}
"""True and False are 1 and 0; a partial or missing answer ("P", "N") is no verdict."""


def read_inspect(path: str | Path, *, scorer: str | None = None) -> OutcomeTable:
    """Return the outcomes in an Inspect log, ``*.eval`` or ``*.json`` [1]_.

    Parameters
    ----------
    path : str or Path
    scorer : str, optional
        Name of the scorer; needed where the log has several.

    Returns
    -------
    OutcomeTable
        One row per sample id, epochs in order.

    Raises
    ------
    UsageError
        inspect_ai is not installed, the file is no log of its, it has no samples, several scorers
        and none named, a score that is neither right nor wrong, or a sample that failed.

    References
    ----------
    .. [1] inspect_ai, ``read_eval_log``.

    Examples
    --------
    >>> table = read_inspect("logs/2025-01-01_math.eval")  # doctest: +SKIP
    >>> table.tallies()  # doctest: +SKIP
    <TallyArray of 500: 500 fixed; 1234 passes in 8000 samples>
    >>> try:
    ...     read_inspect("no_such_file.eval")
    ... except UsageError as error:
    ...     print(str(error).split(":")[0])
    no_such_file.eval
    """
    try:
        from inspect_ai.log import read_eval_log  # noqa: PLC0415  # optional, and seconds to load
    except ImportError:
        raise UsageError(
            f"{path}: got an Inspect log without inspect_ai; allowed: with it; pip install "
            "'passuntil[inspect]'."
        ) from None
    try:
        log = read_eval_log(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path}: got {type(error).__name__}: {error}; allowed: a log that Inspect wrote."
        ) from error
    samples = sorted(log.samples or [], key=lambda sample: int(sample.epoch))
    if not samples:
        raise UsageError(
            f"{path}: got no samples (status {log.status}); allowed: a finished log with samples; "
            "log with log_samples=True."
        )
    # epochs are the order of sampling, ids keep the order of the file
    order = {str(sample.id): i for i, sample in reversed(list(enumerate(log.samples)))}
    pairs = [(str(s.id), _verdict(s.scores or {}, scorer, f"{path}, {s.id}")) for s in samples]
    return OutcomeTable.of(sorted(pairs, key=lambda pair: order[pair[0]]))


def _verdict(scores: dict[str, Any], scorer: str | None, where: str) -> bool:
    names = list(scores)
    if scorer is None and len(names) != 1:
        raise UsageError(
            f"{where}: got scores of {', '.join(names) or 'no scorer'}; allowed: one; name it with "
            "scorer, and leave out samples that failed."
        )
    name = names[0] if scorer is None else scorer
    if name not in scores:
        raise UsageError(
            f"{where}: got no score of {name!r}; allowed: {', '.join(names)}."
            + nearest(name, names)
        )
    value = scores[name].value
    if not isinstance(value, str | int | float) or value not in VERDICTS:
        raise UsageError(
            f"{where}: got the score {value!r}; allowed: C or I, 1 or 0, true or false; a grade in "
            "between is no outcome."
        )
    return VERDICTS[value]
