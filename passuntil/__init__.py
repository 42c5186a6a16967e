"""Pass rates down to 1e-5, and forecasts of larger models from small ones."""

from passuntil.records import Tally

__all__ = ["Tally"]

__version__ = "0.1.0"
