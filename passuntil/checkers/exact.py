"""Exact match: extract the answer, normalise it, compare it with the accepted ones."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, final

import regex  # type: ignore[import-untyped]  # re can not be given a time limit

from passuntil.errors import CheckerError, UsageError, nearest
from passuntil.records import Completion, ExactAnswer, FinishReason, Instance, Verdict

__all__ = ["STEPS", "ExactChecker", "Extract"]

Pattern = Any  # regex has no type stubs

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = regex.compile(r"\b(?:a|an|the)\b", regex.IGNORECASE)


def _first_line(text: str) -> str:
    return text.lstrip("\n").partition("\n")[0]


def _collapse_whitespace(text: str) -> str:
    return " ".join(text.split())


STEPS: Mapping[str, Callable[[str], str]] = {
    "strip": str.strip,
    "lower": str.lower,
    "casefold": str.casefold,
    "collapse_whitespace": _collapse_whitespace,
    "remove_whitespace": lambda text: "".join(text.split()),
    "remove_punctuation": lambda text: text.translate(_PUNCTUATION),
    "remove_commas": lambda text: text.replace(",", ""),
    "remove_articles": lambda text: _ARTICLES.sub(" ", text),
    "remove_final_period": lambda text: text.rstrip().removesuffix("."),
    "first_line": _first_line,
}
"""Normalisation steps by name; applied in the order given."""


@dataclass(frozen=True, slots=True)
class Extract:
    """Which part of a completion is the answer.

    Parameters
    ----------
    pattern : str
        Regular expression in Python's syntax, searched in the whole completion.
    take : {"first", "last"}
        Which of several matches.
    group : int, str or None
        Group of the match; None takes group 1 if the pattern has one, else the whole match.
    """

    pattern: str
    take: Literal["first", "last"] = "first"
    group: int | str | None = None


@final
class ExactChecker:
    """Passes completions whose answer equals an accepted one after the same normalisation.

    Fails with reason "length" (cut by ``max_tokens`` although `require_end`), "no_match" (the
    pattern found nothing), or "mismatch".

    Parameters
    ----------
    normalise : sequence of str
        Names of `STEPS`, applied in order to completion and accepted answers alike.
    extract : Extract or None
        Applied before normalisation, to completions only.
    require_end : bool
        Whether a completion must have ended by itself: then passing means that all the model
        wrote, up to end-of-sequence or stop string, is the answer.
    timeout_s : float
        Most CPU seconds of the process that one extraction may take, > 0.

    Raises
    ------
    UsageError
        Unknown step, malformed pattern, or a group that the pattern lacks.

    Notes
    -----
    A pattern can need exponential time on some text, and Python's ``re`` can neither be
    interrupted nor lets other threads run meanwhile. Extraction therefore uses the ``regex``
    package with a time limit. A match over the limit raises ``CheckerError``: how far it came
    depends on the machine, so it is no verdict.
    """

    is_cheap = True
    concurrency = 1

    def __init__(
        self,
        *,
        normalise: Sequence[str] = ("strip",),
        extract: Extract | None = None,
        require_end: bool = False,
        timeout_s: float = 1.0,
    ) -> None:
        for step in normalise:
            if step not in STEPS:
                raise UsageError(
                    f"normalise: got {step!r}; allowed: {', '.join(STEPS)}; name known steps."
                    f"{nearest(step, STEPS)}"
                )
        self._names = tuple(normalise)
        self._steps = tuple(STEPS[step] for step in normalise)
        self._extract = extract
        self._pattern: Pattern | None = None
        self._group: int | str = 0
        if extract is not None:
            self._pattern, self._group = _compile(extract)
        self._take_last = extract is not None and extract.take == "last"
        self._require_end = require_end
        self._timeout_s = timeout_s
        # one target serves up to 1e5 completions
        self._accepted = lru_cache(maxsize=4096)(self._normalise_all)

    def prepare(self, instance: Instance) -> ExactAnswer:
        """Return what the instance's completions are compared with."""
        target = instance.target
        if not isinstance(target, ExactAnswer):
            raise UsageError(
                f"instance {instance.id!r} of task {instance.task!r}: got a target of type "
                f"{type(target).__name__}; allowed: ExactAnswer; use the checker of its format."
            )
        return target

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        """Judge one completion."""
        target = self.prepare(instance)
        if self._require_end and completion.finish_reason is FinishReason.LENGTH:
            return _LENGTH
        answer = completion.text
        if self._pattern is not None:
            found = self._find(self._pattern, answer, instance)
            if found is None:
                return _NO_MATCH
            answer = found
        return _PASS if self._normalise(answer) in self._accepted(target) else _MISMATCH

    def describe(self) -> Mapping[str, object]:
        """Return name, version and options."""
        extract = self._extract
        return {
            "name": "exact",
            "version": 1,
            "normalise": list(self._names),
            "extract": extract
            and {"pattern": extract.pattern, "take": extract.take, "group": self._group},
            "require_end": self._require_end,
        }

    def close(self) -> None:
        """Nothing to free."""

    def _normalise(self, text: str) -> str:
        for step in self._steps:
            text = step(text)
        return text

    def _normalise_all(self, target: ExactAnswer) -> frozenset[str]:
        return frozenset(map(self._normalise, target.accepted))

    def _find(self, pattern: Pattern, text: str, instance: Instance) -> str | None:
        try:
            if self._take_last:
                match = None
                for match in pattern.finditer(text, timeout=self._timeout_s):  # noqa: B007
                    pass
            else:
                match = pattern.search(text, timeout=self._timeout_s)
        except TimeoutError as error:
            raise CheckerError(
                f"extract.pattern: got a match of task {instance.task!r}, instance "
                f"{instance.id!r}, that took over {self._timeout_s} s of CPU on {len(text)} "
                f"characters; allowed: less; simplify {pattern.pattern!r}."
            ) from error
        group: str | None = match and match.group(self._group)
        return group


_PASS = Verdict.passed()
_LENGTH = Verdict.failed("length")
_NO_MATCH = Verdict.failed("no_match")
_MISMATCH = Verdict.failed("mismatch")


def _compile(extract: Extract) -> tuple[Pattern, int | str]:
    if extract.take not in ("first", "last"):
        raise UsageError(f"extract.take: got {extract.take!r}; allowed: first, last; choose one.")
    try:
        pattern = regex.compile(extract.pattern)
    except regex.error as error:
        raise UsageError(
            f"extract.pattern: got {extract.pattern!r}, which is malformed ({error}); allowed: a "
            "regular expression; correct it."
        ) from error
    group = extract.group
    if group is None:
        return pattern, min(1, pattern.groups)
    known = [*range(pattern.groups + 1), *pattern.groupindex]
    if group not in known:
        raise UsageError(
            f"extract.group: got {group!r}; allowed: {', '.join(map(str, known))}, the groups of "
            f"{extract.pattern!r}; name one of them."
        )
    return pattern, group
