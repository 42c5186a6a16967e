"""Checks that every adapter of a port must pass: run them on your own.

They take a factory, raise ``ConformanceError`` at the first promise of the port that does not
hold, and return nothing where all hold.
"""

from passuntil.conformance.checker import GARBAGE, CheckerExample, check_checker
from passuntil.conformance.failure import ConformanceError
from passuntil.conformance.ledger import check_ledger
from passuntil.conformance.sampler import check_sampler

__all__ = [
    "GARBAGE",
    "CheckerExample",
    "ConformanceError",
    "check_checker",
    "check_ledger",
    "check_sampler",
]
