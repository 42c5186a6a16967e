"""The judged samples of one instance, in index order, and what they decide."""

from __future__ import annotations

import bisect
from array import array

from passuntil.errors import UsageError
from passuntil.records import Outcome, Tally
from passuntil.stopping.rule import Mode, StopRule

__all__ = ["InstanceState"]


class InstanceState:
    """The judged samples of one instance and what they decide.

    Verdicts come in any order through `observe`; the state commits the contiguous prefix of
    indices and closes when the rule says so. Its tally is a function of the verdicts alone, not
    of the order in which they came.

    Attributes
    ----------
    n_committed : int
        Length of the judged prefix; samples 1 ... n_committed count.
    n_passes : int
        Passes among them.
    limit : int
        No sample above this index can count any more: the rule's stop lies at or below it. In
        target mode, none above it is wanted yet.
    is_closed : bool
        Whether the stop is known and every index up to it is judged.

    Examples
    --------
    >>> state = InstanceState(StopRule(passes=1, budget=100))
    >>> state.observe(3, True)  # the stop is at 3 or before
    >>> state.limit, state.is_closed
    (3, False)
    >>> state.observe(1, False)
    >>> state.observe(2, False)
    >>> state.tally()
    Tally.stopped(passes=1, trials=3)
    """

    __slots__ = (
        "_ahead",
        "_ahead_passes",
        "_passes",
        "is_closed",
        "limit",
        "n_committed",
        "n_passes",
        "rule",
    )

    def __init__(self, rule: StopRule) -> None:
        self.rule = rule
        self.n_committed = 0
        self.n_passes = 0
        self.limit = rule.min_samples if rule.mode is Mode.TARGET else rule.budget
        self.is_closed = False
        self._ahead: dict[int, bool] = {}  # judged beyond the prefix
        self._ahead_passes: list[int] = []  # indices of passes among them, ascending
        # committed passes; steering alone asks for them
        self._passes = array("Q") if rule.mode is Mode.TARGET else None

    @property
    def n_certain(self) -> int:
        """Samples up to this index count whatever the verdicts are."""
        return self.rule.min_samples if self.rule.mode is Mode.UNTIL else self.limit

    def is_judged(self, index: int) -> bool:
        """Whether this index has a verdict."""
        return index <= self.n_committed or index in self._ahead

    def observe(self, index: int, is_pass: bool) -> None:
        """Take the verdict of one sample.

        A verdict above `limit` is overrun and changes nothing.

        Raises
        ------
        UsageError
            The index is below 1 or has a verdict already.
        """
        if index > self.limit:
            return
        if index < 1 or self.is_judged(index):
            raise UsageError(
                f"index: got {index}; allowed: an unjudged index from 1 to {self.limit}; "
                "observe each sample once."
            )
        if index == self.n_committed + 1:
            self._commit(is_pass)
            while not self.is_closed and self.n_committed + 1 in self._ahead:
                self._commit(self._ahead.pop(self.n_committed + 1))
        else:
            self._ahead[index] = is_pass
            if is_pass:
                bisect.insort(self._ahead_passes, index)
        self._lower_limit()

    def observe_prefix(self, verdicts: bytes) -> None:
        """Take the verdicts of the next indices in order, a byte each, as a ledger holds them.

        The same as `observe` on each, at the speed of a memory scan.

        Raises
        ------
        UsageError
            Samples were observed beyond the prefix, or `verdicts` goes on after the stop.

        Examples
        --------
        >>> state = InstanceState(StopRule(passes=2, budget=100))
        >>> state.observe_prefix(bytes([0, 0, 1, 0]))
        >>> state.tally()
        Tally.open(passes=1, trials=4)
        """
        if self._ahead:
            raise UsageError(
                f"verdicts: got a prefix after index {max(self._ahead)} was observed; allowed: "
                "before any sample beyond the prefix; refold into a new state."
            )
        end = self._stop_within(verdicts)
        if self.is_closed or end < len(verdicts):
            raise UsageError(
                f"verdicts: got {len(verdicts)} from index {self.n_committed + 1}; allowed: none "
                f"after the stop of {self.rule}; the ledger belongs to another rule."
            )
        if self._passes is not None:
            first = self.n_committed + 1
            self._passes.extend(first + i for i, verdict in enumerate(verdicts) if verdict)
        self.n_committed += end
        self.n_passes += verdicts.count(1)
        self.limit = max(self.limit, self.n_committed)  # what was wanted before is kept
        self.is_closed = self.rule.is_stop(self.n_passes, self.n_committed)
        if self.is_closed:
            self.limit = self.n_committed
        self._lower_limit()

    def _stop_within(self, verdicts: bytes) -> int:
        """Return how many of the next verdicts count: up to the stop, or all of them."""
        if self.rule.mode is not Mode.UNTIL:
            return min(len(verdicts), self.rule.budget - self.n_committed)
        position = -1
        for _ in range(self.n_passes, self.rule.passes):
            position = verdicts.find(1, position + 1)
            if position < 0:
                return min(len(verdicts), self.rule.budget - self.n_committed)
        stop = max(self.n_committed + position + 1, self.rule.min_samples)
        return min(len(verdicts), min(stop, self.rule.budget) - self.n_committed)

    def tally(self) -> Tally:
        """Return the tally of the committed prefix; ``Tally.open`` until the state is closed.

        Examples
        --------
        >>> state = InstanceState(StopRule(passes=1, budget=3))
        >>> state.tally()
        Tally.open(passes=0, trials=0)
        >>> state.observe_prefix(bytes([0, 0, 0]))
        >>> state.tally()
        Tally.censored(passes=0, trials=3)
        """
        rule, n, c = self.rule, self.n_committed, self.n_passes
        if rule.mode is not Mode.UNTIL:
            ended = Outcome.FIXED if rule.mode is Mode.FIXED else Outcome.STEERED
            return Tally(ended if self.is_closed else Outcome.OPEN, c, n)
        if not self.is_closed:
            return Tally(Outcome.OPEN, c, n, rule.min_samples)
        if c < rule.passes:
            return Tally(Outcome.CENSORED, c, n, rule.min_samples)
        if rule.min_samples > 1 and n == rule.min_samples:
            return Tally(Outcome.FLOOR_REACHED, c, n, rule.min_samples)
        return Tally(Outcome.STOPPED, c, n, rule.min_samples)

    def passes_within(self, trials: int) -> int:
        """Return the passes among the first `trials` committed samples; in target mode only.

        Raises
        ------
        UsageError
            Another mode.

        Examples
        --------
        >>> state = InstanceState(StopRule.steered(min_samples=4, budget=100))
        >>> state.observe_prefix(bytes([0, 1, 0, 1]))
        >>> [state.passes_within(n) for n in (1, 2, 4)]
        [0, 1, 2]
        """
        if self._passes is None:
            raise UsageError(
                f"passes_within: got a state under {self.rule}; allowed: target mode; others keep "
                "no more than the count."
            )
        return bisect.bisect_right(self._passes, trials)

    def allot(self, trials: int) -> None:
        """Want samples up to this index; in target mode, where the limit only rises.

        Raises
        ------
        UsageError
            Another mode.

        Examples
        --------
        >>> state = InstanceState(StopRule.steered(min_samples=2, budget=100))
        >>> state.allot(5)
        >>> state.limit
        5
        """
        self._require_steered("allot")
        if not self.is_closed:
            self.limit = max(self.limit, min(trials, self.rule.budget))

    def close(self) -> None:
        """End at the committed prefix; in target mode, at the target.

        Raises
        ------
        UsageError
            Another mode.

        Examples
        --------
        >>> state = InstanceState(StopRule.steered(min_samples=2, budget=100))
        >>> state.observe_prefix(bytes([0, 1]))
        >>> state.close()
        >>> state.tally()
        Tally.steered(passes=1, trials=2)
        """
        self._require_steered("close")
        self.is_closed = True
        self.limit = self.n_committed
        self._ahead.clear()
        self._ahead_passes.clear()

    def _require_steered(self, call: str) -> None:
        if self.rule.mode is not Mode.TARGET:
            raise UsageError(
                f"{call}: got a state under {self.rule}; allowed: target mode; other rules stop "
                "by themselves."
            )

    def _commit(self, is_pass: bool) -> None:
        self.n_committed += 1
        if is_pass:
            self.n_passes += 1
            if self._passes is not None:
                self._passes.append(self.n_committed)
            if self._ahead_passes and self._ahead_passes[0] == self.n_committed:
                del self._ahead_passes[0]
        self.is_closed = self.rule.is_stop(self.n_passes, self.n_committed)
        if self.is_closed:
            self.limit = self.n_committed
            self._ahead.clear()
            self._ahead_passes.clear()

    def _lower_limit(self) -> None:
        if self.is_closed or self.rule.mode is not Mode.UNTIL:
            return
        missing = self.rule.passes - self.n_passes
        if missing <= 0:  # only the floor is left
            self.limit = min(self.limit, self.rule.min_samples)
        elif len(self._ahead_passes) >= missing:
            # unjudged indices can only bring the stop forward
            decisive = self._ahead_passes[missing - 1]
            self.limit = min(self.limit, max(decisive, self.rule.min_samples))
