"""How a score of each instance goes with training compute over the models of a family.

References
----------
.. [1] Schaeffer et al. 2024, arXiv 2406.04391, section 4 and figure 3.
.. [2] Kendall 1945, Biometrika 33 (tau-b, for ties).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from passuntil.choices.metrics import CHAIN, Metric, MetricScores, chosen_metrics
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError, UsageError, nearest

__all__ = [
    "MIN_MODELS",
    "CorrelationKind",
    "Correlations",
    "correlate",
    "correlate_scores",
    "correlate_with_compute",
    "correlation_kinds",
    "log10_compute",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
CorrelationKind = Literal["pearson", "spearman", "kendall"]

MIN_MODELS: Final = 3  # two points always lie on a line
_NEARLY_CONSTANT: Final = 1e-13  # of the largest magnitude: what is left is rounding


def correlation_kinds() -> tuple[CorrelationKind, ...]:
    """Return the names of the correlations."""
    return get_args(CorrelationKind)


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


def correlate(
    x: ArrayLike, y: ArrayLike, *, kind: CorrelationKind = "pearson"
) -> tuple[Floats, Mask]:
    """Return the correlation of x with every column of y, and where there is one.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        Finite, not all equal; n >= 3.
    y : array_like of float, shape (n, m) or, each column with its own x, x of that shape too
        Columns that are constant up to rounding have no correlation.
    kind : {"pearson", "spearman", "kendall"}
        Spearman's takes mean ranks of ties; Kendall's is tau-b [2]_.

    Returns
    -------
    values : ndarray of float, shape (m,)
        In [-1, 1]; 0 where there is none.
    exists : ndarray of bool, shape (m,)

    Raises
    ------
    UsageError
        Shapes, an unknown kind, x all equal.
    EstimationError
        Fewer than 3 points.

    Notes
    -----
    tau-b = (concordant - discordant) / sqrt((pairs - ties in x)(pairs - ties in y)).

    Examples
    --------
    >>> values, exists = correlate([1, 2, 3, 4], [[1, 7], [2, 7], [4, 7], [3, 7]], kind="kendall")
    >>> values.round(4).tolist(), exists.tolist()
    ([0.6667, 0.0], [True, False])
    """
    if kind not in get_args(CorrelationKind):
        allowed = get_args(CorrelationKind)
        raise UsageError(
            f"kind: got {kind!r}; allowed: {', '.join(allowed)}." + nearest(str(kind), allowed)
        )
    a, b = np.asarray(x, float), np.asarray(y, float)
    if b.ndim != 2 or a.shape not in (b.shape, b.shape[:1]):
        raise UsageError(f"x, y: got shapes {a.shape}, {b.shape}; allowed: (n,) or (n, m), (n, m).")
    if len(b) < MIN_MODELS:
        raise EstimationError(
            f"correlation: got {len(b)} points; allowed: {MIN_MODELS} or more, since two always "
            "lie on a line; add models."
        )
    if a.ndim == 1:
        a = a[:, None]
    if kind == "kendall":
        return _kendall(a, b)
    if kind == "spearman":
        return _pearson(rankdata(a, axis=0), rankdata(b, axis=0))
    return _pearson(a, b)


def _centred(values: Floats) -> tuple[Floats, Mask]:
    """Return columns less their mean with length 1, and whether they vary."""
    values = np.where(np.isfinite(values).all(0), values, 0.0)
    span = np.ptp(values, axis=0)
    varies = span > _NEARLY_CONSTANT * np.abs(values).max(0)
    # in units of the span: squares of 1e-200 would be 0
    safe = np.where(varies, values, 0.0) / np.where(varies, span, 1.0)
    safe = safe - safe.mean(0)
    norm = np.sqrt((safe**2).sum(0))
    return safe / np.where(norm > 0, norm, 1.0), varies


def _pearson(x: Floats, y: Floats) -> tuple[Floats, Mask]:
    a, has_x = _centred(x)
    b, has_y = _centred(y)
    exists = np.broadcast_to(has_x & has_y, y.shape[1:])
    return np.where(exists, np.clip((a * b).sum(0), -1, 1), 0.0), exists


def _kendall(x: Floats, y: Floats) -> tuple[Floats, Mask]:
    x = np.broadcast_to(x, y.shape)
    agree = np.zeros(y.shape[1])
    untied_x, untied_y = np.zeros_like(agree), np.zeros_like(agree)
    for i, j in combinations(range(len(y)), 2):
        side = np.sign(x[i] - x[j])
        # compared and not subtracted: inf - inf is no number
        other = (y[i] > y[j]).astype(float) - (y[i] < y[j])
        agree += side * other
        untied_x += side != 0
        untied_y += other != 0
    exists = (untied_x > 0) & (untied_y > 0)
    scale = np.sqrt(np.where(exists, untied_x * untied_y, 1.0))
    return np.where(exists, agree / scale, 0.0), exists


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
    """Return the correlations of one score with x, higher meaning better."""
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
