"""Numbers that people hand in, checked: whole numbers in arrays, and errors that say which is not.

A count is never rounded: 1.5 passes or a missing value shows a mistake further up.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import UsageError

__all__ = ["columns", "sample_numbers", "whole_numbers"]

MOST = 2**62
"""Beyond this, sums of 64-bit counts may wrap around."""


def whole_numbers(name: str, value: ArrayLike) -> NDArray[np.int64]:
    """Return an array of whole numbers as int64.

    Parameters
    ----------
    name : str
        What it is, for the error.
    value : array_like of int
        Any shape; a list, an array, a pandas Series. Floats are refused, whole ones too.

    Raises
    ------
    UsageError
        Something else: a fraction, NaN, a missing or masked value, text, rows of unlike length,
        numbers beyond 2**62. The first that is wrong is named.

    Examples
    --------
    >>> whole_numbers("passes", [3, 0, 12])
    array([ 3,  0, 12])
    >>> whole_numbers("passes", [3, float("nan"), 12])
    Traceback (most recent call last):
    passuntil.errors.UsageError: passes: got nan at position 1; allowed: whole numbers; leave out \
what was not sampled.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise UsageError(
            f"{name}: got rows of unlike length; allowed: one whole number an instance; count the "
            "passes of each row, or use tallies_from_outcomes."
        ) from None
    kind = array.dtype.kind if array.size else "i"
    if kind not in "iu" or np.ma.is_masked(value):
        raise UsageError(f"{name}: got {_what_is_wrong(array, value)}.")
    if array.size and max(int(array.max()), -int(array.min())) > MOST:
        raise UsageError(f"{name}: got {array.max()}; allowed: up to 2**62; check the counts.")
    return array.astype(np.int64)


def _what_is_wrong(array: NDArray[np.generic], value: ArrayLike) -> str:
    if np.ma.is_masked(value):
        return "masked values; allowed: whole numbers; leave out what was not sampled"
    for place, item in enumerate(array.ravel().tolist()):
        is_number = isinstance(item, int | float) and not isinstance(item, bool)
        where = f" at position {place}" if array.ndim else ""
        if item is None or (isinstance(item, float) and math.isnan(item)):
            return f"{item!r}{where}; allowed: whole numbers; leave out what was not sampled"
        if not is_number or item != item // 1:
            return f"{item!r}{where}; allowed: whole numbers; pass counts, not rates"
    return (
        f"an array of {array.dtype}; allowed: integers; these are whole, so convert them with "
        ".astype(int)"
    )


def columns(**given: ArrayLike) -> list[NDArray[np.int64]]:
    """Return whole numbers of each instance as columns of one length.

    Raises
    ------
    UsageError
        Two dimensions, lengths that do not fit, or what `whole_numbers` refuses.

    Examples
    --------
    >>> columns(passes=[3, 0], trials=200)
    [array([3, 0]), array([200, 200])]
    """
    arrays = [whole_numbers(name, value) for name, value in given.items()]
    shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(given, arrays, strict=True) if a.ndim)
    if any(array.ndim > 1 for array in arrays):
        raise UsageError(
            f"tallies: got shapes {shapes}; allowed: one number an instance, shape "
            "(n_instances,); make one TallyArray of each row, that is of each model."
        )
    try:
        together = np.broadcast_arrays(*arrays)
    except ValueError:
        raise UsageError(
            f"tallies: got shapes {shapes}; allowed: one length, or one number for all; check "
            "which instances are missing."
        ) from None
    return [np.array(array).ravel() for array in together]


def sample_numbers(k: ArrayLike) -> NDArray[np.float64]:
    """Return the k of pass@k as floats, after a check that they are whole and 1 or more.

    Raises
    ------
    UsageError
        They are not.

    Examples
    --------
    >>> sample_numbers([1, 10])
    array([ 1., 10.])
    """
    array = np.asarray(k)
    is_number = array.dtype.kind in "iuf" or not array.size
    if not is_number or not ((array >= 1) & (array == np.floor(array))).all():
        raise UsageError(f"k: got {k!r}; allowed: whole numbers >= 1; give a number of samples.")
    return np.asarray(array, float)
