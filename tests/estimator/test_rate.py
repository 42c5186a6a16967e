"""Pass rates of single instances and of arrays: fixtures, exact enumeration, properties."""

import math

import numpy as np
import pytest
from enumeration import outcomes, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from passuntil import Tally, pass_rate
from passuntil.errors import EstimationError, UsageError
from passuntil.estimator import TallyArray
from passuntil.estimator.points import unbiased_parts
from passuntil.records import Outcome
from passuntil.stopping import StopRule

P_GRID = 1 / (1 + np.exp(-np.linspace(-9, 5, 100)))

FIXTURES = [  # STATISTICS 2, 95 %
    (Tally.stopped(passes=1, trials=10), 0.0025285785, 0.33626712),
    (Tally.stopped(passes=1, trials=100), 2.5314603e-4, 0.036575745),
    (Tally.stopped(passes=1, trials=1000), 2.5317487e-5, 0.0036857629),
    (Tally.stopped(passes=2, trials=5), 0.052744951, 0.80587955),
    (Tally.stopped(passes=2, trials=100), 0.0024313368, 0.054996823),
    (Tally.stopped(passes=5, trials=1000), 0.0016254195, 0.010219853),
    (Tally.stopped(passes=2, trials=100_000), 2.422102e-6, 5.5715717e-5),
    (Tally.censored(passes=0, trials=100_000), 0.0, 3.6888114e-5),
    (Tally.censored(passes=1, trials=100_000), 2.5317805e-7, 5.571516e-5),
    (Tally.censored(passes=0, trials=10_000), 0.0, 3.6881991e-4),
]


@pytest.mark.parametrize(("tally", "low", "high"), FIXTURES)
def test_exact_interval_fixtures(tally: Tally, low: float, high: float) -> None:
    interval = pass_rate(tally).confidence_interval()
    assert interval.low == pytest.approx(low, rel=5e-8, abs=0)
    assert interval.high == pytest.approx(high, rel=5e-8)


def test_one_sided_limit_fixture() -> None:
    tally = Tally.censored(passes=0, trials=100_000)
    assert pass_rate(tally).upper_limit(0.95) == pytest.approx(2.9956874e-5, rel=5e-8)


RULES = [
    StopRule(passes=r, min_samples=m, budget=b)
    for r in (1, 2, 5, 10)
    for m in (1, 20, 100)
    for b in (50, 300, 1000)
    if m <= b
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_exact_coverage_by_enumeration(rule: StopRule) -> None:
    tallies, rows = outcomes(rule)
    rates = pass_rate(tallies)
    for level in (0.95, 0.8):
        interval = rates.confidence_interval(level)
        upper, lower = rates.upper_limit(level), rates.lower_limit(level)
        for p in P_GRID:
            mass = probabilities(rule, rows, p)
            assert mass.sum() == pytest.approx(1, abs=1e-9)
            assert mass[(interval.low <= p) & (p <= interval.high)].sum() >= level - 1e-9
            assert mass[p <= upper].sum() >= level - 1e-9
            assert mass[lower <= p].sum() >= level - 1e-9


def test_enumeration_notices_a_wrong_bound() -> None:
    """The upper bound of a fixed n, on stopped tallies, covers too rarely or is no bound at all."""
    rule = StopRule(passes=1, budget=300)
    tallies, rows = outcomes(rule)
    interval = pass_rate(tallies).confidence_interval()
    short = interval.high * np.where(tallies.is_outcome(Outcome.STOPPED), 0.9, 1)
    least = min(
        probabilities(rule, rows, p)[(interval.low <= p) & (p <= short)].sum() for p in P_GRID
    )
    assert least < 0.95


@pytest.mark.parametrize(("r", "m"), [(1, 1), (2, 1), (5, 1), (1, 20), (2, 20), (5, 50)])
def test_least_coverage_is_near_nominal(r: int, m: int) -> None:
    """The interval is not merely valid: over 100 values of p its least coverage is tight."""
    rule = StopRule(passes=r, min_samples=m, budget=300)
    tallies, rows = outcomes(rule)
    interval = pass_rate(tallies).confidence_interval()
    grid = np.logspace(-4, math.log10(0.95), 100)
    coverage = [
        probabilities(rule, rows, p)[(interval.low <= p) & (p <= interval.high)].sum() for p in grid
    ]
    assert 0.95 <= min(coverage) <= 0.9525


@pytest.mark.parametrize("rule", [r for r in RULES if r.passes > 1 or r.min_samples > 1], ids=str)
def test_unbiased_by_enumeration(rule: StopRule) -> None:
    tallies, rows = outcomes(rule)
    values = pass_rate(tallies).unbiased
    for p in P_GRID:
        assert probabilities(rule, rows, p) @ values == pytest.approx(p, abs=1e-10)


@pytest.mark.parametrize("rule", [r for r in RULES if r.passes > 1 or r.min_samples > 1], ids=str)
def test_variance_estimate_is_unbiased(rule: StopRule) -> None:
    tallies, rows = outcomes(rule)
    values, variances, _ = unbiased_parts(tallies)
    for p in P_GRID[::7]:
        mass = probabilities(rule, rows, p)
        assert mass @ variances == pytest.approx(mass @ (values - p) ** 2, abs=1e-10)


@pytest.mark.parametrize(("r", "m"), [(1, 1), (2, 1), (3, 20), (5, 50), (1, 50)])
def test_log_rate_by_enumeration(r: int, m: int) -> None:
    rule = StopRule(passes=r, min_samples=m, budget=20_000)
    tallies, rows = outcomes(rule)
    closed = ~tallies.is_outcome(Outcome.CENSORED)
    values = pass_rate(tallies.take(closed)).log_rate
    for p in (0.02, 0.1, 0.5, 0.9):
        mass = probabilities(rule, rows, p)
        assert mass[~closed].sum() < 1e-12
        assert mass[closed] @ values == pytest.approx(math.log(p), abs=1e-10)


@pytest.mark.parametrize(
    ("p", "r", "mle", "capped", "trials"),
    [
        (0.01, 1, 4.65169, 0, 100),
        (0.001, 2, 1.98816, 0, 2000),
        (0.001, 10, 1.11097, 0, 10000),
        (1e-4, 2, 1.99831, 0.00050, 19994.55),
        (1e-4, 5, 1.24737, 0.02925, 49571.07),
        (1e-5, 1, 11.29366, 0.36788, 63212.24),
        (1e-5, 2, 1.63191, 0.73576, 89636.35),
        (1e-5, 5, 1.00475, 0.99634, 99931.12),
    ],
)
def test_moments_table(p: float, r: int, mle: float, capped: float, trials: float) -> None:
    rule = StopRule(passes=r, budget=100_000)
    tallies, rows = outcomes(rule)
    mass = probabilities(rule, rows, p)
    assert mass @ pass_rate(tallies).mle / p == pytest.approx(mle, abs=6e-6)
    assert mass[tallies.is_outcome(Outcome.CENSORED)].sum() == pytest.approx(capped, abs=6e-6)
    assert mass @ tallies.trials == pytest.approx(trials, abs=6e-3)
    if r > 1:
        assert mass @ pass_rate(tallies).unbiased / p == pytest.approx(1, abs=1e-8)


def test_what_is_not_identified_raises() -> None:
    first = pass_rate(Tally.stopped(passes=1, trials=10))
    with pytest.raises(EstimationError, match="floor") as caught:
        _ = first.unbiased
    assert caught.value.partial.low < 0.1 < caught.value.partial.high
    capped = pass_rate(Tally.censored(passes=0, trials=1000))
    with pytest.raises(EstimationError, match="limit") as caught:
        _ = capped.log_rate
    assert caught.value.partial == pytest.approx(math.log(capped.upper_limit()))
    running = pass_rate(Tally.open(passes=1, trials=50))
    for name in ("unbiased", "log_rate"):
        with pytest.raises(EstimationError):
            getattr(running, name)
    with pytest.raises(EstimationError, match="likelihood_ratio"):
        running.confidence_interval()
    for method in ("likelihood_ratio", "bayes"):
        interval = running.confidence_interval(method=method)
        assert interval.low < 0.02 < interval.high
    with pytest.raises(EstimationError):
        _ = pass_rate(Tally.open(passes=0, trials=0)).mle


def test_fixed_and_floor_are_plain_fractions() -> None:
    assert pass_rate(Tally.fixed(passes=3, trials=10)).unbiased == 0.3
    assert pass_rate(Tally.floor_reached(passes=3, trials=10)).unbiased == 0.3
    assert pass_rate(Tally.stopped(passes=1, trials=30, min_samples=10)).unbiased == 0
    assert pass_rate(Tally.stopped(passes=2, trials=2)).unbiased == 1


@pytest.mark.parametrize("level", [0, 1, -0.1, 95])
def test_levels_outside_are_refused(level: float) -> None:
    with pytest.raises(UsageError, match="confidence_level"):
        pass_rate(Tally.fixed(passes=1, trials=2)).confidence_interval(level)


tallies_strategy = st.integers(1, 10**6).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda c: st.sampled_from(
            [Tally.fixed(passes=c, trials=n), Tally.censored(passes=c, trials=n)]
            + ([Tally.stopped(passes=c, trials=n)] if c else [])
        )
    )
)


@given(tallies_strategy, st.sampled_from(["exact", "likelihood_ratio", "bayes"]))
def test_interval_contains_the_mle(tally: Tally, method: str) -> None:
    rate = pass_rate(tally)
    interval = rate.confidence_interval(0.9, method=method)
    assert 0 <= interval.low <= rate.mle * (1 + 1e-9)
    assert rate.mle <= interval.high * (1 + 1e-9) <= 1 + 1e-9


@settings(deadline=None)  # a loaded machine is no failure
@given(st.lists(tallies_strategy, min_size=1, max_size=20))
def test_arrays_agree_with_scalars(tallies: list[Tally]) -> None:
    array = TallyArray.from_tallies(tallies)
    assert list(array) == tallies
    many = pass_rate(array)
    for method in ("exact", "likelihood_ratio", "bayes"):
        interval = many.confidence_interval(method=method)
        for i, tally in enumerate(tallies):
            one = pass_rate(tally).confidence_interval(method=method)
            assert (one.low, one.high) == pytest.approx((interval.low[i], interval.high[i]))


def test_likelihood_ratio_interval_by_its_definition() -> None:
    interval = pass_rate(Tally.stopped(passes=7, trials=90)).confidence_interval(
        method="likelihood_ratio"
    )

    def log_likelihood(p: float) -> float:
        return 7 * math.log(p) + 83 * math.log1p(-p)

    for end in (interval.low, interval.high):
        drop = 2 * (log_likelihood(7 / 90) - log_likelihood(end))
        assert drop == pytest.approx(3.841458820694124, abs=1e-6)
