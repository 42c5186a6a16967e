"""PU of a dataset: estimators, intervals, limits."""

import numpy as np
import pytest

from passuntil import Tally
from passuntil.errors import EstimationError, UsageError
from passuntil.estimator import TallyArray, dataset_pass_rate, fit_mixing, measure_pu
from passuntil.estimator.hyper import loose_posterior, mean_posterior
from passuntil.estimator.uncertainty import zero_limit


def test_default_is_unbiased_where_it_exists() -> None:
    tallies = [Tally.floor_reached(passes=4, trials=100), Tally.censored(passes=0, trials=5000)]
    rate = dataset_pass_rate(tallies)
    assert (rate.method, rate.value) == ("unbiased", 0.02)
    assert rate.caution is None
    first = dataset_pass_rate([Tally.stopped(passes=1, trials=k) for k in (4, 90, 800)])
    assert first.method == "hierarchical"
    assert "min_samples" in first.caution


def test_paper_mean_is_labelled_biased() -> None:
    tallies = [Tally.stopped(passes=1, trials=k) for k in (4, 90, 800)]
    rate = dataset_pass_rate(tallies, method="mle")
    assert rate.value == pytest.approx(np.mean([1 / 4, 1 / 90, 1 / 800]))
    assert "biased" in rate.caution
    assert dataset_pass_rate([Tally.fixed(passes=1, trials=4)], method="mle").caution is None


@pytest.mark.parametrize("method", ["auto", "unbiased", "hierarchical", "mixing", "mle"])
def test_nothing_passed_is_a_limit(method: str) -> None:
    tallies = [Tally.censored(passes=0, trials=1000)] * 20
    with pytest.raises(EstimationError, match="no passes") as caught:
        dataset_pass_rate(tallies, method=method)
    assert caught.value.partial == pytest.approx(1 - 0.05 ** (1 / 20_000), rel=1e-9)
    pu = measure_pu(tallies, confidence_level=0.9)
    assert pu.value is None
    assert (pu.low, pu.high) == (0, pytest.approx(1 - 0.1 ** (1 / 20_000)))


def test_zero_limit_holds_for_unlike_trials() -> None:
    """The largest mean that leaves the zero likely enough, against a brute-force search."""
    tallies = TallyArray.censored(passes=[0, 0], trials=[10, 1000])
    share = np.linspace(0, 1, 2001)
    first = 1 - 0.05 ** (share / 10)
    second = 1 - 0.05 ** ((1 - share) / 1000)
    assert zero_limit(tallies, 0.95) == pytest.approx(((first + second) / 2).max(), rel=1e-5)


@pytest.mark.parametrize("method", ["unbiased", "hierarchical", "mixing", "mle"])
def test_intervals_hold_the_value_and_widen(method: str) -> None:
    tallies = [Tally.stopped(passes=2, trials=k) for k in (2, 5, 40, 900, 7000)]
    rate = dataset_pass_rate(tallies, method=method)
    narrow, wide = rate.confidence_interval(0.5), rate.confidence_interval(0.95)
    assert 0 <= wide.low < narrow.low <= rate.value <= narrow.high < wide.high <= 1
    population = rate.confidence_interval(0.95, of="population")
    assert population.low < rate.value < population.high
    assert rate.instance_sd > 0


def test_population_needs_two_instances() -> None:
    rate = dataset_pass_rate([Tally.fixed(passes=5, trials=10)])
    assert rate.instance_sd is None
    with pytest.raises(EstimationError, match="one instance"):
        rate.confidence_interval(of="population")


def test_bad_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'unbiased'"):
        dataset_pass_rate([Tally.fixed(passes=5, trials=10)], method="unbaised")
    with pytest.raises(EstimationError, match="no samples"):
        dataset_pass_rate([])


def test_npmle_reaches_the_optimum() -> None:
    rng = np.random.default_rng(1)
    tallies = TallyArray.fixed(passes=rng.binomial(200, rng.beta(0.3, 3, 300)), trials=200)
    mixing = fit_mixing(tallies)
    assert mixing.gap < 1e-4
    assert mixing.weights.sum() == pytest.approx(1)
    # for fixed n the NPMLE's mean is the sample mean (the score of the mean is flat there)
    assert mixing.mean == pytest.approx(tallies.passes.mean() / 200, rel=2e-3)
    k = np.array([1, 10, 200])
    assert mixing.pass_at_k(k)[0] == pytest.approx(mixing.mean)
    assert (np.diff(mixing.pass_at_k(k)) > 0).all()


def test_npmle_against_a_plain_em() -> None:
    """A second implementation: many EM steps on the same support."""
    tallies = TallyArray.stopped(passes=1, trials=[1, 3, 20, 21, 500, 4000])
    support = np.logspace(-5, 0, 60)
    mixing = fit_mixing(tallies, support=support)
    n = tallies.trials[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        like = support * np.where(n > 1, (1 - support) ** (n - 1), 1.0)
    w = np.full(60, 1 / 60)
    for _ in range(200_000):
        post = like * w
        w = (post / post.sum(1, keepdims=True)).mean(0)
    assert mixing.log_likelihood == pytest.approx(np.log(like @ w).sum(), abs=2e-3)
    assert mixing.log_likelihood >= np.log(like @ w).sum() - 1e-9


def test_intervals_without_a_floor_hold_what_a_looser_shape_says() -> None:
    rates = np.random.default_rng(6).beta(0.3, 6, 80)
    trials = np.random.default_rng(7).geometric(rates).clip(max=5000)
    bare = dataset_pass_rate(TallyArray.stopped(passes=1, trials=trials))
    interval = bare.confidence_interval(0.9)
    smooth, loose = mean_posterior(bare.tallies), loose_posterior(bare.tallies)
    assert bare.value == smooth.mean
    assert interval.low == min(smooth.quantile(0.05), loose.quantile(0.05))
    assert interval.high == max(smooth.quantile(0.95), loose.quantile(0.95))
    assert loose.mean != pytest.approx(smooth.mean, rel=1e-3)
    # a floor, or samples without a rule, leave one shape
    free = dataset_pass_rate(TallyArray.steered(passes=np.ones(80, int), trials=trials))
    assert free.confidence_interval(0.9).low == smooth.quantile(0.05)
