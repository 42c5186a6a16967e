"""The worked example beside the fitter runs and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

import passuntil.fitter

PAGE = Path(passuntil.fitter.__file__).parent / "README.md"
BLOCK = re.compile(r"```(python|output)\n(.*?)```", re.DOTALL)


def test_worked_example() -> None:
    scope: dict[str, object] = {}
    printed, n_outputs = "", 0
    for kind, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(body, str(PAGE), "exec"), scope)
            printed = out.getvalue()
        else:
            assert printed == body
            n_outputs += 1
    assert n_outputs == 9
