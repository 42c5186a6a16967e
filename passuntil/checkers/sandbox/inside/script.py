"""What is called in a program: a function, a method of its `Solution`, or the program itself."""

from __future__ import annotations

import io
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["ENTRY_POINT", "METHOD", "as_function", "find"]

ENTRY_POINT = "<stdin>"
"""Stands for the name of a function where the program itself is under test."""

METHOD = "."
"""Before a name: of a method where the program defines a class `Solution`, else of a function."""


def find(names: Mapping[str, Any], entry_point: str) -> Callable[..., Any]:
    """Return what `entry_point` names in a program that ran; KeyError where it is not there."""
    name = entry_point.removeprefix(METHOD)
    function: Callable[..., Any]
    if name != entry_point and "Solution" in names:
        function = getattr(names["Solution"](), name)
    else:
        function = names[name]
    return function


class _Text(io.TextIOWrapper):
    """Standard input or output in memory, with the ``buffer`` that fast programs use."""

    def __init__(self, text: str = "") -> None:
        self.bytes = io.BytesIO(text.encode("utf-8", "surrogatepass"))
        super().__init__(self.bytes, "utf-8", "surrogatepass", newline="", write_through=True)


def as_function(code: types.CodeType) -> Callable[[str], str]:
    """Return the function that runs `code` as ``__main__`` on one input."""

    def run(text: str) -> str:
        module = types.ModuleType("__main__")
        before = sys.stdin, sys.stdout, sys.modules["__main__"]
        # newline="" leaves "\\r\\n" as it is, so that a program sees what the file holds
        output = _Text()
        sys.stdin, sys.stdout, sys.modules["__main__"] = _Text(text), output, module

        def open_input(file: Any, *args: Any, **options: Any) -> Any:
            """Open the input where a program opens descriptor 0, as many do."""
            return _Text(text) if file == 0 else open(file, *args, **options)

        module.__dict__["open"] = open_input
        try:
            exec(code, module.__dict__)
        except SystemExit as error:
            if error.code not in (None, 0):
                raise
        finally:
            sys.stdin, sys.stdout, sys.modules["__main__"] = before
        output.flush()
        return output.bytes.getvalue().decode("utf-8", "replace")

    return run
