"""Shipped adapters pass the checks, and the checks catch adapters that break a promise."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from passuntil.checkers.exact import ExactChecker, Extract
from passuntil.conformance import (
    CheckerExample,
    ConformanceError,
    check_checker,
    check_ledger,
    check_sampler,
)
from passuntil.errors import CheckerError, EngineError, LedgerError, UsageError
from passuntil.ledger import MemoryLedger, SqliteLedger
from passuntil.ports import Block, Decoding, GreedyResult, SampleRequest, Undecoded
from passuntil.records import Completion, ExactAnswer, Instance, SampleKey, Verdict
from passuntil.sampler.scripted import ScriptedSampler, bernoulli

DECODING = Decoding(max_tokens=40, stop=("\n",))
SCRIPT = bernoulli(lambda key: 0.3, fail_tokens=(1, 60), pass_tokens=(3, 9), fail_text="no\nmore")


def scripted(**options: Any) -> ScriptedSampler:
    return ScriptedSampler(SCRIPT, max_prompt_chars=20, **options)


def check(make_sampler: Callable[[], Any]) -> None:
    check_sampler(
        make_sampler,
        prompts=("a", "b", "c"),
        decoding=DECODING,
        too_long_prompt="x" * 21,
        is_reproducible=True,
        timeout_s=0.5,
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"capacity": 1}, {"capacity": 5}, {"latency": lambda n: 1}, {"latency": lambda n: n // 4}],
)
def test_scripted_sampler_conforms(options: dict[str, Any]) -> None:
    check(lambda: scripted(**options))


class Wrapped:
    """A sampler that keeps every promise; subclasses break one."""

    def __init__(self) -> None:
        self.inner = scripted(capacity=8)
        self.flying: dict[SampleKey, SampleRequest] = {}

    @property
    def capacity(self) -> int:
        return self.inner.capacity

    @property
    def provenance(self) -> Mapping[str, object]:
        return self.inner.provenance

    def submit(self, requests: Sequence[SampleRequest]) -> None:
        self.inner.submit(requests)
        self.flying.update({request.key: request for request in requests})

    def step(self) -> Sequence[Completion]:
        found = self.inner.step()
        for completion in found:
            self.flying.pop(completion.key, None)
        return found

    def abort(self, keys: Iterable[SampleKey]) -> int:
        dropped = list(keys)
        for key in dropped:
            self.flying.pop(key, None)
        return self.inner.abort(dropped)

    def close(self) -> None:
        self.inner.close()


class Later(Wrapped):
    """Leaves the text for later, as well."""

    def step_undecoded(self) -> Sequence[Undecoded]:
        return [
            Undecoded(done.key, done.token_ids, done.finish_reason, partial(self.text, done))
            for done in self.step()
        ]

    def text(self, done: Completion) -> str:
        return done.text


@pytest.mark.parametrize("make", [Wrapped, Later])
def test_a_wrapped_sampler_conforms(make: Callable[[], Any]) -> None:
    check(make)


class NoCapacity(Wrapped):
    capacity = 0


class Anonymous(Wrapped):
    provenance: Mapping[str, object] = {"version": 1}


class Repeats(Wrapped):
    last: Sequence[Completion] = ()

    def step(self) -> Sequence[Completion]:
        found = super().step()
        result = [*found, *self.last[:1]]
        self.last = found
        return result


class Loses(Wrapped):
    def step(self) -> Sequence[Completion]:
        return [completion for completion in super().step() if completion.key.index != 3]


class IgnoresAbort(Wrapped):
    def abort(self, keys: Iterable[SampleKey]) -> int:
        list(keys)
        return 0


class AbortsAll(Wrapped):
    def abort(self, keys: Iterable[SampleKey]) -> int:
        return super().abort([*keys, *self.flying])


class AbortRaises(Wrapped):
    def abort(self, keys: Iterable[SampleKey]) -> int:
        for key in keys:
            if key not in self.flying:
                raise ConformanceError("unknown key")
        return super().abort(keys)


class AbortInventsTokens(Wrapped):
    def abort(self, keys: Iterable[SampleKey]) -> int:
        return 10_000 * super().abort(keys)


class TakesBeforeRefusing(Wrapped):
    def submit(self, requests: Sequence[SampleRequest]) -> None:
        for request in requests:
            super().submit([request])


class TakesTwice(Wrapped):
    def submit(self, requests: Sequence[SampleRequest]) -> None:
        super().submit(list({r.key: r for r in requests if r.key not in self.flying}.values()))


class RefusesInItsOwnWords(Wrapped):
    def submit(self, requests: Sequence[SampleRequest]) -> None:
        try:
            super().submit(requests)
        except UsageError as error:
            raise KeyError(str(error)) from error


class TakesLongPrompts(Wrapped):
    def submit(self, requests: Sequence[SampleRequest]) -> None:
        super().submit([replace(request, prompt=request.prompt[:5]) for request in requests])


class KeepsStopStrings(Wrapped):
    def step(self) -> Sequence[Completion]:
        return [replace(completion, text=completion.text + "\n") for completion in super().step()]


class TooManyTokens(Wrapped):
    def step(self) -> Sequence[Completion]:
        return [replace(completion, token_ids=(1,) * 41) for completion in super().step()]


class Moody(Wrapped):
    def step(self) -> Sequence[Completion]:
        mood = f"{random.random()}"
        return [replace(completion, text=mood) for completion in super().step()]


class ForgetsWhatItDecodes(Later):
    """The text is that of what the sampler finished last."""

    last = ""

    def step(self) -> Sequence[Completion]:
        found = super().step()
        if found:
            self.last = f"{found[-1].key.index}"
        return found

    def text(self, done: Completion) -> str:
        return self.last


class LosesWhatItLeaves(Later):
    def step_undecoded(self) -> Sequence[Undecoded]:
        return [undecoded for undecoded in super().step_undecoded() if undecoded.key.index != 3]


class LeavesStopStrings(Later):
    def text(self, done: Completion) -> str:
        return done.text + "\n"


class ClosesOnce(Wrapped):
    def close(self) -> None:
        self.inner.step()
        super().close()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (ForgetsWhatItDecodes, "decoding later gives the same"),
        (LosesWhatItLeaves, "finish in time"),
        (LeavesStopStrings, "ends before the stop string"),
        (NoCapacity, "capacity is at least 1"),
        (Anonymous, "provenance has 'engine'"),
        (Repeats, "only what is in flight|finishes once|nothing finishes"),
        (Loses, "finish in time"),
        (IgnoresAbort, "only what is in flight finishes"),
        (AbortsAll, "finish in time"),
        (AbortRaises, "unknown key"),
        (AbortInventsTokens, "abort returns 0"),
        (TakesBeforeRefusing, "key in flight twice|only what is in flight finishes"),
        (TakesTwice, "twice: raises UsageError; got no error"),
        (RefusesInItsOwnWords, "raises UsageError; got KeyError"),
        (TakesLongPrompts, "a long prompt: raises UsageError"),
        (KeepsStopStrings, "before the stop string"),
        (TooManyTokens, "has 1 ... 40 tokens"),
        (Moody, "the same completions"),
    ],
)
def test_broken_samplers_are_caught(broken: type[Wrapped], message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check(broken)


def test_sampler_that_closes_only_once_is_caught() -> None:
    with pytest.raises(EngineError):
        check(ClosesOnce)


ANSWER = Instance("task", "1", "6 * 7 =", ExactAnswer(("42", "forty-two")))
EXAMPLES = [
    CheckerExample(ANSWER, ("42", " 42 ", "forty-two"), ("43", "4 2", "the answer is 42")),
    CheckerExample(Instance("task", "2", "", ExactAnswer(("no",))), ("no",), ("42", "yes")),
]


@pytest.mark.parametrize(
    "options",
    [{}, {"normalise": ("lower", "strip")}, {"extract": Extract(r"(?s)^.*$")}],
    ids=["plain", "normalise", "extract"],
)
def test_exact_checker_conforms(options: dict[str, Any]) -> None:
    check_checker(lambda: ExactChecker(**options), examples=EXAMPLES)


class Judge:
    """A checker that keeps every promise; subclasses break one."""

    concurrency = 4
    is_cheap = False

    def prepare(self, instance: Instance) -> None:
        pass

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        assert isinstance(instance.target, ExactAnswer)
        if completion.text.strip() in instance.target.accepted:
            return Verdict.passed()
        return Verdict.failed("mismatch")

    def describe(self) -> dict[str, object]:
        return {"name": "judge", "version": 1}

    def close(self) -> None:
        pass


def test_a_plain_checker_conforms() -> None:
    check_checker(Judge, examples=EXAMPLES)


class NoThreads(Judge):
    concurrency = 0


class Undecided(Judge):
    is_cheap = None  # type: ignore[assignment]


class Nameless(Judge):
    def describe(self) -> dict[str, object]:
        return {"version": 1}


class Unprintable(Judge):
    def describe(self) -> dict[str, object]:
        return {"name": "judge", "version": 1, "lock": object()}


class Generous(Judge):
    def check(self, instance: Instance, completion: Completion) -> Verdict:
        return Verdict.passed()


class Crashes(Judge):
    def check(self, instance: Instance, completion: Completion) -> Verdict:
        completion.text.encode()  # half a surrogate pair raises
        return super().check(instance, completion)


class GivesUp(Judge):
    def check(self, instance: Instance, completion: Completion) -> Verdict:
        if len(completion.text) > 100_000:
            raise CheckerError("too long")
        return super().check(instance, completion)


class SaysTrue(Judge):
    def check(self, instance: Instance, completion: Completion) -> Any:
        return super().check(instance, completion).is_pass


class Unreasoned(Judge):
    def check(self, instance: Instance, completion: Completion) -> Verdict:
        return replace(super().check(instance, completion), reason="")


class LooksAtTheIndex(Judge):
    def check(self, instance: Instance, completion: Completion) -> Verdict:
        if completion.key.index == 3:
            return Verdict.failed("third")
        return super().check(instance, completion)


class Shares(Judge):
    """Keeps the work of a call where other threads write theirs."""

    current = ""

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        self.current = completion.text
        time.sleep(1e-3)  # lets the other threads in
        return super().check(instance, replace(completion, text=self.current))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (NoThreads, "concurrency is at least 1"),
        (Undecided, "is_cheap is true or false"),
        (Nameless, "describe.. has 'name'"),
        (Unprintable, "describe.. holds JSON values"),
        (Generous, "'43' fails"),
        (Crashes, "gets a verdict; got UnicodeEncodeError"),
        (GivesUp, "gets a verdict; got CheckerError"),
        (SaysTrue, "gets a Verdict"),
        (Unreasoned, "a fail has a reason"),
        (LooksAtTheIndex, "again"),
    ],
)
def test_broken_checkers_are_caught(broken: type[Judge], message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check_checker(broken, examples=EXAMPLES)


def test_checker_that_is_not_thread_safe_is_caught() -> None:
    with pytest.raises(ConformanceError, match="again"):
        check_checker(Shares, examples=EXAMPLES)


def test_memory_ledger_conforms() -> None:
    check_ledger(MemoryLedger, is_durable=False)


def test_sqlite_ledger_conforms(tmp_path: Path) -> None:
    check_ledger(lambda: SqliteLedger(tmp_path / "ledger.sqlite"))


class Notes:
    """A ledger that keeps every promise but durability; subclasses break one more."""

    def __init__(self) -> None:
        self.inner = MemoryLedger()

    def append(self, blocks: Sequence[Block], greedy: Sequence[GreedyResult] = ()) -> None:
        self.inner.append(blocks, greedy)

    def blocks(self, *, with_kept: bool = True) -> Iterable[Block]:
        return self.inner.blocks(with_kept=with_kept)

    def greedy(self) -> Iterable[GreedyResult]:
        return self.inner.greedy()

    def close(self) -> None:
        pass


class KeepsHalf(Notes):
    def append(self, blocks: Sequence[Block], greedy: Sequence[GreedyResult] = ()) -> None:
        for block in blocks:
            super().append([block])
        super().append([], greedy)


class KeepsVerdictsOfRefused(Notes):
    def append(self, blocks: Sequence[Block], greedy: Sequence[GreedyResult] = ()) -> None:
        super().append(blocks)
        super().append([], greedy)


class SkipsGaps(Notes):
    def append(self, blocks: Sequence[Block], greedy: Sequence[GreedyResult] = ()) -> None:
        try:
            super().append(blocks, greedy)
        except LedgerError:
            return


class Reverses(Notes):
    def blocks(self, *, with_kept: bool = True) -> Iterable[Block]:
        return reversed(list(super().blocks(with_kept=with_kept)))


class ForgetsOverrun(Notes):
    def blocks(self, *, with_kept: bool = True) -> Iterable[Block]:
        found = super().blocks(with_kept=with_kept)
        return (replace(block, overrun_samples=0) for block in found)


class ForgetsTexts(Notes):
    def blocks(self, *, with_kept: bool = True) -> Iterable[Block]:
        found = super().blocks(with_kept=with_kept)
        return (replace(block, kept=block.kept[:1]) for block in found)


class CannotLeaveTextsOut(Notes):
    def blocks(self, *, with_kept: bool = True) -> Iterable[Block]:
        return super().blocks()


class ForgetsGreedy(Notes):
    def greedy(self) -> Iterable[GreedyResult]:
        return list(super().greedy())[:1]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (KeepsHalf, "leaves no trace"),
        (KeepsVerdictsOfRefused, "a second greedy result leaves no trace"),
        (SkipsGaps, "a gap: raises LedgerError; got no error"),
        (Reverses, "come in index order"),
        (ForgetsOverrun, "the ledger holds"),
        (ForgetsTexts, "the ledger holds"),
        (CannotLeaveTextsOut, "without kept texts"),
        (ForgetsGreedy, "the ledger holds"),
    ],
)
def test_broken_ledgers_are_caught(broken: type[Notes], message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check_ledger(broken, is_durable=False)


def test_ledger_that_forgets_at_close_is_caught() -> None:
    with pytest.raises(ConformanceError, match="reopened, it holds"):
        check_ledger(MemoryLedger)
