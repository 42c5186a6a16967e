"""Target mode: where samples go, that order and folding change nothing, that intervals cover."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from passuntil.errors import EstimationError, UsageError
from passuntil.estimator import TallyArray, dataset_pass_rate, measure_pu, pass_at_k, pass_rate
from passuntil.records import Tally
from passuntil.steering import Goal, Steering, allocate
from passuntil.stopping import InstanceState, StopRule

Outcomes = np.ndarray
RULE = StopRule.steered(min_samples=20, budget=50)


def steer(
    outcomes: Outcomes, goal: Goal, *, min_samples: int = 20, order: random.Random | None = None
) -> list[InstanceState]:
    """Sample until the goal, each round in one piece, or sample by sample in a random order."""
    budget = outcomes.shape[1]
    states = [
        InstanceState(StopRule.steered(min_samples=min_samples, budget=budget)) for _ in outcomes
    ]
    steering = Steering(goal, states)
    given_out = [0] * len(states)
    waiting: list[tuple[int, int]] = []
    while not steering.is_finished:
        for i, state in enumerate(states):
            if order is None and state.limit > given_out[i]:
                state.observe_prefix(outcomes[i, given_out[i] : state.limit].tobytes())
            elif order is not None:
                waiting += [(i, k) for k in range(given_out[i] + 1, state.limit + 1)]
            given_out[i] = max(given_out[i], state.limit)
        if order is not None:
            order.shuffle(waiting)
            for _ in range(order.randint(1, max(1, len(waiting)))):
                if waiting:
                    i, k = waiting.pop()
                    states[i].observe(k, bool(outcomes[i, k - 1]))
        steering.advance()
    assert not waiting, "nothing is drawn that does not count"
    return states


def draw(rates: list[float] | np.ndarray, budget: int, seed: int) -> Outcomes:
    rng = np.random.default_rng(seed)
    return (rng.random((len(rates), budget)) < np.asarray(rates)[:, None]).astype(np.uint8)


def tallies_of(states: list[InstanceState]) -> list[Tally]:
    return [state.tally() for state in states]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.floats(1e-6, 1), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=20,
    ),
    st.integers(0, 1500),
)
def test_allocation_is_within_bounds_and_adds_up(
    rows: list[tuple[float, int, int]], total: int
) -> None:
    weights = np.array([w for w, _, _ in rows])
    least = np.array([low for _, low, _ in rows])
    most = least + np.array([extra + 1 for _, _, extra in rows])
    got = allocate(weights, least, most, total)
    assert (got >= least).all()
    assert (got <= most).all()
    assert got.sum() == min(max(total, least.sum()), most.sum())


def test_allocation_is_neymans() -> None:
    """No shift of one sample from an instance to another lowers the variance."""
    rng = np.random.default_rng(1)
    variance = rng.uniform(0.001, 0.25, 12)
    n = allocate(np.sqrt(variance), np.full(12, 2), np.full(12, 500), 1000)
    assert n.sum() == 1000
    best = (variance / n).sum()
    for i in range(12):
        for j in range(12):
            if i != j and n[i] > 2 and n[j] < 500:
                moved = n.copy()
                moved[i] -= 1
                moved[j] += 1
                # whole numbers: the best real allocation may lie half a sample away
                assert (variance / moved).sum() >= best * (1 - 1e-4)


@pytest.mark.parametrize("goal", [Goal(0.3), Goal(None, 4000), Goal(0.05, 3000)], ids=str)
def test_tallies_do_not_depend_on_the_order_of_arrival(goal: Goal) -> None:
    outcomes = draw([0.5, 0.2, 0.05, 0.01, 0.002, 0.0], 3000, seed=2)
    expected = tallies_of(steer(outcomes, goal))
    assert len({t.trials for t in expected}) > 1, "nothing was steered"
    for seed in range(3):
        assert tallies_of(steer(outcomes, goal, order=random.Random(seed))) == expected


def test_fold_at_any_moment_goes_on_with_the_same_rounds() -> None:
    """A kill: new states with the committed prefixes, each cut somewhere, and a new steering."""
    goal = Goal(0.3)
    outcomes = draw([0.5, 0.2, 0.05, 0.01, 0.002, 0.0], 3000, seed=2)
    expected = tallies_of(steer(outcomes, goal))
    rng = np.random.default_rng(3)
    for _ in range(5):
        rule = StopRule.steered(min_samples=20, budget=3000)
        states = [InstanceState(rule) for _ in outcomes]
        # what a ledger may hold: rounds complete, the next in parts
        first = Steering(goal, states)
        for i, state in enumerate(states):
            state.observe_prefix(outcomes[i, :20].tobytes())
        for _ in range(rng.integers(1, 8)):
            first.advance()
            for i, state in enumerate(states):
                cut = int(rng.integers(state.n_committed, state.limit + 1))
                if cut > state.n_committed:
                    state.observe_prefix(outcomes[i, state.n_committed : cut].tobytes())
        resumed = [InstanceState(rule) for _ in outcomes]
        for i, state in enumerate(resumed):
            state.observe_prefix(outcomes[i, : states[i].n_committed].tobytes())
        second = Steering(goal, resumed)
        while not second.is_finished:
            second.advance()
            for i, state in enumerate(resumed):
                if state.limit > state.n_committed and not state.is_closed:
                    state.observe_prefix(outcomes[i, state.n_committed : state.limit].tobytes())
        assert tallies_of(resumed) == expected


def test_finished_fold_closes_at_once() -> None:
    outcomes = draw([0.3, 0.02], 2000, seed=4)
    states = steer(outcomes, Goal(0.5))
    again = [InstanceState(StopRule.steered(min_samples=20, budget=2000)) for _ in states]
    for i, state in enumerate(again):
        state.observe_prefix(outcomes[i, : states[i].n_committed].tobytes())
    steering = Steering(Goal(0.5), again)
    steering.advance()
    assert steering.is_finished
    assert tallies_of(again) == tallies_of(states)


def test_width_is_reached_and_budget_is_kept() -> None:
    outcomes = draw(np.geomspace(0.001, 0.5, 20), 5000, seed=5)
    tallies = tallies_of(steer(outcomes, Goal(0.2)))
    rate = dataset_pass_rate(tallies)
    interval = rate.confidence_interval()
    assert 0.15 * rate.value < interval.high - interval.low <= 0.2 * rate.value
    spent = sum(t.trials for t in tallies_of(steer(outcomes, Goal(0.001, 7000))))
    assert spent == 7000


@pytest.mark.parametrize("seed", [10, 21, 26])
def test_width_is_reached_with_the_round_that_was_under_way(seed: int) -> None:
    """Its samples may widen the interval again: then the sampling goes on."""
    rates = np.random.default_rng([5, seed]).beta(0.4, 6, 12)
    steered = steer(draw(rates, 20_000, seed), Goal(0.5), min_samples=10)
    rate = dataset_pass_rate(tallies_of(steered))
    interval = rate.confidence_interval()
    assert interval.high - interval.low <= 0.5 * rate.value


def test_nothing_passes_until_the_budget_is_gone() -> None:
    states = steer(np.zeros((3, 400), np.uint8), Goal(0.1, 900))
    assert [s.n_committed for s in states] == [300, 300, 300]
    states = steer(np.zeros((3, 400), np.uint8), Goal(0.1))
    assert [s.n_committed for s in states] == [400, 400, 400]


def test_everything_passes() -> None:
    states = steer(np.ones((3, 4000), np.uint8), Goal(0.02))
    assert all(s.is_closed and s.n_passes == s.n_committed for s in states)


def test_aborted_instance_holds_nothing_up() -> None:
    outcomes = draw([0.3, 0.1, 0.2], 4000, seed=6)
    states = [InstanceState(StopRule.steered(min_samples=20, budget=4000)) for _ in outcomes]
    steering = Steering(Goal(0.3), states)
    for _ in range(1000):
        steering.advance(aborted={1})
        for i in (0, 2):
            if states[i].limit > states[i].n_committed and not states[i].is_closed:
                states[i].observe_prefix(
                    outcomes[i, states[i].n_committed : states[i].limit].tobytes()
                )
        if steering.is_finished:
            break
    assert states[0].is_closed
    assert states[2].is_closed
    assert states[1].tally() == Tally.open(passes=0, trials=0)


@pytest.mark.parametrize("judged", [0, 13, 20, 37, 150])
def test_rounds_with_an_aborted_instance_follow_from_the_ledger(judged: int) -> None:
    """Its fault is met at some moment; whoever reads the ledger knows of it from the start."""
    outcomes = draw([0.3, 0.02, 0.2, 0.001], 4000, seed=6)
    rule = StopRule.steered(min_samples=20, budget=4000)
    goal = Goal(0.2)
    found = []
    for piece in (1, 7, 10_000):  # verdicts at a time
        states = [InstanceState(rule) for _ in outcomes]
        steering = Steering(goal, states)
        aborted: set[int] = set()
        while not steering.is_finished:
            for i, state in enumerate(states):
                until = min(state.limit, state.n_committed + piece)
                if i == 1 and until > judged:
                    until = judged
                    if state.n_committed == judged:
                        aborted = {1}
                if until > state.n_committed and not state.is_closed:
                    state.observe_prefix(outcomes[i, state.n_committed : until].tobytes())
            steering.advance(aborted=aborted)
        assert aborted
        assert not states[1].is_closed
        found.append(tallies_of(states))
    assert found[1:] == found[:1] * 2
    again = [InstanceState(rule) for _ in outcomes]
    for i, state in enumerate(again):
        state.observe_prefix(outcomes[i, : found[0][i].trials].tobytes())
    steering = Steering(goal, again)
    steering.advance(aborted={1})
    assert steering.is_finished
    assert tallies_of(again) == found[0]


def test_estimates_of_steered_tallies_rest_on_the_likelihood() -> None:
    tally = Tally.steered(passes=3, trials=70)
    assert dict(tally.to_json())["outcome"] == "steered"
    assert TallyArray.steered(passes=[3], trials=[70])[0] == tally
    rate = pass_rate(tally)
    for refused in (
        lambda: rate.confidence_interval(method="exact"),
        lambda: rate.unbiased,
        lambda: rate.log_rate,
        lambda: dataset_pass_rate([tally, tally], method="unbiased"),
        lambda: pass_at_k([tally], 1, method="fixed_n"),
    ):
        with pytest.raises(EstimationError):
            refused()
    assert rate.confidence_interval(method="likelihood_ratio").low > 0
    assert rate.confidence_interval(method="bayes").low > 0
    assert dataset_pass_rate([tally, tally]).method == "hierarchical"


def test_fixed_tallies_take_the_formula_of_fixed_n() -> None:
    state = InstanceState(StopRule.fixed(10))
    state.observe_prefix(bytes([1] * 5 + [0] * 5))
    assert pass_at_k([state.tally()], [6], method="fixed_n")[0] == 1.0
    rule = StopRule.fixed(10)
    assert TallyArray.from_rule(rule, passes=[5], trials=[10])[0] == state.tally()
    with pytest.raises(UsageError, match="got 5 passes of 9"):
        TallyArray.from_rule(rule, passes=[5], trials=[9])


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (Goal, "got neither target_width nor total_budget"),
        (lambda: Goal(0.0), "target_width: got 0.0"),
        (lambda: Goal(None, 0), "total_budget: got 0"),
        (
            lambda: Steering(Goal(0.1, 30), [InstanceState(RULE)] * 2),
            "total_budget: got 30; allowed: at least min_samples for each of 2 instances, 40",
        ),
    ],
)  # fmt: skip
def test_goals_that_cannot_be(goal: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        goal()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("n_replicates", "width"),
    [
        (20, 0.4),
        pytest.param(1000, 0.4, marks=pytest.mark.slow),
        pytest.param(1000, 0.2, marks=pytest.mark.slow),
    ],
)
def test_intervals_cover_after_steering(n_replicates: int, width: float) -> None:
    """Rates drawn anew each time; a 95 % interval must hold the mean in its share of replicates.

    Stopping where the interval happens to be narrow and sampling where the passes were could both
    break it. The gate is the binomial band: coverage of 0.95 fails it once in 10,000.
    """
    n_held = 0
    for seed in range(n_replicates):
        rng = np.random.default_rng([7, seed])
        rates = 1 / (1 + np.exp(-rng.normal(-4, 2, 40)))
        tallies = tallies_of(steer(draw(rates, 20_000, seed), Goal(width)))
        pu = measure_pu(tallies)
        n_held += pu.low <= rates.mean() <= pu.high
    assert n_held >= binom.ppf(1e-4, n_replicates, 0.95), n_held / n_replicates
    # the long gate notices an interval that claims 95 % and covers 90 %
    if n_replicates >= 1000:
        assert binom.cdf(binom.ppf(1e-4, n_replicates, 0.95) - 1, n_replicates, 0.9) > 0.99
