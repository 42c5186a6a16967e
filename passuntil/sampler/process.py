"""A sampler in a process of its own, so that several engines run side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Final, final

from passuntil.errors import EngineError, UsageError
from passuntil.ports import Decoding, SampleRequest
from passuntil.records import Completion, SampleKey

__all__ = ["ProcessSampler"]

_SERVER: Final = "passuntil.sampler.process_server"
_END_S: Final = 10.0


@final
class ProcessSampler:
    """A :class:`passuntil.ports.Sampler` whose engine steps without waiting for its caller.

    Constructing it returns at once; the engine loads meanwhile. The process ends with `close`, and
    by itself when this one dies.

    Parameters
    ----------
    factory : str
        ``"package.module:name"`` of what makes the sampler, in the process.
    options : mapping
        Its keyword arguments; picklable.
    wait_s : float
        Longest wait of a `step` for the first completion, seconds. Nothing is lost by waiting too
        briefly: the engine goes on by itself.

    Raises
    ------
    EngineError
        From any call: the engine did not start, failed, or its process was killed.
    """

    def __init__(self, factory: str, options: Mapping[str, Any], *, wait_s: float = 0.005) -> None:
        self._wait_s = wait_s
        self._in_flight: set[SampleKey] = set()
        self._done: list[Completion] = []
        self._accepted: set[tuple[str, Decoding]] = set()
        self._engine: tuple[int, Mapping[str, object]] | None = None
        ours, theirs = Pipe()
        self._connection: Connection[Any, Any] = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _SERVER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # Ctrl-C of a terminal is the driver's to handle
                process_group=0,
            )
        self._send((factory, dict(options)))

    @property
    def pid(self) -> int:
        """Of the engine's process."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether the engine has started, or failed to: then the next call says so."""
        return self._engine is not None or self._connection.poll()

    @property
    def capacity(self) -> int:
        """Of the engine, once it has started."""
        return self._started()[0]

    @property
    def provenance(self) -> Mapping[str, object]:
        """Of the engine, once it has started."""
        return {**self._started()[1], "process": "own"}

    def submit(self, requests: Sequence[SampleRequest]) -> None:
        """Take requests; see :class:`passuntil.ports.Sampler`.

        Waits for the engine where a prompt with its decoding comes for the first time: it may be
        refused.
        """
        self._started()
        keys = {request.key for request in requests}
        if len(keys) < len(requests) or keys & self._in_flight:
            raise UsageError(
                "requests: got a key that is in flight already; allowed: each key once; "
                "wait for its completion or abort it."
            )
        if not requests:
            return
        new = {(request.prompt, request.decoding) for request in requests} - self._accepted
        self._send(("submit", list(requests), bool(new)))
        if new:
            self._receive_until("taken")
            self._accepted |= new
        self._in_flight |= keys

    def step(self) -> Sequence[Completion]:
        """Return what has finished; see :class:`passuntil.ports.Sampler`."""
        if not self._in_flight:
            self._started()
            return ()
        self._poll(0.0 if self._done else self._wait_s)
        done, self._done = self._done, []
        self._in_flight.difference_update(completion.key for completion in done)
        return done

    def abort(self, keys: Iterable[SampleKey]) -> int:
        """Drop requests in flight; see :class:`passuntil.ports.Sampler`."""
        wanted = self._in_flight.intersection(keys)
        if not wanted:
            return 0
        self._send(("abort", list(wanted)))
        n_tokens: int = self._receive_until("aborted")
        # what the engine had finished by then is on this side already
        late = [completion for completion in self._done if completion.key in wanted]
        self._done = [completion for completion in self._done if completion.key not in wanted]
        self._in_flight -= wanted
        return n_tokens + sum(completion.n_tokens for completion in late)

    def close(self) -> None:
        """End the process. Idempotent."""
        self._connection.close()  # it ends when it reads the end of the pipe
        self._in_flight.clear()
        self._done.clear()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _started(self) -> tuple[int, Mapping[str, object]]:
        if self._connection.closed:
            raise EngineError("sampler: got a call after close(); allowed: none; make a new one.")
        if self._engine is None:
            self._engine = self._receive_until("ready")
        return self._engine

    def _poll(self, wait_s: float) -> None:
        """Take what has come; wait for the first."""
        while self._live(self._connection.poll, wait_s):
            self._take(self._receive())
            wait_s = 0.0

    def _receive_until(self, wanted: str) -> Any:
        while True:
            what, value = self._receive()
            if what == wanted:
                return value
            self._take((what, value))

    def _take(self, message: tuple[str, Any]) -> None:
        what, value = message
        if what == "failed":
            raise value
        self._done += value

    def _receive(self) -> tuple[str, Any]:
        message: tuple[str, Any] = self._live(self._connection.recv)
        return message

    def _send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError:
            self._poll(0.0)  # raises what the process said before its end, or that it ended
            raise

    def _live(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except (EOFError, OSError) as error:
            if self._connection.closed:
                what = "a call after close()"
            else:
                self._process.wait()
                what = f"its end, exit status {self._process.returncode}"
            raise EngineError(
                f"engine process {self._process.pid}: got {what}; allowed: to run until it is "
                "closed; run the same command again to resume."
            ) from error
