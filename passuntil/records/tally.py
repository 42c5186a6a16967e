"""What was seen of one instance under one model: passes, trials, and how the sampling ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from passuntil.errors import UsageError
from passuntil.records.counts import whole_number

__all__ = ["Outcome", "Tally"]


class Outcome(StrEnum):
    """How the sampling of an instance ended; fixes which estimators are valid.

    Examples
    --------
    >>> [outcome.value for outcome in Outcome if outcome.is_by_rule]
    ['stopped', 'floor_reached', 'censored', 'fixed']
    """

    STOPPED = "stopped"
    """At the r-th pass, beyond the floor."""
    FLOOR_REACHED = "floor_reached"
    """At the floor of ``min_samples``, with at least r passes."""
    CENSORED = "censored"
    """At the budget, with fewer than r passes."""
    FIXED = "fixed"
    """At a number of trials fixed beforehand."""
    STEERED = "steered"
    """At a number of trials chosen from the outcomes of all instances, as target mode does: the
    likelihood holds, exact intervals and unbiased estimates do not."""
    OPEN = "open"
    """Not ended: the committed prefix of a running instance."""

    @property
    def is_by_rule(self) -> bool:
        """Whether the instance's own stopping rule fixed the trials.

        Then the chance of every tally is known: what exact intervals and unbiased estimates need.
        """
        return self not in (Outcome.OPEN, Outcome.STEERED)


@dataclass(frozen=True, slots=True)
class Tally:
    """Passes and trials of one instance under one model, and how the sampling ended.

    Use the named constructors; each says what was seen.

    Attributes
    ----------
    outcome : Outcome
        How the sampling ended.
    passes : int
        Passing samples c, 0 <= c <= n.
    trials : int
        Judged samples n, the contiguous indices 1 ... n; n >= 1 (n >= 0 if open).
    min_samples : int
        The floor m of the design; 1 where there was none.

    Raises
    ------
    UsageError
        A count that is no integer or outside its range.

    Examples
    --------
    >>> Tally.stopped(passes=1, trials=37)
    Tally.stopped(passes=1, trials=37)
    >>> Tally.censored(passes=0, trials=100_000)
    Tally.censored(passes=0, trials=100000)
    >>> Tally.fixed(passes=3, trials=2)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    passuntil.errors.UsageError: passes: got 3 with trials=2; allowed for a fixed tally: ...
    """

    outcome: Outcome
    passes: int
    trials: int
    min_samples: int = field(default=1)

    def __post_init__(self) -> None:
        for name in ("passes", "trials", "min_samples"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        lowest = 0 if self.outcome is Outcome.OPEN else 1
        if self.trials < lowest:
            raise UsageError(
                f"trials: got {self.trials}; allowed: >= {lowest}; an instance without samples has "
                "no tally but Tally.open(passes=0, trials=0)."
            )
        least = 1 if self.outcome in (Outcome.STOPPED, Outcome.FLOOR_REACHED) else 0
        if not least <= self.passes <= self.trials:
            raise UsageError(
                f"passes: got {self.passes} with trials={self.trials}; allowed for a "
                f"{self.outcome} tally: {least} ... {self.trials}; count passing samples only."
            )
        if self.min_samples < 1:
            raise UsageError(
                f"min_samples: got {self.min_samples}; allowed: >= 1; use 1 for no floor."
            )
        if self.outcome is Outcome.STOPPED and 1 < self.min_samples >= self.trials:
            raise UsageError(
                f"trials: got {self.trials} with min_samples={self.min_samples}; allowed for a "
                "stopped tally: above the floor; at the floor use Tally.floor_reached."
            )

    def __repr__(self) -> str:
        floor = "" if self.min_samples == 1 else f", min_samples={self.min_samples}"
        return f"Tally.{self.outcome}(passes={self.passes}, trials={self.trials}{floor})"

    @classmethod
    def stopped(cls, *, passes: int, trials: int, min_samples: int = 1) -> Self:
        """Sampling ended with the r-th pass: `passes` = r, sample `trials` = K is that pass.

        `min_samples` is the floor of the design; beyond it the r-th pass decides.

        Parameters
        ----------
        passes : int
            Required passes r, all seen; >= 1.
        trials : int
            Index K of the r-th pass.
        min_samples : int
            Floor m of the design, below K where it is above 1.

        Raises
        ------
        UsageError
            A count outside its range.

        Examples
        --------
        >>> Tally.stopped(passes=1, trials=2310, min_samples=100)
        Tally.stopped(passes=1, trials=2310, min_samples=100)
        >>> Tally.stopped(passes=1, trials=100, min_samples=100)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        passuntil.errors.UsageError: trials: got 100 ... at the floor use Tally.floor_reached.
        """
        return cls(Outcome.STOPPED, passes, trials, min_samples)

    @classmethod
    def censored(cls, *, passes: int, trials: int, min_samples: int = 1) -> Self:
        """Sampling ended at the budget `trials` = M with fewer than r passes.

        Parameters
        ----------
        passes : int
            Passes c seen, 0 <= c <= M.
        trials : int
            The budget M >= 1.
        min_samples : int
            Floor of the design.

        Raises
        ------
        UsageError
            A count outside its range.

        Examples
        --------
        >>> Tally.censored(passes=1, trials=100_000)
        Tally.censored(passes=1, trials=100000)
        """
        return cls(Outcome.CENSORED, passes, trials, min_samples)

    @classmethod
    def floor_reached(cls, *, passes: int, trials: int) -> Self:
        """Sampling ended at the floor `trials` = m, `passes` >= r of them passing.

        Parameters
        ----------
        passes : int
            Passes c seen, 1 <= c <= m.
        trials : int
            The floor m.

        Raises
        ------
        UsageError
            A count outside its range.

        Examples
        --------
        >>> Tally.floor_reached(passes=40, trials=100)
        Tally.floor_reached(passes=40, trials=100, min_samples=100)
        """
        return cls(Outcome.FLOOR_REACHED, passes, trials, trials)

    @classmethod
    def fixed(cls, *, passes: int, trials: int) -> Self:
        """The number of trials was fixed beforehand.

        Parameters
        ----------
        passes : int
            Passes c seen, 0 <= c <= n.
        trials : int
            Samples n >= 1.

        Raises
        ------
        UsageError
            A count outside its range.

        Examples
        --------
        >>> Tally.fixed(passes=3, trials=200)
        Tally.fixed(passes=3, trials=200)
        """
        return cls(Outcome.FIXED, passes, trials)

    @classmethod
    def steered(cls, *, passes: int, trials: int) -> Self:
        """Outcomes of all instances together decided the number of trials.

        Parameters
        ----------
        passes : int
            Passes c seen, 0 <= c <= n.
        trials : int
            Samples n >= 1.

        Raises
        ------
        UsageError
            A count outside its range.

        Examples
        --------
        >>> Tally.steered(passes=3, trials=120).outcome.is_by_rule  # no exact interval
        False
        """
        return cls(Outcome.STEERED, passes, trials)

    @classmethod
    def open(cls, *, passes: int, trials: int, min_samples: int = 1) -> Self:
        """Sampling goes on; the committed prefix so far.

        Parameters
        ----------
        passes : int
            Passes c so far, 0 <= c <= n.
        trials : int
            Judged samples n >= 0.
        min_samples : int
            Floor of the design.

        Raises
        ------
        UsageError
            A count outside its range.

        Examples
        --------
        >>> Tally.open(passes=0, trials=0)  # not begun
        Tally.open(passes=0, trials=0)
        """
        return cls(Outcome.OPEN, passes, trials, min_samples)

    def to_json(self) -> Mapping[str, str | int]:
        """Return the tally as plain values.

        Examples
        --------
        >>> Tally.fixed(passes=3, trials=200).to_json()
        {'outcome': 'fixed', 'passes': 3, 'trials': 200, 'min_samples': 1}
        """
        return {
            "outcome": self.outcome.value,
            "passes": self.passes,
            "trials": self.trials,
            "min_samples": self.min_samples,
        }
