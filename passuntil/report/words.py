"""Numbers as people write them."""

from __future__ import annotations

__all__ = ["count", "model_size", "percent", "rate", "rate_interval"]


def count(n: float) -> str:
    """Return 950, 12.3k, 4.56M."""
    return _scaled(n, (("G", 1e9), ("M", 1e6), ("k", 1e3)))


def model_size(n_params: float) -> str:
    """Return 20.1k, 1.04M, 2.4B."""
    return _scaled(n_params, (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)))


def rate(p: float) -> str:
    """Return 0.0234 or 3.1e-05."""
    return f"{p:.3g}"


def rate_interval(low: float, high: float) -> str:
    """Return [0.02, 0.031]."""
    return f"[{low:.2g}, {high:.2g}]"


def percent(share: float) -> str:
    """Return 3.4 %."""
    return f"{100 * share:.3g} %"


def _scaled(n: float, units: tuple[tuple[str, float], ...]) -> str:
    for letter, size in units:
        if abs(n) >= 0.9995 * size:
            return f"{n / size:.3g}{letter}"
    return f"{n:.0f}"
