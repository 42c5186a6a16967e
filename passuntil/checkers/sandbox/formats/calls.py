"""Functions that are called with values."""

from __future__ import annotations

import json
import keyword
from collections.abc import Sequence
from typing import Any

from passuntil.checkers.sandbox.formats.rules import CPU_TIME_UNKNOWN_S, Rules
from passuntil.checkers.sandbox.inside.script import METHOD
from passuntil.errors import UsageError
from passuntil.records import CodeTests

__all__ = ["call_tests"]

_LIVECODEBENCH = """
def _cases():
    return json.loads(CASES)


def _same(got, expected):
    return (list(got) if isinstance(got, tuple) else got) == expected
"""
_APPS = """
def _with_int_keys(value):
    return {int(key): each for key, each in value.items()}


def _undo(value, is_given):
    try:
        if isinstance(value, dict):
            return [_with_int_keys(value)]
        if isinstance(value[0], dict):
            return [_with_int_keys(value[0]), *(value[1:] if is_given else [])]
    except (ValueError, TypeError, IndexError, KeyError):
        pass
    return value


def _cases():
    return [(_undo(given, True), _undo(expected, False)) for given, expected in json.loads(CASES)]


def _same(got, expected):
    if isinstance(got, tuple):
        got = list(got)
    if got == expected:
        return True
    if not (isinstance(expected, list) and expected):
        return False
    if got == expected[0]:
        return True
    try:
        return isinstance(got[0], tuple) and [list(each) for each in got] == expected[0]
    except (TypeError, IndexError, KeyError):
        return False
"""
_COMPARE = {Rules.APPS: _APPS, Rules.LIVECODEBENCH: _LIVECODEBENCH}

_CHECK = """

def check(candidate):
    for number, (given, expected) in enumerate(_cases(), start=1):
        assert _same(candidate(*given), expected), f"case {number}"
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
        A program that passes; it sets the CPU limit. Without one a sample has at least 6 s.
    is_apps : bool
        True compares as APPS does [2]_, False as LiveCodeBench [1]_.

    Raises
    ------
    UsageError
        There is no case, or the name is none.

    Notes
    -----
    LiveCodeBench: the result equals the expected one, a tuple counting as a list; tuples within
    and numbers that differ in the last bit do not.

    APPS: the same, or it equals the first of a list of expected ones; there a list of tuples
    counts as one of lists. Texts that JSON made of the whole numbers that were keys of a single
    dictionary are undone first, in the arguments and in the result.

    Different on purpose, where an honest program would be judged otherwise by theirs:

    - APPS drops what follows a dictionary with such keys among the arguments, so that no function
      of several arguments passes: here all are given.
    - Both look for the words ``class Solution`` in the text: here for the name, once it has run.
    - Results cross a border as plain values: what equals by an ``__eq__`` of its own is opaque.

    References
    ----------
    .. [1] github.com/LiveCodeBench/LiveCodeBench, ``lcb_runner/evaluation/testing_util.py`` at
       28fef95, ``grade_call_based``.
    .. [2] github.com/hendrycks/apps, ``eval/testing_util.py`` at 362aedc, call-based branch of
       ``run_test``.
    """
    if not cases or not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(
            f"call-based record: got {len(cases)} cases of the function {name!r}; allowed: at "
            "least one, of a function with a name; correct the record."
        )
    rules = Rules.APPS if is_apps else Rules.LIVECODEBENCH
    head = f"import json\nCASES = {json.dumps(list(cases))!r}\n{_COMPARE[rules]}"
    known = f"""{head}
_RESULTS = {{}}
for _given, _expected in _cases():
    _RESULTS.setdefault(repr(_given), _expected)


def {name}(*given):
    return _RESULTS[repr(list(given))]
"""
    return CodeTests(
        rules.prelude,
        head + _CHECK,
        METHOD + name,
        solution if solution is not None else known,
        0.0 if solution is not None else CPU_TIME_UNKNOWN_S,
    )
