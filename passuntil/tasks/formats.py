"""The formats of task files: one pydantic model per line.

To add a format, write its line as a model with `instance_id` and `to_instance`, and enter it in
`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from passuntil.errors import UsageError
from passuntil.records import CodeTests, ExactAnswer, Instance

__all__ = ["FORMATS", "AnswersLine", "HumanEvalLine", "Line"]

Text = Annotated[str, Field(min_length=1)]


class Line(Protocol):
    """One line of a task file."""

    @classmethod
    def model_validate_json(cls, json_data: bytes, /) -> Self:
        """Parse and validate the line, or raise pydantic's ValidationError."""
        ...

    @property
    def instance_id(self) -> str:
        """Name within the task."""
        ...

    def to_instance(self, task: str) -> Instance:
        """Return the instance of this line."""
        ...


class _Line(BaseModel):
    # published files carry keys beyond their format (EvalPlus adds inputs and a contract)
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class HumanEvalLine(_Line):
    """A problem in HumanEval's format (Chen et al. 2021, arXiv 2107.03374)."""

    task_id: Text
    prompt: Text
    canonical_solution: str
    test: Text
    entry_point: Annotated[str, Field(pattern=r"^[^\W\d]\w*$")]

    @property
    def instance_id(self) -> str:
        """Name within the task."""
        return self.task_id

    def to_instance(self, task: str) -> Instance:
        """Return the instance of this line."""
        target = CodeTests(
            prompt=self.prompt,
            test=self.test,
            entry_point=self.entry_point,
            canonical_solution=self.canonical_solution,
        )
        return Instance(task=task, id=self.task_id, prompt=self.prompt, target=target)


class AnswersLine(_Line):
    """A prompt and its accepted answers."""

    task_id: Annotated[Text, Field(validation_alias=AliasChoices("task_id", "id"))]
    prompt: Text
    answer: tuple[str, ...]

    @field_validator("answer", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> tuple[str, ...]:
        answers = [value] if isinstance(value, str) else value
        if not isinstance(answers, list) or not answers:
            raise UsageError(f"got {value!r}; allowed: text or a list of texts; correct it.")
        if not all(isinstance(answer, str) for answer in answers):
            raise UsageError(f"got {value!r}; allowed: only texts in the list; quote the others.")
        return tuple(answers)

    @property
    def instance_id(self) -> str:
        """Name within the task."""
        return self.task_id

    def to_instance(self, task: str) -> Instance:
        """Return the instance of this line."""
        accepted = (self.answer,) if isinstance(self.answer, str) else tuple(self.answer)
        return Instance(
            task=task, id=self.task_id, prompt=self.prompt, target=ExactAnswer(accepted)
        )


FORMATS: Mapping[str, type[Line]] = {"answers": AnswersLine, "humaneval": HumanEvalLine}
