"""Held-out forecasts of the links of the chain."""

import numpy as np
import pytest
import scipy.stats
from made import make_family

from passuntil.choices.by_choice import forecast_choices
from passuntil.choices.held_out import extrapolate
from passuntil.choices.metrics import METRICS, metric_scores
from passuntil.choices.scales import fit_line, from_scale, means_on_scale
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError, UsageError


def test_line_against_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.normal(size=6)), rng.normal(size=(6, 4))
    line = fit_line(x, y, 3.0)
    for i in range(4):
        fit = scipy.stats.linregress(x, y[:, i])
        assert line.value[i] == pytest.approx(fit.intercept + 3 * fit.slope)
        mean_sd = np.sqrt(
            fit.intercept_stderr**2 + 9 * fit.stderr**2 - 6 * x.mean() * fit.stderr**2
        )
        s2 = ((y[:, i] - fit.intercept - fit.slope * x) ** 2).sum() / 4
        assert line.sd[i] == pytest.approx(np.sqrt(mean_sd**2 + s2))


@pytest.mark.parametrize("k", [3, 6])
def test_interval_covers_a_new_observation(k: int) -> None:
    """Exact for normal scatter: 90 % of 4000 new observations, within the binomial band."""
    rng = np.random.default_rng(k)
    x = np.arange(k + 1.0)
    y = 2 - 0.3 * x[:, None] + rng.normal(0, 0.2, (k + 1, 4000))
    line = fit_line(x[:k], y[:k], x[k])
    half = scipy.stats.t.ppf(0.95, line.df) * line.sd
    hits = int((np.abs(y[k] - line.value) <= half).sum())
    low, high = scipy.stats.binom.ppf([1e-4, 1 - 1e-4], 4000, 0.9)
    assert low <= hits <= high
    narrow = int((np.abs(y[k] - line.value) <= 0.6 * half).sum())
    assert narrow < low  # the gate would notice


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", ["natural", "linear"])
def test_scales_are_inverted(metric: str, scale: str) -> None:
    found = metric_scores(make_family(n_models=4), metric)
    counts = np.ones((1, found.values.shape[1]))
    on_scale = means_on_scale(found, counts, scale)  # type: ignore[arg-type]
    back = from_scale(metric, on_scale[0], scale)  # type: ignore[arg-type]
    finite = np.isfinite(on_scale[0])
    assert finite.sum() >= 2
    assert back[finite] == pytest.approx(found.values.mean(1)[finite], rel=1e-9)


def test_means_that_underflow() -> None:
    logs = np.array([-1000.0, -900.0])[:, None, None] * np.ones((1, 3, 1))
    scores = ChoiceScores.of(logs, models=["a", "b"], compute=[1e18, 1e19], correct=[0] * 3)
    on_scale = means_on_scale(metric_scores(scores, "p_vocab"), np.ones((1, 3)), "natural")
    assert np.exp(on_scale[0]) == pytest.approx([1000, 900])


def test_exact_law_is_forecast_exactly() -> None:
    """A power law of the loss, and the task scaling law of p_vocab: no error on their scales."""
    compute = np.geomspace(1e18, 1e22, 7)
    loss = 30 * (compute / 1e18) ** -0.1
    scores = ChoiceScores.of(
        -loss[:, None, None] * np.ones((1, 5, 1)),
        models=[f"m{i}" for i in range(7)],
        compute=compute,
        correct=[0] * 5,
    )
    found = extrapolate(scores, metrics=["log_p_vocab", "p_vocab"], held_out=3)
    assert [(row.model, row.n_fitted) for row in found.rows[:3]] == [
        ("m4", 4),
        ("m5", 4),
        ("m6", 4),
    ]
    for row in found.rows:
        assert row.value == pytest.approx(row.measured, rel=1e-9)
    rolling = extrapolate(scores, metrics=["log_p_vocab"], design="rolling")
    assert [(row.n_fitted, row.model) for row in rolling.rows] == [
        (k, f"m{k}") for k in range(3, 7)
    ]


def test_by_hand_on_the_linear_scale() -> None:
    """0, 1, 2 on a line, then 4: forecast 3, last value 2, range 2."""
    values = np.array([-9.0, -8.0, -7.0, -5.0])[:, None, None]
    scores = ChoiceScores.of(
        values, models=list("abcd"), compute=[1e18, 1e19, 1e20, 1e21], correct=[0]
    )
    found = extrapolate(scores, metrics=["log_p_vocab"], scale="linear")
    (row,) = found.rows
    assert row.value == pytest.approx(-6)
    assert (row.measured, row.last_value) == (-5, -7)
    assert row.scaled_error == pytest.approx(0.5)
    assert row.is_covered is False  # no scatter, no width
    assert found.links[0].skill == pytest.approx(1 - 1 / 4)
    assert "0 of 1 inside" in found.words


def test_models_in_any_order() -> None:
    scores = make_family()
    shuffled = scores.take_models([3, 0, 6, 2, 5, 1, 4])
    assert extrapolate(shuffled).rows == extrapolate(scores).rows


def test_errors_are_compared_together() -> None:
    """Log p scales, accuracy is noise: the ratio says so with an interval above 1."""
    scores = make_family(n_models=8, n_instances=150, noise=0.4, slope_incorrect=0.9)
    found = extrapolate(scores, design="rolling")
    assert found.best is not None
    assert found.best.metric == "log_p_vocab"
    accuracy = next(link for link in found.links if link.metric == "accuracy")
    assert accuracy.times_best_low is not None
    assert accuracy.times_best_low > 1
    assert found.best.times_best == pytest.approx(1)


def test_no_forecast_from_two_sizes() -> None:
    with pytest.raises(EstimationError, match="3 amounts or more below"):
        extrapolate(make_family(n_models=5), held_out=3)
    twice = make_family(n_models=4)
    same = ChoiceScores.of(
        twice.log_likelihood[:, :, :2],
        models=twice.models,
        compute=[1e18, 1e18, 1e19, 1e20],
        correct=[0] * twice.n_instances,
    )
    with pytest.raises(EstimationError, match="3 amounts of compute"):
        extrapolate(same)
    with pytest.raises(EstimationError, match="3 amounts or more"):
        forecast_choices(make_family(n_models=3))


def test_undefined_is_a_reason() -> None:
    scores = make_family(slope_correct=0.0, slope_incorrect=-8.0, n_choices=(2, 2))
    found = extrapolate(scores, metrics=["accuracy"])
    assert found.rows[0].value is None
    assert found.best is None
    assert "a mean of 0 or 1" in found.words


def test_unknown_options() -> None:
    with pytest.raises(UsageError, match="Did you mean 'rolling'"):
        extrapolate(make_family(), design="roling")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="held_out: got 0"):
        extrapolate(make_family(), held_out=0)


def test_draws_have_the_interval_of_the_line() -> None:
    """One sample: the predictive distribution of its log p is the t of the line."""
    scores = make_family(n_models=6, n_instances=1, seed=4)
    found = forecast_choices(scores, metrics=["log_p_vocab"], n_draws=40_000)
    x, y = np.log10(scores.compute), metric_scores(scores, "log_p_vocab").values
    line = fit_line(x[:5], y[:5], x[5])
    half = float(scipy.stats.t.ppf(0.95, 3) * line.sd[0])
    (mean,) = found.means
    assert mean.low == pytest.approx(line.value[0] - half, abs=0.05 * half)
    assert mean.high == pytest.approx(min(line.value[0] + half, 0.0), abs=0.05 * half)
    assert mean.value == pytest.approx(min(line.value[0], 0.0), abs=0.05 * half)


def two_sided(noise_correct: float, noise_incorrect: float) -> ChoiceScores:
    rng = np.random.default_rng(5)
    x = np.arange(7.0)
    noise = rng.normal(size=(7, 80, 3)) * np.array(
        [noise_correct, noise_incorrect, noise_incorrect]
    )
    logs = -9 + noise + x[:, None, None] * np.array([0.5, 0.4, 0.4])
    return ChoiceScores.of(
        np.minimum(logs, -1e-6),
        models=[f"m{i}" for i in range(7)],
        compute=10 ** (18 + x),
        correct=[0] * 80,
    )


def test_whose_unpredictability_costs() -> None:
    incorrect = forecast_choices(two_sided(0.05, 1.0))
    assert incorrect.words.endswith(
        "The incorrect choices cost the forecast more than the correct one."
    )
    correct = forecast_choices(two_sided(1.0, 0.05))
    assert correct.words.endswith(
        "The correct choice costs the forecast more than the incorrect ones."
    )
    even = forecast_choices(two_sided(0.0, 0.0))
    assert even.words.endswith("Neither side can be told to cost more.")
    assert [side.p_choices_error.value for side in even.sides] == pytest.approx([0, 0, 0], abs=1e-9)
