from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from passuntil.errors import UsageError
from passuntil.ledger import MemoryLedger, SqliteLedger
from passuntil.ports import Block, Ledger
from passuntil.records import Outcome, Tally
from passuntil.stopping import InstanceState, StopRule

RULES = [
    StopRule(passes=r, min_samples=m, budget=budget)
    for r, m, budget in [
        (1, 1, 1),
        (1, 1, 5),
        (2, 1, 5),
        (1, 3, 5),
        (2, 2, 5),
        (2, 4, 5),
        (1, 5, 5),
        (5, 1, 5),
        (5, 5, 5),
    ]
]


def sequential_tally(rule: StopRule, outcomes: tuple[int, ...]) -> Tally:
    """The definition: samples drawn one after the other until the rule says stop."""
    passes = 0
    for n, outcome in enumerate(outcomes, start=1):
        passes += outcome
        if passes >= rule.passes and n >= rule.min_samples:
            if 1 < rule.min_samples == n:
                return Tally.floor_reached(passes=passes, trials=n)
            return Tally.stopped(passes=passes, trials=n, min_samples=rule.min_samples)
        if n == rule.budget:
            return Tally.censored(passes=passes, trials=n, min_samples=rule.min_samples)
    return Tally.open(passes=passes, trials=len(outcomes), min_samples=rule.min_samples)


def observe_all(rule: StopRule, outcomes: tuple[int, ...], order: tuple[int, ...]) -> InstanceState:
    """Observe in that order of arrival; check what must hold at every moment."""
    state = InstanceState(rule)
    stop = sequential_tally(rule, outcomes).trials
    missing = set(range(1, stop + 1))
    for index in order:
        state.observe(index, bool(outcomes[index - 1]))
        missing.discard(index)
        assert state.limit >= stop  # no sample that counts is ever refused
        assert state.is_closed == (not missing)  # all indices up to the stop, and no other
        prefix = outcomes[: state.n_committed]
        assert state.n_passes == sum(prefix)
        assert state.n_committed == (min(missing) - 1 if missing else stop)
        if not state.is_closed:
            assert state.tally().outcome is Outcome.OPEN
    return state


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_outcome_in_every_order_of_arrival(rule: StopRule) -> None:
    orders = list(itertools.permutations(range(1, rule.budget + 1)))
    for outcomes in itertools.product((0, 1), repeat=rule.budget):
        expected = sequential_tally(rule, outcomes)
        for order in orders:
            assert observe_all(rule, outcomes, order).tally() == expected


@pytest.mark.parametrize(
    "rule",
    [StopRule(r, m, 10) for r, m in [(1, 1), (1, 6), (2, 1), (2, 7), (3, 3), (4, 10), (10, 1)]],
    ids=str,
)
def test_every_outcome_of_ten_in_random_orders(rule: StopRule) -> None:
    generator = random.Random(0)
    order = list(range(1, 11))
    for outcomes in itertools.product((0, 1), repeat=10):
        generator.shuffle(order)
        state = observe_all(rule, outcomes, tuple(order))
        assert state.tally() == sequential_tally(rule, outcomes)


@pytest.mark.parametrize("rule", [StopRule(1, 1, 4), StopRule(2, 3, 4), StopRule(2, 1, 4)], ids=str)
def test_limit_is_the_last_stop_still_possible(rule: StopRule) -> None:
    """Nothing that can still count is aborted, and nothing else is drawn."""
    everything = list(itertools.product((0, 1), repeat=4))
    for outcomes, order in itertools.product(everything, itertools.permutations(range(1, 5))):
        state = InstanceState(rule)
        seen: set[int] = set()
        for index in order:
            state.observe(index, bool(outcomes[index - 1]))
            seen.add(index)
            possible = (
                other for other in everything if all(other[i - 1] == outcomes[i - 1] for i in seen)
            )
            last = max(sequential_tally(rule, other).trials for other in possible)
            assert state.limit == last


rules = st.integers(1, 60).flatmap(
    lambda budget: st.builds(
        StopRule, st.integers(1, budget), st.integers(1, budget), st.just(budget)
    )
)


@given(st.data(), rules)
def test_fold_of_shuffled_is_fold_of_sorted(data: st.DataObject, rule: StopRule) -> None:
    outcomes = tuple(
        data.draw(st.lists(st.integers(0, 1), min_size=rule.budget, max_size=rule.budget))
    )
    order = tuple(data.draw(st.permutations(range(1, rule.budget + 1))))
    sorted_state = InstanceState(rule)
    sorted_state.observe_prefix(bytes(outcomes[: sequential_tally(rule, outcomes).trials]))
    shuffled = observe_all(rule, outcomes, order)
    assert shuffled.tally() == sorted_state.tally() == sequential_tally(rule, outcomes)


@given(st.data(), rules)
def test_open_prefix_resumes_where_it_was(data: st.DataObject, rule: StopRule) -> None:
    outcomes = data.draw(st.lists(st.integers(0, 1), max_size=rule.budget))
    prefix = outcomes[: sequential_tally(rule, tuple(outcomes)).trials]
    state = InstanceState(rule)
    state.observe_prefix(bytes(prefix))
    assert state.n_committed == len(prefix)
    assert state.tally() == sequential_tally(rule, tuple(prefix))


@given(st.data(), rules)
def test_prefix_in_pieces_is_observe_on_each(data: st.DataObject, rule: StopRule) -> None:
    verdicts = bytes(data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=60)))
    cut = data.draw(st.integers(0, len(verdicts)))
    n = sequential_tally(rule, tuple(verdicts)).trials
    state = InstanceState(rule)
    if n < len(verdicts):  # beyond the stop: the ledger of another rule
        with pytest.raises(UsageError, match="another rule"):
            state.observe_prefix(verdicts)
        return
    for piece in (verdicts[:cut], verdicts[cut:]):
        if piece:
            state.observe_prefix(piece)
    one_by_one = InstanceState(rule)
    for index, verdict in enumerate(verdicts, start=1):
        one_by_one.observe(index, bool(verdict))
    assert state.tally() == one_by_one.tally() == sequential_tally(rule, tuple(verdicts))
    assert (state.limit, state.is_closed) == (one_by_one.limit, one_by_one.is_closed)


def test_prefix_beyond_the_budget_is_refused() -> None:
    """The ledger of a run with a budget of 2 and a pass at 2, folded under a budget of 1."""
    with pytest.raises(UsageError, match="another rule"):
        InstanceState(StopRule(budget=1)).observe_prefix(b"\0\1")


@settings(deadline=None)
@given(st.data(), st.integers(1, 40))
def test_fixed_draws_every_sample_whatever_the_verdicts(data: st.DataObject, n: int) -> None:
    outcomes = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    state = InstanceState(StopRule.fixed(n))
    assert state.n_certain == state.limit == n
    for count, index in enumerate(data.draw(st.permutations(range(1, n + 1))), start=1):
        assert not state.is_closed
        state.observe(index, bool(outcomes[index - 1]))
        assert state.limit == n, "no pass stops it"
        assert state.is_closed == (count == n)
    assert state.tally() == Tally.fixed(passes=sum(outcomes), trials=n)
    folded = InstanceState(StopRule.fixed(n))
    folded.observe_prefix(bytes(outcomes))
    assert folded.tally() == state.tally()


def test_steered_goes_where_it_is_told_and_ends_when_it_is_told() -> None:
    state = InstanceState(StopRule.steered(min_samples=3, budget=10))
    assert state.n_certain == state.limit == 3
    for index in (3, 1, 2):
        state.observe(index, is_pass=True)
    assert not state.is_closed
    assert state.tally() == Tally.open(passes=3, trials=3)
    state.allot(6)
    state.allot(5)  # what was wanted is not taken back
    assert state.limit == 6
    state.observe(4, is_pass=False)
    assert [state.passes_within(n) for n in (0, 1, 3, 4)] == [0, 1, 3, 3]
    state.close()
    assert state.is_closed
    assert state.tally() == Tally.steered(passes=3, trials=4)
    state.allot(9)
    assert state.limit == 4


@settings(deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=30), st.integers(0, 30))
def test_steered_fold_is_observe_on_each(verdicts: list[int], cut: int) -> None:
    rule = StopRule.steered(min_samples=1, budget=30)
    one_by_one, folded = InstanceState(rule), InstanceState(rule)
    one_by_one.allot(30)
    for index, verdict in enumerate(verdicts, start=1):
        one_by_one.observe(index, bool(verdict))
    for piece in (verdicts[:cut], verdicts[cut:]):
        if piece:
            folded.observe_prefix(bytes(piece))
    assert folded.tally() == one_by_one.tally()
    for n in range(len(verdicts) + 1):
        assert folded.passes_within(n) == one_by_one.passes_within(n) == sum(verdicts[:n])
    assert folded.tally().outcome is (Outcome.STEERED if len(verdicts) == 30 else Outcome.OPEN)


@pytest.mark.parametrize("call", ["allot", "close", "passes_within"])
def test_only_target_mode_is_steered(call: str) -> None:
    state = InstanceState(StopRule(budget=5))
    with pytest.raises(UsageError, match=f"{call}: got a state under .*; allowed: target mode"):
        getattr(state, call)(*([] if call == "close" else [3]))


def test_overrun_changes_nothing() -> None:
    state = InstanceState(StopRule(passes=1, budget=100))
    state.observe(2, True)
    state.observe(3, True)
    state.observe(99, False)
    state.observe(99, False)
    state.observe(1, False)
    state.observe(50, True)
    assert state.tally() == Tally.stopped(passes=1, trials=2)


@pytest.mark.parametrize("index", [0, -1, 1, 2, 4])
def test_index_is_observed_once(index: int) -> None:
    state = InstanceState(StopRule(passes=3, budget=9))
    for seen in (1, 2, 4):
        state.observe(seen, False)
    with pytest.raises(UsageError, match=f"index: got {index}; allowed"):
        state.observe(index, True)
    assert (state.n_committed, state.n_passes) == (2, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"budget": 0}, "budget: got 0"),
        ({"passes": 0}, "passes: got 0"),
        ({"passes": 6, "budget": 5}, "passes: got 6"),
        ({"min_samples": 0}, "min_samples: got 0"),
        ({"min_samples": 6, "budget": 5}, "min_samples: got 6"),
        ({"budget": 1e5}, "budget: got 100000.0 of type float"),
        ({"passes": True}, "passes: got True"),
        ({"min_samples": "5"}, "min_samples: got '5'"),
    ],
)
def test_rule_refuses_what_cannot_stop(values: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StopRule(**values)


class CrashingDriver(RuleBasedStateMachine):
    """A driver that flushes now and then and dies now and then; the ledger must tell the truth."""

    rule_ = StopRule(passes=2, min_samples=4, budget=24)

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.memory = MemoryLedger()
        self.sqlite = SqliteLedger(self.folder / "ledger.sqlite")
        self.state = InstanceState(self.rule_)
        self.outcomes: list[int] = []
        self.n_flushed = 0
        self.overrun = 0

    def outcome(self, index: int) -> int:
        # as a sampler that is a function of the key: drawn again, the verdict is the same
        while len(self.outcomes) < index:
            self.outcomes.append(int(random.Random(len(self.outcomes)).random() < 0.15))
        return self.outcomes[index - 1]

    @rule(ahead=st.integers(0, 9))
    def finish(self, ahead: int) -> None:
        index = self.state.n_committed + 1 + ahead
        if index > self.state.limit or self.state.is_closed:
            self.overrun += 1
        elif not self.state.is_judged(index):
            self.state.observe(index, bool(self.outcome(index)))

    @precondition(lambda self: self.state.n_committed > self.n_flushed or self.overrun)
    @rule()
    def flush(self) -> None:
        verdicts = bytes(self.outcomes[self.n_flushed : self.state.n_committed])
        fails = {"wrong": verdicts.count(0)} if 0 in verdicts else {}
        start, n = self.n_flushed + 1, len(verdicts)
        block = Block("m", "t", "i", start, verdicts, fails, n, self.overrun, self.overrun)
        self.memory.append([block])
        self.sqlite.append([block])
        self.n_flushed, self.overrun = self.state.n_committed, 0

    @rule()
    def crash(self) -> None:
        self.state = InstanceState(self.rule_)
        self.overrun = 0
        self.sqlite.close()
        self.sqlite = SqliteLedger(self.folder / "ledger.sqlite")
        self.state.observe_prefix(self.verdicts(self.sqlite))
        assert self.state.n_committed == self.n_flushed

    @invariant()
    def ledgers_agree_on_the_truth(self) -> None:
        verdicts = self.verdicts(self.memory)
        assert self.verdicts(self.sqlite) == verdicts == bytes(self.outcomes[: self.n_flushed])
        tally = self.state.tally()
        assert tally == sequential_tally(self.rule_, tuple(self.outcomes[: tally.trials]))
        overruns = [
            sum(block.overrun_samples for block in ledger.blocks())
            for ledger in (self.memory, self.sqlite)
        ]
        assert overruns[0] == overruns[1]

    @staticmethod
    def verdicts(ledger: Ledger) -> bytes:
        return b"".join(block.verdicts for block in ledger.blocks())

    def teardown(self) -> None:
        self.sqlite.close()
        shutil.rmtree(self.folder)


TestCrashingDriver = CrashingDriver.TestCase
TestCrashingDriver.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
