"""MBPP's assertions and programs that read stdin, judged by the code checker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from passuntil.checkers.code import CodeChecker
from passuntil.checkers.sandbox.formats import call_tests, mbpp_tests, stdio_tests
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


PAIR = call_tests(
    "twoSum",
    [([[2, 7, 11, 15], 9], [0, 1]), ([[3, 3], 6], [0, 1])],
    solution="class Solution:\n    def twoSum(self, a, t):\n"
    "        return next([i, j] for j in range(len(a)) for i in range(j) if a[i] + a[j] == t)\n",
)
# as APPS writes: results within a list, keys as texts
APPS = call_tests(
    "count", [([{"1": 2}, 3], [{"5": 6}]), ([{}, 1], [[[1, 2]]]), ([{}, 2], [[3, 4]])], is_apps=True
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a method of one object for all calls, annotated without imports; a tuple is a list
        ("class Solution:\n    def twoSum(self, nums: List[int], target: int) -> List[int]:\n"
         "        seen = defaultdict(int)\n        for j, x in enumerate(nums):\n"
         "            if target - x in seen: return seen[target - x], j\n"
         "            seen[x] = j\n", "pass"),
        ("def twoSum(a, t):\n    return (0, 1)\n", "pass"),
        ("def twoSum(a, t):\n    return [1, 0]\n", "fail"),
        ("def twoSum(a, t):\n    return [[0, 1]]\n", "fail"),
        ("def other(a, t):\n    return [0, 1]\n", "error"),
        ("class Solution:\n    pass\ndef twoSum(a, t):\n    return [0, 1]\n", "error"),
        ("class Solution:\n    def __init__(self):\n        self.n = 0\n"
         "    def twoSum(self, a, t):\n        self.n += 1\n"
         "        return [0, 1] if self.n < 2 else None\n", "fail"),
        # whoever looks for the results finds no file, no name, no equal
        ("class Solution:\n    def twoSum(self, a, t):\n        return CASES\n", "error"),
        ("class Solution:\n    def __getattr__(self, name):\n        return lambda *x: self\n"
         "    def __eq__(self, other): return True\n", "opaque"),
        ("class L(list):\n    def __eq__(self, other): return True\n"
         "def twoSum(a, t):\n    return L()\n", "opaque"),
        ("Solution = lambda: 1 / 0\ndef twoSum(a, t):\n    return [0, 1]\n", "error"),
    ],
)  # fmt: skip
def test_calls(checker: CodeChecker, text: str, expected: str) -> None:
    assert reason(checker, PAIR, text) == expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("{5: 6}, [(1, 2)], [3, 4]", "pass"),
        ("[{5: 6}], [[1, 2]], ([3, 4],)", "pass"),
        ("{'5': 6}, [(1, 2)], [3, 4]", "fail"),
        ("{5: 6}, [(1, 2)], [[3, 4], 5]", "fail"),
    ],
)
def test_calls_compare_as_apps_does(checker: CodeChecker, results: str, expected: str) -> None:
    text = f"RESULTS = [{results}]\ndef count(d, n):\n    assert 1 in d or n < 3\n"
    text += "    return RESULTS[{3: 0, 1: 1, 2: 2}[n]]\n"
    assert reason(checker, APPS, text) == expected


def test_honest_work_has_time_where_no_solution_tells_how_much(checker: CodeChecker) -> None:
    """A limit taken from the stand-in, which looks results up, would be a tenth of a second."""
    slow = "import time\ndef f(n):\n    while time.process_time() < 0.5: n += 0\n    return n + 1\n"
    unsolved = call_tests("f", [([1], 2)])
    solved = call_tests("f", [([1], 2)], solution="def f(n):\n    return n + 1\n")
    assert reason(checker, unsolved, slow) == "pass"
    assert reason(checker, solved, slow) == "timeout"
    printed = "import time\nwhile time.process_time() < 0.5: pass\nprint(2)\n"
    assert reason(checker, stdio_tests(["1\n"], ["2\n"]), printed) == "pass"
    assert reason(checker, stdio_tests(["1\n"], ["2\n"], solution="print(2)"), printed) == "timeout"


def test_expected_results_never_enter_the_jail(checker: CodeChecker) -> None:
    """Neither the calls nor the program that a candidate sees hold them."""
    secret = call_tests("f", [([1], "secret-result")])
    key = SampleKey("m", "t", "i", 1)
    problem = checker.prepare(Instance("t", "t/1", "", secret))
    assert b"secret-result" in problem.sources
    assert b"secret-result" not in problem.calls
    assert "secret-result" not in secret.prompt
    searches = (
        "import gc\ndef f(n):\n    return next((o for o in gc.get_objects() if type(o) is dict\n"
        "        for o in o.values() if type(o) is str and o.startswith('secret-')), None)\n"
    )
    instance = Instance("t", "t/1", "", secret)
    completion = Completion(key, searches, (), FinishReason.END)
    assert not checker.check(instance, completion).is_pass


def test_bad_records_are_refused() -> None:
    with pytest.raises(UsageError, match="0 cases"):
        call_tests("f", [])
    with pytest.raises(UsageError, match="function 'f g'"):
        call_tests("f g", [([], 1)])
    with pytest.raises(UsageError, match="other"):
        mbpp_tests(["assert other(1) == 1"], code="def f(x): return x")
    with pytest.raises(UsageError, match="SyntaxError"):
        mbpp_tests(["assert ("], code="def f(x): return x")
    with pytest.raises(UsageError, match="2 inputs and 1 outputs"):
        stdio_tests(["1", "2"], ["1"])
