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

    Examples
    --------
    >>> from passuntil.estimator import dataset_pass_rate
    >>> rate = dataset_pass_rate(TallyArray.fixed(passes=[3, 0, 12, 40], trials=200))
    >>> rate
    <DatasetPassRate: PU 0.06875 over 4 instances, mean of unbiased estimates>
    >>> print(f"{rate.value:.4f} by the {rate.label}")
    0.0688 by the mean of unbiased estimates
    """

    tallies: TallyArray
    method: str
    value: float
    caution: str | None
    posterior: MeanPosterior | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        caution = f"; {self.caution}" if self.caution else ""
        n = f"{self.n_instances} instance{'s' * (self.n_instances != 1)}"
        return f"<DatasetPassRate: PU {self.value:.4g} over {n}, {self.label}{caution}>"

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
        """Standard error over repeated sampling of these instances.

        Examples
        --------
        >>> from passuntil.estimator import dataset_pass_rate
        >>> rate = dataset_pass_rate(TallyArray.fixed(passes=[3, 0, 12, 40], trials=200))
        >>> round(rate.sampling_sd, 4)
        0.0085
        """
        return self._uncertainty.sampling_sd

    @property
    def instance_sd(self) -> float | None:
        """Standard error from drawing these instances from a population; None for one instance.

        Examples
        --------
        Four problems say little of others like them, however often they are sampled:

        >>> from passuntil.estimator import dataset_pass_rate
        >>> few = dataset_pass_rate(TallyArray.fixed(passes=[3, 0, 12, 40], trials=200))
        >>> many = dataset_pass_rate(TallyArray.fixed(passes=[300, 0, 1200, 4000], trials=20_000))
        >>> round(few.instance_sd, 4), round(many.instance_sd, 4)
        (0.0448, 0.0456)
        """
        return self._uncertainty.instance_sd

    def effective_counts(self, of: IntervalOf = "sampling") -> tuple[float, float]:
        """Return passes and trials of a binomial with this estimate and variance.

        Zero variance (nothing but sure fails and passes seen) takes the number of trials.

        Parameters
        ----------
        of : {"sampling", "population"}
            Whose variance, as in `confidence_interval`.

        Returns
        -------
        passes, trials : float
            c* = n* PU with n* = PU (1 - PU) / variance [1]_.

        References
        ----------
        .. [1] Korn & Graubard 1998, Survey Methodology 24.

        Examples
        --------
        800 samples of unlike problems tell the mean as well as this many of one:

        >>> from passuntil.estimator import dataset_pass_rate
        >>> rate = dataset_pass_rate(TallyArray.fixed(passes=[3, 0, 12, 40], trials=200))
        >>> passes, trials = rate.effective_counts()
        >>> round(passes, 1), round(trials)
        (60.6, 882)
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

        Raises
        ------
        EstimationError
            "population" of one instance; `partial` is the interval for sampling.
        UsageError
            A level outside (0, 1), or an unknown `of`.

        Notes
        -----
        Of an unbiased estimate: quantiles of Beta(c* + 1/2, n* - c* + 1/2), c* and n* from
        `effective_counts` [1]_; of others, quantiles of the posterior of the mean. Intervals of
        unbiased means hold both where tallies stopped at few passes without a floor.

        References
        ----------
        .. [1] Franco et al. 2019, J. Surv. Stat. Meth. 7.

        Examples
        --------
        >>> from passuntil.estimator import dataset_pass_rate
        >>> rate = dataset_pass_rate(TallyArray.fixed(passes=[3, 0, 12, 40], trials=200))
        >>> for of in ("sampling", "population"):
        ...     interval = rate.confidence_interval(0.9, of=of)
        ...     print(f"{of}: [{interval.low:.3f}, {interval.high:.3f}]")
        sampling: [0.056, 0.084]
        population: [0.021, 0.174]
        """
        return self._uncertainty.interval(confidence_level, of)
