"""Many tallies at once, as arrays: a million instances cost what one costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import UsageError
from passuntil.estimator.inputs import MOST, columns
from passuntil.records import Outcome, Tally
from passuntil.stopping import Mode, StopRule

__all__ = ["CODES", "TallyArray", "as_tally_array"]

OUTCOMES = tuple(Outcome)
Which = NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]
CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}


@dataclass(frozen=True, slots=True, eq=False)
class TallyArray:
    """Tallies of many instances, one array per attribute of `Tally`.

    Use the named constructors, `from_tallies`, or `from_rule`.

    Attributes
    ----------
    codes : ndarray of int8, shape (n_instances,)
        Position of the outcome in `Outcome`.
    passes, trials, min_samples : ndarray of int64, shape (n_instances,)
        As in `Tally`: passes c, trials n, floor m.

    Examples
    --------
    >>> t = TallyArray.stopped(passes=1, trials=[37, 5])
    >>> len(t), t[1]
    (2, Tally.stopped(passes=1, trials=5))
    >>> t
    <TallyArray of 2: 2 stopped; 2 passes in 42 samples>
    >>> TallyArray.fixed(passes=[3, 0, 12], trials=200)  # counts of 200 samples each: (n, c) tables
    <TallyArray of 3: 3 fixed; 15 passes in 600 samples>
    >>> t[1:].trials
    array([5])
    """

    codes: NDArray[np.int8]
    passes: NDArray[np.int64]
    trials: NDArray[np.int64]
    min_samples: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("codes", "passes", "trials", "min_samples"):
            getattr(self, name).flags.writeable = False

    @classmethod
    def _of(
        cls, outcome: Outcome, passes: ArrayLike, trials: ArrayLike, min_samples: ArrayLike
    ) -> Self:
        c, n, m = columns(passes=passes, trials=trials, min_samples=min_samples)
        is_stop = outcome in (Outcome.STOPPED, Outcome.FLOOR_REACHED)
        bad = (n < (outcome is not Outcome.OPEN)) | (c < is_stop) | (c > n) | (m < 1)
        if outcome is Outcome.STOPPED:
            bad |= (m > 1) & (m >= n)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            try:  # the scalar type owns the rules and the words
                Tally(outcome, int(c[i]), int(n[i]), int(m[i]))
            except UsageError as error:
                raise UsageError(f"tally {i}: {error}") from None
        return cls(np.full(c.shape, CODES[outcome], np.int8), c, n, m)

    @classmethod
    def stopped(cls, *, passes: ArrayLike, trials: ArrayLike, min_samples: ArrayLike = 1) -> Self:
        """Return tallies that ended with the r-th pass; arguments broadcast.

        Parameters
        ----------
        passes : array_like of int
            Required passes r >= 1, all of them seen.
        trials : array_like of int
            Samples K up to and with the r-th pass.
        min_samples : array_like of int
            Floor m of the design, 1 where there was none; below K where it is more.

        Raises
        ------
        UsageError
            A count that is no whole number or outside its range, or columns of unlike length.

        Examples
        --------
        >>> list(TallyArray.stopped(passes=2, trials=[37, 5]))
        [Tally.stopped(passes=2, trials=37), Tally.stopped(passes=2, trials=5)]
        """
        return cls._of(Outcome.STOPPED, passes, trials, min_samples)

    @classmethod
    def censored(cls, *, passes: ArrayLike, trials: ArrayLike, min_samples: ArrayLike = 1) -> Self:
        """Return tallies that ended at the budget; arguments broadcast.

        Parameters
        ----------
        passes : array_like of int
            Passes c seen, fewer than required.
        trials : array_like of int
            The budget M.
        min_samples : array_like of int
            Floor of the design.

        Raises
        ------
        UsageError
            As `stopped`.

        Examples
        --------
        >>> nothing = TallyArray.censored(passes=[0, 1], trials=100_000)
        >>> nothing.passes / nothing.trials
        array([0.e+00, 1.e-05])
        """
        return cls._of(Outcome.CENSORED, passes, trials, min_samples)

    @classmethod
    def floor_reached(cls, *, passes: ArrayLike, trials: ArrayLike) -> Self:
        """Return tallies that ended at the floor; arguments broadcast.

        Parameters
        ----------
        passes : array_like of int
            Passes c seen, at least as many as required.
        trials : array_like of int
            The floor m.

        Raises
        ------
        UsageError
            As `stopped`.

        Examples
        --------
        >>> TallyArray.floor_reached(passes=[40, 1], trials=100)[0]
        Tally.floor_reached(passes=40, trials=100, min_samples=100)
        """
        return cls._of(Outcome.FLOOR_REACHED, passes, trials, trials)

    @classmethod
    def fixed(cls, *, passes: ArrayLike, trials: ArrayLike) -> Self:
        """Return tallies whose number of trials was fixed beforehand; arguments broadcast.

        Parameters
        ----------
        passes : array_like of int
            Passes c, 0 ... n.
        trials : array_like of int
            Samples n of each instance, or one number for all.

        Raises
        ------
        UsageError
            As `stopped`.

        Examples
        --------
        >>> TallyArray.fixed(passes=[3, 0, 12], trials=200)
        <TallyArray of 3: 3 fixed; 15 passes in 600 samples>
        >>> TallyArray.fixed(passes=[3, 0, 12], trials=[200, 0, 200])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        passuntil.errors.UsageError: tally 1: trials: got 0; allowed: >= 1; ...
        """
        return cls._of(Outcome.FIXED, passes, trials, 1)

    @classmethod
    def steered(cls, *, passes: ArrayLike, trials: ArrayLike) -> Self:
        """Return tallies whose trials the outcomes of all decided; arguments broadcast.

        Parameters
        ----------
        passes, trials : array_like of int
            Passes c of n samples, n >= 1.

        Raises
        ------
        UsageError
            As `stopped`.

        Examples
        --------
        >>> TallyArray.steered(passes=[3, 0], trials=[120, 900]).is_by_rule  # no exact intervals
        array([False, False])
        """
        return cls._of(Outcome.STEERED, passes, trials, 1)

    @classmethod
    def open(cls, *, passes: ArrayLike, trials: ArrayLike, min_samples: ArrayLike = 1) -> Self:
        """Return tallies of running instances; arguments broadcast.

        Parameters
        ----------
        passes, trials : array_like of int
            Passes c of n samples so far, n >= 0.
        min_samples : array_like of int
            Floor of the design.

        Raises
        ------
        UsageError
            As `stopped`.

        Examples
        --------
        >>> list(TallyArray.open(passes=[0, 2], trials=[0, 31]))  # the first was not begun
        [Tally.open(passes=0, trials=0), Tally.open(passes=2, trials=31)]
        """
        return cls._of(Outcome.OPEN, passes, trials, min_samples)

    @classmethod
    def from_tallies(cls, tallies: Iterable[Tally]) -> Self:
        """Return the array of a sequence of `Tally`.

        Parameters
        ----------
        tallies : iterable of Tally
            One an instance.

        Raises
        ------
        UsageError
            Something else is among them, whose place is named, or a count beyond 2**53.

        Examples
        --------
        >>> seen = [Tally.stopped(passes=1, trials=9), Tally.fixed(passes=0, trials=5)]
        >>> TallyArray.from_tallies(seen)
        <TallyArray of 2: 1 stopped, 1 fixed; 1 passes in 14 samples>
        """
        if isinstance(tallies, Tally) or not isinstance(tallies, Iterable):
            raise _no_tallies(tallies)
        rows = []
        for t in tallies:
            if not isinstance(t, Tally):
                raise _no_tallies(t, len(rows))
            rows.append((CODES[t.outcome], t.passes, t.trials, t.min_samples))
        most = max((max(row) for row in rows), default=0)
        if most > MOST:
            raise UsageError(f"tallies: got a count of {most}; allowed: up to 2**53; check it.")
        table = np.array(rows, dtype=np.int64).reshape(-1, 4)
        return cls(table[:, 0].astype(np.int8), *(table[:, k].copy() for k in (1, 2, 3)))

    @classmethod
    def from_rule(cls, rule: StopRule, *, passes: ArrayLike, trials: ArrayLike) -> Self:
        """Return tallies of closed instances, classified by the rule that closed them.

        Parameters
        ----------
        rule : StopRule
            The rule sampling followed.
        passes, trials : array_like of int, shape (n_instances,)
            Counts at the stop.

        Raises
        ------
        UsageError
            A count that the rule cannot end with.

        Examples
        --------
        >>> rule = StopRule(passes=1, min_samples=100, budget=10_000)
        >>> for tally in TallyArray.from_rule(rule, passes=[7, 1, 0], trials=[100, 2310, 10_000]):
        ...     tally
        Tally.floor_reached(passes=7, trials=100, min_samples=100)
        Tally.stopped(passes=1, trials=2310, min_samples=100)
        Tally.censored(passes=0, trials=10000, min_samples=100)
        """
        c, n = columns(passes=passes, trials=trials)
        if rule.mode is Mode.TARGET:
            return cls.steered(passes=c, trials=n)
        if rule.mode is Mode.FIXED and (n == rule.budget).all():
            return cls.fixed(passes=c, trials=n)
        at_floor = (n == rule.min_samples) & (c >= rule.passes) & (rule.min_samples > 1)
        is_stop = (c == rule.passes) & (n >= rule.min_samples) & (n <= rule.budget) & ~at_floor
        is_capped = (c < rule.passes) & (n == rule.budget)
        bad = ~(at_floor | is_stop | is_capped) | (c > n) | (rule.mode is Mode.FIXED)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise UsageError(
                f"tally {i}: got {c[i]} passes of {n[i]}; allowed: what {rule} can end with; "
                "use the rule that the sampling followed."
            )
        codes = np.select(
            [at_floor, is_stop],
            [CODES[Outcome.FLOOR_REACHED], CODES[Outcome.STOPPED]],
            CODES[Outcome.CENSORED],
        )
        return cls(codes.astype(np.int8), c, n, np.full(c.shape, rule.min_samples, np.int64))

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Tally: ...  # type: ignore[overload-overlap]
    @overload
    def __getitem__(self, index: slice | Which) -> Self: ...
    def __getitem__(self, index: SupportsIndex | slice | Which) -> Tally | Self:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        # arrays have an __index__ too, whatever their shape
        if not isinstance(index, SupportsIndex) or (isinstance(index, np.ndarray) and index.ndim):
            return self.take(index)
        return Tally(
            OUTCOMES[self.codes[index]],
            int(self.passes[index]),
            int(self.trials[index]),
            int(self.min_samples[index]),
        )

    def __iter__(self) -> Iterator[Tally]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        ended = ", ".join(
            f"{count} {OUTCOMES[code]}"
            for code, count in zip(*np.unique(self.codes, return_counts=True), strict=True)
        )
        return (
            f"<TallyArray of {len(self)}{': ' if ended else ''}{ended}; "
            f"{self.passes.sum(dtype=float):.0f} passes in "
            f"{self.trials.sum(dtype=float):.0f} samples>"
        )

    def take(self, which: Which) -> Self:
        """Return the tallies at these positions (indices or a mask).

        Parameters
        ----------
        which : array_like of bool or int
            A mask of shape (n_instances,), or positions; `tallies[which]` is the same.

        Raises
        ------
        UsageError
            More than one dimension, or values of another kind.
        IndexError
            Positions, or a mask, that do not fit.

        Examples
        --------
        >>> t = TallyArray.fixed(passes=[3, 0, 12], trials=200)
        >>> t.take(t.passes > 0)
        <TallyArray of 2: 2 fixed; 15 passes in 400 samples>
        """
        index = np.asarray(which)
        if index.ndim != 1 or (index.size and index.dtype.kind not in "iub"):
            raise UsageError(
                f"tallies: got {which!r} in place of positions; allowed: a mask of shape "
                f"({len(self)},), or whole numbers; take one row of them at a time."
            )
        if not index.size and index.dtype.kind != "b":
            index = index.astype(int)  # an empty list is one of floats to numpy
        return type(self)(
            self.codes[index], self.passes[index], self.trials[index], self.min_samples[index]
        )

    def is_outcome(self, *outcomes: Outcome) -> NDArray[np.bool_]:
        """Whether each tally ended in one of these ways, shape (n_instances,).

        Parameters
        ----------
        *outcomes : Outcome
            One or more.

        Examples
        --------
        >>> t = TallyArray.from_rule(StopRule(passes=1, budget=50), passes=[1, 0], trials=[9, 50])
        >>> t.is_outcome(Outcome.CENSORED)
        array([False,  True])
        """
        mask: NDArray[np.bool_] = np.isin(self.codes, [CODES[o] for o in outcomes])
        return mask

    @property
    def is_by_rule(self) -> NDArray[np.bool_]:
        """Whether exact intervals and unbiased estimates exist, shape (n_instances,)."""
        return self.is_outcome(*(o for o in Outcome if o.is_by_rule))


def _no_tallies(found: object, place: int | None = None) -> UsageError:
    where = "" if place is None else f" at position {place}"
    if isinstance(found, Tally):
        do = "put a single one into a list"
    else:
        do = (
            "make them with TallyArray.fixed(passes=..., trials=...) from counts, or with "
            "tallies_from_outcomes from 0/1 outcomes"
        )
    return UsageError(
        f"tallies: got {type(found).__name__}{where}; allowed: a TallyArray or a sequence of "
        f"Tally; {do}."
    )


def as_tally_array(tallies: TallyArray | Iterable[Tally]) -> TallyArray:
    """Return the tallies as an array; a `TallyArray` passes through.

    Raises
    ------
    UsageError
        Counts, outcomes or pairs in the place of tallies; the message says how they become some.

    Examples
    --------
    >>> as_tally_array([Tally.fixed(passes=3, trials=200)])
    <TallyArray of 1: 1 fixed; 3 passes in 200 samples>
    """
    return tallies if isinstance(tallies, TallyArray) else TallyArray.from_tallies(tallies)
