"""Losses, tokens and guesses beside size."""

import numpy as np
import pytest
from simulated_families import SIZES, fixed_tallies

from passuntil import Tally, fit_scaling_law
from passuntil.errors import EstimationError, UsageError
from passuntil.estimator import TallyArray

X = np.log(np.append(SIZES, SIZES[-1] * 3))
RNG = np.random.default_rng(3)
LOG_LOSS = (
    RNG.normal(2, 0.3, (80, 1))
    - 0.1 * (X - X.mean()) * RNG.normal(1, 0.1, (80, 1))
    + RNG.normal(0, 0.02, (80, 7))
)
F = RNG.normal(-2.5, 0.8, (80, 1)) + 2 * LOG_LOSS + RNG.normal(0, 0.05, (80, 7))
TRUTH = float(np.exp(-np.exp(F[:, -1])).mean())
TALLIES = fixed_tallies(RNG, F[:, :-1], 300)
LOSSES = np.exp(LOG_LOSS)


def test_loss_assisted_recovers_the_map_and_covers() -> None:
    fit = fit_scaling_law(
        n_params=SIZES, tallies=TALLIES, method="loss_assisted", losses=LOSSES[:, :6]
    )
    assert fit.slope == pytest.approx(2, abs=0.3)
    blind, told = fit.predict(SIZES[-1] * 3), fit.predict(SIZES[-1] * 3, losses=LOSSES[:, 6])
    for forecast in (blind, told):
        assert forecast.low < TRUTH < forecast.high
        assert forecast.components.total == pytest.approx(forecast.distribution.variance, rel=1e-6)
    assert told.high - told.low < blind.high - blind.low
    # losses of another model's kind are believed, and move the forecast
    worse = fit.predict(SIZES[-1] * 3, losses=2 * LOSSES[:, 6])
    assert worse.value < told.low


def test_two_models_do_not_extrapolate_losses() -> None:
    fit = fit_scaling_law(
        n_params=SIZES[:2], tallies=TALLIES[:2], method="loss_assisted", losses=LOSSES[:, :2]
    )
    with pytest.raises(EstimationError, match=r"losses: got none for .* 2 measured models"):
        fit.predict(SIZES[2])
    told = fit.predict(SIZES[2], losses=LOSSES[:, 2])
    assert told.low < told.value < told.high
    assert np.isfinite(fit.alpha)


def test_loss_assisted_order_of_models_does_not_matter() -> None:
    both = [
        fit_scaling_law(
            n_params=SIZES[:4][step],
            tallies=TALLIES[:4][step],
            method="loss_assisted",
            losses=LOSSES[:, :4][:, step],
        ).predict(2e9)
        for step in (slice(None), slice(None, None, -1))
    ]
    assert both[0].value == both[1].value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "loss_assisted"}, "losses: got none"),
        ({"method": "mle", "losses": LOSSES[:, :6]}, "losses: got a value"),
        ({"method": "loss_assisted", "losses": LOSSES[:5, :6]}, "losses: got shape"),
        ({"method": "loss_assisted", "losses": -LOSSES[:, :6]}, "not positive"),
        ({"method": "joint"}, "n_tokens: got none"),
        ({"method": "joint", "n_tokens": SIZES[:3]}, "one a model"),
        ({"method": "mle", "n_tokens": SIZES}, "n_tokens: got a value"),
    ],
)
def test_covariates_belong_to_their_method(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fit_scaling_law(n_params=SIZES, tallies=TALLIES, **options)


def test_joint_law_of_size_and_tokens() -> None:
    tokens = SIZES * 20
    tokens[::2] *= 8
    rise = 100 * SIZES**-0.22 + 60 * tokens**-0.15
    tallies = [[Tally.fixed(passes=round(1e7 * p), trials=10**7)] for p in np.exp(-rise)]
    fit = fit_scaling_law(
        n_params=SIZES[::-1], tallies=tallies[::-1], method="joint", n_tokens=tokens[::-1]
    )
    assert fit.alpha == pytest.approx(0.22, abs=0.02)
    assert fit.beta == pytest.approx(0.15, abs=0.02)
    truth = float(np.exp(-(100 * 5e9**-0.22 + 60 * 1e11**-0.15)))
    forecast = fit.predict(5e9, n_tokens=1e11)
    assert forecast.low < truth < forecast.high
    assert forecast.value == pytest.approx(truth, rel=0.02)
    assert fit.predict(5e9, n_tokens=2e10).value < forecast.value
    with pytest.raises(UsageError, match="n_tokens"):
        fit.predict(5e9, n_tokens=-1)


def test_a_guess_rate_leaves_every_law_in_the_pool() -> None:
    rates = 0.25 + 0.75 * np.exp(-30 * SIZES**-0.2)
    rng = np.random.default_rng(4)
    tallies = [TallyArray.fixed(passes=rng.binomial(9000, [p] * 30), trials=9000) for p in rates]
    pool = fit_scaling_law(n_params=SIZES, tallies=tallies, guess_rate=0.25, method="combined")
    footings = {"", "instance_"}
    shapes = {f"{f}{shape}" for f in footings for shape in ("damped", "saturating")}
    assert set(pool.parts) == shapes | {"mle", "instance"}
    assert all(part.guess_rate == 0.25 for part in pool.parts.values())
    forecast = pool.predict(1e10)
    assert forecast.low < 0.25 + 0.75 * np.exp(-30 * 1e10**-0.2) < forecast.high


def guessed(g: float, samples: int) -> list[TallyArray]:
    rates = g + (1 - g) * np.exp(-np.exp(F[:, :-1]))
    passes = np.random.default_rng(8).binomial(samples, rates)
    return [TallyArray.fixed(passes=c, trials=samples) for c in passes.T]


@pytest.mark.parametrize("method", ["instance", "loss_assisted"])
def test_instance_laws_see_through_guesses(method: str) -> None:
    losses = {"losses": LOSSES[:, :6]} if method == "loss_assisted" else {}
    plain = fit_scaling_law(n_params=SIZES, tallies=TALLIES, method=method, **losses)
    fit = fit_scaling_law(
        n_params=SIZES, tallies=guessed(0.25, 300), method=method, guess_rate=0.25, **losses
    )
    target = SIZES[-1] * 3
    forecast, unguessed = fit.predict(target), plain.predict(target)
    assert forecast.low < 0.25 + 0.75 * TRUTH < forecast.high
    assert (forecast.value - 0.25) / 0.75 == pytest.approx(unguessed.value, rel=0.08)
    # guesses only hide: the law behind them is known less well, never better
    assert fit.mixture(target).variance > plain.mixture(target).variance


def test_no_guesses_are_the_limit_of_few() -> None:
    fits = [
        fit_scaling_law(n_params=SIZES, tallies=TALLIES, method="instance", guess_rate=g)
        for g in (0.0, 1e-9)
    ]
    found = [fit.predict(SIZES[-1] * 3) for fit in fits]
    for name in ("value", "low", "high"):
        # two approximations to one integral
        assert getattr(found[1], name) == pytest.approx(getattr(found[0], name), rel=0.02)


def test_forecasts_of_instances_tell_their_variance() -> None:
    ahead = fit_scaling_law(n_params=SIZES, tallies=TALLIES, method="instance").predict_instances(
        SIZES[-1] * 3
    )
    assert ahead.extrapolation == pytest.approx(3)
    assert ((ahead.low < ahead.value) & (ahead.value < ahead.high)).all()
    assert (ahead.own_variance > 0).all()
    assert (ahead.fit_variance > 0).all()
    assert ahead.scatter_variance > 0
