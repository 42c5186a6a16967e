"""One checker pool for the drives of several models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, final

from passuntil.checkers.pool import CheckerPool, Judgement
from passuntil.ports import Undecoded
from passuntil.records import Completion, Instance

__all__ = ["Judge", "PoolShare", "PoolShares"]

# A drive that waits for a verdict keeps the others waiting as well.
_LONGEST_WAIT_S: Final = 0.005


class Judge(Protocol):
    """What a drive needs of a checker pool, or of its share of one."""

    @property
    def backlog(self) -> int:
        """Completions without a verdict."""
        ...

    def submit(self, instance: Instance, finished: Completion | Undecoded) -> None:
        """Take a completion."""
        ...

    def collect(self, timeout_s: float = 0.0) -> Sequence[Judgement]:
        """Return judgements not yet returned."""
        ...


@final
class PoolShares:
    """Hands each model its own judgements, whoever collects them. One thread."""

    def __init__(self, pool: CheckerPool) -> None:
        self._pool = pool
        self._judged: dict[str, list[Judgement]] = {}

    def of(self, model: str) -> PoolShare:
        """Return a model's share."""
        return PoolShare(self, model)

    def submit(self, instance: Instance, finished: Completion | Undecoded) -> None:
        """Take a completion of any model."""
        self._pool.submit(instance, finished)

    def collect(self, model: str, timeout_s: float) -> list[Judgement]:
        """Return a model's judgements."""
        wait_s = 0.0 if self._judged.get(model) else min(timeout_s, _LONGEST_WAIT_S)
        for judgement in self._pool.collect(wait_s):
            self._judged.setdefault(judgement.key.model, []).append(judgement)
        return self._judged.pop(model, [])


@final
class PoolShare:
    """A model's share of a pool; a :class:`Judge`."""

    def __init__(self, shares: PoolShares, model: str) -> None:
        self._shares = shares
        self._model = model
        self._backlog = 0

    @property
    def backlog(self) -> int:
        """The model's completions without a verdict."""
        return self._backlog

    def submit(self, instance: Instance, finished: Completion | Undecoded) -> None:
        """Take a completion."""
        self._backlog += 1
        self._shares.submit(instance, finished)

    def collect(self, timeout_s: float = 0.0) -> Sequence[Judgement]:
        """Return the model's judgements not yet returned."""
        judged = self._shares.collect(self._model, timeout_s)
        self._backlog -= len(judged)
        return judged
