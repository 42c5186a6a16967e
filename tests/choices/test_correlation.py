"""Correlations against scipy's, the identities, and the public Pythia numbers."""

import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from made import make_family

from passuntil.choices.coefficients import CorrelationKind, correlate, correlation_kinds
from passuntil.choices.correlation import Correlations, correlate_with_compute
from passuntil.choices.metrics import METRICS, metric_scores
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError, UsageError

SCIPY = {
    "pearson": scipy.stats.pearsonr,
    "spearman": scipy.stats.spearmanr,
    "kendall": scipy.stats.kendalltau,
}


@pytest.mark.parametrize("kind", correlation_kinds())
def test_against_scipy_with_ties(kind: CorrelationKind) -> None:
    rng = np.random.default_rng(1)
    x = np.array([1.0, 2.0, 2.0, 3.0, 5.0, 5.0, 8.0, 9.0])
    y = np.concatenate([rng.integers(0, 4, (8, 40)), rng.normal(size=(8, 40))], axis=1)
    y[:, :3] = [0, 1, 2]  # constant columns
    values, exists = correlate(x, y, kind=kind)
    assert exists.tolist() == [np.ptp(column) > 0 for column in y.T]
    for i in np.flatnonzero(exists):
        assert values[i] == pytest.approx(SCIPY[kind](x, y[:, i]).statistic, abs=1e-13)
    assert (values[~exists] == 0).all()


@pytest.mark.parametrize("kind", correlation_kinds())
def test_column_with_its_own_x(kind: CorrelationKind) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 6, 20))
    values, _ = correlate(x, y, kind=kind)
    for i in range(20):
        assert values[i] == pytest.approx(SCIPY[kind](x[:, i], y[:, i]).statistic, abs=1e-13)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", correlation_kinds())
def test_each_metric_against_scipy(metric: str, kind: CorrelationKind) -> None:
    scores = make_family(n_models=8, n_instances=25)
    (found,) = correlate_with_compute(scores, metrics=[metric], kinds=[kind])
    y = metric_scores(scores, metric).values
    x = np.log10(scores.compute)
    for i in range(scores.n_instances):
        assert found.exists[i] == (np.ptp(y[:, i]) > 0)
        if found.exists[i]:
            expected = METRICS[metric].sign * SCIPY[kind](x, y[:, i]).statistic
            assert found.values[i] == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_identities(values: list[float]) -> None:
    """Area under the survival function = 1 + mean; Wasserstein distance to +1 = 1 - mean."""
    array = np.array(values)
    found = Correlations(METRICS["accuracy"], "pearson", array, np.ones(len(array), dtype=bool))
    edges = np.unique(np.concatenate([[-1.0], array, [1.0]]))
    area = float((found.survival(edges[:-1]) * np.diff(edges)).sum())  # constant between edges
    assert found.auc == pytest.approx(area, abs=1e-12)
    distance = scipy.stats.wasserstein_distance(array, [1.0])
    assert found.wasserstein == pytest.approx(distance, abs=1e-12)
    assert found.median == pytest.approx(float(np.median(array)), abs=1e-15)


def test_survival_is_strictly_above() -> None:
    values = np.array([-1.0, 0.0, 0.5, 0.5])
    found = Correlations(METRICS["accuracy"], "pearson", values, np.ones(4, dtype=bool))
    assert found.survival([-1.0, -0.5, 0.5, 1.0]).tolist() == [0.75, 0.75, 0.0, 0.0]


def test_constant_scores_are_counted() -> None:
    scores = make_family(slope_correct=8.0, noise=0.1)
    (found,) = correlate_with_compute(scores, metrics=["accuracy"], kinds=["pearson"])
    values = metric_scores(scores, "accuracy").values
    assert found.n_constant == int((np.ptp(values, axis=0) == 0).sum()) > 0
    alone = scores.take_instances(~found.exists)
    (none,) = correlate_with_compute(alone, metrics=["accuracy"], kinds=["pearson"])
    assert (none.mean, none.median, none.auc, none.wasserstein) == (None, None, None, None)
    with pytest.raises(EstimationError, match="all the same under every model"):
        none.survival([0.0])


def test_ranks_where_probabilities_underflow() -> None:
    """p is 0 as a float under three of four models; its ranks and shape are still there."""
    logs = np.array([-1000.0, -900.0, -800.0, -700.0])[:, None, None]
    scores = ChoiceScores.of(
        logs, models=list("abcd"), compute=[1e17, 1e18, 1e19, 1e20], correct=[0]
    )
    spearman, pearson = (
        correlate_with_compute(scores, metrics=["p_vocab"], kinds=[kind])[0]
        for kind in ("spearman", "pearson")
    )
    assert spearman.mean == pytest.approx(1)
    assert pearson.mean == pytest.approx(scipy.stats.pearsonr([1, 2, 3, 4], [0, 0, 0, 1])[0])


def test_pythia(gsm8k: ChoiceScores) -> None:
    found = {
        (c.metric.name, c.kind): c
        for c in correlate_with_compute(gsm8k, metrics=["log_p_vocab", "p_vocab"])
    }
    assert found["log_p_vocab", "pearson"].mean == pytest.approx(0.9623, abs=5e-5)
    assert found["log_p_vocab", "pearson"].median == pytest.approx(0.9638, abs=5e-5)
    assert found["p_vocab", "pearson"].mean == pytest.approx(0.4426, abs=5e-5)
    assert found["p_vocab", "pearson"].median == pytest.approx(0.4298, abs=5e-5)
    for metric in ("log_p_vocab", "p_vocab"):
        assert found[metric, "spearman"].mean == pytest.approx(0.9781, abs=5e-5)
        assert found[metric, "kendall"].mean == pytest.approx(0.9415, abs=5e-5)
    nll = -metric_scores(gsm8k, "log_p_vocab").values.mean(1)
    expected = [348.71, 245.83, 190.35, 144.54, 129.78, 118.66, 101.99, 100.17, 94.34]
    assert nll.tolist() == pytest.approx(expected, abs=5e-3)


def test_errors() -> None:
    with pytest.raises(UsageError, match=r"kind: got 'pearsons'.*Did you mean 'pearson'"):
        correlate([1, 2, 3], [[1], [2], [3]], kind="pearsons")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="got shapes"):
        correlate([1, 2, 3], [[1], [2]])
    with pytest.raises(EstimationError, match="two always"):
        correlate([1, 2], [[1], [2]])
    scores = make_family(n_models=2)
    with pytest.raises(EstimationError, match="got 2 models"):
        correlate_with_compute(scores)


def test_no_warning_where_nothing_varies() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values, exists = correlate([1, 2, 3], np.full((3, 2), np.inf))
    assert not exists.any()
    assert (values == 0).all()
