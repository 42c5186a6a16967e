"""Target mode steered by a forecast: what a round decides, and when sampling ends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from passuntil.errors import UsageError
from passuntil.estimator import TallyArray
from passuntil.steering import Decision, ForecastGoal, decide
from passuntil.steering.forecast import LEAST_GROWTH, MOST_GROWTH, MOST_ROUNDS, End

SIZES = np.array([36e6, 109e6, 241e6, 499e6, 892e6])
TARGET = 2.5e9


def draw_rates(rng: np.random.Generator, n_instances: int, scatter: float) -> np.ndarray:
    """Return pass rates under the measured models and the target, (n_models + 1, n_instances)."""
    log_c, alpha = rng.normal(np.log(200), 1, n_instances), rng.normal(0.2, 0.04, n_instances)
    x = np.log(np.append(SIZES, TARGET))[:, None]
    return np.exp(-np.exp(log_c - alpha * x + rng.normal(0, scatter, x.shape)))


def sample(
    seed: int, goal: ForecastGoal, *, scatter: float = 0.0, pilot: int = 20, n_instances: int = 20
) -> tuple[list[Decision], float]:
    """Return the decisions of a whole run and the true rate of the bigger model."""
    rng = np.random.default_rng([11, seed])
    rates = draw_rates(rng, n_instances, scatter)
    measured = rates[:-1]
    trials = np.full(measured.shape, pilot)
    passes = rng.binomial(trials, measured)
    decisions: list[Decision] = []
    while not decisions or decisions[-1].end is None:
        tallies = [TallyArray.open(passes=c, trials=n) for c, n in zip(passes, trials, strict=True)]
        most = np.full(measured.shape, 100_000)
        decisions.append(decide(goal, SIZES, tallies, most=most, n_rounds=len(decisions) + 1))
        passes = passes + rng.binomial(decisions[-1].trials - trials, measured)
        trials = decisions[-1].trials
    return decisions, float(rates[-1].mean())


def test_rounds_grow_within_bounds_until_the_budget_is_spent() -> None:
    decisions, _ = sample(1, ForecastGoal(TARGET, total_budget=30_001))
    totals = [2000, *(int(d.trials.sum()) for d in decisions)]
    for before, after, decision in zip(totals[:-1], totals[1:], decisions, strict=True):
        if decision.end is None:
            assert LEAST_GROWTH * before <= after <= MOST_GROWTH * before + 1 or after == 30_001
    assert totals[-1] == 30_001
    assert decisions[-1].end is End.BUDGET
    assert "The samples are spent" in decisions[-1].words


def test_target_ends_it() -> None:
    decisions, _ = sample(2, ForecastGoal(TARGET, 0.5, 10**6))
    last = decisions[-1]
    assert last.end is End.TARGET
    assert last.width is not None
    assert last.width <= 0.5
    assert all(d.width is None or d.width > 0.5 for d in decisions[:-1])


def test_what_samples_cannot_reach_is_said_and_not_paid_for() -> None:
    """Models scatter by 0.3 in F: no number of samples gives an interval of 5 %."""
    decisions, _ = sample(3, ForecastGoal(TARGET, 0.05, 10**8), scatter=0.3)
    assert decisions[-1].end is End.FLOOR
    assert int(decisions[-1].trials.sum()) < 10**6
    assert "more than the target of 5%" in decisions[-1].words
    assert "would narrow the interval by less than 10%" in decisions[-1].words
    # said from early on, not only at the end
    assert "more than the target of 5%" in decisions[min(1, len(decisions) - 1)].words


def test_decision_is_a_function_of_the_tallies_whatever_the_order_of_models() -> None:
    rng = np.random.default_rng(4)
    rates = draw_rates(rng, 12, 0.02)[:-1]
    trials = rng.integers(20, 60, rates.shape)
    tallies = [
        TallyArray.open(passes=rng.binomial(n, p), trials=n)
        for n, p in zip(trials, rates, strict=True)
    ]
    goal, most = ForecastGoal(TARGET, 0.1), np.full(rates.shape, 5000)
    first = decide(goal, SIZES, tallies, most=most, n_rounds=1)
    order = [3, 0, 4, 1, 2]
    again = decide(goal, SIZES[order], [tallies[i] for i in order], most=most, n_rounds=1)
    assert (again.trials == first.trials[order]).all()
    assert again.words == first.words


def test_bounds_hold_and_an_aborted_instance_keeps_what_it_has() -> None:
    rng = np.random.default_rng(5)
    rates = draw_rates(rng, 12, 0.0)[:-1]
    trials = np.full(rates.shape, 30)
    trials[2, 5] = 7
    tallies = [TallyArray.open(passes=rng.binomial(n, p), trials=n)
               for n, p in zip(trials, rates, strict=True)]  # fmt: skip
    most = np.full(rates.shape, 200)
    most[2, 5] = 7
    found = decide(ForecastGoal(TARGET, 0.01), SIZES, tallies, most=most, n_rounds=1)
    assert found.trials[2, 5] == 7
    assert ((trials <= found.trials) & (found.trials <= most)).all()
    spent = [TallyArray.open(passes=t.passes, trials=t.trials) for t in tallies]
    assert decide(ForecastGoal(TARGET, 0.01), SIZES, spent, most=trials, n_rounds=2).end is (
        End.BUDGET
    )


def test_no_passes_give_even_rounds_until_the_budget_is_spent() -> None:
    trials = np.full((5, 4), 10)
    for total in (800, 1000, 1000):
        tallies = [TallyArray.open(passes=np.zeros(4, int), trials=n) for n in trials]
        found = decide(
            ForecastGoal(TARGET, total_budget=1000),
            SIZES,
            tallies,
            most=np.full(trials.shape, 10**5),
            n_rounds=1,
        )
        assert found.trials.sum() == total
        assert np.ptp(found.trials) <= 1
        assert "got no" in found.words
        trials = found.trials
    assert found.end is End.BUDGET


def test_rounds_are_few() -> None:
    rng = np.random.default_rng(6)
    rates = draw_rates(rng, 12, 0.0)[:-1]
    tallies = [TallyArray.open(passes=rng.binomial(30, p), trials=np.full(12, 30)) for p in rates]
    most = np.full(rates.shape, 10**5)
    goal = ForecastGoal(TARGET, 0.01)
    assert decide(goal, SIZES, tallies, most=most, n_rounds=MOST_ROUNDS).end is End.ROUNDS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TARGET,), "got neither target_width nor total_budget"),
        ((-1.0, 0.1), "forecast: got -1"),
        ((TARGET, 0.0), "target_width: got 0"),
        ((TARGET, None, 0), "total_budget: got 0"),
    ],
)
def test_goals_that_cannot_be(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ForecastGoal(*arguments)  # type: ignore[arg-type]


@pytest.mark.slow
def test_intervals_cover_after_steering() -> None:
    """Models scatter by 0.03; a 90 % interval must hold the bigger model's rate in its share.

    The gate is the binomial band: coverage of 0.9 fails it once in 10,000, and 0.8 passes it in
    less than 3 of 100.
    """
    n = 400
    n_held = 0
    for seed in range(n):
        decisions, truth = sample(seed, ForecastGoal(TARGET, 0.4, 40_000), scatter=0.03)
        forecast = decisions[-1].forecast
        assert forecast is not None
        n_held += forecast.low <= truth <= forecast.high
    gate = binom.ppf(1e-4, n, 0.9)
    assert binom.sf(gate - 1, n, 0.8) < 0.03
    assert n_held >= gate, n_held / n
