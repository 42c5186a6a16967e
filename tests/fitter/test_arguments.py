"""What is handed to fits, forecasts and plans: odd things are named, and said how to mend."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from passuntil import Tally, fit_scaling_law
from passuntil.errors import UsageError
from passuntil.estimator import TallyArray
from passuntil.estimator.exact import ExactRate, ExactRates
from passuntil.fitter import as_family, backtest, emergence, plan

SIZES = [36e6, 109e6, 241e6, 499e6]
TALLIES = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262)]
FAMILY = as_family(SIZES, TALLIES)
LINE = fit_scaling_law(n_params=SIZES, tallies=TALLIES)


def fit(**changed: Any) -> Any:
    return fit_scaling_law(**{"n_params": SIZES, "tallies": TALLIES} | changed)


ODD: dict[str, Callable[[], object]] = {
    "n_params: got '7B'; .* write 7e9 for 7B": lambda: plan(FAMILY, "7B"),
    r"n_params: got \[1000000000.0\]; allowed: a number": lambda: plan(FAMILY, [1e9]),
    "n_params: got True": lambda: plan(FAMILY, True),
    "new_sizes: got 2000000000.0; allowed: a sequence": lambda: plan(FAMILY, 1e9, new_sizes=2e9),
    "new_sizes: got '2B'; allowed: a sequence": lambda: plan(FAMILY, 1e9, new_sizes="2B"),
    "new_sizes: got '2B'; allowed: a number": lambda: plan(FAMILY, 1e9, new_sizes=["2B"]),
    "samples_per_second: got 'a'": lambda: plan(FAMILY, 1e9, samples_per_second="a"),
    "samples_per_second: got 0; ": lambda: plan(FAMILY, 1e9, samples_per_second=0),
    "guess_rate: got '0.25'; .* write 0.25": lambda: fit(guess_rate="0.25"),
    "guess_rate: got '0.1'": lambda: fit(guess_rate="0.1", method="ols"),
    "guess_rate: got '0.2'": lambda: backtest(
        n_params=SIZES, tallies=TALLIES, methods=["mle"], guess_rate="0.2"
    ),
    "guess_rate: got None": lambda: fit(guess_rate=None),
    "guess_rate: got 1;": lambda: fit(guess_rate=1),
    "tallies: got None; allowed: a list with": lambda: fit(tallies=None),
    "n_params: got None; allowed: numbers": lambda: fit(n_params=None),
    r"n_params: got a generator; .* write list\(x\)": lambda: fit(n_params=(s for s in SIZES)),
    r"n_params: got a dict_keys; .* list\(x\)": lambda: fit(n_params=dict.fromkeys(SIZES).keys()),
    "n_params: got masked_array": lambda: fit(n_params=np.ma.array(SIZES, mask=[1, 0, 0, 0])),
    "n_tokens: got .*'1B'.* write 20e9 for 20B": lambda: fit(method="joint", n_tokens=["1B"] * 4),
    "losses: got 'x'; allowed: numbers": lambda: fit(method="loss_assisted", losses="x"),
    "losses: got 'y'": lambda: backtest(
        n_params=SIZES, tallies=TALLIES, methods=["loss_assisted"], losses="y"
    ),
    "truth: got 'z'": lambda: backtest(n_params=SIZES, tallies=TALLIES, methods=["mle"], truth="z"),
    "methods: got None": lambda: backtest(n_params=SIZES, tallies=TALLIES, methods=None),
    "max_steps: got 1.5": lambda: backtest(n_params=SIZES, tallies=TALLIES, max_steps=1.5),
    "n_params: got '7b'; .* write 7e9": lambda: LINE.predict("7b"),
    "n_params: got True; .* positive": lambda: LINE.predict(True),
    r"n_params: got 10{400}; .*": lambda: LINE.predict(10**400),
    r"n_params: got \[2.0\]": lambda: LINE.predict([2.0]),
    "n_params: got array": lambda: LINE.predict(np.array([2e9])),
    "confidence_level: got '0.9'": lambda: LINE.predict(1e9, "0.9"),
}


@pytest.mark.parametrize(("words", "call"), ODD.items(), ids=range(len(ODD)))
def test_odd_arguments_are_named(words: str, call: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match=words):
        call()


def test_tokens_of_a_forecast_are_one_number() -> None:
    joint = fit(method="joint", n_tokens=[20 * s for s in SIZES])
    for odd in ("1T", [1e12], -1, True):
        with pytest.raises(UsageError, match=r"n_tokens: got .*; write 20e9 for 20B"):
            joint.predict(1e9, n_tokens=odd)
    same = joint.predict(1e9, n_tokens=np.array(1e12))
    assert same.to_json() == joint.predict(1e9, n_tokens=1e12).to_json()


@pytest.mark.parametrize("kind", [np.array, Decimal, np.float32, int])
def test_one_number_may_be_of_any_type(kind: Callable[[Any], Any]) -> None:
    size = kind(2e9)
    assert LINE.predict(size).to_json() == LINE.predict(2e9).to_json()
    assert LINE.predict(1e9, Decimal("0.5")).to_json() == LINE.predict(1e9, 0.5).to_json()
    same = plan(FAMILY, size, new_sizes=(s for s in [size]), samples_per_second=size)
    assert same == plan(FAMILY, 2e9, new_sizes=[2e9], samples_per_second=2e9)
    rate = fit(guess_rate=np.array(0.001)).predict(1e9)
    assert rate.to_json() == fit(guess_rate=0.001).predict(1e9).to_json()


def test_a_generator_of_methods_is_not_used_up() -> None:
    named = backtest(n_params=SIZES, tallies=TALLIES, methods=["mle", "damped"])
    drawn = backtest(n_params=SIZES, tallies=TALLIES, methods=(m for m in ("mle", "damped")))
    assert drawn.to_json() == named.to_json()
    assert {row.method for row in drawn.rows} > {"mle", "damped"}


def test_the_pool_says_why_it_has_no_laws_of_instances() -> None:
    unlike = [TallyArray.fixed(passes=[c] * (4 + i), trials=999) for i, c in enumerate((9, 20, 40))]
    pool = fit(n_params=SIZES[:3], tallies=unlike, method="combined")
    assert "instance" not in pool.parts
    words = "models with 4 to 6 instances; allowed: the same instances"
    assert words in pool.left_out
    assert words in pool.predict(1e9).words
    assert "Tally.open(passes=0, trials=0)" in pool.left_out
    alone = fit(n_params=SIZES[:3], tallies=TALLIES[:3], method="combined")
    assert alone.left_out == ""


def test_a_guess_rate_beside_exact_rates_is_for_laws_of_the_dataset() -> None:
    exact = [ExactRates([ExactRate(p, 0.0), ExactRate(p / 2, 0.0)]) for p in (0.3, 0.4, 0.5)]
    pool = fit(n_params=SIZES[:3], tallies=exact, method="combined", guess_rate=0.1)
    assert "the instances' laws take one of both" in pool.left_out
    assert fit(n_params=SIZES[:3], tallies=exact, guess_rate=0.1).guess_rate == 0.1


def test_emergence_takes_sizes_in_words() -> None:
    with pytest.raises(UsageError, match="write 7e9 for 7B"):
        emergence(n_params=["7B"] * 4, tallies=TALLIES)  # type: ignore[list-item]
