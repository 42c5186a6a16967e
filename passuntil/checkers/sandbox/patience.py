"""How long to wait for a sample that neither ends nor uses up its CPU time."""

from __future__ import annotations

import time
from pathlib import Path

from passuntil.checkers.sandbox.jail import JailedProcess

__all__ = ["LONGEST_RUN_S", "Patience"]

LONGEST_RUN_S = 600.0
"""Wall time after which a run is a fault of the checker: the host is starved."""


class Patience:
    """Tells a child that sleeps from one that waits for a busy CPU.

    Only time between looks that find every thread asleep counts, less the time in which the child
    ran or waited for a CPU meanwhile (``/proc/<pid>/schedstat``): a loaded host makes no timeouts.
    """

    def __init__(self, zygote: JailedProcess, blocked_s: float) -> None:
        self._zygote = zygote
        self._blocked_s = blocked_s
        self._pid = 0
        self._asleep_since: tuple[float, float] | None = None
        self._deadline = time.monotonic() + LONGEST_RUN_S

    def next_look_s(self) -> float:
        """Return how long to wait before the next look."""
        return max(0.02, min(0.1, self._blocked_s / 4))

    def is_exhausted(self) -> bool:
        """Look at the child; true if it has been asleep for too long."""
        now = time.monotonic()
        if now > self._deadline:
            raise TimeoutError(f"a child neither ended nor used up its time in {LONGEST_RUN_S} s")
        pid = None
        try:
            pid = _only_child(self._zygote.pid)
            active = _active_s(pid) if pid is not None and _is_asleep(pid) else None
        except (FileNotFoundError, ProcessLookupError):
            active = None  # over
        if pid is None or active is None:
            self._asleep_since = None
            return False
        if self._asleep_since is None or pid != self._pid:
            self._pid, self._asleep_since = pid, (now, active)
            return False
        since, active_then = self._asleep_since
        return now - since - (active - active_then) >= self._blocked_s


def _only_child(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def _is_asleep(pid: int) -> bool:
    """Tell whether no thread runs or waits for a CPU; a dead process is not asleep either."""
    stats = (path / "stat" for path in Path(f"/proc/{pid}/task").iterdir())
    return all(stat.read_text().rpartition(")")[2].split()[0] in "SD" for stat in stats)


def _active_s(pid: int) -> float:
    """Seconds that the main thread of `pid` ran or waited for a CPU."""
    running, waiting, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return (int(running) + int(waiting)) / 1e9
