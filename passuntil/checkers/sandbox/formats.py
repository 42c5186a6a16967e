"""Problems of other formats as `CodeTests`: MBPP's assertions, programs that read and print."""

from __future__ import annotations

import ast
import json
import keyword
from collections.abc import Sequence
from typing import Any

from passuntil.checkers.sandbox.inside.script import ENTRY_POINT, METHOD
from passuntil.errors import UsageError
from passuntil.records import CodeTests

__all__ = ["call_tests", "mbpp_tests", "stdio_tests"]

# As APPS and LiveCodeBench compare: line by line without trailing blanks, then token by token with
# numbers as numbers. Runs in the judge.
_COMPARE = """
def _lines(text):
    return [line.rstrip() for line in text.strip().splitlines()]


def _same_token(a, b):
    if a == b:
        return True
    try:
        return abs(float(a) - float(b)) <= TOLERANCE * max(1.0, abs(float(b)))
    except ValueError:
        return False


def _same(got, expected):
    got, expected = _lines(got), _lines(expected)
    if got == expected:
        return True
    if TOLERANCE is None or len(got) != len(expected):
        return False
    for a, b in zip(got, expected):
        a, b = a.split(), b.split()
        if len(a) != len(b) or not all(map(_same_token, a, b)):
            return False
    return True


def check(candidate):
    for number, (given, expected) in enumerate(CASES, start=1):
        assert _same(candidate(given), expected), f"case {number}"
"""

# What the programs of these benchmarks may take for granted: LiveCodeBench writes these imports in
# front of each, APPS much the same.
_IMPORTS = "".join(
    f"from {name} import *\n"
    for name in (
        *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
        *("statistics", "itertools", "functools", "operator", "io", "sys", "json", "builtins"),
        "typing",
    )
)
_IMPORTS += (
    "import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, "
    "itertools, functools, operator, io, sys, json\nsys.setrecursionlimit(50000)\n"
)

# Both take a tuple for a list. APPS [1]_ also takes what is the first of a list of answers, there
# with tuples inside for lists, and undoes JSON's text keys; LiveCodeBench [2]_ does not.
_COMPARE_CALLS = """
def _same(got, expected):
    if isinstance(got, tuple):
        got = list(got)
    if got == expected:
        return True
    if not (IS_APPS and isinstance(expected, list) and expected):
        return False
    if got == expected[0]:
        return True
    is_nested = isinstance(got, list) and got and isinstance(got[0], tuple)
    return bool(is_nested) and [list(each) for each in got] == expected[0]


def check(candidate):
    for number, (given, expected) in enumerate(json.loads(CASES), start=1):
        if IS_APPS:
            given, expected = _undo(given, True), _undo(expected, False)
        assert _same(candidate(*given), expected), f"case {number}"
"""
_UNDO = """
def _undo(value, is_given):
    try:
        if isinstance(value, dict):
            return [{int(k): v for k, v in value.items()}]
        if isinstance(value[0], dict):
            rest = value[1:] if is_given else []
            return [{int(k): v for k, v in value[0].items()}, *rest]
    except (ValueError, TypeError, IndexError, KeyError):
        pass
    return value
"""


def call_tests(
    name: str,
    cases: Sequence[tuple[Sequence[Any], Any]],
    *,
    solution: str | None = None,
    is_apps: bool = False,
) -> CodeTests:
    """Return the problem of a record with arguments to call a function with, and its results.

    The function is a method of the program's `Solution`, where it defines that class, of one
    object for all calls.

    Parameters
    ----------
    name : str
        The function.
    cases : sequence of (sequence, object)
        Arguments and result, of values that JSON has.
    solution : str, optional
        A program that passes; it sets the CPU limit. Without one the least limit holds.
    is_apps : bool
        True compares as APPS does [1]_, False as LiveCodeBench [2]_.

    Raises
    ------
    UsageError
        There is no case, or the name is none.

    References
    ----------
    .. [1] github.com/hendrycks/apps, ``eval/testing_util.py``, call-based branch of ``run_test``;
       it drops further arguments behind a dictionary, which no solution could pass: kept here.
    .. [2] github.com/LiveCodeBench/LiveCodeBench, ``lcb_runner/evaluation/testing_util.py``,
       ``grade_call_based``.
    """
    if not cases or not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(
            f"call-based record: got {len(cases)} cases of the function {name!r}; allowed: at "
            "least one, of a function with a name; correct the record."
        )
    data = json.dumps(list(cases))
    header = f"import json\nCASES = {data!r}\nIS_APPS = {is_apps!r}\n{_UNDO}"
    known = f"""{header}
_RESULTS = {{}}
for _given, _expected in json.loads(CASES):
    if IS_APPS:
        _given, _expected = _undo(_given, True), _undo(_expected, False)
    _RESULTS.setdefault(repr(_given), _expected)


def {name}(*given):
    return _RESULTS[repr(list(given))]
"""
    test = header + _COMPARE_CALLS
    return CodeTests(_IMPORTS, test, METHOD + name, solution if solution is not None else known)


def mbpp_tests(test_list: Sequence[str], *, code: str, setup: str = "") -> CodeTests:
    """Return the problem of an MBPP record.

    Parameters
    ----------
    test_list : sequence of str
        Assertions that call the function by its name.
    code : str
        The reference solution.
    setup : str
        ``test_setup_code``, run before the assertions.

    Raises
    ------
    UsageError
        The assertions do not parse, or call no function that `code` defines.
    """
    try:
        tree = ast.parse("\n".join(test_list))
        defined = {
            node.name
            for node in ast.parse(code).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"MBPP record: got {type(error).__name__}: {error}; allowed: Python in test_list and "
            "code; correct the record."
        ) from error
    called = [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    entry_point = next((name for name in called if name in defined), None)
    if entry_point is None:
        raise UsageError(
            f"MBPP record: got assertions that call {sorted(set(called))}; allowed: a function "
            f"that code defines ({sorted(defined)}); correct the record."
        )
    # unparsed, so that assertions over several lines indent right
    body = "\n".join(f"    {line}" for line in ast.unparse(tree).splitlines())
    return CodeTests("", f"{setup}\n\ndef check(candidate):\n{body}\n", entry_point, code)


def stdio_tests(
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    solution: str | None = None,
    tolerance: float | None = None,
) -> CodeTests:
    """Return the problem of a record with texts for stdin and the texts to print.

    Parameters
    ----------
    inputs, outputs : sequence of str
        Cases, equally many, at least one.
    solution : str, optional
        A program that passes; it sets the CPU limit. Without one the least limit holds.
    tolerance : float, optional
        Numbers may differ by this much, relative to the larger of one and the expected number.

    Raises
    ------
    UsageError
        There is no case, or the numbers of inputs and outputs differ.
    """
    if not inputs or len(inputs) != len(outputs):
        raise UsageError(
            f"stdin/stdout record: got {len(inputs)} inputs and {len(outputs)} outputs; allowed: "
            "equally many, at least one; correct the record."
        )
    cases = list(zip(map(str, inputs), map(str, outputs), strict=True))
    test = f"CASES = {cases!r}\nTOLERANCE = {tolerance!r}\n{_COMPARE}"
    # lives in the judge only, like any solution
    known = f"import sys\nprint(dict({cases!r})[sys.stdin.read()])\n"
    return CodeTests("", test, ENTRY_POINT, solution if solution is not None else known)
