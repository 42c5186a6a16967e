"""Pearson's, Spearman's and Kendall's correlation of one variable with many.

References
----------
.. [1] Kendall 1945, Biometrika 33 (tau-b, for ties).
"""

from __future__ import annotations

from itertools import combinations
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from passuntil.errors import EstimationError, UsageError, nearest

__all__ = ["MIN_MODELS", "CorrelationKind", "correlate", "correlation_kinds"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
CorrelationKind = Literal["pearson", "spearman", "kendall"]

MIN_MODELS: Final = 3  # two points always lie on a line
_NEARLY_CONSTANT: Final = 1e-13  # of the largest magnitude: what is left is rounding


def correlation_kinds() -> tuple[CorrelationKind, ...]:
    """Return the names of the correlations.

    Examples
    --------
    >>> correlation_kinds()
    ('pearson', 'spearman', 'kendall')
    """
    return get_args(CorrelationKind)


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
        Spearman's takes mean ranks of ties; Kendall's is tau-b [1]_.

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
