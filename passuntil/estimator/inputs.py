"""Numbers that people hand in, checked: one or an array, and errors that say which is none.

A count is never rounded: 1.5 passes or a missing value shows a mistake further up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import UsageError

__all__ = ["MOST", "columns", "float_array", "one_number", "sample_numbers", "whole_numbers"]

MOST = 2**53
"""Beyond this, a float does not hold every count."""


def one_number(value: object) -> float | None:
    """Return one real number as a float; None where it is none.

    Parameters
    ----------
    value : object
        A number of Python or numpy, an array of no dimension, a Decimal, a Fraction. Text, truth
        values, arrays and numbers beyond the floats are none.

    Examples
    --------
    >>> one_number(np.array(0.9)), one_number("0.9"), one_number(True), one_number([0.9])
    (0.9, None, None, None)
    """
    try:
        array = np.asarray(value)
        if array.ndim or array.dtype.kind not in "iufO" or np.ma.is_masked(value):
            return None
        item = array.item()
        return None if isinstance(item, str | bytes | bool) else float(item)
    except (TypeError, ValueError, OverflowError):
        return None


def float_array(name: str, value: ArrayLike, do: str) -> NDArray[np.float64]:
    """Return an array of floats.

    Parameters
    ----------
    name : str
        What it is, for the error.
    value : array_like of float
        Any shape.
    do : str
        What to do, for the error.

    Raises
    ------
    UsageError
        Something else: none, words, truth values, masked values, rows of unlike length, an
        iterator.

    Examples
    --------
    >>> float_array("n_tokens", [20e9, 40e9], "write 20e9 for 20B")
    array([2.e+10, 4.e+10])
    >>> float_array("n_tokens", ["20B"], "write 20e9 for 20B")
    Traceback (most recent call last):
    passuntil.errors.UsageError: n_tokens: got ['20B']; allowed: numbers; write 20e9 for 20B.
    """
    wrong = ""
    try:
        array = np.asarray(value)
        if _is_one_by_one(array):
            wrong = _not_listed(value)
        elif value is not None and array.dtype.kind != "b" and not np.ma.is_masked(value):
            return array.astype(float)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UsageError(f"{name}: got {wrong or f'{value!r}; allowed: numbers; {do}'}.")


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
        numbers beyond 2**53. The first that is wrong is named.

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
    is_whole = kind in "iu" or (kind == "O" and all(map(_is_int, array.flat)))
    if not is_whole or np.ma.is_masked(value):
        raise UsageError(f"{name}: got {_what_is_wrong(array, value)}.")
    if array.size and max(int(array.max()), -int(array.min())) > MOST:
        raise UsageError(f"{name}: got {array.max()}; allowed: up to 2**53; check the counts.")
    return array.astype(np.int64)


def _is_int(item: object) -> bool:
    return isinstance(item, int | np.integer) and not isinstance(item, bool)


def _is_one_by_one(array: NDArray[np.generic]) -> bool:
    """Whether it holds numbers that numpy did not take: a generator, a set, a view of a dict."""
    return array.dtype == object and not array.ndim and isinstance(array.item(), Iterable)


def _not_listed(value: object) -> str:
    do = "list(x.values())" if isinstance(value, Mapping) else "list(x)"
    return f"a {type(value).__name__}; allowed: a list or an array; write {do} for it"


def _what_is_wrong(array: NDArray[np.generic], value: ArrayLike) -> str:
    if np.ma.is_masked(value):
        return "masked values; allowed: whole numbers; leave out what was not sampled"
    if _is_one_by_one(array):
        return _not_listed(value)
    for place, item in enumerate(array.ravel().tolist()):
        is_number = isinstance(item, int | float) and not isinstance(item, bool)
        where = f" at position {place}" if array.ndim else ""
        if item is None or (isinstance(item, float) and math.isnan(item)):
            return f"{item!r}{where}; allowed: whole numbers; leave out what was not sampled"
        if isinstance(item, bool):
            return (
                f"{item!r}{where}; allowed: whole numbers; use .astype(int) where each instance "
                "has one sample, or tallies_from_outcomes for 0/1 outcomes"
            )
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
    """Return the k of pass@k as floats, after a check that they are whole, finite and 1 or more.

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
    if not is_number or not _are_sample_numbers(array):
        raise UsageError(f"k: got {k!r}; allowed: whole numbers >= 1; give a number of samples.")
    return np.asarray(array, float)


def _are_sample_numbers(array: NDArray[np.number]) -> bool:
    return bool((np.isfinite(array) & (array >= 1) & (array == np.floor(array))).all())
