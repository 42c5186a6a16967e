"""Programs in children of their own, handed over several at a time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from passuntil.checkers.code import CodeChecker
from passuntil.checkers.pool import CheckerPool
from passuntil.checkers.sandbox.problem import Answer, Problem
from passuntil.errors import CheckerError
from passuntil.records import CodeTests, Completion, FinishReason, Instance, SampleKey

pytestmark = pytest.mark.jail

DOUBLE = Instance(
    "t",
    "double",
    "",
    CodeTests("", "def check(f):\n    assert f(2) == 4\n", "f", "def f(x): return 2 * x\n"),
)
# draws its inputs anew each time
LIVE = Instance(
    "t",
    "live",
    "",
    CodeTests(
        "",
        "import os\ndef check(f):\n    assert all(f(x) == 2 * x for x in os.urandom(9))\n",
        "f",
        "def f(x): return 2 * x\n",
    ),
)
# looks at a class, which does not cross the border as a value
CLASS = Instance(
    "t",
    "class",
    "",
    CodeTests("", "def check(f):\n    assert f().two == 2\n", "f", "class f:\n    two = 2\n"),
)
TEXTS = {
    "def f(x): return x + x": "pass",
    "f = lambda x: x << 1": "pass",
    "def f(x): return 5": "fail",
    "def f(x): return": "fail",
    "def f(x) return": "error",
    "def f(x): raise ValueError": "error",
    "import os\ndef f(x): os._exit(0)": "crash",
    "def f(x):\n    while True: pass": "timeout",
    "def f(x): return 'x' * 100_000": "flood",
    "def f(x): return f": "opaque",
    "#" + "x" * 300_000: "too_large",
}


def completion(text: str, index: int = 1) -> Completion:
    return Completion(SampleKey("m", "t", "i", index), text, (), FinishReason.END)


@pytest.fixture(scope="module")
def checker() -> Iterator[CodeChecker]:
    checker = CodeChecker(n_workers=1, batches=False, unverified=True)
    yield checker
    checker.close()


def test_those_that_compile_together_are_handed_over_together(checker: CodeChecker) -> None:
    assert checker.batch_size == 16
    running = CodeChecker(n_workers=1, settles=False)
    assert running.batch_size == 1
    running.close()


def test_verdicts_are_those_of_one_at_a_time(checker: CodeChecker) -> None:
    """Of every kind of problem in one call: split, live and unverified."""
    samples = [(instance, completion(text)) for text in TEXTS for instance in (DOUBLE, LIVE, CLASS)]
    together = checker.check_many(samples)
    fresh = CodeChecker(n_workers=1, batches=False, unverified=True)
    assert together == [fresh.check(*sample) for sample in samples]
    fresh.close()
    assert [v.reason for v in together[::3] if not isinstance(v, CheckerError)] == list(
        TEXTS.values()
    )


def test_a_fault_at_one_costs_its_neighbours_no_verdict(
    checker: CodeChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The zygote is killed under one of them; each gets the verdict it has without that."""
    worker = checker._all[0]
    original = worker.run
    killed = []

    def run(problem: Problem, program: bytes, *, is_code: bool = False) -> Answer:
        if not killed and b"victim" in program:
            killed.append(program)
            os.kill(worker.zygote().pid, signal.SIGKILL)
        return original(problem, program, is_code=is_code)

    monkeypatch.setattr(worker, "run", run)
    texts = [f"def f(x): return x + {n}" for n in range(15)]
    texts.insert(7, "def f(x):\n    victim = x\n    return 2 * victim")
    many = checker.check_many([(DOUBLE, completion(text)) for text in texts])
    assert killed
    assert all(isinstance(each, CheckerError) for each in many), "one fault, told by all"
    killed.clear()
    with CheckerPool({"t": _Open(checker)}) as pool:
        for index, text in enumerate(texts, start=1):
            pool.submit(DOUBLE, completion(text, index))
        judgements = {}
        while len(judgements) < len(texts):
            judgements.update({each.key.index: each for each in pool.collect(timeout_s=5.0)})
    assert killed
    for index, text in enumerate(texts, start=1):
        verdict = judgements[index].verdict
        assert verdict is not None, judgements[index].error
        assert verdict.is_pass == ("victim" in text or text.endswith("x + 2")), text


class _Open:
    """A checker that stays open when its pool closes."""

    def __init__(self, checker: CodeChecker) -> None:
        self._checker = checker
        self.check, self.check_many = checker.check, checker.check_many
        self.prepare, self.describe = checker.prepare, checker.describe
        self.concurrency, self.batch_size = checker.concurrency, checker.batch_size
        self.is_cheap = False

    def close(self) -> None:
        """Nothing."""
