"""The command line. Each module enters its commands in the app."""

from __future__ import annotations

import sys

# the order of the commands in --help
# isort: off
from passuntil.cli import analysis, grading
from passuntil.cli import auditing, choices, inspecting, machine, sampling

# isort: on
from passuntil.cli.common import app, errors
from passuntil.errors import PassUntilError, RunInterrupted, UsageError

__all__ = [
    "analysis",
    "app",
    "auditing",
    "choices",
    "grading",
    "inspecting",
    "machine",
    "main",
    "sampling",
]


def main() -> None:
    """Run the command line; an error of ours is a message, not a traceback."""
    try:
        app()
    except RunInterrupted as interrupted:
        errors.print(f"Interrupted: {interrupted}.", highlight=False)
        sys.exit(130)
    except PassUntilError as error:
        errors.print(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        errors.print(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)
