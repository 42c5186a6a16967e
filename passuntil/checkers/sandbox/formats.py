"""Problems of other formats as `CodeTests`: MBPP's assertions, programs that read and print."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from passuntil.checkers.sandbox.inside.script import ENTRY_POINT
from passuntil.errors import UsageError
from passuntil.records import CodeTests

__all__ = ["mbpp_tests", "stdio_tests"]

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
