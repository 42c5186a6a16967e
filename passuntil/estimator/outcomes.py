"""Ordered 0/1 outcomes, and the tallies of the rule that their sampling followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import UsageError
from passuntil.estimator.arrays import TallyArray
from passuntil.records import Tally
from passuntil.stopping import Mode, StopRule

__all__ = ["OutcomeTable", "tallies_from_outcomes"]


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

    Returns
    -------
    TallyArray
        Shape (n_instances,).

    Raises
    ------
    UsageError
        A value other than 0 and 1.

    Notes
    -----
    Index order is what counts: the rule stops at the first n with at least `passes` passes and
    n >= `min_samples`, or at the budget; later outcomes of the row are not used.

    Examples
    --------
    >>> rows = [[0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    >>> list(tallies_from_outcomes(rows, StopRule(passes=1, budget=5)))
    [Tally.stopped(passes=1, trials=3), Tally.censored(passes=0, trials=5)]
    >>> list(tallies_from_outcomes(rows))[0]
    Tally.fixed(passes=2, trials=5)
    """
    if rule is not None and not isinstance(rule, StopRule):
        raise UsageError(f"rule: got {rule!r}; allowed: a StopRule, or none for a fixed number.")
    if rule is not None and rule.mode is Mode.TARGET:
        raise UsageError(
            f"rule: got {rule}; allowed: one that ends an instance by its own outcomes; give the "
            "counts of steered instances to TallyArray.steered."
        )
    rows = _outcome_rows(outcomes)
    if rule is None:
        counts = [(int(row.sum()), len(row)) for row in rows]
        passes, trials = np.array(counts, dtype=np.int64).reshape(-1, 2).T
        return TallyArray.fixed(passes=passes, trials=trials)
    return TallyArray.from_tallies(_replay(row, rule) for row in rows)


def _outcome_rows(outcomes: object) -> list[NDArray[Any]]:
    """Return one checked row of 0/1 an instance."""
    if isinstance(outcomes, Mapping):
        raise UsageError(
            "outcomes: got a mapping; allowed: rows of 0/1; pass list(outcomes.values())."
        )
    if np.ma.is_masked(outcomes):
        raise _masked("outcomes")
    # a data frame gives its columns' names one by one, and its values as an array
    table = np.asarray(outcomes) if hasattr(outcomes, "__array__") else outcomes
    if not isinstance(table, Iterable):
        raise UsageError(f"outcomes: got {outcomes!r}; allowed: rows of 0/1, one an instance.")
    rows = []
    for i, given in enumerate(table):
        if np.ma.is_masked(given):
            raise _masked(f"outcomes, row {i}")
        row = np.asarray(given)
        rows.append(row)
        if row.ndim != 1:
            raise UsageError(
                f"outcomes, row {i}: got shape {row.shape}; allowed: a row of 0/1 in the order of "
                "sampling, so (n_instances, n_samples) in all; put a single instance into a list, "
                "and give one model at a time."
            )
        is_odd = ~np.isin(row, (0, 1))
        if is_odd.any():
            place = int(is_odd.argmax())
            raise UsageError(
                f"outcomes, row {i}: got {row.tolist()[place]!r} at position {place}; allowed: "
                "0/1 in the order of sampling; leave out samples that were not judged (rows may "
                "differ in length)."
            )
    return rows


def _masked(name: str) -> UsageError:
    return UsageError(
        f"{name}: got masked values; allowed: 0/1 in the order of sampling; leave out samples that "
        "were not judged (rows may differ in length)."
    )


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
        floor = rule.min_samples if rule.mode is Mode.UNTIL else 1
        return Tally.open(passes=c, trials=len(passes), min_samples=floor)
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

    Examples
    --------
    >>> table = OutcomeTable.of([("a", False), ("b", True), ("a", True)])
    >>> table
    <OutcomeTable of 2 instances: 2 passes in 3 samples>
    >>> table.instances, table.outcomes
    (('a', 'b'), ((0, 1), (1,)))
    """

    instances: tuple[str, ...]
    outcomes: tuple[tuple[int, ...], ...]

    def __repr__(self) -> str:
        n_samples, n_passes = (sum(map(count, self.outcomes)) for count in (len, sum))
        return (
            f"<OutcomeTable of {len(self.instances)} instances: {n_passes} passes in {n_samples} "
            "samples>"
        )

    def tallies(self, rule: StopRule | None = None) -> TallyArray:
        """Return one tally per instance; see `tallies_from_outcomes`.

        Parameters
        ----------
        rule : StopRule, optional
            Replays it; without one the samples of the file count as fixed in number.

        Examples
        --------
        >>> table = OutcomeTable(("a", "b"), ((0, 1, 1), (0, 0, 0)))
        >>> list(table.tallies(StopRule(passes=1, budget=3)))
        [Tally.stopped(passes=1, trials=2), Tally.censored(passes=0, trials=3)]
        """
        return tallies_from_outcomes(self.outcomes, rule)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, bool]]) -> OutcomeTable:
        """Return the table of (instance, passed) pairs in the order of sampling.

        Parameters
        ----------
        pairs : iterable of (str, bool)
            Name of the instance, and whether the sample passed; instances may take turns.

        Raises
        ------
        UsageError
            An outcome other than 0 and 1: a score, a text, none.

        Examples
        --------
        >>> OutcomeTable.of([("a", False), ("b", True), ("a", True)]).outcomes
        ((0, 1), (1,))
        """
        rows: dict[str, list[int]] = {}
        for name, passed in pairs:
            if not isinstance(passed, bool) and (np.ndim(passed) or passed not in (0, 1)):
                raise UsageError(
                    f"outcome of {name!r}: got {passed!r}; allowed: 0/1, or True and False; leave "
                    "out samples that were not judged, and say from which score on one passes."
                )
            rows.setdefault(name, []).append(int(passed))
        return cls(tuple(rows), tuple(tuple(r) for r in rows.values()))
