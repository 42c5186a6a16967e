"""The pass rate of a dataset: PU, the mean over instances of p.

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262 (PU; mean of maximum likelihood estimates).
.. [2] Girshick, Mosteller & Savage 1946, Ann. Math. Stat. 17 (unbiased).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from passuntil.errors import EstimationError, UsageError, nearest
from passuntil.estimator.arrays import TallyArray, as_tally_array
from passuntil.estimator.dataset_rate import DatasetPassRate
from passuntil.estimator.exact import ExactRates
from passuntil.estimator.hyper import mean_posterior
from passuntil.estimator.intervals import check_level
from passuntil.estimator.mixing import fit_mixing
from passuntil.estimator.points import unbiased_parts
from passuntil.estimator.uncertainty import zero_limit
from passuntil.records import Outcome, Tally

__all__ = [
    "PU",
    "DatasetMethod",
    "DatasetPassRate",
    "dataset_pass_rate",
    "measure_pu",
    "zero_limit",
]

DatasetMethod = Literal["auto", "unbiased", "hierarchical", "mixing", "mle"]

BIAS_CAUTION = (
    "biased upwards: the mean of r/K overstates a dataset 2 to 5 times where r = 1 (r/(r-1) times "
    "for hard instances where r >= 2); use the unbiased or hierarchical estimate"
)
NO_FLOOR_CAUTION = (
    "first-pass tallies without a floor hardly measure easy instances, which dominate the mean: "
    "expect a wide interval; set min_samples (100 costs next to nothing)"
)


def dataset_pass_rate(
    tallies: TallyArray | Iterable[Tally], *, method: DatasetMethod = "auto"
) -> DatasetPassRate:
    """Return PU, the mean pass rate of a dataset's instances.

    Parameters
    ----------
    tallies : TallyArray or iterable of Tally
        One per instance, under one model.
    method : {"auto", "unbiased", "hierarchical", "mixing", "mle"}
        "unbiased": mean of unbiased estimates [2]_. "hierarchical": posterior mean under smooth
        mixing distributions, the least noisy where tallies are first passes. "mixing":
        non-parametric maximum likelihood. "mle": mean of c/n, the paper's [1]_, biased upwards
        for stopped tallies. "auto": unbiased where every tally has an unbiased estimate,
        otherwise hierarchical.

    Returns
    -------
    DatasetPassRate

    Raises
    ------
    EstimationError
        Nothing passed (`partial` is the exact one-sided 95 % upper limit), no samples, or
        "unbiased" where it does not exist.
    UsageError
        An unknown method.

    Notes
    -----
    PU = mean over instances of p [1]_. "mle": mean of c/n. "unbiased": mean of (r - 1)/(K - 1)
    where sampling stopped at K beyond the floor, of c/n elsewhere [2]_. "mixing": the mean of the
    distribution G that maximises sum_i log integral of p^c_i (1 - p)^(n_i - c_i) dG(p).
    "hierarchical": the mean of E[p_i | c_i, n_i] over smooth G, weighted by their evidence.
    Intervals for sampling noise: a binomial with the same estimate and variance, where the
    estimate is unbiased; otherwise quantiles of the posterior of the mean, and for tallies that
    stopped without a floor the hull with those under a looser G.

    References
    ----------
    .. [1] Hu et al. 2023, arXiv 2310.03262, section 4.
    .. [2] Girshick, Mosteller & Savage 1946, Ann. Math. Stat. 17.

    Examples
    --------
    >>> tallies = [Tally.floor_reached(passes=c, trials=100) for c in (3, 1, 20)]
    >>> tallies += [Tally.stopped(passes=1, trials=2310, min_samples=100)]
    >>> rate = dataset_pass_rate(tallies)
    >>> round(rate.value, 6), rate.method
    (0.06, 'unbiased')
    >>> interval = rate.confidence_interval(0.9)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0436, 0.0806)

    Where nothing passed there is a limit and no number:

    >>> try:
    ...     dataset_pass_rate(TallyArray.censored(passes=[0] * 20, trials=10_000))
    ... except EstimationError as error:
    ...     print(f"PU is below {error.partial:.2g}")
    PU is below 1.5e-05
    """
    array = as_tally_array(tallies)
    if method not in get_args(DatasetMethod):
        raise UsageError(
            f"method: got {method!r}; allowed: {', '.join(get_args(DatasetMethod))}."
            + nearest(str(method), get_args(DatasetMethod))
        )
    if not len(array) or not array.trials.any():
        raise EstimationError("PU: got no samples; allowed: at least one sampled instance.")
    if not array.passes.any():
        limit = zero_limit(array, 0.95)
        n_samples = array.trials.sum(dtype=float)
        raise EstimationError(
            f"PU: got no passes in {n_samples:.0f} samples; allowed: at least one; "
            f"PU is below {limit:.3g} at 95 %, the `partial` of this error.",
            partial=limit,
        )
    values, _, exists = unbiased_parts(array)
    chosen = method
    if method == "auto":
        chosen = "unbiased" if exists.all() and values.any() else "hierarchical"
    return _estimate(array, chosen)


def _estimate(array: TallyArray, method: str) -> DatasetPassRate:
    is_first = array.is_outcome(Outcome.STOPPED) & (array.passes == 1) & (array.min_samples == 1)
    caution = NO_FLOOR_CAUTION if is_first.any() else None
    if method == "unbiased":
        values, _, exists = unbiased_parts(array)
        if not exists.all():
            raise EstimationError(
                f"unbiased PU: got {int((~exists).sum())} of {len(array)} tallies without an "
                "unbiased estimate (first passes without a floor, or open); allowed: passes >= 2 "
                "or a floor; use method='hierarchical' or 'mixing'.",
                partial=exists,
            )
        return DatasetPassRate(array, method, float(values.mean()), caution)
    if method == "hierarchical":
        posterior = mean_posterior(array)
        return DatasetPassRate(array, method, posterior.mean, caution, posterior)
    if method == "mixing":
        return DatasetPassRate(array, method, fit_mixing(array).mean, caution)
    sampled = array.take(array.trials > 0)
    mean = float((sampled.passes / sampled.trials).mean())
    is_biased = array.is_outcome(Outcome.STOPPED).any()
    return DatasetPassRate(array, method, mean, BIAS_CAUTION if is_biased else None)


@dataclass(frozen=True, slots=True)
class PU:
    """PU of a dataset, ready for a table.

    Attributes
    ----------
    value : float or None
        The estimate; None where nothing passed, and `high` is all there is to say.
    low, high : float
        Interval for these instances (sampling noise); `high` is one-sided where value is None.
    confidence_level : float
        Of the interval.
    label : str
        The estimator in words.
    caution : str or None
        What a reader has to know before using it.
    mle_mean : float
        The paper's mean of c/n, for comparison.

    Examples
    --------
    >>> pu = measure_pu(TallyArray.fixed(passes=[3, 0, 12, 40], trials=200), confidence_level=0.9)
    >>> print(f"{pu.value:.4f} [{pu.low:.4f}, {pu.high:.4f}], {pu.label}")
    0.0688 [0.0558, 0.0838], mean of unbiased estimates
    """

    value: float | None
    low: float
    high: float
    confidence_level: float
    label: str
    caution: str | None
    mle_mean: float

    def to_json(self) -> dict[str, float | str | None]:
        """Return plain values.

        Examples
        --------
        >>> measure_pu(TallyArray.fixed(passes=[5, 5], trials=10)).to_json()["value"]
        0.5
        """
        return {name: getattr(self, name) for name in self.__slots__}


def measure_pu(
    tallies: TallyArray | Iterable[Tally] | ExactRates,
    *,
    confidence_level: float = 0.95,
    method: DatasetMethod = "auto",
) -> PU:
    """Return PU with interval, label and caution; an upper limit where nothing passed.

    Parameters
    ----------
    tallies, method
        As in `dataset_pass_rate`; or exact rates, whose interval holds what was not summed, at
        every level.
    confidence_level : float
        Between 0 and 1.

    Returns
    -------
    PU
        Its `value` is None where nothing passed, and `high` is the exact one-sided limit.

    Raises
    ------
    EstimationError
        No samples, or a method that these tallies do not allow.
    UsageError
        An unknown method, or a level outside (0, 1).

    Notes
    -----
    The value and interval are those of `dataset_pass_rate`. Where nothing passed, `high` is the
    largest mean p with prod (1 - p_i)^n_i >= 1 - level.

    Examples
    --------
    >>> measure_pu([Tally.censored(passes=0, trials=1000)] * 10).value is None
    True
    >>> nothing = measure_pu(TallyArray.censored(passes=[0] * 20, trials=10_000))
    >>> print(f"below {nothing.high:.2g}: {nothing.caution}")
    below 1.5e-05: nothing passed
    """
    level = check_level(confidence_level)
    if isinstance(tallies, ExactRates):
        return _exact_pu(tallies, level)
    array = as_tally_array(tallies)
    if len(array) and array.trials.any() and not array.passes.any():
        limit = zero_limit(array, level)
        return PU(None, 0.0, limit, level, "one-sided upper limit", "nothing passed", 0.0)
    rate = dataset_pass_rate(array, method=method)
    interval = rate.confidence_interval(level)
    sampled = array.take(array.trials > 0)
    mean = float((sampled.passes / sampled.trials).mean())
    return PU(rate.value, interval.low, interval.high, level, rate.label, rate.caution, mean)


def _exact_pu(rates: ExactRates, level: float) -> PU:
    upper = min(1.0, rates.mean + rates.mean_unsummed)
    caution = None
    if rates.mean_unsummed > 0.01 * rates.mean:
        caution = (
            "over 1 % of what may pass was not summed (too many segmentations of the answers); the "
            "true PU lies in the interval"
        )
    label = "exact (summed probabilities of all passing token sequences)"
    value = rates.mean or None  # no sequence that passes has a probability above 0
    return PU(value, rates.mean, upper, level, label, caution, rates.mean)
