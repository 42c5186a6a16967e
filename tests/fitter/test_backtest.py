"""Backtest, sealing and scoring, emergence."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from simulated_families import SIZES, fixed_tallies, hazards

from passuntil import Tally, fit_scaling_law
from passuntil.errors import UsageError
from passuntil.estimator import TallyArray
from passuntil.fitter import (
    SealedForecast,
    backtest,
    emergence,
    score,
    seal,
)

RNG = np.random.default_rng(5)
F = hazards(RNG, SIZES, 60)
TALLIES = fixed_tallies(RNG, F, 2000)


def reference(name: str) -> Path:
    folder = os.environ.get("PASSUNTIL_REFERENCE_DATA")
    root = Path(folder) if folder else Path(__file__).parents[2].parent / "shared" / "data"
    if not (root / name).exists():
        pytest.skip(f"public data {name} not here; see PASSUNTIL_REFERENCE_DATA")
    return root / name


def test_backtest_rows_and_summary() -> None:
    result = backtest(n_params=SIZES, tallies=TALLIES, methods=["mle", "damped"])
    names = {s.method for s in result.summary()}
    assert names == {"mle", "damped", "last value", "dataset OLS", "instance OLS"}
    rows = [r for r in result.rows if r.method == "mle"]
    assert [(r.n_train, r.steps) for r in rows] == [(3, 1), (3, 2), (4, 1), (4, 2), (5, 1)]
    for row in rows:
        assert row.is_covered == (row.low <= row.measured <= row.high)
        assert row.log_error == pytest.approx(np.log(row.value / row.measured))
        if row.is_covered:
            assert row.interval_score == pytest.approx(np.log(row.high / row.low))
        else:
            assert row.interval_score > np.log(row.high / row.low)
    json.dumps(result.to_json())


def test_backtest_skips_what_cannot_be_forecast() -> None:
    tallies = [list(t) for t in TALLIES]
    tallies[0] = [Tally.censored(passes=0, trials=100)] * 60
    result = backtest(n_params=SIZES, tallies=tallies, methods=["mle"])
    assert any(method == "dataset OLS" and "PU" in why for method, _, why in result.skipped)
    assert any(r.method == "mle" for r in result.rows)
    with pytest.raises(UsageError, match="four or more"):
        backtest(n_params=SIZES[:3], tallies=TALLIES[:3])
    with pytest.raises(UsageError, match="methods"):
        backtest(n_params=SIZES, tallies=TALLIES, methods=["nonsense"])


def test_seal_survives_json_and_shows_tampering() -> None:
    fit = fit_scaling_law(n_params=SIZES[:5], tallies=TALLIES[:5])
    sealed = seal(fit, SIZES[5], task="demo")
    plain = json.loads(json.dumps(sealed.to_json()))
    assert SealedForecast.from_json(plain) == sealed
    assert plain["tallies_sha256"] == fit.digest
    plain["value"] *= 1.01
    with pytest.raises(UsageError, match="unchanged"):
        SealedForecast.from_json(plain)
    with pytest.raises(UsageError, match="format"):
        SealedForecast.from_json({"value": 1})


def test_score_grades_the_forecast() -> None:
    fit = fit_scaling_law(n_params=SIZES[:5], tallies=TALLIES[:5])
    sealed = seal(fit, SIZES[5])
    good = score(sealed, TALLIES[5])
    assert good.is_covered
    assert 0.02 < good.chance_below < 0.98
    wrong = score(sealed, TallyArray.fixed(passes=[1600] * 60, trials=2000))
    assert not wrong.is_covered
    assert wrong.chance_below > 0.99
    assert wrong.log_error < -0.5
    assert wrong.interval_score > good.interval_score
    nothing = score(sealed, TallyArray.censored(passes=[0] * 60, trials=2000))
    assert nothing.log_error is None
    assert not nothing.is_covered
    for result in (good, wrong, nothing):
        json.dumps(result.to_json())
    ols = seal(fit_scaling_law(n_params=SIZES[:5], tallies=TALLIES[:5], method="ols"), SIZES[5])
    assert score(ols, TALLIES[5]).chance_below is None


def test_emergence_needs_sizes() -> None:
    result = emergence(n_params=SIZES[:4], tallies=TALLIES[:4])
    assert result.verdict == "not enough data"
    assert "4 sizes" in result.words


@pytest.mark.parametrize(
    ("bend", "verdict"), [(0.0, "linear"), (-0.5, "accelerated"), (0.45, "sub-scaling")]
)
def test_emergence_verdicts(bend: float, verdict: str) -> None:
    rng = np.random.default_rng(8)
    sizes = np.exp(np.linspace(np.log(36e6), np.log(2449e6), 8))
    tallies = fixed_tallies(rng, hazards(rng, sizes, 60, bend=bend), 2000)
    result = emergence(n_params=sizes, tallies=tallies)
    assert result.verdict == verdict
    assert result.bend == pytest.approx(bend, abs=0.1)
    assert result.low < result.bend < result.high
    assert len(result.shapes) == 4
    json.dumps(result.to_json())


@pytest.mark.slow
def test_backtest_on_public_outcomes() -> None:
    """Targets: coverage 0.8 or more; combined below every baseline; flagged where it bends."""
    data = np.load(reference("pythia_math_outcomes.npz"))
    names = ["70M", "160M", "410M", "1B", "2.8B", "6.9B", "12B"]
    sizes = [18915328, 85056000, 302311424, 805736448, 2517652480, 6444163072, 11327027200]
    outcomes = [data[f"Pythia_{name}"] for name in names]
    tallies = [TallyArray.fixed(passes=o.sum(1), trials=10_000) for o in outcomes]
    result = backtest(n_params=sizes, tallies=tallies, methods=["combined"])
    lines = {s.method: s for s in result.summary()}
    mine = lines.pop("combined")
    assert mine.coverage >= 0.8
    assert mine.mean_abs_log_error < min(s.mean_abs_log_error for s in lines.values())
    assert mine.mean_interval_score < min(s.mean_interval_score for s in lines.values())
    flagged = [r.is_flagged for r in result.rows if r.method == "combined" and r.n_train == 5]
    assert all(flagged)
