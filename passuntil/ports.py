"""The contracts between the driver and its hands: sampler, checker, ledger.

Adapters are final and wrap what they adapt. ``passuntil.conformance`` holds the checks that every
adapter passes, the shipped ones too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from passuntil.errors import EngineError
from passuntil.records import Completion, FinishReason, Instance, SampleKey, Verdict

__all__ = [
    "Block",
    "Checker",
    "DecodesLater",
    "Decoding",
    "GreedyResult",
    "KeptText",
    "Ledger",
    "SampleRequest",
    "Sampler",
    "Undecoded",
]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are drawn. Everything is explicit; a model's own defaults never apply.

    Parameters
    ----------
    max_tokens : int
        Most tokens of a completion, >= 1.
    temperature : float
        0 is greedy; 1 is the model's own distribution.
    top_p : float
        Nucleus mass, in (0, 1]; 1 keeps every token.
    top_k : int
        Number of likeliest tokens kept; 0 keeps every token.
    stop : tuple of str
        Stop strings: the completion's text ends before the first of them.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One sample to draw.

    Parameters
    ----------
    key : SampleKey
        Its address; unique among the requests in flight.
    prompt : str
        Text to continue.
    decoding : Decoding
        How tokens are drawn.
    seed : int or None
        The sample's own seed, 0 ... 2**63 - 1; None draws from the engine's stream, which no
        replay can repeat.
    """

    key: SampleKey
    prompt: str
    decoding: Decoding
    seed: int | None


class Sampler(Protocol):
    """Draws completions of one model; many requests in flight, finished in any order.

    Not thread-safe: one thread calls all methods. Closing it aborts what is in flight.
    """

    @property
    def capacity(self) -> int:
        """Number of requests in flight that keeps the engine full."""
        ...

    @property
    def provenance(self) -> Mapping[str, object]:
        """What a run records of the engine: name, versions, device, dtype; JSON values."""
        ...

    def submit(self, requests: Sequence[SampleRequest]) -> None:
        """Take requests; returns before they are finished.

        Raises
        ------
        UsageError
            A prompt does not fit the model's context, or a key is in flight already. None of
            `requests` is taken.
        EngineError
            The engine is gone. The caller may start a new sampler and submit again.
        """
        ...

    def step(self) -> Sequence[Completion]:
        """Advance the engine once and return the completions that finished, each exactly once.

        Returns an empty sequence at once if nothing is in flight.

        Raises
        ------
        EngineError
            As above; completions not yet returned are lost and may be drawn again.
        """
        ...

    def abort(self, keys: Iterable[SampleKey]) -> int:
        """Drop requests in flight; their completions never appear. Unknown keys are ignored.

        Returns
        -------
        int
            Tokens that had been generated for the dropped requests.
        """
        ...

    def close(self) -> None:
        """Free the engine. Idempotent."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Undecoded:
    """A finished generation before its text is made.

    Parameters
    ----------
    key, token_ids, finish_reason
        As in :class:`passuntil.records.Completion`.
    decode : callable
        Makes the text; any thread may call it.
    """

    key: SampleKey
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    decode: Callable[[], str]

    @property
    def n_tokens(self) -> int:
        """Number of generated tokens."""
        return len(self.token_ids)

    def completion(self) -> Completion:
        """Return it with its text.

        Raises
        ------
        EngineError
            There is none.
        """
        try:
            text = self.decode()
        except Exception as error:
            raise EngineError(
                f"{self.key}: got {type(error).__name__}: {error} from decoding {self.n_tokens} "
                "tokens; allowed: tokens of the model's own tokenizer; see that the tokenizer "
                "belongs to the model, and run the same command again to resume."
            ) from error
        return Completion(self.key, text, self.token_ids, self.finish_reason)


@runtime_checkable
class DecodesLater(Protocol):
    """A :class:`Sampler` that leaves the text to whoever needs it.

    The thread that steps an engine keeps it waiting meanwhile; a sampler that is given text, by a
    server say, has nothing to leave.
    """

    def step_undecoded(self) -> Sequence[Undecoded]:
        """Advance as `Sampler.step` does, which returns the same with their texts."""
        ...


class Checker(Protocol):
    """Judges completions. Thread-safe: a pool calls `check` from `concurrency` threads."""

    @property
    def concurrency(self) -> int:
        """Number of threads that may usefully call `check` at once, >= 1."""
        ...

    @property
    def is_cheap(self) -> bool:
        """Whether a check takes microseconds, so that a pool calls it without a thread or cache."""
        ...

    def prepare(self, instance: Instance) -> object:
        """Make ready for an instance, so that what is wrong with it shows before any sampling.

        Raises
        ------
        UsageError
            The instance cannot be judged by this checker.
        CheckerError
            The checker itself failed.
        """
        ...

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        """Judge one completion. The same text of the same instance always gets the same verdict.

        Raises
        ------
        CheckerError
            The checker itself failed. Never a verdict: the caller retries, then gives the
            instance up.
        """
        ...

    def describe(self) -> Mapping[str, object]:
        """Return what a report must say of it: name, version, isolation level, limits."""
        ...

    def close(self) -> None:
        """Free processes. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class KeptText:
    """A completion's text kept for people to read and for checkers to judge again.

    `n_tokens` is None in ledgers written before it was recorded.
    """

    index: int
    is_pass: bool
    reason: str
    finish_reason: str
    text: str
    n_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Judged samples of one instance: the contiguous indices start ... start + n - 1.

    Parameters
    ----------
    model, task, instance : str
        Names.
    start : int
        First index, >= 1.
    verdicts : bytes
        One byte per index in index order, 1 for pass and 0 for fail. Adapters store bits.
    fail_reasons : mapping of str to int
        How often each fail reason occurred; sums to the number of fails.
    n_tokens : int
        Tokens of these samples together.
    overrun_samples, overrun_tokens : int
        Samples drawn beyond the stop, and their tokens: paid for, used for nothing. What is in
        flight when a driver is killed is not among them.
    kept : tuple of KeptText
        Texts of all passing samples and of some failing ones, or of all.
    """

    model: str
    task: str
    instance: str
    start: int
    verdicts: bytes
    fail_reasons: Mapping[str, int]
    n_tokens: int
    overrun_samples: int = 0
    overrun_tokens: int = 0
    kept: tuple[KeptText, ...] = ()

    @property
    def stop(self) -> int:
        """One past the last index."""
        return self.start + len(self.verdicts)


@dataclass(frozen=True, slots=True)
class GreedyResult:
    """The ordinary score of one instance: one completion at temperature 0, judged."""

    model: str
    task: str
    instance: str
    is_pass: bool
    reason: str
    text: str


class Ledger(Protocol):
    """The only truth about a run: judged samples, in index order, each exactly once."""

    def append(self, blocks: Sequence[Block], greedy: Sequence[GreedyResult] = ()) -> None:
        """Write all or nothing. When it returns, the data survive the death of the process.

        A block continues its instance: ``block.start`` is one past the last index held.

        Raises
        ------
        LedgerError
            A block leaves a gap or repeats an index, a greedy result exists already, or the
            store cannot be written. Nothing of this call is kept.
        """
        ...

    def blocks(self, *, with_kept: bool = True) -> Iterable[Block]:
        """Yield what was appended, per instance in index order; adapters may join neighbours.

        Without kept texts where `with_kept` is false: they can outweigh all else by far.
        """
        ...

    def greedy(self) -> Iterable[GreedyResult]:
        """Yield the greedy results."""
        ...

    def close(self) -> None:
        """Release the store. Idempotent."""
        ...
