"""When to stop sampling an instance: at its r-th pass in index order, or at a given number. Pure.

Samples finish in any order, and short ones first. Deciding in arrival order would prefer the
short ones; here index n counts only once every lower index is judged, so the tally is that of
samples drawn one after the other.
"""

from passuntil.stopping.rule import Mode, StopRule
from passuntil.stopping.state import InstanceState

__all__ = ["InstanceState", "Mode", "StopRule"]
