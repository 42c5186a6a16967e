"""One sample: its address, its seed, what the model wrote and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from passuntil.errors import UsageError

__all__ = ["Completion", "FinishReason", "SampleKey", "Verdict", "sample_seeds"]


@dataclass(frozen=True, slots=True)
class SampleKey:
    """The address of one sample. All its randomness follows from it and the run's seed.

    Parameters
    ----------
    model, task, instance : str
        Names.
    index : int
        1, 2, 3, ... within the instance.

    Examples
    --------
    >>> key = SampleKey("pico-70M", "sums", "sums/0", 1)
    >>> key.seed(0) == key.seed(0), key.seed(0) == key.seed(1)
    (True, False)
    """

    model: str
    task: str
    instance: str
    index: int

    def seed(self, run_seed: int) -> int:
        """Return the sample's own seed, uniform over 0 ... 2**63 - 1; see `sample_seeds`.

        Examples
        --------
        >>> SampleKey("m", "t", "i", 1).seed(0)
        2398661032429092240
        """
        return sample_seeds(run_seed, self.model, self.task, self.instance)(self.index)


def sample_seeds(run_seed: int, model: str, task: str, instance: str) -> Callable[[int], int]:
    """Return the function from a sample's index to its seed, for one instance.

    A hash, so that neighbouring indices, instances and models share nothing: engines that add
    the index to a base seed repeat each other where the ranges overlap.

    Parameters
    ----------
    run_seed : int
        The run's seed, any whole number.
    model, task, instance : str
        Names.

    Returns
    -------
    callable
        Takes an index 1, 2, 3, ... and returns an int of 63 bits.

    Notes
    -----
    The first 63 bits of BLAKE2b over the fields, each with its length in front.

    Examples
    --------
    >>> seed = sample_seeds(0, "m", "t", "i")
    >>> seed(1), seed(1) == SampleKey("m", "t", "i", 1).seed(0)
    (2398661032429092240, True)
    """
    # length prefixes keep ("ab", "c") and ("a", "bc") apart
    fields = (str(run_seed), model, task, instance)
    base = hashlib.blake2b("".join(f"{len(f)}:{f}" for f in fields).encode(), digest_size=8)

    def seed(index: int) -> int:
        text = str(index)
        digest = base.copy()
        digest.update(f"{len(text)}:{text}".encode())
        return int.from_bytes(digest.digest(), "big") >> 1

    return seed


class FinishReason(StrEnum):
    """Why a completion ended.

    Examples
    --------
    >>> FinishReason("length") is FinishReason.LENGTH  # ran into the limit: the text is cut off
    True
    """

    END = "end"
    """The model emitted its end-of-sequence token."""
    STOP = "stop"
    """A stop string was found; the text ends before it."""
    LENGTH = "length"
    """``max_tokens`` was reached."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished generation.

    Parameters
    ----------
    key : SampleKey
        Which sample it is.
    text : str
        Generated text without the prompt, the end-of-sequence token or the stop string.
    token_ids : tuple of int
        All generated tokens, the end-of-sequence token included: the truth the text is made of.
    finish_reason : FinishReason
        Why it ended.

    Examples
    --------
    >>> key = SampleKey("pico-70M", "sums", "sums/0", 1)
    >>> completion = Completion(key, " 7", token_ids=(716, 2), finish_reason=FinishReason.END)
    >>> completion.n_tokens
    2
    """

    key: SampleKey
    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason

    @property
    def n_tokens(self) -> int:
        """Number of generated tokens."""
        return len(self.token_ids)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pass, or fail with a reason. A fault of the checker is neither: it raises ``CheckerError``.

    Use :meth:`passed` and :meth:`failed`.

    Examples
    --------
    >>> Verdict.passed().is_pass, Verdict.failed("wrong answer").reason
    (True, 'wrong answer')
    """

    is_pass: bool
    reason: str

    @classmethod
    def passed(cls) -> Self:
        """Return the verdict of a passing sample."""
        return cls(is_pass=True, reason="pass")

    @classmethod
    def failed(cls, reason: str) -> Self:
        """Return the verdict of a failing sample; `reason` is a short word such as "timeout".

        Raises
        ------
        UsageError
            No reason, or "pass".

        Examples
        --------
        >>> Verdict.failed("timeout")
        Verdict(is_pass=False, reason='timeout')
        """
        if not reason or reason == "pass":
            raise UsageError(
                f"fail reason: got {reason!r}; allowed: a short word other than 'pass'; "
                "name what went wrong."
            )
        return cls(is_pass=False, reason=reason)
