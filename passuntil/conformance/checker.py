"""What every checker must keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from passuntil.conformance.failure import ConformanceError, require, require_record
from passuntil.ports import Checker
from passuntil.records import Completion, FinishReason, Instance, SampleKey, Verdict

__all__ = ["GARBAGE", "CheckerExample", "check_checker"]


@dataclass(frozen=True, slots=True)
class CheckerExample:
    """An instance with texts known to pass and to fail."""

    instance: Instance
    passing: tuple[str, ...]
    failing: tuple[str, ...]


GARBAGE = (
    "",
    " \n\t\r\n",
    "\0",
    "a\0b\x1b[2J\x07",
    "\ud800 half a pair",
    "\u202eright to left",
    "(" * 10_000,
    "x" * 200_000,
    "9" * 5_000,
    '"""',
    "\\",
    "\\boxed{{{",
    "    return",
    "%s {} {0.__class__} $(false) `false`",
)
"""Texts that models write and checkers must bear."""


def check_checker(
    make_checker: Callable[[], Checker],
    *,
    examples: Sequence[CheckerExample],
    garbage: Sequence[str] = GARBAGE,
    n_threads: int = 8,
    n_rounds: int = 4,
) -> None:
    """Check an adapter of ``Checker``; one checker is made and closed.

    Parameters
    ----------
    make_checker : callable
        Returns a new checker.
    examples : sequence of CheckerExample
        Instances with known verdicts, one or more.
    garbage : sequence of str
        Texts that must get a verdict, whichever, and never an exception.
    n_threads : int
        Most threads that call `check` at once; the checker's own `concurrency` bounds it too.
    n_rounds : int
        How often each text is judged from those threads.

    Raises
    ------
    ConformanceError
        A promise does not hold.
    """
    checker = make_checker()
    try:
        require(checker.concurrency >= 1, "concurrency is at least 1", checker.concurrency)
        is_told = isinstance(checker.is_cheap, bool)
        require(is_told, "is_cheap is true or false", checker.is_cheap)
        require_record(checker.describe, "describe()", ("name", "version"))
        verdicts = _check_examples(checker, examples)
        for text in garbage:
            for example in examples:
                verdicts[example.instance, text] = _judge(checker, example.instance, text)
        _check_threads(checker, verdicts, n_threads, n_rounds)
    finally:
        checker.close()
    checker.close()


def _judge(checker: Checker, instance: Instance, text: str, index: int = 1) -> Verdict:
    """Return the verdict; other indices come with other tokens, which must not matter."""
    key = SampleKey("model", instance.task, instance.id, index)
    token_ids = tuple(range(index, index + 3))
    completion = Completion(key, text, token_ids, FinishReason.END)
    try:
        verdict = checker.check(instance, completion)
    except Exception as error:
        raise ConformanceError(
            f"{text[:60]!r} gets a verdict; got {type(error).__name__}: {error}."
        ) from error
    require(isinstance(verdict, Verdict), f"{text[:60]!r} gets a Verdict", verdict)
    is_named = bool(verdict.reason) and (verdict.reason == "pass") == verdict.is_pass
    require(is_named, "a fail has a reason of its own", verdict)
    return verdict


def _check_examples(
    checker: Checker, examples: Sequence[CheckerExample]
) -> dict[tuple[Instance, str], Verdict]:
    verdicts: dict[tuple[Instance, str], Verdict] = {}
    for example in examples:
        for texts, is_pass in ((example.passing, True), (example.failing, False)):
            for text in texts:
                verdict = _judge(checker, example.instance, text)
                expected = f"{text[:60]!r} {'passes' if is_pass else 'fails'}"
                require(verdict.is_pass == is_pass, expected, verdict)
                verdicts[example.instance, text] = verdict
    return verdicts


def _check_threads(
    checker: Checker,
    verdicts: dict[tuple[Instance, str], Verdict],
    n_threads: int,
    n_rounds: int,
) -> None:
    """The same text gets the same verdict, from any thread and whatever runs beside it."""
    work = [(*address, index) for index in range(2, 2 + n_rounds) for address in verdicts]
    with ThreadPoolExecutor(min(n_threads, checker.concurrency)) as pool:
        again = pool.map(lambda item: _judge(checker, *item), work)
        for (instance, text, _), verdict in zip(work, again, strict=True):
            first = verdicts[instance, text]
            require(verdict == first, f"{text[:60]!r} gets {first} again", verdict)
