"""Where the next samples of a dataset go, and when there are enough: target mode. Pure.

The samples come in rounds. A round is decided from the verdicts of complete earlier rounds and from
nothing else, so the tallies are a function of the verdicts: neither batch size nor order of arrival
nor kills change them, and the same rounds follow again from a ledger.

References
----------
.. [1] Neyman 1934, J. R. Stat. Soc. 97 (allocation in proportion to the standard deviation).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from passuntil.errors import UsageError
from passuntil.estimator import TallyArray, dataset_pass_rate
from passuntil.fitter.design import allocate
from passuntil.steering.ends import check_ends
from passuntil.stopping import InstanceState

__all__ = ["Goal", "Steering"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# A round over all samples before it. Two rounds are under way at a time, so the engine stays full
# where that is more than its capacity, and the last samples go where the first ones said.
ROUND_SHARE: Final = 0.125
# ... but no fewer samples an instance: small rounds would be waited for more than drawn.
ROUND_PER_INSTANCE: Final = 2
# The last rounds take a quarter of what is still needed, since what is under way when the target is
# met is drawn in vain, and are no smaller than these. Chosen with the two above on simulated rates
# (log uniform, Beta, half zeros, three points, log-odds normal, the law's):
# benchmarks/target_mode.py --mixes.
MISSING_SHARE: Final = 0.25
LEAST_ROUND_SHARE: Final = 0.001
LEAST_PER_INSTANCE: Final = 0.03
# Shape a of the prior Beta(a, b) of a pass rate. On the same simulated rates 0.5 took the fewest
# samples of 0.3, 0.5, 0.75, 1 and 1.5 (--mixes 6 --prior-a).
PRIOR_A: Final = 0.5
# The interval takes a tenth of a second, so it is computed once the quick formula comes this near
# to the target, and again when the formula says that it is reached, or has fallen by this much
# more: what the two are apart changes as the samples come.
NEARLY: Final = 1.25
AGAIN: Final = 0.99


@dataclass(frozen=True, slots=True)
class Goal:
    """When a dataset is measured well enough. At least one of the first two is given.

    Parameters
    ----------
    relative_width : float, optional
        Width of the interval of PU over PU, > 0.
    total_budget : int, optional
        Most samples over all instances, >= 1.
    confidence_level : float
        Of that interval.

    Raises
    ------
    UsageError
        Neither is given, or a value is outside its range.

    Examples
    --------
    Until the 95 % interval of PU is a tenth of PU wide, or 50,000 samples are drawn:

    >>> Goal(relative_width=0.1, total_budget=50_000)
    Goal(relative_width=0.1, total_budget=50000, confidence_level=0.95)
    >>> Goal()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    passuntil.errors.UsageError: target: got neither target_width nor total_budget; ...
    """

    relative_width: float | None = None
    total_budget: int | None = None
    confidence_level: float = 0.95

    def __post_init__(self) -> None:
        check_ends("target", self.relative_width, self.total_budget)


class Steering:
    """Allots samples to the instances of one dataset under one model until the goal is met.

    Parameters
    ----------
    goal : Goal
        When it ends.
    states : sequence of InstanceState
        All instances, under ``StopRule.steered``. They are told how far to go and, at the goal, to
        close; a state that already has verdicts beyond keeps them.

    Raises
    ------
    UsageError
        A total budget below the first round.

    Notes
    -----
    The first round is each instance's ``min_samples``. Round k + 2 is decided when round k is
    complete, from the verdicts up to round k: with Beta(a, b) for each rate, b such that the mean
    is the dataset's, c passes of n leave E[p (1 - p)] = v, and the variance of PU, the sum of
    v_i / n_i, is least for n_i in proportion to the square root of v_i [1]_.

    The goal is met when the interval of `dataset_pass_rate` at a complete round is narrow enough;
    the round under way is then finished, and none follows if the interval is narrow enough with it.
    That interval rests on the likelihood, which steering by outcomes leaves as it is.

    Examples
    --------
    One instance passes every second time, another never. The samples go where the variance is:

    >>> from passuntil.stopping import StopRule
    >>> rule = StopRule.steered(min_samples=10, budget=1000)
    >>> states = [InstanceState(rule), InstanceState(rule)]
    >>> steering = Steering(Goal(total_budget=200), states)
    >>> while not steering.is_finished:
    ...     for state, period in zip(states, (2, 10**6)):
    ...         while state.n_committed < state.limit:
    ...             index = state.n_committed + 1
    ...             state.observe(index, index % period == 0)
    ...     steering.advance()
    >>> [state.tally() for state in states]
    [Tally.steered(passes=81, trials=162), Tally.steered(passes=0, trials=38)]
    """

    def __init__(self, goal: Goal, states: Sequence[InstanceState]) -> None:
        self._goal = goal
        self._states = states
        most = np.array([state.rule.budget for state in states], np.int64)
        total = int(most.sum()) if goal.total_budget is None else goal.total_budget
        first = np.array([state.rule.min_samples for state in states], np.int64)
        if total < first.sum():
            raise UsageError(
                f"total_budget: got {total}; allowed: at least min_samples for each of "
                f"{len(states)} instances, {first.sum()}; raise it or lower min_samples."
            )
        self._most, self._total = most, total
        self._rounds = [first]
        self._n_complete = 0
        self._is_last = False
        self._correction = 1.0  # width of the interval over the quick formula's, once computed
        self._look_below = NEARLY * (goal.relative_width or 0.0)
        self._allot()

    @property
    def is_finished(self) -> bool:
        """Whether no further sample is wanted."""
        return self._is_last and self._n_complete == len(self._rounds)

    def advance(self, *, aborted: Set[int] = frozenset()) -> None:
        """Decide what the complete rounds allow to decide.

        Parameters
        ----------
        aborted : set of int
            Positions of instances that will get no more verdicts; nothing waits for them. A round
            takes such an instance for aborted only where it wants more than is judged of it, so
            the rounds are a function of the verdicts and of who was aborted, not of when.

        Examples
        --------
        Nothing is decided before a round is complete:

        >>> from passuntil.stopping import StopRule
        >>> state = InstanceState(StopRule.steered(min_samples=4, budget=100))
        >>> steering = Steering(Goal(total_budget=4), [state])
        >>> steering.advance()
        >>> steering.is_finished
        False
        >>> state.observe_prefix(bytes([0, 1, 0, 0]))
        >>> steering.advance()
        >>> steering.is_finished, state.tally()
        (True, Tally.steered(passes=1, trials=4))
        """
        while not self.is_finished:
            complete = self._rounds[self._n_complete]
            behind = self._behind(complete)
            if not behind <= aborted:
                break
            self._n_complete += 1
            self._decide(complete, behind)
        if self.is_finished:
            for i, state in enumerate(self._states):
                if i not in aborted and not state.is_closed:
                    state.close()

    def _behind(self, wanted: Counts) -> Set[int]:
        """Return the instances of which a round wants more than is judged."""
        return {
            i
            for i, (state, n) in enumerate(zip(self._states, wanted.tolist(), strict=True))
            if state.n_committed < n
        }

    def _decide(self, complete: Counts, behind: Set[int]) -> None:
        # an aborted instance stays behind
        trials = np.minimum(complete, [state.n_committed for state in self._states])
        passes = np.array(
            [s.passes_within(n) for s, n in zip(self._states, trials.tolist(), strict=True)],
            np.int64,
        )
        variance, quick = _posterior(passes, trials, self._goal.confidence_level)
        self._is_last = self._is_met(passes, trials, quick)
        most = self._most.copy()
        most[sorted(behind)] = self._rounds[-1][sorted(behind)]
        while not self._is_last and len(self._rounds) < self._n_complete + 2:
            last = self._rounds[-1]
            now = int(last.sum())
            total = min(self._total, now + self._round_size(now, int(trials.sum()), quick))
            following = allocate(np.sqrt(variance), last, most, total)
            if (following == last).all():
                self._is_last = True
            else:
                self._rounds.append(following)
        self._allot()

    def _round_size(self, n_allotted: int, n_complete: int, quick: float) -> int:
        size = max(ROUND_SHARE * n_allotted, ROUND_PER_INSTANCE * len(self._states))
        if self._goal.relative_width is not None:
            width = quick * self._correction
            missing = n_complete * (width / self._goal.relative_width) ** 2 - n_allotted
            least = max(LEAST_ROUND_SHARE * n_allotted, LEAST_PER_INSTANCE * len(self._states))
            size = min(size, max(MISSING_SHARE * missing, least))
        return int(np.ceil(size))

    def _is_met(self, passes: Counts, trials: Counts, quick: float) -> bool:
        target = self._goal.relative_width
        if target is None or not passes.any() or quick > self._look_below:
            return False
        rate = dataset_pass_rate(TallyArray.open(passes=passes, trials=trials))
        interval = rate.confidence_interval(self._goal.confidence_level)
        width = (interval.high - interval.low) / rate.value
        self._correction = width / quick
        self._look_below = quick * max(target / width, AGAIN)
        return width <= target

    def _allot(self) -> None:
        for state, n in zip(self._states, self._rounds[-1].tolist(), strict=True):
            state.allot(n)


def _posterior(passes: Counts, trials: Counts, level: float) -> tuple[Floats, float]:
    """Return E[p (1 - p)] of each instance and the normal interval's width of PU over PU."""
    # half a pass where none was seen: a rate of zero would end all sampling
    mean = max(float((passes / np.maximum(trials, 1)).mean()), 0.5 / max(1.0, trials.sum()))
    b = PRIOR_A * (1 - mean) / mean if mean < 1 else PRIOR_A
    size = PRIOR_A + b + trials
    rate = (PRIOR_A + passes) / size
    variance = rate * (1 - rate) * size / (size + 1)
    sd = np.sqrt((variance / size).sum()) / len(trials)
    return variance, float(2 * ndtri((1 + level) / 2) * sd / rate.mean())
