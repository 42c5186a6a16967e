"""Tasks in target mode: which have ended, and the steering of those that have not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from passuntil.ledger.sqlite import SqliteLedger
from passuntil.steering import Goal, Steering
from passuntil.stopping import InstanceState

__all__ = ["STEERED", "SteeredEnds"]

STEERED: Final = "steered"
"""Name of the ledger's record: by model and task, the samples of each instance at the end."""


class SteeredEnds:
    """What the ledger records of the ends of steered tasks.

    Where the samples go follows from the verdicts, by a rule that another version may choose
    otherwise: an end that was reached is therefore recorded, and stays one.
    """

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        recorded: Mapping[str, Any] = ledger.read_meta(STEERED) or {}
        self._ends: dict[str, dict[str, Any]] = {model: dict(of) for model, of in recorded.items()}

    def resteer(
        self,
        model: str,
        task: str,
        goal: Goal,
        states: Sequence[InstanceState],
        *,
        aborted: Set[int] = frozenset(),
    ) -> None:
        """Bring states, folded from all verdicts of a task, to where its steering stands."""
        if self._ends.get(model, {}).get(task) == [state.n_committed for state in states]:
            for state in states:
                state.close()
        else:
            Steering(goal, states).advance(aborted=aborted)

    def record(self, model: str, task: str, states: Sequence[InstanceState]) -> None:
        """Record the end, once every instance has reached it; one that was aborted may go on."""
        ends = [state.n_committed for state in states]
        is_known = self._ends.get(model, {}).get(task) == ends
        if not is_known and all(state.is_closed for state in states):
            self._ends.setdefault(model, {})[task] = ends
            self._ledger.write_meta(STEERED, self._ends)
