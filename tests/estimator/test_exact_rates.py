"""Exact rates stand where tallies stand, without counts."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from passuntil.errors import UsageError
from passuntil.estimator import measure_pu
from passuntil.estimator.exact import ExactRate, ExactRates


def test_pu_is_the_mean_with_what_was_not_summed_as_interval() -> None:
    rates = ExactRates([ExactRate(0.2, 0.0), ExactRate(0.4, 0.001)])
    for level in (0.5, 0.95, 0.999):  # no sampling noise: the same at every level
        pu = measure_pu(rates, confidence_level=level)
        assert (pu.value, pu.low) == (pytest.approx(0.3), pytest.approx(0.3))
        assert pu.high == pytest.approx(0.3005)
    assert pu.label.startswith("exact")
    assert pu.caution is None


def test_much_unsummed_mass_is_said() -> None:
    pu = measure_pu(ExactRates([ExactRate(0.2, 0.1)]))
    assert pu.high == pytest.approx(0.3)
    assert pu.caution is not None


def test_a_sum_of_zero_is_no_estimate_but_a_limit() -> None:
    pu = measure_pu(ExactRates([ExactRate(0.0, 0.02), ExactRate(0.0, 0.0)]))
    assert (pu.value, pu.low, pu.high) == (None, 0.0, 0.01)


def test_no_rates_are_refused() -> None:
    with pytest.raises(UsageError, match="got none"):
        ExactRates([])


def test_what_are_no_rates_is_named() -> None:
    with pytest.raises(UsageError, match=r"got 0\.1 at position 0; allowed: ExactRate; write"):
        ExactRates([0.1, 0.2])  # type: ignore[list-item]
    for odd in ("0.1", None, True, [0.1]):
        with pytest.raises(UsageError, match=r"got value .*allowed: one number"):
            ExactRate(odd, 0.0)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"got unsummed .*allowed: one number"):
            ExactRate(0.1, odd)  # type: ignore[arg-type]
    assert ExactRate(Decimal("0.25"), np.array(0.0)).to_json() == {"value": 0.25, "unsummed": 0.0}  # type: ignore[arg-type]
