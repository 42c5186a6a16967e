"""The process of a `ProcessSampler`: ``python -m passuntil.sampler.process_server FD``.

    in    (factory, options) first; then ("submit", requests, is answered), ("abort", keys)
    out   ("ready", (capacity, provenance)), ("taken", None), ("aborted", tokens),
          ("done", completions), ("failed", error)

It steps its engine as long as anything is in flight, and ends when the pipe does.
"""

from __future__ import annotations

import os
import sys
import threading
from importlib import import_module
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from passuntil.errors import PassUntilError, UsageError
from passuntil.ports import Sampler, SampleRequest
from passuntil.records import SampleKey

__all__ = ["main"]


def main(fd: int) -> None:
    """Serve one sampler."""
    connection: Connection[Any, Any] = Connection(fd)
    inbox: SimpleQueue[Any] = SimpleQueue()
    # A thread of its own reads: the driver never waits to write while this side does, and the end
    # of the driver ends a load or a long step too.
    threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
    factory, options = inbox.get()
    module, _, name = factory.partition(":")
    try:
        sampler: Sampler = getattr(import_module(module), name)(**options)
        connection.send(("ready", (sampler.capacity, dict(sampler.provenance))))
        _serve(sampler, connection, inbox)
    except PassUntilError as error:
        connection.send(("failed", error))


def _read(connection: Connection[Any, Any], inbox: SimpleQueue[Any]) -> None:
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)  # the driver is gone, and with it all that could use a result


def _serve(sampler: Sampler, connection: Connection[Any, Any], inbox: SimpleQueue[Any]) -> None:
    in_flight: set[SampleKey] = set()
    while True:
        while not in_flight or not inbox.empty():
            what, *values = inbox.get()
            if what == "submit":
                _submit(sampler, connection, in_flight, *values)
            else:
                [keys] = values
                connection.send(("aborted", sampler.abort(in_flight.intersection(keys))))
                in_flight.difference_update(keys)
        done = list(sampler.step())
        in_flight.difference_update(completion.key for completion in done)
        if done:
            connection.send(("done", done))


def _submit(
    sampler: Sampler,
    connection: Connection[Any, Any],
    in_flight: set[SampleKey],
    requests: list[SampleRequest],
    is_answered: bool,
) -> None:
    try:
        sampler.submit(requests)
    except UsageError as error:
        connection.send(("failed", error))
        return
    in_flight.update(request.key for request in requests)
    if is_answered:
        connection.send(("taken", None))


if __name__ == "__main__":
    main(int(sys.argv[1]))
