"""Where the next samples of a family go, and when a forecast is known well enough. Pure.

Models are sampled one after the other and every change of model costs an engine's start, so the
samples come in few rounds, each a pass over the models. A round is decided from the verdicts of
complete earlier rounds and from nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from passuntil.errors import EstimationError
from passuntil.estimator import TallyArray
from passuntil.fitter.combined import CombinedFit, fit_combined
from passuntil.fitter.design import ForecastDesign, allocate, design_forecast
from passuntil.fitter.family import Family, as_family
from passuntil.fitter.instance import InstanceFit, fit_instances
from passuntil.fitter.prediction import Prediction
from passuntil.steering.ends import check_ends

__all__ = ["Decision", "End", "ForecastGoal", "decide"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Samples after a round over those before it, at most: what a small pilot says of the best places
# is rough, so it may not place all that follows.
MOST_GROWTH: Final = 4.0
# ... and at least, or there would be engine starts without end.
LEAST_GROWTH: Final = 1.1
# A round aims at this share of the target's width: a miss costs a whole further round.
AIM: Final = 0.97
# Sampling ends where endless samples would narrow the interval by less than this share.
LEAST_GAIN: Final = 0.1
# Share of all trials that is spread over models and instances alike. The design trusts straight
# lines and would sample the smallest and the largest models alone; bends and the scatter of models
# are seen in the middle (benchmarks/target_forecast.py).
EVEN_SHARE: Final = 0.5
# Trials of each instance that stand for endless ones.
ENDLESS: Final = 10**7
MOST_ROUNDS: Final = 12


class End(StrEnum):
    """Why no further round follows.

    Examples
    --------
    >>> End("target") is End.TARGET
    True
    """

    TARGET = "target"
    """The forecast's interval is narrow enough."""
    BUDGET = "budget"
    """The total budget, or every instance's, is spent."""
    FLOOR = "floor"
    """More samples would hardly narrow it."""
    ROUNDS = "rounds"
    """As many rounds as there may be."""


@dataclass(frozen=True, slots=True)
class ForecastGoal:
    """When the forecast of a model is known well enough. One of the two middle ones is given.

    Parameters
    ----------
    n_params : float
        Size forecast, > 0.
    relative_width : float, optional
        Width of the forecast's interval over its value, > 0.
    total_budget : int, optional
        Most samples over all models and instances of a task, >= 1.
    confidence_level : float
        Of that interval.

    Raises
    ------
    UsageError
        Neither is given, or a value is outside its range.

    Examples
    --------
    Until the 90 % interval of a model of 12e9 parameters is half of its value wide:

    >>> ForecastGoal(n_params=12e9, relative_width=0.5).confidence_level
    0.9
    """

    n_params: float
    relative_width: float | None = None
    total_budget: int | None = None
    confidence_level: float = 0.9

    def __post_init__(self) -> None:
        check_ends("forecast", self.relative_width, self.total_budget, forecast=self.n_params)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What follows from a complete round.

    Attributes
    ----------
    trials : ndarray of int, shape (n_models, n_instances)
        Samples wanted after the next round, those drawn included; the present ones at the end.
    end : End or None
        Why no round follows.
    forecast : Prediction or None
        Of the size asked for; None where the tallies give none yet.
    width : float or None
        Of its interval, over its value.
    least_width : float or None
        The same with endless samples of the same models.
    words : str
        For a person.

    Examples
    --------
    >>> goal = ForecastGoal(n_params=1e9, total_budget=100)
    >>> seen = [TallyArray.open(passes=[c], trials=50) for c in (1, 4)]
    >>> decision = decide(goal, [1e7, 1e8], seen, most=np.full((2, 1), 10**4), n_rounds=1)
    >>> decision.end, decision.trials.tolist()
    (<End.BUDGET: 'budget'>, [[50], [50]])
    """

    trials: Counts
    end: End | None
    forecast: Prediction | None
    width: float | None
    least_width: float | None
    words: str


def decide(
    goal: ForecastGoal,
    n_params: Sequence[float],
    tallies: Sequence[TallyArray],
    *,
    most: Counts,
    n_rounds: int,
    cost: Sequence[float] | None = None,
) -> Decision:
    """Return what to draw next, from the tallies of a complete round.

    Parameters
    ----------
    goal : ForecastGoal
        When it ends.
    n_params : sequence of float, length n_models
        Sizes of the models, in any order, at least two unlike.
    tallies : sequence of TallyArray, length n_models
        Of the same instances in the same order under each.
    most : ndarray of int, shape (n_models, n_instances)
        Most trials of each; the present ones where no more can be had.
    n_rounds : int
        Rounds complete, the first included.
    cost : sequence of float, length n_models, optional
        Of one sample under each model; equal by default.

    Returns
    -------
    Decision

    Raises
    ------
    UsageError
        The sizes are no family.

    Notes
    -----
    Endless samples are looked ahead to by the same fit, on the pass rates that lines and counts
    together have now. Between now and then the width squared is taken to fall to that floor as
    1/n, which gives the total that the target needs; the next total is that, between 1.1 and 4
    times the present one, or 4 times where there is no target. Half of it goes where the variance
    of the forecast falls most (`passuntil.fitter.design`), half to all alike.

    References
    ----------
    .. [1] Fellman 1974, Soc. Sci. Fenn. Comment. Phys.-Math. 44 (the design of the next round).

    Examples
    --------
    >>> spread = np.linspace(-1, 1, 6)
    >>> sizes = [36e6, 109e6, 241e6]
    >>> rates = np.exp(-np.exp(np.log(200) + spread - 0.2 * np.log(np.array(sizes))[:, None]))
    >>> passes = np.rint(200 * rates).astype(int)
    >>> seen = [TallyArray.open(passes=row, trials=200) for row in passes]
    >>> goal = ForecastGoal(n_params=1e9, relative_width=0.3)
    >>> decision = decide(goal, sizes, seen, most=np.full((3, 6), 10_000), n_rounds=1)
    >>> decision.end is None, bool((decision.trials >= 200).all())
    (True, True)
    >>> print(decision.words.split(". ")[-1])
    The next round draws 10,800 more.
    """
    sizes = np.asarray(n_params, float)
    order = np.argsort(sizes, kind="stable")  # as in a `Family`
    now = np.stack([tallies[i].trials for i in order]).astype(np.int64)
    bounds = np.maximum(now, np.asarray(most, np.int64)[order])
    price = None if cost is None else np.asarray(cost, float)[order]
    budget = min(goal.total_budget or int(bounds.sum()), int(bounds.sum()))
    plan = _Plan(goal, now, bounds, budget, price)
    try:
        family = as_family(sizes, tallies)
        fit = fit_combined(family)
        straight = fit.parts.get("instance") or fit_instances(family)
    except EstimationError as error:
        decision = plan.blind(str(error))
    else:
        assert isinstance(straight, InstanceFit)
        forecast = fit.predict(goal.n_params, goal.confidence_level)
        design = design_forecast(straight, goal.n_params)
        endless = _with_endless_samples(family, design).predict(
            goal.n_params, goal.confidence_level
        )
        # the look ahead is a guess: samples do not widen intervals
        least = min(_relative_width(endless), _relative_width(forecast))
        decision = plan.aimed(design, forecast, least, n_rounds)
    back = np.empty_like(decision.trials)
    back[order] = decision.trials
    return Decision(
        back,
        decision.end,
        decision.forecast,
        decision.width,
        decision.least_width,
        decision.words,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A round under decision; arrays in order of size."""

    goal: ForecastGoal
    now: Counts
    most: Counts
    budget: int
    cost: Floats | None

    def blind(self, reason: str) -> Decision:
        """Return a round for all alike, where the tallies give no forecast."""
        n = int(self.now.sum())
        total = min(self.budget, max(int(np.ceil(MOST_GROWTH * n)), self.now.size))
        flat = allocate(np.ones(self.now.size), self.now.ravel(), self.most.ravel(), total)
        trials = flat.reshape(self.now.shape)
        if (trials == self.now).all():
            words = f"The samples are spent; there is no forecast: {reason}"
            return Decision(self.now, End.BUDGET, None, None, None, words)
        return Decision(trials, None, None, None, None, f"No forecast yet: {reason}")

    def aimed(
        self, design: ForecastDesign, forecast: Prediction, least: float, n_rounds: int
    ) -> Decision:
        """Return the round that brings the forecast nearest to the goal."""
        width = _relative_width(forecast)
        n = int(self.now.sum())
        end = self._end(width, least, n, n_rounds)
        trials = self.now
        if end is None:
            trials = self._place(design, self._next_total(width, least, n))
            if (trials == self.now).all():
                end = End.BUDGET
        target = self.goal.relative_width
        words = (
            f"Forecast of {self.goal.n_params:.3g} parameters after {n:,} samples: "
            f"{forecast.value:.4g} [{forecast.low:.4g}, {forecast.high:.4g}], an interval of "
            f"{width:.0%} of it; endless samples of these models would leave about {least:.0%}"
        )
        if target is not None and least > target:
            words += (
                f", more than the target of {target:.0%}: model scatter and the choice of law do "
                "not fall with samples; add models, or raise target_width"
            )
        words = f"{words}. {self._next(end, trials)}"
        return Decision(trials, end, forecast, width, least, words)

    def _end(self, width: float, least: float, n: int, n_rounds: int) -> End | None:
        if self.goal.relative_width is not None and width <= self.goal.relative_width:
            return End.TARGET
        if n >= self.budget:
            return End.BUDGET
        if least > (1 - LEAST_GAIN) * width:
            return End.FLOOR
        return End.ROUNDS if n_rounds >= MOST_ROUNDS else None

    def _next_total(self, width: float, least: float, n: int) -> int:
        growth, target = MOST_GROWTH, self.goal.relative_width
        if target is not None and AIM * target > least:
            needed = (width**2 - least**2) / ((AIM * target) ** 2 - least**2)
            growth = min(max(needed, LEAST_GROWTH), MOST_GROWTH)
        return min(self.budget, int(np.ceil(growth * n)))

    def _place(self, design: ForecastDesign, total: int) -> Counts:
        """Return the trials of `total`: a share alike, the rest where they count most."""
        alike = np.full(self.now.shape, int(EVEN_SHARE * total / self.now.size))
        least = np.clip(alike, self.now, self.most)
        return design.optimal(least.T, self.most.T, total, cost=self.cost).T

    def _next(self, end: End | None, trials: Counts) -> str:
        if end is None:
            return f"The next round draws {int(trials.sum() - self.now.sum()):,} more."
        return {
            End.TARGET: "The target is reached.",
            End.BUDGET: "The samples are spent.",
            End.FLOOR: (
                "Sampling ends: endless samples would narrow the interval by less than "
                f"{LEAST_GAIN:.0%}."
            ),
            End.ROUNDS: f"Sampling ends after {MOST_ROUNDS} rounds.",
        }[end]


def _relative_width(forecast: Prediction) -> float:
    return (forecast.high - forecast.low) / forecast.value


def _with_endless_samples(family: Family, design: ForecastDesign) -> CombinedFit:
    """Return the fit to the present pass rates, known as if from endless samples."""
    passes = np.rint(ENDLESS * design.rates).astype(np.int64)
    trials = np.full(len(passes), ENDLESS)
    tallies = tuple(TallyArray.open(passes=column, trials=trials) for column in passes.T)
    return fit_combined(Family(family.n_params, tallies))
