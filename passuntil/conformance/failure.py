"""How a check says that a promise is broken."""

from __future__ import annotations

from collections.abc import Callable

from passuntil.errors import PassUntilError

__all__ = ["ConformanceError", "require", "require_error"]


class ConformanceError(PassUntilError, AssertionError):
    """An adapter breaks a promise of its port."""


def require(is_kept: bool, promise: str, got: object) -> None:
    """Raise ``ConformanceError`` with the promise and what was seen, unless it is kept."""
    if not is_kept:
        raise ConformanceError(f"{promise}; got {got!r}.")


def require_error(call: Callable[[], object], error: type[PassUntilError], promise: str) -> None:
    """Raise ``ConformanceError`` unless the call raises that error."""
    try:
        got = call()
    except error:
        return
    except Exception as other:
        raise ConformanceError(
            f"{promise}: raises {error.__name__}; got {type(other).__name__}: {other}."
        ) from other
    raise ConformanceError(f"{promise}: raises {error.__name__}; got no error but {got!r}.")
