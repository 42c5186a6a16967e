"""Coverage by simulation, where enumeration ends.

Every gate is a binomial band computed from the number of replicates, and each has a negative: the
same replicates with intervals made too short must fail the same gate.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from passuntil import fit_scaling_law
from passuntil.estimator import TallyArray, dataset_pass_rate, tallies_from_outcomes
from passuntil.fitter import emergence
from passuntil.records import Outcome
from passuntil.stopping import StopRule

SIZES = np.array([36e6, 109e6, 241e6, 499e6, 892e6, 1544e6])
MISS = 1e-3
"""Chance of a false alarm of a gate, if the coverage is just as claimed."""


def least_covered(n: int, claim: float) -> int:
    """Fewest covered replicates out of n that a true coverage of `claim` makes believable."""
    return int(binom.ppf(MISS, n, claim))


def draw(rng: np.random.Generator, rates: np.ndarray, rule: StopRule) -> TallyArray:
    """First-pass tallies (r = 1) with or without a floor."""
    m, budget = rule.min_samples, rule.budget
    at_floor = rng.binomial(m, rates) if m > 1 else np.zeros(len(rates), int)
    base = m if m > 1 else 0
    wait = rng.geometric(np.maximum(rates, 1e-12)) + base
    trials = np.where(at_floor > 0, m, np.minimum(wait, budget))
    passes = np.where(at_floor > 0, at_floor, wait <= budget)
    return TallyArray.from_rule(rule, passes=passes, trials=trials)


def covered(intervals: list[tuple[float, float, float]], truths: list[float], shrink: float) -> int:
    """Count truths inside intervals shrunk towards their value, on the log scale."""
    count = 0
    for (low, value, high), truth in zip(intervals, truths, strict=True):
        a = value * (low / value) ** shrink
        b = value * (high / value) ** shrink
        count += a <= truth <= b
    return count


@pytest.mark.parametrize(("floor", "method"), [(1, "hierarchical"), (50, "unbiased")])
def test_dataset_sampling_interval(floor: int, method: str) -> None:
    """90 % sampling intervals cover a fixed set of instances in at least 85 % of samplings."""
    rng = np.random.default_rng(20)
    rates = np.exp(-np.exp(rng.normal(1.6, 0.6, 100)))
    rule = StopRule(min_samples=floor, budget=10_000)
    n = 150
    intervals = []
    for _ in range(n):
        rate = dataset_pass_rate(draw(rng, rates, rule), method=method)
        interval = rate.confidence_interval(0.9)
        intervals.append((interval.low, rate.value, interval.high))
    truths = [float(rates.mean())] * n
    assert covered(intervals, truths, 1.0) >= least_covered(n, 0.85)
    assert covered(intervals, truths, 0.4) < least_covered(n, 0.85)


def family(
    rng: np.random.Generator, sizes: np.ndarray, scatter: float, rule: StopRule
) -> tuple[list[TallyArray], float]:
    """Tallies of all sizes but the last, and the true PU there."""
    alpha, level = rng.normal(0.2, 0.04, (60, 1)), rng.normal(np.log(200), 1.0, (60, 1))
    f = level - alpha * np.log(sizes) + rng.normal(0, scatter, len(sizes))
    rates = np.exp(-np.exp(f))
    return [draw(rng, p, rule) for p in rates[:, :-1].T], float(rates[:, -1].mean())


@pytest.mark.slow
@pytest.mark.parametrize(("floor", "scatter"), [(1, 0.03), (100, 0.0), (100, 0.1)])
def test_instance_forecast_interval(floor: int, scatter: float) -> None:
    """90 % forecast intervals at 3 times the largest size cover at least 87 %."""
    n = 50
    rule = StopRule(min_samples=floor, budget=10_000)
    intervals, truths = [], []
    for key in range(n):
        rng = np.random.default_rng([key, floor])
        tallies, truth = family(rng, np.append(SIZES, SIZES[-1] * 3), scatter, rule)
        p = fit_scaling_law(n_params=SIZES, tallies=tallies, method="instance").predict(
            SIZES[-1] * 3
        )
        intervals.append((p.low, p.value, p.high))
        truths.append(truth)
    assert covered(intervals, truths, 1.0) >= least_covered(n, 0.87)
    assert covered(intervals, truths, 0.25) < least_covered(n, 0.87)


@pytest.mark.slow
def test_straight_families_are_not_called_accelerated() -> None:
    """Unlike straight lines: at most 5 % false alarms; a test of the mean alarms nearly always."""
    n = 24
    sizes = np.exp(np.linspace(np.log(36e6), np.log(2449e6), 7))
    rule = StopRule(min_samples=100, budget=10_000)
    alarms, naive = 0, 0
    for key in range(n):
        rng = np.random.default_rng([key, 7])
        alpha, level = rng.normal(0.2, 0.07, (60, 1)), rng.normal(np.log(200), 1.0, (60, 1))
        rates = np.exp(-np.exp(level - alpha * np.log(sizes)))
        tallies = [draw(rng, p, rule) for p in rates.T]
        alarms += emergence(n_params=sizes, tallies=tallies).verdict == "accelerated"
        mean = np.log(-np.log([dataset_pass_rate(t).value for t in tallies]))
        naive += np.polyfit(np.log(sizes), mean, 2)[0] < 0
    assert alarms <= binom.ppf(1 - MISS, n, 0.05)
    assert naive > binom.ppf(1 - MISS, n, 0.05)


def reference(name: str) -> Path:
    folder = os.environ.get("PASSUNTIL_REFERENCE_DATA")
    root = Path(folder) if folder else Path(__file__).parents[2].parent / "shared" / "data"
    if not (root / name).exists():
        pytest.skip(f"public data {name} not here; see PASSUNTIL_REFERENCE_DATA")
    return root / name


REPLAY = [  # STATISTICS 3: truth, r=1 mle, r=2 mle, r=2 unbiased, r=10 mle, r=10 unbiased
    ("70M", 0.000647, 0.001562, 0.000877, 0.000446, 0.000905, 0.000823),
    ("160M", 0.002673, 0.008336, 0.005900, 0.003042, 0.003236, 0.002926),
    ("410M", 0.006219, 0.028724, 0.011126, 0.006071, 0.007322, 0.006630),
    ("1B", 0.008334, 0.030415, 0.014468, 0.007695, 0.008605, 0.007799),
    ("2.8B", 0.020312, 0.048322, 0.023738, 0.012946, 0.020035, 0.018262),
    ("6.9B", 0.018560, 0.058652, 0.033977, 0.018749, 0.021468, 0.019546),
    ("12B", 0.023191, 0.066300, 0.033934, 0.019651, 0.025962, 0.023633),
]
CAPPED_AND_SAMPLES = {
    "70M": ((94, 103, 118), (1011995, 1103644, 1212679)),
    "160M": ((55, 62, 79), (642261, 729948, 937182)),
    "410M": ((44, 54, 69), (517208, 634100, 870251)),
    "1B": ((33, 45, 63), (459076, 556436, 789709)),
    "2.8B": ((24, 28, 48), (310001, 378638, 600697)),
    "6.9B": ((21, 29, 41), (313615, 380407, 582663)),
    "12B": ((16, 23, 40), (238236, 326629, 534410)),
}


@pytest.mark.parametrize("row", REPLAY, ids=lambda r: r[0])
def test_replay_of_public_outcomes(
    row: tuple[str, float, float, float, float, float, float],
) -> None:
    """The deterministic table of STATISTICS 3, to its digits."""
    name, truth, *expected = row
    outcomes = np.load(reference("pythia_math_outcomes.npz"))[f"Pythia_{name}"]
    assert outcomes.mean() == pytest.approx(truth, abs=5e-7)
    values = []
    for r, capped, samples in zip((1, 2, 10), *CAPPED_AND_SAMPLES[name], strict=True):
        tallies = tallies_from_outcomes(outcomes, StopRule(passes=r, budget=10_000))
        values.append(dataset_pass_rate(tallies, method="mle").value)
        if r > 1:
            values.append(dataset_pass_rate(tallies, method="unbiased").value)
        assert tallies.is_outcome(Outcome.CENSORED).sum() == capped
        assert tallies.trials.sum() == samples
    assert values == pytest.approx(expected, abs=5.1e-7)
