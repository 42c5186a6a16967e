"""Rows with programs to write: plain, APPS, CodeContests, LiveCodeBench."""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from typing import Annotated, Any

from pydantic import BaseModel, Field

from passuntil.checkers.sandbox.formats import Rules, call_tests, stdio_tests
from passuntil.errors import UsageError
from passuntil.records import CodeTests
from passuntil.tasks.line import LineModel, Text

__all__ = ["AppsLine", "CodeContestsLine", "LiveCodeBenchLine", "StdioLine"]

PYTHON3 = 3  # CodeContests' number of the language


def _ask(problem: str, starter: str = "", *, calls: bool = False) -> str:
    """Return the prompt that came with APPS (Hendrycks et al. 2021, arXiv 2105.09938)."""
    start = f"\n{starter}" if starter else ""
    way = "Call-Based" if calls else "Standard Input"
    return f"\nQUESTION:\n{problem}{start}\nUse {way} format\nANSWER:\n"


class StdioLine(LineModel):
    """A problem with texts for standard input and the texts to print."""

    task_id: Text
    prompt: Text
    inputs: list[str]
    outputs: list[str]
    solution_text: Annotated[str | None, Field(validation_alias="solution")] = None

    @property
    def instance_id(self) -> str:
        """Name within the task."""
        return self.task_id

    @property
    def question(self) -> str:
        """The prompt, as it is."""
        return self.prompt

    @property
    def solution(self) -> str | None:
        """A program that passes."""
        return self.solution_text

    def target(self) -> CodeTests:
        """Return the cases."""
        return stdio_tests(self.inputs, self.outputs, solution=self.solution_text)


class AppsLine(LineModel):
    """A problem of APPS; its cases and solutions are JSON within the row."""

    problem_id: int | str | None = None
    problem: Annotated[Text, Field(validation_alias="question")]
    input_output: Text
    solutions: str = ""
    starter_code: str = ""

    @property
    def instance_id(self) -> str | None:
        """Name within the task."""
        return None if self.problem_id is None else str(self.problem_id)

    @property
    def question(self) -> str:
        """The problem in APPS' own prompt."""
        calls = self._cases().get("fn_name") is not None
        return _ask(self.problem, self.starter_code, calls=calls)

    @property
    def solution(self) -> str | None:
        """The first solution."""
        found = _json(self.solutions, "solutions") if self.solutions else []
        return str(found[0]) if isinstance(found, list) and found else None

    def target(self) -> CodeTests:
        """Return the cases."""
        cases = self._cases()
        inputs, outputs = (cases.get(key, []) for key in ("inputs", "outputs"))
        if not (isinstance(inputs, list) and isinstance(outputs, list)):
            raise UsageError(
                "input_output: got inputs or outputs that are no lists; allowed: two lists of "
                "equal length; correct the row."
            )
        name = cases.get("fn_name")
        if name is None:
            texts, expected = ([_text(each) for each in part] for part in (inputs, outputs))
            return stdio_tests(texts, expected, solution=self.solution, rules=Rules.APPS)
        if len(inputs) != len(outputs) or not all(isinstance(each, list) for each in inputs):
            raise UsageError(
                f"input_output: got {len(inputs)} inputs and {len(outputs)} outputs for calls of "
                f"{name}; allowed: a list of arguments per input, and equally many outputs; "
                "correct the row."
            )
        calls = list(zip(inputs, outputs, strict=True))
        return call_tests(str(name), calls, solution=self.solution, is_apps=True)

    def _cases(self) -> dict[str, Any]:
        cases = _json(self.input_output, "input_output")
        if not isinstance(cases, dict):
            raise UsageError(
                f"input_output: got {type(cases).__name__}; allowed: an object with inputs and "
                "outputs; correct the row."
            )
        return cases


class _Cases(BaseModel):
    input: list[str] = []
    output: list[str] = []


class _Solutions(BaseModel):
    language: list[int] = []
    solution: list[str] = []


class CodeContestsLine(LineModel):
    """A problem of CodeContests (Li et al. 2022, arXiv 2203.07814): public and private cases."""

    name: Text
    description: Text
    public_tests: _Cases = _Cases()
    private_tests: _Cases = _Cases()
    generated_tests: _Cases = _Cases()
    solutions: _Solutions = _Solutions()

    @property
    def instance_id(self) -> str:
        """Name within the task."""
        return self.name

    @property
    def question(self) -> str:
        """The problem in APPS' prompt."""
        return _ask(self.description)

    @property
    def solution(self) -> str | None:
        """The first solution in Python 3."""
        found = zip(self.solutions.language, self.solutions.solution, strict=False)
        return next((text for language, text in found if language == PYTHON3), None)

    def target(self) -> CodeTests:
        """Return all cases."""
        groups = (self.public_tests, self.private_tests, self.generated_tests)
        inputs = [text for group in groups for text in group.input]
        outputs = [text for group in groups for text in group.output]
        return stdio_tests(inputs, outputs, solution=self.solution)


class LiveCodeBenchLine(LineModel):
    """A problem of LiveCodeBench (Jain et al. 2024, arXiv 2403.07974)."""

    question_id: Text
    question_content: Text
    starter_code: str = ""
    public_test_cases: str = "[]"
    private_test_cases: str = "[]"
    metadata: str = "{}"

    @property
    def instance_id(self) -> str:
        """Name within the task."""
        return self.question_id

    @property
    def question(self) -> str:
        """The problem in APPS' prompt."""
        return _ask(self.question_content, self.starter_code, calls=bool(self.starter_code))

    @property
    def solution(self) -> None:
        """None: the files hold no solutions."""
        return

    def target(self) -> CodeTests:
        """Return all cases."""
        cases = [
            *_json(self.public_test_cases, "public_test_cases"),
            *_json(_unpacked(self.private_test_cases), "private_test_cases"),
        ]
        if not all(isinstance(case, dict) and {"input", "output"} <= case.keys() for case in cases):
            raise UsageError(
                "test_cases: got a case without input or output; allowed: both in each; fetch the "
                "file again."
            )
        if self.starter_code:
            return self._calls(cases)
        return stdio_tests(
            [_text(case["input"]) for case in cases],
            [_text(case["output"]) for case in cases],
            rules=Rules.LIVECODEBENCH,
        )

    def _calls(self, cases: list[dict[str, str]]) -> CodeTests:
        """Return cases of a function: an argument per line of the input, as JSON."""
        found = _json(self.metadata, "metadata")
        name = found.get("func_name") if isinstance(found, dict) else None
        if not isinstance(name, str) or not name:
            raise UsageError(
                f"metadata: got {self.metadata[:80]!r} beside starter_code; allowed: the name of "
                "the function as func_name; fetch the file again."
            )
        calls = [
            (
                [_json(line, "input") for line in case["input"].split("\n")],
                _json(case["output"], "output"),
            )
            for case in cases
        ]
        return call_tests(name, calls)


def _text(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _json(text: str, key: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"{key}: got no valid JSON ({error}); allowed: JSON as text; correct it."
        ) from error


class _TextOnly(pickle.Unpickler):
    """Unpickles text and numbers; anything with a class is refused, since it could run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise UsageError(
            f"private_test_cases: got a pickled {module}.{name}; allowed: text; the file is not "
            "LiveCodeBench's: do not use it."
        )


def _unpacked(text: str) -> str:
    """Return private cases, which LiveCodeBench packs as base64 of zlib of a pickled text."""
    if text.lstrip().startswith("["):
        return text
    try:
        data = zlib.decompress(base64.b64decode(text, validate=True))
        return str(_TextOnly(io.BytesIO(data)).load())
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise UsageError(
            f"private_test_cases: got {text[:20]!r}...; allowed: JSON, or base64 of zlib of a "
            f"pickled text ({error}); fetch the file again."
        ) from error
