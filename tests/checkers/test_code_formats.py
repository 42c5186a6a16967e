"""MBPP's assertions and programs that read stdin, judged by the code checker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from passuntil.checkers.code import CodeChecker
from passuntil.checkers.sandbox.formats import mbpp_tests, stdio_tests
from passuntil.errors import UsageError
from passuntil.records import CodeTests, Completion, FinishReason, Instance, SampleKey

pytestmark = pytest.mark.jail


@pytest.fixture(scope="module")
def checker() -> Iterator[CodeChecker]:
    checker = CodeChecker(n_workers=1)
    yield checker
    checker.close()


def reason(checker: CodeChecker, target: CodeTests, text: str) -> str:
    key = SampleKey("m", "t", "i", 1)
    instance = Instance("t", "t/0", "", target)
    return checker.check(instance, Completion(key, text, (), FinishReason.END)).reason


SIMILAR = mbpp_tests(
    [
        "assert set(similar_elements((3, 4, 5, 6),(5, 7, 4, 10))) == set((4, 5))",
        "assert set(similar_elements((1, 2, 3, 4),(5, 4, 3, 7))) == set((3, 4))",
        "assert math.isclose(sum(similar_elements((11, 12),\n  (12, 13))), 12.0)",
    ],
    code="def similar_elements(a, b):\n  return tuple(set(a) & set(b))\n",
    setup="import math",
)
SUM = stdio_tests(
    ["2\n1 2\n3 4\n", "1\n-1 1\n"],
    ["3\n7\n", "0\n"],
    solution="for _ in range(int(input())):\n    print(sum(map(int, input().split())))\n",
)
HALF = stdio_tests(["1\n", "3\n"], ["0.5", "1.5"], tolerance=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def similar_elements(a, b):\n    return [x for x in a if x in b]\n", "pass"),
        ("def similar_elements(a, b):\n    return (x for x in a if x in b)\n", "pass"),
        ("def similar_elements(a, b):\n    return a\n", "fail"),
        ("def similar(a, b):\n    return a\n", "error"),
    ],
)
def test_mbpp(checker: CodeChecker, text: str, expected: str) -> None:
    assert SIMILAR.entry_point == "similar_elements"
    assert reason(checker, SIMILAR, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n = int(input())\nfor _ in range(n):\n    a, b = map(int, input().split())\n"
         "    print(a + b)\n", "pass"),
        ("import sys\n_, *x = map(int, sys.stdin.read().split())\n"
         "print(*[a + b for a, b in zip(x[::2], x[1::2])], sep='\\n', end='')\n", "pass"),
        ("import sys\nd = sys.stdin.buffer.read().split()[1:]\nfor i in range(0, len(d), 2):\n"
         "    sys.stdout.buffer.write(b'%d  \\n' % (int(d[i]) + int(d[i + 1])))\n", "pass"),
        ("def main():\n    for line in list(open(0))[1:]:\n"
         "        print(sum(map(int, line.split())))\nmain()\n", "pass"),
        ("import sys\nif __name__ == '__main__':\n    for line in list(sys.stdin)[1:]:\n"
         "        print(sum(map(int, line.split())))\n    sys.exit(0)\n", "pass"),
        ("print(3)\nprint(7)\n", "fail"),
        ("print(input(), input(), input(), input(), input())\n", "error"),
        ("import sys\nprint(3)\nsys.exit(1)\n", "error"),
        ("while True:\n    pass\n", "timeout"),
        ("while True:\n    print('x' * 1000)\n", "timeout"),
        ("syntax error\n", "error"),
        ("import sys\nsys.stdout = None\n", "fail"),
    ],
)  # fmt: skip
def test_stdin_and_stdout(checker: CodeChecker, text: str, expected: str) -> None:
    assert reason(checker, SUM, text) == expected


def test_numbers_with_tolerance_and_without_a_solution(checker: CodeChecker) -> None:
    assert reason(checker, HALF, "print(f'{int(input()) / 2:.9f}')") == "pass"
    assert reason(checker, HALF, "print(int(input()) // 2)") == "fail"
    assert reason(checker, HALF, "print(int(input()) / 2, 1)") == "fail"


def test_runs_share_nothing(checker: CodeChecker) -> None:
    text = "try:\n    n += 1\nexcept NameError:\n    n = 0\ninput()\nprint(n)\n"
    zeros = stdio_tests(["a\n", "b\n", "c\n"], ["0", "0", "0"])
    assert reason(checker, zeros, text) == "pass"


def test_bad_records_are_refused() -> None:
    with pytest.raises(UsageError, match="other"):
        mbpp_tests(["assert other(1) == 1"], code="def f(x): return x")
    with pytest.raises(UsageError, match="SyntaxError"):
        mbpp_tests(["assert ("], code="def f(x): return x")
    with pytest.raises(UsageError, match="2 inputs and 1 outputs"):
        stdio_tests(["1", "2"], ["1"])
