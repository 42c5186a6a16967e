"""How a score of each instance goes with training compute over the models of a family.

References
----------
.. [1] Schaeffer et al. 2024, arXiv 2406.04391, section 4 and figure 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.choices.coefficients import MIN_MODELS, CorrelationKind, correlate
from passuntil.choices.metrics import CHAIN, Metric, MetricScores, chosen_metrics
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError

__all__ = ["Correlations", "correlate_scores", "correlate_with_compute", "log10_compute"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Correlations:
    """Correlation of one score with log10 compute, per instance.

    Attributes
    ----------
    metric : Metric
        Of which score. Where less is better (Brier) its negative was taken, so that 1 always
        means "better with compute".
    kind : str
        "pearson", "spearman" or "kendall".
    values : ndarray of float, shape (n_instances,)
        Correlations in [-1, 1]; 0 where there is none.
    exists : ndarray of bool, shape (n_instances,)
        False where the score is the same under every model, so that nothing correlates.

    Examples
    --------
    >>> from passuntil.choices import METRICS
    >>> metric = METRICS["accuracy"]
    >>> values, exists = np.array([0.9, 0.5, 0.0]), np.array([True, True, False])
    >>> found = Correlations(metric, "pearson", values, exists)
    >>> found
    <Correlations: pearson of accuracy with compute, mean 0.7 over 2 of 3 instances>
    >>> round(found.mean, 3), found.n_constant, round(found.auc, 3), round(found.wasserstein, 3)
    (0.7, 1, 1.7, 0.3)
    """

    metric: Metric
    kind: CorrelationKind
    values: Floats
    exists: Mask
    found: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", np.sort(self.values[self.exists]))

    def __repr__(self) -> str:
        mean = "none" if self.mean is None else f"mean {self.mean:.3g}"
        return (
            f"<Correlations: {self.kind} of {self.metric.label} with compute, {mean} over "
            f"{len(self.found)} of {self.n_instances} instances>"
        )

    @property
    def n_instances(self) -> int:
        """Number of instances."""
        return len(self.values)

    @property
    def n_constant(self) -> int:
        """Number of instances without a correlation."""
        return self.n_instances - len(self.found)

    @property
    def mean(self) -> float | None:
        """Mean over the instances that have one; None where none has."""
        return float(self.found.mean()) if len(self.found) else None

    @property
    def median(self) -> float | None:
        """Median over the instances that have one; None where none has."""
        return float(np.median(self.found)) if len(self.found) else None

    @property
    def auc(self) -> float | None:
        """Area under the survival function over [-1, 1], at most 2.

        Notes
        -----
        For a variable X in [-1, 1], the integral of P(X > x) over [-1, 1] is 1 + E X.
        """
        return None if self.mean is None else 1 + self.mean

    @property
    def wasserstein(self) -> float | None:
        """Wasserstein-1 distance of the correlations to all being 1: E|X - 1| = 1 - E X."""
        return None if self.mean is None else 1 - self.mean

    def survival(self, thresholds: ArrayLike) -> Floats:
        """Return the share of instances with a correlation above each threshold.

        Parameters
        ----------
        thresholds : array_like of float, shape (n,)

        Returns
        -------
        ndarray of float, shape (n,)
            Of the instances that have a correlation.

        Raises
        ------
        EstimationError
            No instance has one.

        Examples
        --------
        >>> from passuntil.choices import METRICS
        >>> found = Correlations(
        ...     METRICS["accuracy"], "pearson", np.array([0.9, 0.5]), np.array([True, True]))
        >>> found.survival([-1, 0.5, 0.8, 1])
        array([1. , 0.5, 0.5, 0. ])
        """
        if not len(self.found):
            raise EstimationError(
                f"{self.metric.name}: got {self.n_instances} instances, all the same under every "
                "model; allowed: at least one that differs; there is nothing to draw."
            )
        below = np.searchsorted(self.found, np.asarray(thresholds, float), side="right")
        return np.asarray(1 - below / len(self.found))

    def to_json(self) -> dict[str, Any]:
        """Return the summary in plain values."""
        return {
            "metric": self.metric.name,
            "kind": self.kind,
            "mean": self.mean,
            "median": self.median,
            "auc": self.auc,
            "wasserstein": self.wasserstein,
            "n_instances": self.n_instances,
            "n_constant": self.n_constant,
        }


def correlate_with_compute(
    scores: ChoiceScores,
    *,
    metrics: Iterable[str] | None = CHAIN,
    kinds: Iterable[CorrelationKind] = ("pearson", "spearman", "kendall"),
) -> tuple[Correlations, ...]:
    """Return, per instance, the correlation of scores with log10 compute [1]_.

    Parameters
    ----------
    scores : ChoiceScores
        Three models or more.
    metrics : iterable of str, optional
        Names of `METRICS`; the paper's chain by default, None for all.
    kinds : iterable of {"pearson", "spearman", "kendall"}

    Returns
    -------
    tuple of Correlations
        One for each metric and kind, in that order.

    Raises
    ------
    UsageError
        An unknown metric or kind.
    EstimationError
        Fewer than 3 models, or all of the same compute.

    Notes
    -----
    Spearman's and Kendall's correlations are the same for scores that are increasing functions of
    each other, such as log p_vocab and p_vocab.

    Examples
    --------
    >>> scores = ChoiceScores.of(
    ...     [[[-4.0, -2.0]], [[-2.0, -2.5]], [[-1.0, -2.0]], [[-0.5, -2.5]]],
    ...     models=["a", "b", "c", "d"], compute=[1e17, 1e18, 1e19, 1e20], correct=[0])
    >>> for found in correlate_with_compute(scores, kinds=["pearson"]):
    ...     print(found.metric.name, round(found.mean, 4))
    log_p_vocab 0.9592
    p_vocab 0.9894
    p_choices 0.9357
    brier 0.8597
    accuracy 0.7746
    """
    x = log10_compute(scores)
    return tuple(
        correlate_scores(x, values, kind)
        for values in chosen_metrics(scores, metrics)
        for kind in tuple(kinds)
    )


def correlate_scores(x: Floats, scores: MetricScores, kind: CorrelationKind) -> Correlations:
    """Return the correlations of one score with x, higher meaning better.

    Parameters
    ----------
    x : ndarray of float, shape (n_models,)
        Log10 of compute.
    scores : MetricScores
    kind : {"pearson", "spearman", "kendall"}

    Examples
    --------
    >>> from passuntil.choices import metric_scores
    >>> scores = ChoiceScores.of(
    ...     [[[-4.0, -2.0]], [[-2.0, -2.5]], [[-1.0, -2.0]]], models=["a", "b", "c"],
    ...     compute=[1e17, 1e18, 1e19], correct=[0])
    >>> correlate_scores(log10_compute(scores), metric_scores(scores, "brier"), "kendall").values
    array([1.])
    """
    y = scores.shape if kind == "pearson" else scores.order
    values, exists = correlate(x, y, kind=kind)
    return Correlations(scores.metric, kind, scores.metric.sign * values, exists)


def log10_compute(scores: ChoiceScores) -> Floats:
    """Return log10 C, shape (n_models,), or raise where it tells nothing.

    Raises
    ------
    EstimationError
        Fewer than 3 models, or all of the same compute.

    Examples
    --------
    >>> scores = ChoiceScores.of(
    ...     [[[-2.0]], [[-1.0]], [[-0.5]]], models=["a", "b", "c"], compute=[1e18, 1e19, 1e21],
    ...     correct=[0])
    >>> log10_compute(scores)
    array([18., 19., 21.])
    """
    x = np.log10(scores.compute)
    if len(x) < MIN_MODELS or np.ptp(x) == 0:
        raise EstimationError(
            f"{scores.family}: got {len(x)} models with compute {scores.compute.tolist()}; "
            f"allowed: {MIN_MODELS} or more that differ in compute; add models."
        )
    return np.asarray(x)
