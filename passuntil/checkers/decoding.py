"""The thread that makes the texts of completions, so that the one with the engine need not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import final

from passuntil.ports import Undecoded
from passuntil.records import Completion, Instance

__all__ = ["DecodingThread"]


@final
class DecodingThread:
    """Decodes in the order of `put`; starts with the first.

    Parameters
    ----------
    pass_on : callable
        Takes each instance and its completion, in the thread.
    fail : callable
        Takes what decoding or `pass_on` raised; the thread ends.
    """

    def __init__(
        self,
        pass_on: Callable[[Instance, Completion], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._pass_on = pass_on
        self._fail = fail
        self._queue: SimpleQueue[tuple[Instance, Undecoded] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def put(self, instance: Instance, undecoded: Undecoded) -> None:
        """Take what is to be decoded."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="decoding", daemon=True)
            self._thread.start()
        self._queue.put((instance, undecoded))

    def close(self, timeout_s: float) -> None:
        """Drop what is not decoded, and wait for the thread's end. Idempotent."""
        self._is_closed = True
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None and not self._is_closed:
            instance, undecoded = job
            try:
                self._pass_on(instance, undecoded.completion())
            except BaseException as error:  # a panic of a tokenizer too: the driver raises it
                self._fail(error)
                return
