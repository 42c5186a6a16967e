"""An estimate of PU, the mean pass rate of a dataset's instances, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from passuntil.estimator.arrays import TallyArray
from passuntil.estimator.hyper import MeanPosterior
from passuntil.estimator.intervals import Interval
from passuntil.estimator.uncertainty import IntervalOf, MeanUncertainty

__all__ = ["DatasetPassRate"]

LABELS = {
    "unbiased": "mean of unbiased estimates",
    "hierarchical": "hierarchical estimate (posterior mean over mixing distributions)",
    "mixing": "non-parametric maximum likelihood over the mixing distribution",
    "mle": "mean of maximum likelihood estimates (the paper's)",
}


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
    def _uncertainty(self) -> MeanUncertainty:
        return MeanUncertainty(self.tallies, self.value, self.method, self.posterior)

    @property
    def sampling_sd(self) -> float:
        """Standard error over repeated sampling of these instances."""
        return self._uncertainty.sampling_sd

    @property
    def instance_sd(self) -> float | None:
        """Standard error from drawing these instances from a population; None for one instance."""
        return self._uncertainty.instance_sd

    def effective_counts(self, of: IntervalOf = "sampling") -> tuple[float, float]:
        """Return passes and trials of a binomial with this estimate and variance.

        Zero variance (nothing but sure fails and passes seen) takes the number of trials.
        """
        return self._uncertainty.effective_counts(of)

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
        return self._uncertainty.interval(confidence_level, of)
