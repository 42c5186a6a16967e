"""The rule that ends the sampling of an instance."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from passuntil.errors import UsageError
from passuntil.records.counts import whole_number

__all__ = ["Mode", "StopRule"]


class Mode(StrEnum):
    """What ends the sampling of an instance.

    Examples
    --------
    >>> [StopRule().mode.value, StopRule.fixed(200).mode.value]
    ['until', 'fixed']
    """

    UNTIL = "until"
    """Its r-th pass."""
    FIXED = "fixed"
    """A number of samples given beforehand."""
    TARGET = "target"
    """The precision of the whole dataset; see `passuntil.steering`."""


@dataclass(frozen=True, slots=True)
class StopRule:
    """Stop at the first n with at least `passes` passes and n >= `min_samples`, or at `budget`.

    Parameters
    ----------
    passes : int
        Required passes r, >= 1. Plays no part outside ``Mode.UNTIL``.
    min_samples : int
        Floor m, 1 <= m <= budget.
    budget : int
        Most samples M, >= 1.
    mode : Mode
        ``UNTIL`` is the rule above. With ``FIXED`` and ``TARGET`` passes stop nothing; see
        `fixed` and `steered`.

    Raises
    ------
    UsageError
        A value is outside its range.

    Examples
    --------
    >>> rule = StopRule(passes=1, min_samples=100, budget=10_000)
    >>> rule.is_stop(passes=40, trials=99), rule.is_stop(passes=40, trials=100)
    (False, True)
    >>> rule.is_stop(passes=0, trials=9_999), rule.is_stop(passes=0, trials=10_000)
    (False, True)
    >>> StopRule(budget=1e5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    passuntil.errors.UsageError: budget: got 100000.0 of type float; allowed: an integer; ...
    """

    passes: int = 1
    min_samples: int = 1
    budget: int = 100_000
    mode: Mode = Mode.UNTIL

    @classmethod
    def fixed(cls, samples: int) -> Self:
        """Return the rule that draws so many samples, whatever their verdicts.

        Examples
        --------
        >>> StopRule.fixed(200).is_stop(passes=200, trials=199)
        False
        """
        return cls(min_samples=samples, budget=samples, mode=Mode.FIXED)

    @classmethod
    def steered(cls, *, min_samples: int, budget: int) -> Self:
        """Return the rule of an instance that is told how many samples to draw, within bounds.

        Examples
        --------
        >>> StopRule.steered(min_samples=10, budget=1000).mode.value
        'target'
        """
        return cls(min_samples=min_samples, budget=budget, mode=Mode.TARGET)

    def is_stop(self, passes: int, trials: int) -> bool:
        """Whether sampling ends with so many passes in so many samples.

        Examples
        --------
        >>> StopRule(passes=2).is_stop(passes=2, trials=37)
        True
        """
        if trials == self.budget:
            return True
        return self.mode is Mode.UNTIL and passes >= self.passes and trials >= self.min_samples

    def __post_init__(self) -> None:
        for name in ("passes", "min_samples", "budget"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if self.budget < 1:
            raise UsageError(f"budget: got {self.budget}; allowed: >= 1; raise it.")
        if not 1 <= self.passes <= self.budget:
            raise UsageError(
                f"passes: got {self.passes}; allowed: 1 ... budget={self.budget}; "
                "lower passes or raise budget."
            )
        if not 1 <= self.min_samples <= self.budget:
            raise UsageError(
                f"min_samples: got {self.min_samples}; allowed: 1 ... budget={self.budget}; "
                "lower min_samples or raise budget."
            )
