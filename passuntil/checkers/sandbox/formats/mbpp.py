"""MBPP's assertions."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from passuntil.errors import UsageError
from passuntil.records import CodeTests

__all__ = ["mbpp_tests"]


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
