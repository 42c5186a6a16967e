"""Readers, pass@k, Beta-binomial."""

import json
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from passuntil import Tally, pass_rate
from passuntil.errors import EstimationError, UsageError
from passuntil.estimator import (
    TallyArray,
    fit_beta_binomial,
    pass_at_k,
    read_evalplus,
    read_human_eval,
    read_lm_eval,
    tallies_from_outcomes,
)
from passuntil.stopping import InstanceState, StopRule


@pytest.mark.parametrize(
    "rule", [StopRule(passes=r, min_samples=m, budget=40) for r in (1, 3) for m in (1, 10)]
)
def test_replay_agrees_with_the_state_machine(rule: StopRule) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.random(int(n)) < p for n in (0, 7, 25, 60) for p in (0.0, 0.05, 0.5, 1.0)]
    for row, tally in zip(rows, tallies_from_outcomes(rows, rule), strict=True):
        state = InstanceState(rule)
        for verdict in row:
            if state.is_closed:
                break
            state.observe(state.n_committed + 1, bool(verdict))
        assert tally == state.tally()


def test_outcomes_must_be_zero_or_one() -> None:
    with pytest.raises(UsageError, match="row 1"):
        tallies_from_outcomes([[0, 1], [0, 2]])


def test_human_eval_file(tmp_path: Path) -> None:
    file = tmp_path / "samples_results.jsonl"
    rows = [("HumanEval/0", False), ("HumanEval/1", True), ("HumanEval/0", True)]
    file.write_text(
        "\n".join(json.dumps({"task_id": t, "completion": "x", "passed": p}) for t, p in rows)
    )
    table = read_human_eval(file)
    assert table.instances == ("HumanEval/0", "HumanEval/1")
    assert list(table.tallies()) == [
        Tally.fixed(passes=1, trials=2),
        Tally.fixed(passes=1, trials=1),
    ]
    assert table.tallies(StopRule(budget=10))[0] == Tally.stopped(passes=1, trials=2)
    file.write_text('{"task_id": "a", "pased": true}')
    with pytest.raises(UsageError, match=r"line 1.*Did you mean 'pased'"):
        read_human_eval(file)
    file.write_text('{"task_id": ')
    with pytest.raises(UsageError, match="line 1: got broken JSON"):
        read_human_eval(file)


def test_evalplus_file(tmp_path: Path) -> None:
    file = tmp_path / "eval_results.json"
    sample = {"base_status": "pass", "plus_status": "fail"}
    good = {"base_status": "pass", "plus_status": "pass"}
    file.write_text(json.dumps({"eval": {"HumanEval/0": [sample, good, sample]}}))
    assert read_evalplus(file).outcomes == ((0, 1, 0),)
    assert read_evalplus(file, tests="base").outcomes == ((1, 1, 1),)
    file.write_text("[]")
    with pytest.raises(UsageError, match="eval"):
        read_evalplus(file)


def test_lm_eval_file(tmp_path: Path) -> None:
    file = tmp_path / "samples_gsm8k.jsonl"
    rows = [
        {"doc_id": d, "filter": f, "exact_match": v}
        for d, f, v in [(0, "strict", 0.0), (0, "flexible", 1.0), (1, "strict", 1.0)]
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UsageError, match="filter_name"):
        read_lm_eval(file)
    assert read_lm_eval(file, filter_name="strict").outcomes == ((0,), (1,))
    with pytest.raises(UsageError, match="acc"):
        read_lm_eval(file, metric="acc", filter_name="strict")


def test_fixed_n_pass_at_k_is_unbiased_by_enumeration() -> None:
    tallies = TallyArray.fixed(passes=[2, 0, 7], trials=[7, 7, 7])
    for k in (1, 3, 7):
        exact = []
        for c in (2, 0, 7):
            draws = list(combinations([1] * c + [0] * (7 - c), k))
            exact.append(np.mean([any(d) for d in draws]))
        assert pass_at_k(tallies, k, method="fixed_n") == pytest.approx(np.mean(exact))


def test_fixed_n_formula_refuses_stopped_tallies() -> None:
    with pytest.raises(EstimationError, match="by design"):
        pass_at_k([Tally.stopped(passes=1, trials=10)], 1, method="fixed_n")
    with pytest.raises(EstimationError, match="k <= n"):
        pass_at_k([Tally.fixed(passes=1, trials=10)], 11, method="fixed_n")
    with pytest.raises(UsageError, match="Did you mean 'mixing'"):
        pass_at_k([Tally.fixed(passes=1, trials=10)], 1, method="mixin")


def test_pass_at_k_from_stopped_tallies_extrapolates() -> None:
    """From first passes with a floor, pass@k of a known mixture within a computed band."""
    rng = np.random.default_rng(3)
    p = rng.beta(0.4, 6.0, 2000)
    k = np.array([1, 10, 100])
    truth = np.array([(1 - (1 - p) ** j).mean() for j in k])
    c = rng.binomial(100, p)
    wait = rng.geometric(np.maximum(p, 1e-12)) + 100
    rows = [
        Tally.floor_reached(passes=int(a), trials=100)
        if a
        else Tally.stopped(passes=1, trials=int(min(w, 10**6)), min_samples=100)
        for a, w in zip(c, wait, strict=True)
    ]
    for method in ("mixing", "beta_binomial"):
        # about 5 standard errors of a mean over 2000 instances with 100 samples each
        assert pass_at_k(rows, k, method=method) == pytest.approx(truth, rel=0.05)


def test_beta_binomial_recovers_and_fits_the_zero() -> None:
    rng = np.random.default_rng(4)
    p = np.where(rng.random(4000) < 0.3, 0.0, rng.beta(2.0, 5.0, 4000))
    fit = fit_beta_binomial(TallyArray.fixed(passes=rng.binomial(200, p), trials=200))
    # 4000 instances: standard errors about 0.008 of the share, 0.05 of a
    assert fit.zero == pytest.approx(0.3, abs=0.04)
    assert fit.a == pytest.approx(2.0, abs=0.3)
    assert fit.mean == pytest.approx(p.mean(), rel=0.02)
    with pytest.raises(EstimationError, match="no passes"):
        fit_beta_binomial(TallyArray.fixed(passes=[0], trials=10))


def test_a_million_tallies_take_less_than_a_second_of_work() -> None:
    rng = np.random.default_rng(0)
    p = 10 ** rng.uniform(-4, 0, 10**6)
    tallies = TallyArray.stopped(passes=1, trials=np.minimum(rng.geometric(p), 10**6))
    begin = time.process_time()
    rates = pass_rate(tallies)
    interval = rates.confidence_interval()
    assert ((interval.low <= rates.mle) & (rates.mle <= interval.high)).all()
    assert time.process_time() - begin < 1.0
