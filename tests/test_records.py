from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from passuntil.errors import UsageError
from passuntil.records import Completion, FinishReason, Outcome, SampleKey, Tally, Verdict

GOLDEN_SEEDS = {
    # a changed value would make every stored run impossible to replay
    (0, SampleKey("m", "t", "i", 1)): 2398661032429092240,
    (0, SampleKey("m", "t", "i", 2)): 3823827976985373754,
    (1, SampleKey("m", "t", "i", 1)): 2930405116411354825,
    (2**63, SampleKey("pico-1", "HumanEval", "HumanEval/0", 100_000)): 1639890191830126361,
    (0, SampleKey("modèle", "tâche", "☃", 7)): 7161944895738574618,
}


@pytest.mark.parametrize(("address", "seed"), GOLDEN_SEEDS.items())
def test_seed_is_stable(address: tuple[int, SampleKey], seed: int) -> None:
    run_seed, key = address
    assert key.seed(run_seed) == seed


def test_seed_differs_in_every_field() -> None:
    key = SampleKey("ab", "c", "d", 12)
    others = [
        key.seed(0),
        key.seed(1),
        dataclasses.replace(key, model="ac").seed(0),
        dataclasses.replace(key, task="d").seed(0),
        dataclasses.replace(key, instance="e").seed(0),
        dataclasses.replace(key, index=13).seed(0),
        SampleKey("a", "bc", "d", 12).seed(0),  # the same letters, parted elsewhere
        SampleKey("ab", "cd", "", 12).seed(0),
        SampleKey("ab", "c", "d1", 2).seed(0),
    ]
    assert len(set(others)) == len(others)


names = st.text(max_size=6)
keys = st.builds(SampleKey, names, names, names, st.integers(1, 10**6))


@given(st.integers(0, 2**64), keys, keys)
def test_seed_is_63_bit_and_injective(run_seed: int, one: SampleKey, other: SampleKey) -> None:
    assert 0 <= one.seed(run_seed) < 2**63
    assert (one.seed(run_seed) == other.seed(run_seed)) == (one == other)


def test_seed_bits_are_fair() -> None:
    n, bits = 20_000, 63
    seeds = np.array([SampleKey("m", "t", "i", i).seed(0) for i in range(1, n + 1)])
    assert len(np.unique(seeds)) == n
    ones = np.array([np.count_nonzero(seeds >> bit & 1) for bit in range(bits)])
    # two-sided binomial test of each bit, familywise 1e-6 over 63 bits
    low, high = binom.interval(1 - 1e-6 / bits, n, 0.5)
    assert np.all((low <= ones) & (ones <= high))


def test_completion_counts_tokens() -> None:
    completion = Completion(SampleKey("m", "t", "i", 1), "ab", (5, 6, 0), FinishReason.END)
    assert completion.n_tokens == 3


def test_verdict_names_what_was_seen() -> None:
    assert Verdict.passed() == Verdict(is_pass=True, reason="pass")
    assert Verdict.failed("timeout") == Verdict(is_pass=False, reason="timeout")
    for reason in ("", "pass"):
        with pytest.raises(UsageError, match="fail reason: got"):
            Verdict.failed(reason)


@pytest.mark.parametrize(
    ("tally", "text"),
    [
        (Tally.stopped(passes=1, trials=37), "Tally.stopped(passes=1, trials=37)"),
        (
            Tally.stopped(passes=2, trials=37, min_samples=20),
            "Tally.stopped(passes=2, trials=37, min_samples=20)",
        ),
        (Tally.censored(passes=0, trials=9), "Tally.censored(passes=0, trials=9)"),
        (
            Tally.floor_reached(passes=3, trials=20),
            "Tally.floor_reached(passes=3, trials=20, min_samples=20)",
        ),
        (Tally.fixed(passes=0, trials=5), "Tally.fixed(passes=0, trials=5)"),
        (Tally.open(passes=0, trials=0), "Tally.open(passes=0, trials=0)"),
    ],
)
def test_tally_says_what_was_seen(tally: Tally, text: str) -> None:
    assert repr(tally) == text
    fields = dict(tally.to_json())
    assert Tally(Outcome(fields.pop("outcome")), **fields) == tally


def test_tally_takes_numpy_counts() -> None:
    tally = Tally.fixed(passes=np.int64(3), trials=np.int32(5))
    assert tally == Tally.fixed(passes=3, trials=5)
    assert type(tally.passes) is int


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tally.stopped(passes=0, trials=3), "passes: got 0"),
        (lambda: Tally.stopped(passes=4, trials=3), "passes: got 4"),
        (lambda: Tally.stopped(passes=1, trials=3, min_samples=3), "trials: got 3"),
        (lambda: Tally.censored(passes=0, trials=0), "trials: got 0"),
        (lambda: Tally.censored(passes=-1, trials=3), "passes: got -1"),
        (lambda: Tally.floor_reached(passes=0, trials=3), "passes: got 0"),
        (lambda: Tally.fixed(passes=1.0, trials=3), "passes: got 1.0"),
        (lambda: Tally.fixed(passes=True, trials=3), "passes: got True"),
        (lambda: Tally.fixed(passes=np.array([1]), trials=3), "passes: got array"),
        (lambda: Tally.fixed(passes=np.array(1.0), trials=3), "passes: got array"),
        (lambda: Tally.fixed(passes=np.True_, trials=3), "passes: got np.True_"),
        (lambda: Tally.fixed(passes=1, trials=float("nan")), "trials: got nan"),
        (lambda: Tally.censored(passes=0, trials=3, min_samples=0), "min_samples: got 0"),
    ],
)
def test_tally_refuses_what_cannot_be_seen(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]
