"""What a notebook meets: inputs of the wrong kind are named, and results print in a line."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from passuntil import Tally, fit_scaling_law
from passuntil.errors import EstimationError, UsageError
from passuntil.estimator import TallyArray
from passuntil.fitter import as_family, backtest, fit_line, plan, score, seal

SIZES = np.array([36e6, 109e6, 241e6, 499e6, 892e6])
ONE = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
RATES = np.exp(-np.exp(np.log(200) + np.linspace(-1, 1, 40) - 0.2 * np.log(SIZES)[:, None]))
MANY = [TallyArray.fixed(passes=row, trials=2000) for row in np.rint(2000 * RATES).astype(int)]
LOSSES = np.outer(np.linspace(1, 2, 40), SIZES**-0.1)


@pytest.mark.parametrize("size", ["7B", None, [1e9], np.array([1e9]), -1, np.nan], ids=str)
def test_a_size_is_one_positive_number(size: object) -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=ONE)
    with pytest.raises(UsageError, match=r"n_params: got .* 7e9 for 7B.* one size at a time"):
        fit.predict(size)  # type: ignore[arg-type]


FAMILIES: dict[str, tuple[object, object]] = {
    "n_params: got .*36M.* write 7e9": (["36M", "109M"], ONE[:2]),
    "n_params: got shape \\(5, 1\\)": (SIZES[:, None], ONE),
    "tallies: got 5 models for 4": (SIZES[:4], ONE),
    "tallies: got Tally; .* into a list": (SIZES, [model[0] for model in ONE]),
    "tallies: got int64 at position 0; .* TallyArray.fixed": (SIZES, np.ones((5, 3), int)),
}


@pytest.mark.parametrize(("words", "given"), FAMILIES.items(), ids=str)
def test_families_that_are_none(words: str, given: tuple[object, object]) -> None:
    with pytest.raises(UsageError, match=words):
        as_family(*given)  # type: ignore[arg-type]


CALLS: dict[str, Callable[[], object]] = {
    r"methods: got 'mle'; .* write \['mle'\]": lambda: backtest(
        n_params=SIZES, tallies=ONE, methods="mle"
    ),
    "max_steps: got 0": lambda: backtest(n_params=SIZES, tallies=ONE, max_steps=0),
    r"truth: got shape \(1,\); allowed: \(5,\)": lambda: backtest(
        n_params=SIZES, tallies=ONE, truth=[0.1]
    ),
    r"family: got LawFit; .* fit\.family": lambda: plan(
        fit_scaling_law(n_params=SIZES, tallies=ONE),  # type: ignore[arg-type]
        1e9,
    ),
}


@pytest.mark.parametrize(("words", "call"), CALLS.items(), ids=str)
def test_arguments_of_the_wrong_kind(words: str, call: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match=words):
        call()


def test_a_line_through_a_missing_value_is_none() -> None:
    with pytest.raises(EstimationError, match="nan"):
        fit_line([1e7, 1e8, 1e9], [0.1, np.nan, 0.3])


METHODS = ("mle", "ols", "saturating", "damped", "instance", "combined", "joint", "loss_assisted")


@pytest.mark.parametrize("method", METHODS)
def test_fits_print_in_a_line(method: str) -> None:
    fit = fit_scaling_law(
        n_params=SIZES,
        tallies=MANY,
        method=method,
        n_tokens=20 * SIZES if method == "joint" else None,
        losses=LOSSES if method == "loss_assisted" else None,
    )
    shown = repr(fit)
    assert re.search(rf"Fit '{method}' of 5 models, 3.6e\+07 to 8.92e\+08: alpha 0\.\d", shown)
    assert "\n" not in shown
    assert "array(" not in repr(fit.predict(1e9))


def test_results_print_in_a_line() -> None:
    fit = fit_scaling_law(n_params=SIZES, tallies=MANY, method="instance")
    mixture = fit.predict(1e9).distribution
    result = backtest(n_params=SIZES, tallies=ONE, methods=["mle"], max_steps=1)
    sealed = seal(fit, 1.5e9)
    for shown, words in (
        (fit.predict_instances(1e9), "40 instances at 1.12 times the largest size"),  # type: ignore[attr-defined]
        (mixture, "<HazardMixture of 256: F "),
        (result, "8 forecasts by mle, last value"),
        (sealed, "n_params=1500000000.0"),
        (score(sealed, MANY[-1]), "is_covered="),
        (plan(as_family(SIZES, ONE), 1e9), "n_params=1000000000.0"),
    ):
        assert words in repr(shown)
        assert "array(" not in repr(shown)
        assert len(repr(shown)) < 1000
