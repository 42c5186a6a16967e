"""One driver per run: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import weakref
from pathlib import Path
from typing import final

from passuntil.errors import LedgerBusyError, LedgerError

__all__ = ["DriverLock"]


@final
class DriverLock:
    """Holds `path` locked from construction to `release`.

    The file stays behind: removing it would let two drivers lock two files of one name.

    Raises
    ------
    LedgerBusyError
        Another process holds it; the message names its pid and host.
    LedgerError
        The lock file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, holder.encode(), 0)
        except BlockingIOError as error:
            self.release()
            raise LedgerBusyError(
                f"run {path.parent}: got a second driver; allowed: one at a time, and "
                f"{_holder(path)} holds it; wait for it, stop it, or choose another folder."
            ) from error
        except OSError as error:
            self.release()
            raise LedgerError(
                f"lock file {path}: got {error.strerror}; allowed: an existing, writable folder "
                "with free space; make it so, or choose another folder."
            ) from error
        _held.add(self)

    def release(self) -> None:
        """Let another driver in. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _holder(path: Path) -> str:
    """Return who wrote the lock file, in words."""
    try:
        holder = json.loads(path.read_text())
        return f"process {int(holder['pid'])} on host {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has not written its name yet
        return "a process that just started"


_held: weakref.WeakSet[DriverLock] = weakref.WeakSet()


def _release_in_child() -> None:
    """Drop the copies that fork made: a child that outlives the driver must not hold its run."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)
