"""What a notebook hands in: wrong shapes, types and values are named; results print in a line."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from passuntil import Tally, pass_rate
from passuntil.errors import EstimationError, UsageError
from passuntil.estimator import (
    OutcomeTable,
    TallyArray,
    dataset_pass_rate,
    fit_beta_binomial,
    fit_mixing,
    measure_pu,
    pass_at_k,
    tallies_from_outcomes,
)
from passuntil.estimator.exact import ExactRate, ExactRates
from passuntil.estimator.intervals import LARGEST_KEYED
from passuntil.stopping import StopRule

RULE = StopRule(passes=1, budget=10)
ONE = Tally.fixed(passes=1, trials=4)

COUNTS = {
    "passes: got 1.5 at position 1; .* counts, not rates": [1, 1.5],
    "passes: got nan at position 1; .* leave out what was not sampled": [1.0, np.nan],
    "passes: got None at position 0; .* leave out": [None, 1],
    "passes: got '1' at position 0": ["1", "2"],
    "passes: got True at position 0; .*astype\\(int\\).*tallies_from_outcomes": [True, False],
    "these are whole, so convert them": [1.0, 2.0],
    "tally 1: passes: got -1 with trials=9": [1, -1],
    "tally 0: passes: got 10 with trials=9; .* 0 ... 9": [10, 1],
    "shapes passes \\(2, 2\\); .* of each row, that is of each model": [[1, 2], [3, 4]],
    "rows of unlike length; .* tallies_from_outcomes": [[1], [1, 2]],
    "masked values": np.ma.array([1, 2], mask=[False, True]),
    "up to 2\\*\\*53": [2**63],
    "got 18446744073709551616; allowed: up to 2\\*\\*53": [2**64],
    "got a dict_values; .* write list\\(x\\)": {"a": 1}.values(),
    "got a dict; .* write list\\(x.values\\(\\)\\)": {"a": 1},
    "got a set; .* write list": {1, 2},
}


@pytest.mark.parametrize(("words", "passes"), COUNTS.items(), ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda passes: TallyArray.fixed(passes=passes, trials=9),
        lambda passes: TallyArray.from_rule(StopRule.fixed(9), passes=passes, trials=9),
    ],
    ids=["fixed", "from_rule"],
)
def test_counts_are_never_guessed(
    make: Callable[[object], TallyArray], words: str, passes: object
) -> None:
    with pytest.raises(UsageError, match=words):
        make(passes)


def test_columns_of_unlike_length_are_named() -> None:
    words = r"passes \(3,\), trials \(2,\); .*one length"
    with pytest.raises(UsageError, match=words):
        TallyArray.fixed(passes=[1, 2, 3], trials=[5, 6])
    with pytest.raises(UsageError, match=words):
        TallyArray.from_rule(RULE, passes=[1, 1, 1], trials=[3, 2])
    assert list(TallyArray.from_rule(RULE, passes=1, trials=[3, 2])) == [
        Tally.stopped(passes=1, trials=3),
        Tally.stopped(passes=1, trials=2),
    ]


def test_no_samples_have_a_tally_of_their_own() -> None:
    with pytest.raises(UsageError, match=re.escape("tally 1: trials: got 0") + ".*Tally.open"):
        TallyArray.fixed(passes=[1, 0], trials=[5, 0])
    with pytest.raises(UsageError, match=r"Tally\.open"):
        tallies_from_outcomes([[0, 1], []])


@pytest.mark.parametrize("call", [pass_rate, dataset_pass_rate, measure_pu, fit_mixing])
@pytest.mark.parametrize("given", [5, [ONE, (1, 4)], np.zeros((2, 3)), [1, 2]], ids=str)
def test_what_is_no_tally_is_told_how_to_become_one(
    call: Callable[[object], object], given: object
) -> None:
    with pytest.raises(UsageError, match=r"TallyArray.fixed.*tallies_from_outcomes"):
        call(given)


def test_a_single_tally_is_no_dataset() -> None:
    with pytest.raises(UsageError, match="into a list"):
        dataset_pass_rate(ONE)  # type: ignore[arg-type]


OUTCOMES = {
    "row 0: got shape \\(\\).* put a single instance into a list": [0, 1, 0],
    "row 0: got shape \\(2, 2\\).* one model at a time": np.zeros((2, 2, 2)),
    "row 1: got 2 at position 1": [[0, 1], [0, 2]],
    "row 0: got nan at position 1; .*rows may differ in length": [[0, np.nan]],
    "row 0: got None": [[None, 1]],
    "row 0: got 'a'": [["a", "b"]],
    "a mapping": {"HumanEval/0": [0, 1]},
    "outcomes: got 3": 3,
}


@pytest.mark.parametrize(("words", "outcomes"), OUTCOMES.items(), ids=str)
def test_outcomes_that_are_none(words: str, outcomes: object) -> None:
    with pytest.raises(UsageError, match=words):
        tallies_from_outcomes(outcomes)  # type: ignore[arg-type]


class Frame:
    """Iterates over its columns' names, as data frames do, and is an array of its rows."""

    def __iter__(self) -> Iterator[str]:
        return iter(["first", "second"])

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.array([[0, 1, 1], [1, 1, 1]])


def test_a_data_frame_is_read_by_rows() -> None:
    assert list(tallies_from_outcomes(Frame())) == [  # type: ignore[arg-type]
        Tally.fixed(passes=2, trials=3),
        Tally.fixed(passes=3, trials=3),
    ]


def test_rules_that_replay_nothing() -> None:
    with pytest.raises(UsageError, match="rule: got 2; allowed: a StopRule"):
        tallies_from_outcomes([[0, 1]], 2)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"TallyArray\.steered"):
        tallies_from_outcomes([[0, 1]], StopRule.steered(min_samples=1, budget=9))
    short = tallies_from_outcomes([[0, 1]], StopRule.fixed(3))
    assert short[0] == Tally.open(passes=1, trials=2)


@pytest.mark.parametrize("k", [0, 1.5, np.nan, np.inf, [1, 0], [1, np.inf], "2", -3], ids=str)
@pytest.mark.parametrize("method", ["mixing", "beta_binomial", "fixed_n"])
def test_k_is_a_number_of_samples(k: object, method: str) -> None:
    with pytest.raises(UsageError, match=r"k: got .* whole numbers >= 1"):
        pass_at_k([ONE, ONE], k, method=method)  # type: ignore[arg-type]


def test_no_tallies_have_no_pass_at_k() -> None:
    with pytest.raises(EstimationError, match="got no tallies"):
        pass_at_k([], 1, method="fixed_n")


@pytest.mark.parametrize(
    "level", ["0.9", b"0.9", None, np.nan, True, [0.9], np.array([0.9]), np.array("0.9"), 10**400]
)
def test_levels_that_are_no_numbers(level: object) -> None:
    with pytest.raises(UsageError, match="confidence_level: got"):
        pass_rate(ONE).confidence_interval(level)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="prior: got 1"):
        pass_rate(ONE).confidence_interval(method="bayes", prior=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [np.array(0.9), Decimal("0.9"), np.float32(0.9), Fraction(9, 10)])
def test_one_number_has_many_types(level: object) -> None:
    for rate in (pass_rate(ONE), pass_rate([ONE, ONE]), dataset_pass_rate([ONE, ONE])):
        found = rate.confidence_interval(level)  # type: ignore[arg-type, attr-defined]
        assert type(found.confidence_level) is float
        wanted = rate.confidence_interval(float(level))  # type: ignore[arg-type, attr-defined]
        assert repr(found) == repr(wanted)


def test_counts_may_come_as_objects_and_one_by_one_only_in_a_list() -> None:
    column = np.array([3, np.int64(0)], dtype=object)
    assert list(TallyArray.fixed(passes=column, trials=5)) == [
        Tally.fixed(passes=3, trials=5),
        Tally.fixed(passes=0, trials=5),
    ]
    with pytest.raises(UsageError, match=r"got a generator; .* write list\(x\)"):
        TallyArray.fixed(passes=(c for c in (1, 2)), trials=9)  # type: ignore[arg-type]


def test_sums_of_large_counts_do_not_wrap_around() -> None:
    n = 2**53
    many = TallyArray.fixed(passes=[n // 2] * 2048, trials=n)
    assert repr(many).endswith(f"{n * 1024} passes in {n * 2048} samples>")
    sure = dataset_pass_rate(TallyArray.fixed(passes=[n] * 2048, trials=n))
    assert sure.effective_counts() == (float(n * 2048), float(n * 2048))
    with pytest.raises(UsageError, match=r"up to 2\*\*53"):
        TallyArray.from_tallies([Tally.fixed(passes=1, trials=2**70)])


@pytest.mark.parametrize("as_rows", [False, True])
def test_masked_outcomes_were_not_judged(as_rows: bool) -> None:
    table = np.ma.array([[0, 1], [1, 1]], mask=[[False, False], [False, True]])
    with pytest.raises(UsageError, match=r"masked values.*leave out samples that were not judged"):
        tallies_from_outcomes([table[0], table[1]] if as_rows else table)
    assert list(tallies_from_outcomes(table[:1])) == [Tally.fixed(passes=1, trials=2)]


@pytest.mark.parametrize("passed", [0.9, None, "1", np.nan, [1], 2])
def test_scores_are_no_outcomes(passed: object) -> None:
    with pytest.raises(UsageError, match=r"outcome of 'a': got .*; allowed: 0/1"):
        OutcomeTable.of([("a", passed)])  # type: ignore[list-item]
    assert OutcomeTable.of([("a", 1), ("a", np.False_)]).outcomes == ((1, 0),)  # type: ignore[list-item]


def test_fits_take_lists() -> None:
    assert fit_mixing([ONE, ONE]).mean == fit_mixing(TallyArray.fixed(passes=[1, 1], trials=4)).mean
    assert fit_beta_binomial([ONE]).mean == pytest.approx(0.25, abs=0.01)


def test_selection_is_that_of_a_sequence() -> None:
    tallies = TallyArray.fixed(passes=[1, 2, 3], trials=9)
    assert list(tallies[1:]) == [tallies[1], tallies[-1]]
    assert isinstance(tallies[:0], TallyArray)
    assert tallies[np.int64(1)] == tallies[np.array(1)] == tallies[1]


@pytest.mark.parametrize(
    ("which", "left"),
    [
        ([0, 2], [0, 2]),
        (np.array([2, 0]), [2, 0]),
        ([True, False, True], [0, 2]),
        (np.array([False, True, False]), [1]),
        (np.array([1]), [1]),
        ([], []),
        (np.zeros(3, bool), []),
    ],
)
def test_masks_and_positions_select(which: object, left: list[int]) -> None:
    tallies = TallyArray.fixed(passes=[1, 2, 3], trials=9)
    assert list(tallies[which]) == list(tallies.take(which)) == [tallies[i] for i in left]  # type: ignore[index, arg-type, call-overload]


def test_what_selects_nothing_is_named() -> None:
    tallies = TallyArray.fixed(passes=[1, 2, 3], trials=9)
    for odd in ([[0, 1]], [0.5], ["a"]):
        with pytest.raises(UsageError, match="in place of positions; allowed: a mask"):
            tallies[odd]  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="in place of positions"):
        tallies.take(1)  # type: ignore[arg-type]
    for off in (3, [3], [True, False]):
        with pytest.raises(IndexError):
            tallies[off]  # type: ignore[call-overload]


def test_counts_too_large_for_one_key() -> None:
    """Clopper-Pearson of half of 1e10 is the normal interval to six digits."""
    n = 10**10
    assert n > LARGEST_KEYED
    both = TallyArray.fixed(passes=[n // 2, 1], trials=[n, 10])
    interval = pass_rate(both).confidence_interval()
    half = 1.959963985 * 0.5 / np.sqrt(n)
    assert interval.high[0] - 0.5 == pytest.approx(half, rel=1e-4)
    assert (
        interval.high[1] == pass_rate(Tally.fixed(passes=1, trials=10)).confidence_interval().high
    )


MANY = TallyArray.fixed(passes=np.arange(1000), trials=1000)
REPRS = {
    "1000 fixed; 499500 passes in 1000000 samples": MANY,
    "1000: 1000 fixed": pass_rate(MANY),
    "PU 0.4995 over 1000 instances, mean of unbiased": dataset_pass_rate(MANY),
    "<1000 intervals, low in .*exact at 0.9>": pass_rate(MANY).confidence_interval(0.9),
    "mean 0.4995, weight on": fit_mixing(MANY),
    "1000 instances: 500 passes in 1000 samples": OutcomeTable.of(
        (str(i), i % 2 == 0) for i in range(1000)
    ),
    "300 instances: PU 0.25": ExactRates([ExactRate(0.25, 0.0)] * 300),
    "<TallyArray of 0; 0 passes in 0 samples>": TallyArray.fixed(passes=[], trials=5),
}


@pytest.mark.parametrize(("words", "shown"), REPRS.items(), ids=str)
def test_results_print_in_a_line(words: str, shown: object) -> None:
    assert re.search(words, repr(shown))
    assert len(repr(shown)) < 200
    assert "\n" not in repr(shown)


def test_an_interval_of_one_shows_its_ends() -> None:
    interval = pass_rate(ONE).confidence_interval()
    assert eval(repr(interval), {"Interval": type(interval)}) == interval
