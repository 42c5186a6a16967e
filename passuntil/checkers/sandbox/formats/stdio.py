"""Programs that read and print."""

from __future__ import annotations

from collections.abc import Sequence

from passuntil.checkers.sandbox.formats.rules import CPU_TIME_UNKNOWN_S, Rules
from passuntil.checkers.sandbox.inside.script import ENTRY_POINT
from passuntil.errors import UsageError
from passuntil.records import CodeTests

__all__ = ["stdio_tests"]

# All of these run in the judge: `_same` by the rules of the problem, then `check`.
_PLAIN = """
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
"""
_LIVECODEBENCH = """
from decimal import Decimal, InvalidOperation


def _lines(text):
    return [line.strip() for line in text.strip().split("\\n")]


def _same_line(a, b):
    if a == b:
        return True
    try:
        return [Decimal(x) for x in a.split()] == [Decimal(x) for x in b.split()]
    except InvalidOperation:
        return False


def _same(got, expected):
    got, expected = _lines(got), _lines(expected)
    return len(got) == len(expected) and all(map(_same_line, got, expected))
"""
_APPS = """
def _lines(text):
    return [line.split() for line in text.splitlines() if line.strip()]


def _is_whole(token):
    return token.lstrip("+-").isdecimal()


def _same_number(a, b, is_alone):
    if a == b:
        float(a)  # ValueError where it is no number
        return True
    if _is_whole(a) and _is_whole(b):
        return int(a) == int(b)
    a, b = float(a), float(b)
    if is_alone and abs(a - b) <= 1e-8 + 1e-5 * abs(b) < float("inf"):
        return True
    return round(a, 3) == round(b, 3)


def _same(got, expected):
    got, expected = _lines(got), _lines(expected)
    if got == expected:
        return True
    if list(map(len, got)) != list(map(len, expected)):
        return False
    is_alone = all(len(line) == 1 for line in expected)
    try:  # a list: what is no number is noticed wherever it stands
        return all(
            [_same_number(x, y, is_alone) for a, b in zip(got, expected) for x, y in zip(a, b)]
        )
    except ValueError:
        return False
"""
_COMPARE = {Rules.PLAIN: _PLAIN, Rules.APPS: _APPS, Rules.LIVECODEBENCH: _LIVECODEBENCH}

# APPS has these two names as well, where a program reads stdin.
_PRELUDE = {Rules.APPS: "stdin = sys.stdin\nstdout = sys.stdout\n"}
_CHECK = """

def check(candidate):
    for number, (given, expected) in enumerate(CASES, start=1):
        assert _same(candidate(given), expected), f"case {number}"
"""


def stdio_tests(
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    solution: str | None = None,
    tolerance: float | None = None,
    rules: Rules = Rules.PLAIN,
) -> CodeTests:
    """Return the problem of a record with texts for stdin and the texts to print.

    Parameters
    ----------
    inputs, outputs : sequence of str
        Cases, equally many, at least one.
    solution : str, optional
        A program that passes; it sets the CPU limit. Without one a sample has at least 6 s.
    tolerance : float, optional
        For plain rules: numbers may differ by this much, relative to the larger of one and the
        expected number.
    rules : Rules
        How texts are compared, and what stands in front of each program.

    Raises
    ------
    UsageError
        There is no case, or the numbers of inputs and outputs differ.

    Notes
    -----
    LiveCodeBench [1]_: as many lines, each without blanks around; equal as texts, or all tokens of
    both are decimal numbers of equal values.

    APPS [2]_: blank lines and blanks between tokens do not count; all tokens are equal as texts, or
    all are numbers that are equal when rounded to three places or, where every line is one number,
    within 1e-8 + 1e-5 times the expected one.

    Different on purpose, where an honest program would be judged otherwise by theirs:

    - APPS at last compares the *set* of the lines' *sets* of tokens, so that any order and
      repetition of the right tokens passes: here order and repetition count. Its tolerance passes
      whole numbers that are off by one beyond 100,000: here whole numbers are compared exactly.
    - Both forgive every ``sys.exit``: here an exit status other than 0 is an error.
    - Both run the program as the body of a function, so that ``global`` and comprehensions over
      its names may fail: here it runs as Python runs a file. Both offer stdin as text, and APPS no
      ``sys.stdin.buffer``; here ``open(0)`` and ``sys.stdout.buffer`` work as well.
    - No numpy is in the jail, and the limit is CPU time of all cases together, not wall time.

    References
    ----------
    .. [1] github.com/LiveCodeBench/LiveCodeBench, ``lcb_runner/evaluation/testing_util.py`` at
       28fef95, ``grade_stdio``.
    .. [2] github.com/hendrycks/apps, ``eval/testing_util.py`` at 362aedc, ``run_test``.
    """
    if not inputs or len(inputs) != len(outputs):
        raise UsageError(
            f"stdin/stdout record: got {len(inputs)} inputs and {len(outputs)} outputs; allowed: "
            "equally many, at least one; correct the record."
        )
    if tolerance is not None and rules is not Rules.PLAIN:
        raise UsageError(
            f"tolerance: got {tolerance!r} with the rules of {rules.value}; allowed: plain rules, "
            "the others have their own; leave one out."
        )
    cases = list(zip(map(str, inputs), map(str, outputs), strict=True))
    head = f"CASES = {cases!r}\nTOLERANCE = {tolerance!r}\n"
    # lives in the judge only, like any solution
    known = f"import sys\nprint(dict({cases!r})[sys.stdin.read()])\n"
    return CodeTests(
        rules.prelude + _PRELUDE.get(rules, ""),
        head + _COMPARE[rules] + _CHECK,
        ENTRY_POINT,
        solution if solution is not None else known,
        0.0 if solution is not None else CPU_TIME_UNKNOWN_S,
    )
