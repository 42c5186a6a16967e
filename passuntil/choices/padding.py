"""Nested lists of unequal length as padded arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passuntil.errors import UsageError

__all__ = ["Nested", "fit_in", "pad", "pad_nested"]

Nested = Sequence[Sequence[Sequence[Any]]] | NDArray[Any]


def pad(name: str, rows: Sequence[Sequence[Any]], is_choice: NDArray[np.bool_]) -> NDArray[Any]:
    """Return rows of values in the places of the choices, shape of is_choice; 0 elsewhere.

    Raises
    ------
    UsageError
        A row whose length is not the instance's number of choices.

    Examples
    --------
    >>> pad("n_bytes", [[3, 2, 7], [4]], np.array([[True, True, True], [True, False, False]]))
    array([[3, 2, 7],
           [4, 0, 0]])
    """
    counts = is_choice.sum(1)
    if len(rows) != len(counts):
        raise UsageError(
            f"{name}: got {len(rows)} instances; allowed: {len(counts)}, the same for every model."
        )
    for i, (row, count) in enumerate(zip(rows, counts, strict=True)):
        if len(row) != count:
            raise UsageError(
                f"{name}, instance {i}: got {len(row)} choices; allowed: {count}, the same for "
                "every model."
            )
    values = np.array([value for row in rows for value in row])
    padded = np.zeros(is_choice.shape, dtype=values.dtype)
    padded[is_choice] = values
    return padded


def pad_nested(
    values: Mapping[str, Nested | None], choices: Sequence[Sequence[str]] | None
) -> dict[str, NDArray[Any]]:
    """Return values of choices as arrays, and where a choice is.

    Parameters
    ----------
    values : mapping of str to nested sequences, (model, instance, choice)
        The first says how many choices each instance has.
    choices : sequence of sequence of str, optional
        Texts of each instance, for their lengths.

    Returns
    -------
    dict of ndarray
        `is_choice`, shape (n_instances, max_choices); each of `values` that is not None, shape
        (n_models, n_instances, max_choices); `n_characters` and `n_bytes` of the texts.

    Raises
    ------
    UsageError
        Instances or choices that do not fit the first.

    Examples
    --------
    >>> choices = [["yes", "no"], ["maybe"]]
    >>> arrays = pad_nested({"log_likelihood": [[[-1.0, -2.0], [-3.0]]]}, choices)
    >>> arrays["log_likelihood"].shape, arrays["n_bytes"].tolist()
    ((1, 2, 2), [[3, 2], [5, 0]])
    """
    first = next(iter(values.values()))
    counts = [] if first is None or not len(first) else [len(row) for row in first[0]]
    is_choice = np.arange(max(counts, default=0)) < np.array(counts, dtype=int)[:, None]
    arrays: dict[str, NDArray[Any]] = {"is_choice": is_choice}
    for name, models in values.items():
        if models is not None:
            rows = [pad(f"{name}, model {m}", model, is_choice) for m, model in enumerate(models)]
            arrays[name] = np.array(rows)
    if choices is not None:
        lengths = [[len(text) for text in row] for row in choices]
        arrays["n_characters"] = pad("choices", lengths, is_choice)
        encoded = [[len(text.encode()) for text in row] for row in choices]
        arrays["n_bytes"] = pad("choices", encoded, is_choice)
    return arrays


def fit_in(name: str, value: object, kind: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a copy of an array as this kind of number.

    Raises
    ------
    UsageError
        Another shape, or floats where counts belong.
    """
    array = np.array(value)
    if array.shape != shape or (array.dtype.kind == "f" and kind is np.int64):
        raise UsageError(
            f"{name}: got shape {array.shape}, {array.dtype}; allowed: {shape}, {np.dtype(kind)}, "
            "from the numbers of models, instances and choices."
        )
    return array.astype(kind)
