"""What ends a steered run: a width, a budget, or both."""

from __future__ import annotations

import math

from passuntil.errors import UsageError

__all__ = ["check_ends"]


def check_ends(
    subject: str, relative_width: float | None, total_budget: int | None, **others: float
) -> None:
    """Raise UsageError unless something ends the run, and every value is finite and above 0."""
    if relative_width is None and total_budget is None:
        raise UsageError(
            f"{subject}: got neither target_width nor total_budget; allowed: at least one of them; "
            "say when to stop."
        )
    values = {**others, "target_width": relative_width, "total_budget": total_budget}
    for name, value in values.items():
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{name}: got {value}; allowed: finite and > 0; change it.")
