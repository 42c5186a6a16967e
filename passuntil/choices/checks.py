"""What the arrays of `ChoiceScores` may hold, and the errors that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from passuntil.errors import UsageError

__all__ = [
    "check_correct",
    "check_lengths",
    "check_log_likelihood",
    "check_names",
    "check_padding",
    "check_positive",
]

_ROUNDING_NATS: Final = 1e-3  # a sum of float32 log-probabilities of nearly 1 may come out above 0


def check_names(name: str, found: Sequence[str]) -> None:
    """Raise UsageError unless there is a name, and each once."""
    twice = sorted(name for name, count in Counter(found).items() if count > 1)
    if not found or twice:
        raise UsageError(
            f"{name}: got {'none' if not found else 'twice: ' + ', '.join(twice[:5])}; "
            "allowed: one or more names, each once."
        )


def check_padding(is_choice: NDArray[np.bool_]) -> None:
    """Raise UsageError unless each row has a choice, and padding behind them only."""
    if not is_choice.any(1).all() or (np.diff(is_choice.astype(int)) > 0).any():
        raise UsageError(
            "is_choice: got an instance without choices, or padding in front of a choice; "
            "allowed: one choice or more in each row, padding behind them."
        )


def check_positive(name: str, value: NDArray[np.float64] | None) -> None:
    """Raise UsageError unless all numbers there are, if any, are finite and positive."""
    if value is not None and not (np.isfinite(value) & (value > 0)).all():
        raise UsageError(f"{name}: got {value.tolist()}; allowed: finite and > 0.")


def check_lengths(name: str, value: NDArray[Any] | None, is_choice: NDArray[np.bool_]) -> None:
    """Raise UsageError where a choice has no length."""
    if value is not None and (value[..., is_choice] < 1).any():
        raise UsageError(
            f"{name}: got an empty choice; allowed: lengths of 1 or more; give the text "
            "without its target or leave the instance out."
        )


def check_log_likelihood(value: NDArray[np.float64], is_choice: NDArray[np.bool_]) -> None:
    """Raise UsageError where a choice has no log-probability."""
    found = value[:, is_choice]
    bad = ~np.isfinite(found) | (found > _ROUNDING_NATS)
    if bad.any():
        raise UsageError(
            f"log_likelihood: got {int(bad.sum())} values that are not finite or above 0, such "
            f"as {found[bad][0]:g}; allowed: natural logs of probabilities."
        )


def check_correct(correct: Sequence[int | None], n_choices: NDArray[np.int64]) -> None:
    """Raise UsageError unless each instance has a correct choice among its own, or None."""
    for index, count in zip(correct, n_choices, strict=False):
        if index is not None and not 0 <= index < count:
            raise UsageError(
                f"correct: got {index} where there are {count} choices; allowed: 0 to "
                f"{count - 1}, or None."
            )
    if len(correct) != len(n_choices):
        raise UsageError(
            f"correct: got {len(correct)} for {len(n_choices)} instances; allowed: one "
            "each, None where it is unknown."
        )
