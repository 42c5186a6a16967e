"""Counts that people hand in, checked."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from passuntil.errors import UsageError

__all__ = ["whole_number"]


def whole_number(name: str, value: SupportsIndex) -> int:
    """Return a count as an int, or raise UsageError for what is none: a float, a bool, a text."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:  # arrays have an __index__ that most of them refuse
        pass
    raise UsageError(
        f"{name}: got {value!r} of type {type(value).__name__}; allowed: an integer; pass a count."
    )
