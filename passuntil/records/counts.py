"""Counts that people hand in, checked."""

from __future__ import annotations

from typing import SupportsIndex

from passuntil.errors import UsageError

__all__ = ["whole_number"]


def whole_number(name: str, value: SupportsIndex) -> int:
    """Return a count as an int, or raise UsageError for what is none: a float, a bool, a text."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(
            f"{name}: got {value!r} of type {type(value).__name__}; allowed: an integer; "
            "pass a count."
        )
    return value.__index__()
