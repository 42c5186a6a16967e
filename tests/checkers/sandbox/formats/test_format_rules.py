"""Texts and values compared as LiveCodeBench and APPS compare them: recorded answers of theirs.

The columns `livecodebench` and `apps` are what ``run_test`` of their ``testing_util.py`` (28fef95
and 362aedc, with ``pyext`` replaced by ``exec`` in a new module) said of a program that prints the
text or returns the value.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from passuntil.checkers.code import CodeChecker
from passuntil.checkers.sandbox.formats import Rules, call_tests, stdio_tests
from passuntil.errors import UsageError
from passuntil.records import CodeTests, Completion, FinishReason, Instance, SampleKey

# expected, printed, livecodebench, apps
PRINTED = [
    ('3\n7\n', '3\n7', 'yes', 'yes'),
    ('3\n7\n', '3 \n7\n\n', 'yes', 'yes'),
    ('3\n7', '3\n\n7', 'no', 'yes'),
    ('1 2', '1  2', 'yes', 'yes'),
    ('a b', 'a  b', 'no', 'yes'),
    (' a\n b', 'a\nb', 'yes', 'yes'),
    ('a\nb', '  a\n  b', 'yes', 'yes'),
    ('0.5', '0.50', 'yes', 'yes'),
    ('0.5', '0.500001', 'no', 'yes'),
    ('0.5', '0.5001', 'no', 'yes'),
    ('0.5 0.25', '0.50 0.250', 'yes', 'yes'),
    ('0.5 0.25', '0.5004 0.25', 'no', 'yes'),
    ('0.5 0.25', '0.5001 0.25', 'no', 'yes'),
    ('0.333333 1.0', '0.3333333333 1', 'no', 'yes'),
    ('1e3', '1000', 'yes', 'yes'),
    ('100000', '100001', 'no', 'yes'),
    ('1000000', '1000001', 'no', 'yes'),
    ('1000000.0', '1000001.0', 'no', 'yes'),
    ('123456.7 1', '123456.8 1', 'no', 'no'),
    ('7', '7.0', 'yes', 'yes'),
    ('007', '7', 'yes', 'yes'),
    ('1 2 3', '3 2 1', 'no', 'yes'),
    ('1\n2', '2\n1', 'no', 'yes'),
    ('1\n1\n2', '1\n2', 'no', 'yes'),
    ('YES', 'yes', 'no', 'no'),
    ('nan', 'nan', 'yes', 'yes'),
    ('inf', 'inf', 'yes', 'yes'),
    ('inf', '5', 'no', 'no'),
    ('a\r\nb', 'a\nb', 'yes', 'yes'),
    ('', '', 'yes', 'yes'),
    ('', '\n', 'yes', 'yes'),
    ('x', '', 'no', 'no'),
    ('1_0', '10', 'yes', 'yes'),
    ('1 a', '1.0 a', 'no', 'no'),
    ('50000000000000000', '50000000000000001', 'no', 'yes'),
    ('0.1\n0.2', '0.1000001\n0.2', 'no', 'yes'),
    ('-0', '0', 'yes', 'yes'),
    ('0.0', '-0.0', 'yes', 'yes'),
    ('+5', '5', 'yes', 'yes'),
    ('5 6\n7', '5 6\n7 ', 'yes', 'yes'),
    ('1.5 x', '1.50 x', 'no', 'no'),
]  # fmt: skip
# Where APPS passes, but not here: any order and repetition of the right tokens, and whole numbers
# that are off by less than 1e-5 of themselves.
NOT_AS_APPS = {
    ("1 2 3", "3 2 1"),
    ("1\n2", "2\n1"),
    ("1\n1\n2", "1\n2"),
    ("100000", "100001"),
    ("1000000", "1000001"),
    ("50000000000000000", "50000000000000001"),
}

# expected, expression that is returned, livecodebench, apps
RETURNED: list[tuple[Any, str, str, str]] = [
    ([1, 2], '(1,2)', 'yes', 'yes'),
    ([1, 2], '[1,2]', 'yes', 'yes'),
    ([[1, 2]], '[(1,2)]', 'no', 'no'),
    ([[1, 2]], '((1,2),)', 'no', 'no'),
    (5, '5.0', 'yes', 'yes'),
    (True, '1', 'yes', 'yes'),
    (0.3, '0.1+0.2', 'no', 'no'),
    ([3], '3', 'no', 'yes'),
    ([[1, 2]], '[1,2]', 'no', 'yes'),
    ([[1, 2]], '(1,2)', 'no', 'yes'),
    ([[[1, 2]]], '[(1,2)]', 'no', 'yes'),
    ([[[1, 2]]], '[[1,2]]', 'no', 'yes'),
    ([1, 2], '1', 'no', 'yes'),
    ('ab', "'a'", 'no', 'no'),
    ({'1': 2}, '{1:2}', 'no', 'yes'),
    ({'1': 2}, "{'1':2}", 'yes', 'no'),
    ([{'1': 2}], '{1:2}', 'no', 'yes'),
    ([{'1': 2}], '[{1:2}]', 'no', 'yes'),
    ([{'a': 2}], "{'a':2}", 'no', 'yes'),
    ({'a': 2}, "{'a':2}", 'yes', 'yes'),
    ([{'1': 2}, 5], '{1:2}', 'no', 'yes'),
    ([{'1': 2}, 5], '[{1:2}]', 'no', 'yes'),
    (None, 'None', 'yes', 'yes'),
    ([1, 2], '{1,2}', 'no', 'no'),
    ([1, 2], 'range(1,3)', 'no', 'no'),
    ([1, 2], 'iter([1,2])', 'no', 'no'),
    ([[[1, 2]]], "__import__('collections').deque([(1,2)])", 'no', 'yes'),
    ([], '()', 'yes', 'yes'),
    ([None], 'None', 'no', 'yes'),
    ('a', "['a']", 'no', 'no'),
    (['a'], "'a'", 'no', 'yes'),
    ([[[1, 2], [3, 4]]], '((1,2),[3,4])', 'no', 'yes'),
    ([1], 'True', 'no', 'yes'),
    ([0, 1], 'False', 'no', 'yes'),
]  # fmt: skip


def passes(target: CodeTests, function: Callable[..., Any]) -> str:
    """Run the test as a judge does."""
    names: dict[str, Any] = {}
    exec(target.test, names)
    try:
        names["check"](function)
    except AssertionError:
        return "no"
    return "yes"


@pytest.mark.parametrize(("expected", "printed", "livecodebench", "apps"), PRINTED)
def test_texts(expected: str, printed: str, livecodebench: str, apps: str) -> None:
    for rules, theirs in ((Rules.LIVECODEBENCH, livecodebench), (Rules.APPS, apps)):
        ours = passes(stdio_tests(["in"], [expected], rules=rules), lambda text: printed)
        if rules is Rules.APPS and (expected, printed) in NOT_AS_APPS:
            assert (theirs, ours) == ("yes", "no")
        else:
            assert ours == theirs, rules


@pytest.mark.parametrize("rules", [Rules.LIVECODEBENCH, Rules.APPS])
def test_equal_whole_numbers_are_equal_however_long(rules: Rules) -> None:
    """Python converts no text of over 4,300 digits."""
    long = "1" * 5000
    target = stdio_tests(["in"], [f"{long}\n1.0"], rules=rules)
    assert passes(target, lambda text: f"{long}\n1.00") == "yes"
    assert passes(target, lambda text: f"{long}1\n1.00") == "no"


@pytest.mark.parametrize(("expected", "returned", "livecodebench", "apps"), RETURNED)
def test_values(expected: Any, returned: str, livecodebench: str, apps: str) -> None:
    for is_apps, theirs in ((False, livecodebench), (True, apps)):
        target = call_tests("f", [([1], expected)], is_apps=is_apps)
        assert passes(target, lambda given: eval(returned)) == theirs, is_apps


def test_arguments_of_apps_get_their_whole_keys_back() -> None:
    given: list[Any] = []
    cases = [([{"1": 2}, {"3": 4}], 0), ([{"a": 1}], 0), ([[{"1": 2}]], 0)]
    assert passes(call_tests("f", cases, is_apps=True), lambda *x: given.append(x) or 0) == "yes"
    assert given == [({1: 2}, {"3": 4}), ({"a": 1},), ([{"1": 2}],)]


def test_a_tolerance_is_of_plain_rules() -> None:
    with pytest.raises(UsageError, match=r"tolerance: got 0\.1 with the rules of apps"):
        stdio_tests(["1"], ["1"], tolerance=0.1, rules=Rules.APPS)


@pytest.fixture(scope="module")
def checker() -> Iterator[CodeChecker]:
    checker = CodeChecker(n_workers=1)
    yield checker
    checker.close()


def reason(checker: CodeChecker, target: CodeTests, text: str) -> str:
    key = SampleKey("m", "t", "i", 1)
    return checker.check(
        Instance("t", "t/0", "", target), Completion(key, text, (), FinishReason.END)
    ).reason


@pytest.mark.jail
@pytest.mark.parametrize(
    ("rules", "text", "expected"),
    [
        (Rules.LIVECODEBENCH, "print(sum(Counter(map(int, input().split())).elements()))", "pass"),
        (Rules.LIVECODEBENCH, "print(sum(map(int, stdin.read().split())))", "pass"),
        (Rules.LIVECODEBENCH, "print(sum(map(int, open(0).read().split())))", "pass"),
        (Rules.LIVECODEBENCH, "def f(n): return n and f(n - 1)\nf(9000)\nprint(5)", "pass"),
        (Rules.APPS, "print(reduce(add, map(int, stdin.readline().split())))", "error"),
        (Rules.APPS, "time.time(), fractions.Fraction(1), sqrt(4)\n"
         "stdout.write(str(sum(map(int, stdin.readline().split()))))", "pass"),
        (Rules.APPS, "def f(n): return n and f(n - 1)\nf(9000)\nprint(5)", "error"),
        (Rules.PLAIN, "print(sum(map(int, open(0).read().split())))", "pass"),
        (Rules.PLAIN, "print(sqrt(25))", "error"),
    ],
)  # fmt: skip
def test_what_programs_may_take_for_granted(
    checker: CodeChecker, rules: Rules, text: str, expected: str
) -> None:
    assert reason(checker, stdio_tests(["2 3\n"], ["5\n"], rules=rules), text) == expected


@pytest.mark.parametrize("rules", [Rules.APPS, Rules.LIVECODEBENCH])
def test_imports_in_front_leave_builtins_as_they_are(rules: Rules) -> None:
    names: dict[str, Any] = {}
    limit = __import__("sys").getrecursionlimit()
    try:
        exec(rules.prelude, names)
    finally:
        __import__("sys").setrecursionlimit(limit)
    changed = {
        name
        for name in vars(builtins).keys() & names.keys()
        if names[name] is not getattr(builtins, name) and not name.startswith("_")
    }
    # these two come with Python's interactive `site`, and are functions of `sys` as well
    assert changed <= {"exit", "copyright"}
    assert "open" not in names


@pytest.mark.jail
def test_a_recursion_limit_that_is_raised_holds_for_that_judgement_only(
    checker: CodeChecker,
) -> None:
    """LiveCodeBench's imports raise it; the next problem of the same judge has its own."""
    raising = call_tests("f", [([1], 1)])
    assert "setrecursionlimit(50000)" in raising.prompt
    assert reason(checker, raising, "def f(x): return x") == "pass"
    told = (
        "import sys\nlimit = sys.getrecursionlimit()\n"
        "def check(f):\n    assert f(0) == 0 and limit == 1000, limit\n"
    )
    target = CodeTests("", told, "f", "def f(x): return x\n")
    assert reason(checker, target, "def f(x): return x") == "pass"
