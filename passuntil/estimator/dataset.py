"""The pass rate of a dataset: PU, the mean over instances of p.

References
----------
.. [1] Hu et al. 2023, arXiv 2310.03262 (PU; mean of maximum likelihood estimates).
.. [2] Girshick, Mosteller & Savage 1946, Ann. Math. Stat. 17 (unbiased).
.. [3] Korn & Graubard 1998, Survey Methodology 24; Franco et al. 2019, J. Surv. Stat. Meth. 7
   (intervals for means of proportions through an effective number of trials).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from passuntil.errors import EstimationError, UsageError, nearest
from passuntil.estimator.arrays import TallyArray, as_tally_array
from passuntil.estimator.exact import ExactRates
from passuntil.estimator.hyper import MeanPosterior, loose_posterior, mean_posterior
from passuntil.estimator.intervals import Interval, check_level
from passuntil.estimator.mixing import fit_mixing
from passuntil.estimator.rate import unbiased_parts
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
IntervalOf = Literal["sampling", "population"]

LABELS = {
    "unbiased": "mean of unbiased estimates",
    "hierarchical": "hierarchical estimate (posterior mean over mixing distributions)",
    "mixing": "non-parametric maximum likelihood over the mixing distribution",
    "mle": "mean of maximum likelihood estimates (the paper's)",
}
BIAS_CAUTION = (
    "biased upwards: the mean of r/K overstates a dataset 2 to 5 times where r = 1 (r/(r-1) times "
    "for hard instances where r >= 2); use the unbiased or hierarchical estimate"
)
NO_FLOOR_CAUTION = (
    "first-pass tallies without a floor hardly measure easy instances, which dominate the mean: "
    "expect a wide interval; set min_samples (100 costs next to nothing)"
)
STEADY_PASSES = 5
"""Unbiased rates stopped at fewer passes without a floor have variances that the few largest rule
(relative sd 2.4 to 3.2 at 2, 0.58 at 5): an interval from those alone is often too short, 0.81 to
0.90 instead of 0.90 on seven replayed models (benchmarks/replay_dataset.py)."""


def zero_limit(tallies: TallyArray, confidence_level: float) -> float:
    """Return the exact one-sided upper limit of the mean pass rate where nothing passed.

    Notes
    -----
    The largest mean p with prod (1 - p_i)^n_i >= 1 - level; it has 1 - p_i = min(1, lambda n_i),
    and equals 1 - (1 - level)^(1/sum n) where all n are equal.
    """
    n = tallies.trials.astype(float)
    target = np.log(1 - confidence_level)
    if (n == 0).any():
        return 1.0  # an instance never sampled may always pass
    low, high = np.log(1e-300), -np.log(n.min())
    for _ in range(200):
        mid = (low + high) / 2
        fail = np.minimum(1.0, np.exp(mid) * n)
        low, high = (mid, high) if n @ np.log(fail) < target else (low, mid)
    return float(np.mean(1 - np.minimum(1.0, np.exp(low) * n)))


@dataclass(frozen=True)
class DatasetPassRate:
    """PU of a dataset and its uncertainty; see `dataset_pass_rate`.

    Attributes
    ----------
    tallies : TallyArray
        What was seen, shape (n_instances,).
    method : str
        "unbiased", "hierarchical", "mixing" or "mle".
    value : float
        The estimate.
    caution : str or None
        What a reader has to know before using it.
    posterior : MeanPosterior or None
        What `value` was taken from, where it came from one.
    """

    tallies: TallyArray
    method: str
    value: float
    caution: str | None
    posterior: MeanPosterior | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The method in words."""
        return LABELS[self.method]

    @property
    def n_instances(self) -> int:
        """Number of instances."""
        return len(self.tallies)

    @cached_property
    def _posterior(self) -> MeanPosterior:
        return self.posterior or mean_posterior(self.tallies)

    @cached_property
    def _posteriors(self) -> list[MeanPosterior]:
        """What intervals hold: without a floor, also what a looser shape says."""
        loose = [loose_posterior(self.tallies)] if self._is_bare.any() else []
        return [self._posterior, *loose]

    @cached_property
    def _is_bare(self) -> NDArray[np.bool_]:
        """Which tallies stopped without a floor, shape (n_instances,)."""
        stopped = self.tallies.is_outcome(Outcome.STOPPED)
        return np.asarray(stopped & (self.tallies.min_samples == 1), bool)

    def _model_interval(self, tail: float, of: IntervalOf) -> tuple[float, float]:
        quantiles = [
            post.quantile if of == "sampling" else post.population_quantile
            for post in self._posteriors
        ]
        return min(q(tail) for q in quantiles), max(q(1 - tail) for q in quantiles)

    @cached_property
    def _is_design_based(self) -> bool:
        """Whether the variance comes from unbiased parts, and not from a mixing model."""
        is_exact = bool(unbiased_parts(self.tallies)[2].all())
        return is_exact and (self.method == "unbiased" or _is_mle_unbiased(self))

    @cached_property
    def sampling_sd(self) -> float:
        """Standard error over repeated sampling of these instances."""
        if not self._is_design_based:
            return self._posterior.sd
        variance = unbiased_parts(self.tallies)[1].sum() / self.n_instances**2
        return float(np.sqrt(variance))

    @cached_property
    def instance_sd(self) -> float | None:
        """Standard error from drawing these instances from a population; None for one instance."""
        if self.n_instances == 1:
            return None
        if not self._is_design_based:
            post = self._posterior
            mean = post.weights @ post.population_means
            total = post.weights @ (post.population_means - mean) ** 2
            return float(np.sqrt(np.maximum(total - post.sd**2, 0.0)))
        values, variances, _ = unbiased_parts(self.tallies)
        between = values.var(ddof=1) - variances.mean()
        return float(np.sqrt(max(between, 0.0) / self.n_instances))

    def effective_counts(self, of: IntervalOf = "sampling") -> tuple[float, float]:
        """Return passes and trials of a binomial with this estimate and variance [3]_.

        Zero variance (nothing but sure fails and passes seen) takes the number of trials.
        """
        value = min(max(self.value, 1e-300), 1.0)
        variance = self.sampling_sd**2
        if of == "population" and self.instance_sd is not None:
            variance += self.instance_sd**2
        most = float(self.tallies.trials.sum())
        trials = value * (1 - value) / variance if variance > 0 else most
        trials = max(trials, 1.0)
        return value * trials, trials

    def confidence_interval(
        self, confidence_level: float = 0.95, *, of: IntervalOf = "sampling"
    ) -> Interval[float]:
        """Return an interval for PU.

        Parameters
        ----------
        confidence_level : float
            Between 0 and 1.
        of : {"sampling", "population"}
            "sampling": these instances, sampled again. "population": instances like these too,
            which is the wider question "how good is the model at this kind of task".

        Returns
        -------
        Interval
            Ends in [0, 1]; always holds `value`.
        """
        tail = (1 - check_level(confidence_level)) / 2
        if of not in ("sampling", "population"):
            raise UsageError(f"of: got {of!r}; allowed: 'sampling', 'population'.")
        if of == "population" and self.n_instances == 1:
            raise EstimationError(
                "population interval: got one instance; allowed: two or more; use of='sampling'.",
                partial=self.confidence_interval(confidence_level),
            )
        if self._is_design_based:
            c, n = self.effective_counts(of)
            low = float(betaincinv(c + 0.5, n - c + 0.5, tail))
            high = float(betaincinv(c + 0.5, n - c + 0.5, 1 - tail))
            name = "effective binomial (Jeffreys)"
            if (self._is_bare & (self.tallies.passes < STEADY_PASSES)).any():
                ends = self._model_interval(tail, of)
                low, high = min(low, ends[0]), max(high, ends[1])
                name = "effective binomial and hierarchical"
        else:
            low, high = self._model_interval(tail, of)
            name = "hierarchical"
        return Interval(
            min(low, self.value), max(high, self.value), confidence_level, f"{name}, {of}"
        )


def _is_mle_unbiased(rate: DatasetPassRate) -> bool:
    stopped = rate.tallies.is_outcome(Outcome.STOPPED).any()
    return rate.method == "mle" and not stopped


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
        raise EstimationError(
            f"PU: got no passes in {int(array.trials.sum())} samples; allowed: at least one; "
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
    """

    value: float | None
    low: float
    high: float
    confidence_level: float
    label: str
    caution: str | None
    mle_mean: float

    def to_json(self) -> dict[str, float | str | None]:
        """Return plain values."""
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

    Examples
    --------
    >>> measure_pu([Tally.censored(passes=0, trials=1000)] * 10).value is None
    True
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
