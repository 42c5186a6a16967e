"""Stores of what was judged: SQLite for runs, memory for tests and simulations."""

from passuntil.ledger.memory import MemoryLedger
from passuntil.ledger.sqlite import SqliteLedger

__all__ = ["MemoryLedger", "SqliteLedger"]
