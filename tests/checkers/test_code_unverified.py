"""Code problems that cannot be split, and no sandbox at all: only on request, always labelled."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from passuntil.checkers.code import CodeChecker
from passuntil.errors import UsageError
from passuntil.records import CodeTests, Completion, FinishReason, Instance, SampleKey

pytestmark = pytest.mark.jail

# The test looks at a class, which does not cross the border as a value.
STACK = Instance(
    "t",
    "stack",
    "",
    CodeTests(
        "class Stack:\n",
        "def check(candidate):\n    s = candidate()\n    s.push(3)\n    s.push(4)\n"
        "    assert s.pop() == 4\n    assert s.pop() == 3\n",
        "Stack",
        "    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)\n"
        "    def pop(self): return self.items.pop()\n",
    ),
)
SPLIT = Instance(
    "t",
    "double",
    "",
    CodeTests("", "def check(f):\n    assert f(2) == 4\n", "f", "def f(x): return 2 * x\n"),
)


def completion(text: str) -> Completion:
    return Completion(SampleKey("m", "t", "i", 1), text, (), FinishReason.END)


@pytest.fixture(scope="module")
def checker() -> Iterator[CodeChecker]:
    checker = CodeChecker(n_workers=1, unverified=True)
    yield checker
    checker.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("    push = lambda s, x: L.append(x)\n    pop = lambda s: L.pop()\nL = []\n", "pass"),
        ("    push = lambda s, x: 0\n    pop = lambda s: 4\n", "fail"),
        ("    pass\n", "error"),
        ("    def push(self, x): raise SystemExit\n", "error"),
        ("    def push(self, x):\n        import os; os._exit(0)\n", "crash"),
        ("    def push(self, x):\n        while True: pass\n", "timeout"),
        ("    def push(self, x): return [0] * 10**9\n", "memory"),
        ("    def push(self, x):\n        import os; os.write(3, b'\\5\\0\\0\\0Vpass')\n"
         "        os._exit(0)\n", "garbled"),
        # forged, but not unnoticed
        ("    def push(self, x): pass\n    def pop(self):\n        return type('A', (int,), "
         "{'__eq__': lambda a, b: True, '__hash__': int.__hash__})()\n", "refused"),
    ],
)  # fmt: skip
def test_the_test_runs_beside_the_candidate(checker: CodeChecker, text: str, expected: str) -> None:
    assert checker.check(STACK, completion(text)).reason == expected


def test_they_are_named_and_others_stay_split(checker: CodeChecker) -> None:
    problem = checker.prepare(SPLIT)
    assert problem.is_split
    assert not checker.prepare(STACK).is_split
    assert checker.describe()["unverified"] == {"t": ["stack"]}
    assert checker.check(SPLIT, completion("def f(x): return x + x\n")).is_pass
    # a test that its own solution fails is refused all the same
    target = CodeTests("", "def check(c):\n    assert c(1) == 2\n", "f", "def f(x): return 1\n")
    with pytest.raises(UsageError, match="AssertionError"):
        checker.prepare(Instance("t", "broken", "", target))


def test_only_the_text_behind_the_prompt_is_suspect(checker: CodeChecker) -> None:
    assert isinstance(STACK.target, CodeTests)
    prompt = 'class Stack:\n    """Inspect the stack: inspect, gc and builtins are words."""\n'
    target = replace(STACK.target, prompt=prompt)
    right = completion(target.canonical_solution)
    assert checker.check(replace(STACK, target=target), right).is_pass
    # a name that the completion ends is the completion's
    cut = replace(target, prompt=prompt + "    __e")
    forging = "q__ = None\n" + target.canonical_solution
    with pytest.raises(UsageError, match="says '__eq__'"):
        checker.prepare(replace(STACK, target=replace(cut, canonical_solution=forging)))
    plain = replace(cut, canonical_solution="f = None\n" + target.canonical_solution)
    assert checker.check(replace(STACK, target=plain), completion(forging)).reason == "refused"


def test_a_zygote_that_saw_a_test_serves_no_others(checker: CodeChecker) -> None:
    checker.check(STACK, completion("    pass\n"))
    worker = checker._all[0]
    assert worker._tester is not None
    assert worker._tester is not worker.zygote()


# Cases of a benchmark, as call-based problems hold them, beside a class to look at.
CASED = Instance(
    "t",
    "cased",
    "",
    CodeTests(
        "",
        "CASES = [(1, 2), (2, 4)]\nn_calls = 0\n"
        "def check(candidate):\n    global n_calls\n    for given, expected in CASES:\n"
        "        n_calls += 1\n        assert candidate(given).value == expected\n"
        "        assert n_made == n_calls\n",
        "Box",
        "n_made = 0\nclass Box:\n    def __init__(self, n):\n        global n_made\n"
        "        n_made += 1\n        self.value = 2 * n\n",
    ),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2 * n", "pass"),
        ("next(b for a, b in CASES if a == n)", "error"),
        ("dict(globals()['CASES'])[n]", "error"),
        ("dict(__import__('__main__').CASES)[n]", "error"),
        ("dict(__import__('candidate').CASES)[n]", "error"),
        ("dict(check.__globals__['CASES'])[n]", "error"),
    ],
)
def test_what_a_test_expects_is_no_name_of_the_candidate(
    checker: CodeChecker, value: str, expected: str
) -> None:
    """The test sees the candidate's globals as they are now; the candidate none of the test's."""
    assert isinstance(CASED.target, CodeTests)
    text = CASED.target.canonical_solution.replace("2 * n", value)
    assert checker.check(CASED, completion(text)).reason == expected
    assert not checker.prepare(CASED).is_split


def test_without_the_option_they_are_refused() -> None:
    checker = CodeChecker(n_workers=1)
    with pytest.raises(UsageError, match="unverified: true"):
        checker.prepare(STACK)
    assert checker.describe()["unverified"] == {}
    checker.close()


def test_without_a_sandbox_programs_reach_the_host_and_the_record_says_so() -> None:
    checker = CodeChecker(n_workers=1, unsafe_no_sandbox=True)
    told = checker.describe()
    assert told["unsafe_no_sandbox"] is True
    assert isinstance(told["isolation"], dict)
    assert told["isolation"]["level"] == 0
    handle, path = tempfile.mkstemp()
    os.close(handle)
    try:
        # what every jail refuses is done here
        writes = f"def f(x):\n    open({path!r}, 'w').write('reached')\n    return 2 * x\n"
        assert checker.check(SPLIT, completion(writes)).is_pass
        assert Path(path).read_text() == "reached"
    finally:
        os.unlink(path)
    for text, expected in (
        ("def f(x): return x\n", "fail"),
        ("def f(x):\n    while True: pass\n", "timeout"),
        ("space = bytearray(1 << 33)\n", "memory"),
        ("import os\nos._exit(0)\n", "crash"),
    ):
        assert checker.check(SPLIT, completion(text)).reason == expected
    checker.close()


def test_a_sandboxed_checker_is_not_marked(checker: CodeChecker) -> None:
    assert checker.describe()["unsafe_no_sandbox"] is False
