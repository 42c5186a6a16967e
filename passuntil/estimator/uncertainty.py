"""How far a dataset's mean pass rate may be off: standard errors, intervals, an upper limit.

References
----------
.. [1] Korn & Graubard 1998, Survey Methodology 24; Franco et al. 2019, J. Surv. Stat. Meth. 7
   (intervals for means of proportions through an effective number of trials).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from passuntil.errors import EstimationError, UsageError
from passuntil.estimator.arrays import TallyArray
from passuntil.estimator.hyper import MeanPosterior, loose_posterior, mean_posterior
from passuntil.estimator.intervals import Interval, check_level
from passuntil.estimator.points import unbiased_parts
from passuntil.records import Outcome

__all__ = ["IntervalOf", "MeanUncertainty", "zero_limit"]

IntervalOf = Literal["sampling", "population"]
STEADY_PASSES = 5
"""Unbiased rates stopped at fewer passes without a floor have variances that the few largest rule
(relative sd 2.4 to 3.2 at 2, 0.58 at 5): an interval from those alone is often too short, 0.81 to
0.90 instead of 0.90 on seven replayed models (benchmarks/replay_dataset.py)."""


@dataclass(frozen=True, eq=False)
class MeanUncertainty:
    """The uncertainty of an estimate of PU.

    The variance comes from unbiased parts where the estimate is unbiased, and from a mixing model
    elsewhere.

    Attributes
    ----------
    tallies : TallyArray
        What was seen, shape (n_instances,).
    value : float
        The estimate of PU.
    method : str
        How it was made, as in `dataset_pass_rate`.
    posterior : MeanPosterior or None
        What `value` was taken from, where it came from one.

    Examples
    --------
    >>> tallies = TallyArray.fixed(passes=[3, 0], trials=200)
    >>> spread = MeanUncertainty(tallies, 0.0075, "unbiased", None)
    >>> round(spread.sampling_sd, 4)
    0.0043
    """

    tallies: TallyArray
    value: float
    method: str
    posterior: MeanPosterior | None

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

    @cached_property
    def _is_design_based(self) -> bool:
        """Whether the variance comes from unbiased parts, and not from a mixing model."""
        is_exact = bool(unbiased_parts(self.tallies)[2].all())
        has_stopped = self.tallies.is_outcome(Outcome.STOPPED).any()
        is_mean = self.method == "unbiased" or (self.method == "mle" and not has_stopped)
        return is_exact and is_mean

    @cached_property
    def sampling_sd(self) -> float:
        """Standard error over repeated sampling of these instances."""
        if not self._is_design_based:
            return self._posterior.sd
        variance = unbiased_parts(self.tallies)[1].sum() / len(self.tallies) ** 2
        return float(np.sqrt(variance))

    @cached_property
    def instance_sd(self) -> float | None:
        """Standard error from drawing these instances from a population; None for one instance."""
        if len(self.tallies) == 1:
            return None
        if not self._is_design_based:
            post = self._posterior
            mean = post.weights @ post.population_means
            total = post.weights @ (post.population_means - mean) ** 2
            return float(np.sqrt(np.maximum(total - post.sd**2, 0.0)))
        values, variances, _ = unbiased_parts(self.tallies)
        between = values.var(ddof=1) - variances.mean()
        return float(np.sqrt(max(between, 0.0) / len(self.tallies)))

    def effective_counts(self, of: IntervalOf) -> tuple[float, float]:
        """Return passes and trials of a binomial with this estimate and variance [1]_.

        Zero variance (nothing but sure fails and passes seen) takes the number of trials.
        """
        value = min(max(self.value, 1e-300), 1.0)
        variance = self.sampling_sd**2
        if of == "population" and self.instance_sd is not None:
            variance += self.instance_sd**2
        most = float(self.tallies.trials.sum(dtype=float))
        trials = value * (1 - value) / variance if variance > 0 else most
        trials = max(trials, 1.0)
        return value * trials, trials

    def interval(self, confidence_level: float, of: IntervalOf) -> Interval[float]:
        """Return the interval; see `DatasetPassRate.confidence_interval`."""
        level = check_level(confidence_level)
        tail = (1 - level) / 2
        if of not in ("sampling", "population"):
            raise UsageError(f"of: got {of!r}; allowed: 'sampling', 'population'.")
        if of == "population" and len(self.tallies) == 1:
            raise EstimationError(
                "population interval: got one instance; allowed: two or more; use of='sampling'.",
                partial=self.interval(confidence_level, "sampling"),
            )
        if self._is_design_based:
            c, n = self.effective_counts(of)
            low = float(betaincinv(c + 0.5, n - c + 0.5, tail))
            high = float(betaincinv(c + 0.5, n - c + 0.5, 1 - tail))
            name = "effective binomial (Jeffreys)"
            if (self._is_bare & (self.tallies.passes < STEADY_PASSES)).any():
                ends = self._model_ends(tail, of)
                low, high = min(low, ends[0]), max(high, ends[1])
                name = "effective binomial and hierarchical"
        else:
            low, high = self._model_ends(tail, of)
            name = "hierarchical"
        return Interval(min(low, self.value), max(high, self.value), level, f"{name}, {of}")

    def _model_ends(self, tail: float, of: IntervalOf) -> tuple[float, float]:
        quantiles = [
            post.quantile if of == "sampling" else post.population_quantile
            for post in self._posteriors
        ]
        return min(q(tail) for q in quantiles), max(q(1 - tail) for q in quantiles)


def zero_limit(tallies: TallyArray, confidence_level: float) -> float:
    """Return the exact one-sided upper limit of the mean pass rate where nothing passed.

    Parameters
    ----------
    tallies : TallyArray
        Shape (n_instances,), no passes among them.
    confidence_level : float
        Between 0 and 1.

    Returns
    -------
    float
        1 where an instance was never sampled: it may always pass.

    Notes
    -----
    The largest mean p with prod (1 - p_i)^n_i >= 1 - level; it has 1 - p_i = min(1, lambda n_i),
    and equals 1 - (1 - level)^(1/sum n) where all n are equal.

    Examples
    --------
    The limit of ten instances of 1,000 samples is that of one of 10,000, the rule of three:

    >>> limit = zero_limit(TallyArray.censored(passes=[0] * 10, trials=1000), 0.95)
    >>> round(limit * 10_000, 2)
    3.0
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
