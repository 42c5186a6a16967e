"""Which samples to draw next: the window of each open instance. Pure.

The window is the number of indices beyond the judged prefix that may be under way. A stop throws
away what lies above it, so an instance whose next pass is near gets a narrow window and a hard one
a wide window; together the windows keep the engine full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from passuntil.stopping import InstanceState

__all__ = ["Lease", "Progress", "interleave", "next_leases"]

T = TypeVar("T")

# Window over expected samples still needed. A stop wastes about one window, so this is roughly the
# overrun's share of the samples while other instances can fill the engine.
WINDOW_SHARE: Final = 0.1
# A window may exceed the engine's capacity by this factor, so that one long completion at the
# start of the prefix does not hold up the rest; it bounds the memory of judged samples that wait.
SPAN_LIMIT: Final = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """What planning knows of one instance.

    Parameters
    ----------
    state : InstanceState
        Its judged samples.
    leased : int
        Highest index handed out so far.

    Examples
    --------
    >>> from passuntil.stopping import StopRule
    >>> Progress(InstanceState(StopRule(passes=1)), leased=0).state.n_committed
    0
    """

    state: InstanceState
    leased: int


@dataclass(frozen=True, slots=True)
class Lease:
    """Indices ``start ... stop - 1`` of the instance at `position`.

    Examples
    --------
    >>> lease = Lease(position=0, start=41, stop=45)
    >>> list(range(lease.start, lease.stop))
    [41, 42, 43, 44]
    """

    position: int
    start: int
    stop: int


def next_leases(instances: Sequence[Progress], *, room: int, capacity: int) -> list[Lease]:
    """Return the indices to submit now.

    In this order, until `room` is used up: what is needed for certain, such as the floor; windows
    of a tenth of the samples that each open instance is expected to need; what is certain of
    instances not yet begun; and when nothing else is left, wider windows for all in proportion to
    that expectation.

    Parameters
    ----------
    instances : sequence of Progress
        All instances of a model in the order they are opened; closed ones are skipped.
    room : int
        Requests that may be submitted now.
    capacity : int
        Requests in flight that keep the engine full.

    Returns
    -------
    list of Lease
        At most `room` indices together, each above its instance's `leased` and at or below its
        `limit`.

    Examples
    --------
    One instance passed nothing in 40 samples, another half of its first four. The hard one gets the
    wide window:

    >>> from passuntil.stopping import StopRule
    >>> hard, easy = (InstanceState(StopRule(passes=3, budget=1000)) for _ in range(2))
    >>> hard.observe_prefix(bytes(40))
    >>> easy.observe_prefix(bytes([0, 1, 0, 1]))
    >>> next_leases([Progress(hard, 40), Progress(easy, 4)], room=64, capacity=64)
    [Lease(position=0, start=41, stop=103), Lease(position=1, start=5, stop=7)]
    """
    plan = _Plan(instances, room)
    begun = [i for i in plan.open if instances[i].leased > 0]
    longest_span = SPAN_LIMIT * capacity
    for i in begun:
        plan.lease_certain(i, longest_span)
    for i in begun:
        state = instances[i].state
        window = min(longest_span, max(1, round(WINDOW_SHARE * expected_samples(state))))
        plan.lease_up_to(i, state.n_committed + window)
    for i in plan.open:
        plan.lease_certain(i, longest_span)
    plan.widen(longest_span)
    return plan.leases()


def interleave(groups: Sequence[Sequence[T]]) -> list[T]:
    """Return the items of all groups, each group spread evenly over the whole.

    Examples
    --------
    >>> interleave(["abcd", "xy"])
    ['a', 'x', 'b', 'c', 'y', 'd']
    """
    placed = [
        ((place + 0.5) / len(group), number, item)
        for number, group in enumerate(groups)
        for place, item in enumerate(group)
    ]
    return [item for *_, item in sorted(placed, key=lambda entry: entry[:2])]


def expected_samples(state: InstanceState) -> float:
    """Return the expected number of samples until the r-th pass, given those judged.

    The posterior mean of 1 / p under a Beta(1, 1) prior is (n + 1) / c for c passes in n; the
    extra pass in the denominator keeps it finite, and on the side of narrow windows, at c = 0.
    """
    missing = max(1, state.rule.passes - state.n_passes)
    return missing * (state.n_committed + 1) / (state.n_passes + 1)


class _Plan:
    """Leases under construction."""

    def __init__(self, instances: Sequence[Progress], room: int) -> None:
        self._instances = instances
        self._room = room
        self._leased = {i: p.leased for i, p in enumerate(instances) if not p.state.is_closed}
        self.open = tuple(self._leased)

    def lease_up_to(self, position: int, index: int) -> None:
        leased = self._leased[position]
        index = min(index, self._instances[position].state.limit, leased + self._room)
        if index > leased:
            self._room -= index - leased
            self._leased[position] = index

    def lease_certain(self, position: int, longest_span: int) -> None:
        state = self._instances[position].state
        self.lease_up_to(position, min(state.n_certain, state.n_committed + longest_span))

    def widen(self, longest_span: int) -> None:
        """Share what room is left in proportion to the samples expected."""
        weights = {i: expected_samples(self._instances[i].state) for i in self.open}
        before = -1
        while 0 < self._room != before:  # again for what capped instances left over
            before = self._room
            left = sum(weights.values())
            for i in sorted(self.open, key=weights.__getitem__):
                share = math.ceil(self._room * weights[i] / max(left, weights[i]))
                left -= weights[i]
                span_end = self._instances[i].state.n_committed + longest_span
                self.lease_up_to(i, min(self._leased[i] + share, span_end))

    def leases(self) -> list[Lease]:
        """Return what was added."""
        return [
            Lease(i, self._instances[i].leased + 1, leased + 1)
            for i, leased in self._leased.items()
            if leased > self._instances[i].leased
        ]
