"""The exceptions of passuntil.

A message has three parts: what was got, what is allowed, what to do.

    PassUntilError
    ├── UsageError (ValueError)      a person's input: job file, task file, argument
    ├── EngineError                  the sampler could not draw a sample
    ├── CheckerError                 the checker could not judge; never a verdict
    │   └── NoIsolationError         code may not run here
    ├── LedgerError                  the record of a run could not be read or written
    │   └── LedgerBusyError          another driver holds the run
    ├── EstimationError              the data do not determine the number asked for
    └── RunInterrupted               a person asked a run to stop
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckerError",
    "EngineError",
    "EstimationError",
    "LedgerBusyError",
    "LedgerError",
    "NoIsolationError",
    "PassUntilError",
    "RunInterrupted",
    "UsageError",
    "nearest",
]


class PassUntilError(Exception):
    """Base of every error that passuntil raises on purpose."""


class UsageError(PassUntilError, ValueError):
    """The input is not one passuntil accepts."""


class EngineError(PassUntilError):
    """The sampler could not start or could not draw a sample."""


class CheckerError(PassUntilError):
    """The checker could not judge a completion: an infrastructure fault, never a verdict."""


class NoIsolationError(CheckerError):
    """No isolation is available here, so code tasks may not start."""


class LedgerError(PassUntilError):
    """The record of a run could not be read or written."""


class LedgerBusyError(LedgerError):
    """Another driver holds the run."""


class EstimationError(PassUntilError):
    """The data do not determine the number asked for.

    Attributes
    ----------
    partial : object or None
        What could be computed before the failure, such as a limit or a fit that did not converge.
    """

    def __init__(self, message: str, *, partial: object | None = None) -> None:
        super().__init__(message)
        self.partial = partial


class RunInterrupted(PassUntilError):  # noqa: N818  # not an error of anybody
    """A person asked a run to stop; what was judged is in the ledger."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``" Did you mean 'budget'?"``, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
