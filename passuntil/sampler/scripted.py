"""A sampler without a model: completions are a function of the sample's key.

For tests, dry runs and simulations. It batches as an engine does: a bounded number in flight, each
sample busy for as many engine steps as it has tokens, so that short ones finish first.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

from passuntil.errors import EngineError, UsageError, nearest
from passuntil.ports import SampleRequest
from passuntil.records import Completion, FinishReason, SampleKey

__all__ = ["Latency", "Script", "ScriptedSampler", "bernoulli"]

Script = Callable[[SampleKey], tuple[str, int]]
"""Text and number of tokens (>= 1) of a sample."""

Latency = Callable[[int], int]
"""Engine steps (>= 1) that a completion of so many tokens takes."""


@dataclass(frozen=True, slots=True)
class _Running:
    completion: Completion
    order: int
    start_step: int
    stop_step: int

    def n_generated(self, clock: int) -> int:
        """Return the number of tokens drawn by that step."""
        done = (clock - self.start_step) / (self.stop_step - self.start_step)
        return int(self.completion.n_tokens * done)


@final
class ScriptedSampler:
    """Returns what a script says, in the order in which an engine would finish it.

    Parameters
    ----------
    script : callable
        ``script(key) -> (text, n_tokens)``; a function of the key and nothing else.
    capacity : int
        Most samples in flight, >= 1; the others wait in the order of submission.
    latency : callable, optional
        ``latency(n_tokens) -> steps``; a step a token where it is not given.
    max_prompt_chars : int, optional
        Longest prompt that fits, characters.

    Notes
    -----
    ``step`` advances the clock to the next completion and returns all that finish there, in the
    order of submission: steps in which nothing finishes are not worth a call. A completion beyond
    ``max_tokens`` is cut in proportion and ends with ``FinishReason.LENGTH``; stop strings cut the
    text. The request's seed, its temperature and its prompt's content do not matter.

    Examples
    --------
    >>> sampler = ScriptedSampler(bernoulli({"easy": 0.5}))
    >>> sampler.capacity
    64
    """

    def __init__(
        self,
        script: Script,
        *,
        capacity: int = 64,
        latency: Latency | None = None,
        max_prompt_chars: int | None = None,
    ) -> None:
        if capacity < 1:
            raise UsageError(f"capacity: got {capacity}; allowed: >= 1; raise it.")
        self._script = script
        self._capacity = capacity
        self._latency = latency
        self._max_prompt_chars = max_prompt_chars
        self._clock = 0  # engine steps
        self._n_started = 0
        self._waiting: OrderedDict[SampleKey, SampleRequest] = OrderedDict()
        self._running: dict[SampleKey, _Running] = {}
        # (stop step, order of start, key); the aborted stay until their turn comes
        self._agenda: list[tuple[int, int, SampleKey]] = []
        self._is_closed = False

    @property
    def capacity(self) -> int:
        """Number of requests in flight that keeps the engine full."""
        return self._capacity

    @property
    def provenance(self) -> Mapping[str, object]:
        """What a run records of this engine."""
        return {"engine": "scripted", "capacity": self._capacity}

    def submit(self, requests: Sequence[SampleRequest]) -> None:
        """Take requests; see ``passuntil.ports.Sampler.submit``."""
        self._require_open()
        taken: dict[SampleKey, SampleRequest] = {}
        for request in requests:
            key, length = request.key, len(request.prompt)
            if key in taken or key in self._waiting or key in self._running:
                raise UsageError(
                    f"sample {key}: got a key in flight; allowed: each key once at a time; "
                    "wait for it or abort it. None of this call was taken."
                )
            if self._max_prompt_chars is not None and length > self._max_prompt_chars:
                raise UsageError(
                    f"prompt of {key.task}/{key.instance}: got {length} characters; allowed: at "
                    f"most {self._max_prompt_chars}; shorten it. None of this call was taken."
                )
            taken[key] = request
        self._waiting.update(taken)

    def step(self) -> Sequence[Completion]:
        """Advance to the next completion; see ``passuntil.ports.Sampler.step``."""
        self._require_open()
        self._start_waiting()
        finished: list[Completion] = []
        while self._agenda:
            stop_step, order, key = self._agenda[0]
            running = self._running.get(key)
            if running is None or running.order != order:  # aborted
                heapq.heappop(self._agenda)
                continue
            if finished and stop_step != self._clock:
                break
            heapq.heappop(self._agenda)
            self._clock = stop_step
            del self._running[key]
            finished.append(running.completion)
        return finished

    def abort(self, keys: Iterable[SampleKey]) -> int:
        """Drop requests in flight; see ``passuntil.ports.Sampler.abort``."""
        n_tokens = 0
        for key in keys:
            self._waiting.pop(key, None)
            running = self._running.pop(key, None)
            if running is not None:
                n_tokens += running.n_generated(self._clock)
        return n_tokens

    def close(self) -> None:
        """Drop everything. Idempotent."""
        self._waiting.clear()
        self._running.clear()
        self._agenda.clear()
        self._is_closed = True

    def _require_open(self) -> None:
        if self._is_closed:
            raise EngineError("sampler: got a call after close; allowed: before; make a new one.")

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._capacity:
            key, request = self._waiting.popitem(last=False)
            completion = self._complete(request)
            n_steps = completion.n_tokens
            if self._latency is not None:
                n_steps = max(1, self._latency(completion.n_tokens))
            running = _Running(completion, self._n_started, self._clock, self._clock + n_steps)
            self._n_started += 1
            self._running[key] = running
            heapq.heappush(self._agenda, (running.stop_step, running.order, key))

    def _complete(self, request: SampleRequest) -> Completion:
        text, n_tokens = self._script(request.key)
        if n_tokens < 1:
            raise EngineError(
                f"script: got {n_tokens} tokens for {request.key}; allowed: >= 1; correct it."
            )
        reason = FinishReason.END
        allowed = request.decoding.max_tokens
        if n_tokens > allowed:
            text, n_tokens = text[: len(text) * allowed // n_tokens], allowed
            reason = FinishReason.LENGTH
        cuts = [at for at in map(text.find, request.decoding.stop) if at >= 0]
        if cuts:
            text, reason = text[: min(cuts)], FinishReason.STOP
        return Completion(request.key, text, _token_ids(n_tokens), reason)


@lru_cache(maxsize=4096)
def _token_ids(n_tokens: int) -> tuple[int, ...]:
    """Return that many tokens; samples of one length share the tuple."""
    return tuple(range(n_tokens))


def bernoulli(
    pass_rates: Mapping[str, float] | Callable[[SampleKey], float],
    *,
    seed: int = 0,
    pass_text: str | Callable[[SampleKey], str] = "pass",
    fail_text: str | Callable[[SampleKey], str] = "fail",
    pass_tokens: tuple[int, int] = (8, 8),
    fail_tokens: tuple[int, int] = (8, 8),
) -> Script:
    """Return a script in which each sample passes with its instance's rate, independently.

    Parameters
    ----------
    pass_rates : mapping of str to float, or callable
        Pass rate in [0, 1] by instance name, or a function of the key.
    seed : int
        Another seed, another outcome; a hash of seed and key decides.
    pass_text, fail_text : str or callable
        Text of a passing and of a failing sample, or a function of the key.
    pass_tokens, fail_tokens : tuple of int
        Least and most tokens, the length uniform between them.

    Examples
    --------
    >>> script = bernoulli({"i": 1.0}, pass_text="42", pass_tokens=(3, 3))
    >>> script(SampleKey("m", "t", "i", 1))
    ('42', 3)
    """
    for name, (low, high) in (("pass_tokens", pass_tokens), ("fail_tokens", fail_tokens)):
        if not 1 <= low <= high:
            raise UsageError(f"{name}: got {(low, high)}; allowed: 1 <= low <= high; swap them.")

    def script(key: SampleKey) -> tuple[str, int]:
        rate = pass_rates(key) if callable(pass_rates) else _rate(pass_rates, key)
        fields = f"{seed}\0{key.model}\0{key.task}\0{key.instance}\0{key.index}"
        bits = int.from_bytes(hashlib.blake2b(fields.encode(), digest_size=12).digest(), "big")
        is_pass = (bits >> 32) < rate * 2**64
        low, high = pass_tokens if is_pass else fail_tokens
        text = pass_text if is_pass else fail_text
        n_tokens = low + (bits & 0xFFFFFFFF) * (high - low + 1) // 2**32
        return (text(key) if callable(text) else text), n_tokens

    return script


def _rate(pass_rates: Mapping[str, float], key: SampleKey) -> float:
    try:
        return pass_rates[key.instance]
    except KeyError:
        raise UsageError(
            f"pass_rates: got no rate of instance {key.instance!r}; allowed: the instances of the "
            f"script; add it.{nearest(key.instance, pass_rates)}"
        ) from None
