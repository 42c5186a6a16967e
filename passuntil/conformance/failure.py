"""How a check says that a promise is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from passuntil.errors import PassUntilError

__all__ = ["ConformanceError", "require", "require_error", "require_record"]


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


def require_record(
    read: Callable[[], Mapping[str, object]], what: str, fields: tuple[str, ...]
) -> None:
    """Raise ``ConformanceError`` unless it is a record that a run can keep."""
    record = dict(read())
    for field in fields:
        require(bool(record.get(field)), f"{what} has {field!r}", record)
    try:
        json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConformanceError(f"{what} holds JSON values: {error}.") from error
    again = dict(read())
    require(again == record, f"{what} does not change", again)
