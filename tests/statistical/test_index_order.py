"""Index order gives the tallies of samples drawn one by one; order of arrival would not.

Samples are drawn as an engine does: a window in flight, short ones finishing first, the next
started as one ends; length depends on the verdict. Whether the tallies follow their exact law is
decided by binomial tests of the counts {K <= k} at several k, familywise 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binom, nbinom

from passuntil.ports import Decoding, SampleRequest
from passuntil.records import Outcome, SampleKey, Tally
from passuntil.sampler.scripted import ScriptedSampler, bernoulli
from passuntil.stopping import InstanceState, StopRule

FAMILYWISE = 1e-6
N_REPLICATES = 1000
CAPACITY = 32
DECODING = Decoding(max_tokens=1000)


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, a pass rate, and lengths that depend on the verdict."""

    rule: StopRule
    pass_rate: float
    pass_tokens: tuple[int, int]
    fail_tokens: tuple[int, int]

    def sampler(self) -> ScriptedSampler:
        script = bernoulli(
            lambda key: self.pass_rate, pass_tokens=self.pass_tokens, fail_tokens=self.fail_tokens
        )
        return ScriptedSampler(script, capacity=CAPACITY)


SHORT, LONG = (4, 8), (30, 60)
CASES = [
    Case(StopRule(passes=1, budget=400), 0.1, SHORT, LONG),
    Case(StopRule(passes=1, budget=400), 0.1, LONG, SHORT),
    Case(StopRule(passes=2, min_samples=10, budget=50), 0.05, SHORT, LONG),
    Case(StopRule(passes=2, min_samples=10, budget=50), 0.05, LONG, SHORT),
]


def request(instance: int, index: int) -> SampleRequest:
    key = SampleKey("m", "t", f"{instance}", index)
    return SampleRequest(key, "", DECODING, None)


def index_order(sampler: ScriptedSampler, rule: StopRule, instance: int) -> Tally:
    """Sample one instance as the runner does."""
    state, submitted = InstanceState(rule), 0
    while not state.is_closed:
        last = min(state.n_committed + CAPACITY, state.limit)
        sampler.submit([request(instance, i) for i in range(submitted + 1, last + 1)])
        submitted = max(submitted, last)
        for completion in sampler.step():
            state.observe(completion.key.index, completion.text == "pass")
    sampler.abort(request(instance, i).key for i in range(1, submitted + 1))
    return state.tally()


def arrival_order(sampler: ScriptedSampler, rule: StopRule, instance: int) -> Tally:
    """Count samples as they finish: what must not be done."""
    state, submitted, n = InstanceState(rule), 0, 0
    while not state.is_closed:
        last = min(n + CAPACITY, rule.budget)
        sampler.submit([request(instance, i) for i in range(submitted + 1, last + 1)])
        submitted = max(submitted, last)
        for completion in sampler.step():
            if not state.is_closed:
                n += 1
                state.observe(n, completion.text == "pass")
    sampler.abort(request(instance, i).key for i in range(1, submitted + 1))
    return state.tally()


def one_by_one(case: Case, instance: int) -> Tally:
    """The definition, from the script alone."""
    sampler, state = case.sampler(), InstanceState(case.rule)
    while not state.is_closed:
        sampler.submit([request(instance, state.n_committed + 1)])
        state.observe(state.n_committed + 1, sampler.step()[0].text == "pass")
    return state.tally()


def tallies(case: Case, draw: Callable[[ScriptedSampler, StopRule, int], Tally]) -> list[Tally]:
    sampler = case.sampler()
    return [draw(sampler, case.rule, instance) for instance in range(N_REPLICATES)]


def least_p_value(case: Case, seen: list[Tally]) -> float:
    """Return the smallest of the exact two-sided binomial p-values, times their number.

    The trials K of a tally are at most k, for floor <= k < budget, where k samples hold r passes:
    probability P(r-th pass by k) = nbinom.cdf(k - r; r, p).
    """
    rule = case.rule
    trials = np.array([tally.trials for tally in seen])
    by = nbinom(rule.passes, case.pass_rate)
    points = np.unique([*by.ppf([0.05, 0.2, 0.4, 0.6, 0.8]).astype(int) + rule.passes])
    points = points[(points >= rule.min_samples) & (points < rule.budget)]
    p_values = []
    for k in points:
        count = np.count_nonzero(trials <= k)
        law = binom(len(trials), by.cdf(k - rule.passes))
        p_values.append(2 * min(law.cdf(count), law.sf(count - 1)))
    assert len(p_values) >= 3
    return min(p_values) * len(p_values)


def unbiased(tally: Tally) -> float:
    """Return the unbiased pass rate, r >= 2 [Girshick et al. 1946, Ann. Math. Stat. 17]."""
    if tally.outcome is Outcome.STOPPED:
        return (tally.passes - 1) / (tally.trials - 1)
    return tally.passes / tally.trials


@pytest.mark.parametrize("case", CASES, ids=str)
def test_index_order_follows_the_exact_law(case: Case) -> None:
    assert least_p_value(case, tallies(case, index_order)) >= FAMILYWISE


@pytest.mark.parametrize("case", CASES, ids=str)
def test_arrival_order_is_noticed(case: Case) -> None:
    assert least_p_value(case, tallies(case, arrival_order)) < FAMILYWISE


@pytest.mark.parametrize("case", CASES, ids=str)
def test_index_order_is_the_definition(case: Case) -> None:
    sampler = case.sampler()
    for instance in range(200):
        assert index_order(sampler, case.rule, instance) == one_by_one(case, instance)


@pytest.mark.parametrize("case", [case for case in CASES if case.rule.passes > 1], ids=str)
def test_unbiased_estimate_needs_index_order(case: Case) -> None:
    """Its mean lies within Bernstein's bound of the truth, at 1e-6; by arrival it does not."""
    means = {
        draw.__name__: np.mean([unbiased(tally) for tally in tallies(case, draw)])
        for draw in (index_order, arrival_order)
    }
    t = bernstein(exact_variance(case), N_REPLICATES)
    assert abs(means["index_order"] - case.pass_rate) <= t
    assert abs(means["arrival_order"] - case.pass_rate) > t


def exact_variance(case: Case) -> float:
    """Return the variance of the unbiased estimate, by summing the mass of all outcomes."""
    rule, p = case.rule, case.pass_rate
    r, m, budget = rule.passes, rule.min_samples, rule.budget
    outcomes = [(c / m, binom.pmf(c, m, p)) for c in range(r, m + 1)]
    outcomes += [
        ((r - 1) / (k - 1), p * binom.pmf(r - 1, k - 1, p)) for k in range(m + 1, budget + 1)
    ]
    outcomes += [(c / budget, binom.pmf(c, budget, p)) for c in range(r)]
    values, mass = np.array(outcomes).T
    assert abs(mass.sum() - 1) < 1e-12
    assert abs(values @ mass - p) < 1e-12
    return float((values - p) ** 2 @ mass)


def bernstein(variance: float, n: int) -> float:
    """Return t with 2 exp(-n t^2 / (2 variance + 2 t / 3)) = FAMILYWISE, estimates in [0, 1]."""
    log = np.log(2 / FAMILYWISE)
    return float((log / 3 + np.sqrt(log**2 / 9 + 2 * n * variance * log)) / n)
