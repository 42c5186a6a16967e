"""The job: models, tasks, decoding, stopping rule, engine and checkers, validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from passuntil.checkers.exact import ExactChecker, Extract
from passuntil.config import identity
from passuntil.config.paths import BUILTIN, find_model, find_task
from passuntil.errors import UsageError, nearest
from passuntil.ports import Decoding
from passuntil.records import Instance
from passuntil.stopping import StopRule
from passuntil.tasks import FORMATS, load_task

__all__ = [
    "CheckerOptions",
    "CodeSpec",
    "EngineSpec",
    "ExactSpec",
    "Job",
    "ModelSpec",
    "SamplingPatch",
    "SamplingSpec",
    "TaskSpec",
]


def _whole(value: object) -> object:
    """Let 7.0e7 count as the whole number it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_name(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name) is None:
        raise UsageError(
            f"got {name!r}; allowed: letters, digits and . _ + -, the first a letter or digit; "
            "rename it (names become file names)."
        )
    return name


Name = Annotated[
    str, Field(), BeforeValidator(lambda v: _check_name(v) if isinstance(v, str) else v)
]
Whole = Annotated[int, BeforeValidator(_whole)]
Positive = Annotated[Whole, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# vLLM raises a temperature below 0.01 to 0.01 in silence; greedy decoding is `greedy: true`
Temperature = Annotated[float, Field(ge=0.01, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
TopK = Annotated[Whole, Field(ge=0)]
Seed = Annotated[Whole, Field(ge=0, lt=2**63)]
StopStrings = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelSpec(_Spec):
    """One model of the family."""

    name: Name
    path: str
    revision: str | None = None
    n_params: Positive
    n_tokens: PositiveFloat | None = None
    compute: PositiveFloat | None = None
    loss: PositiveFloat | None = None
    held_out: bool = False

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str, info: ValidationInfo) -> str:
        if info.context:  # a job read back from a run's record needs no models
            find_model(path, info.context["base"])
        return path

    @model_validator(mode="after")
    def _only_a_hub_has_revisions(self, info: ValidationInfo) -> Self:
        if self.revision is None:
            return self
        is_local = self.path.startswith(BUILTIN) or (
            info.context and find_model(self.path, info.context["base"]) is not None
        )
        if is_local:
            raise UsageError(
                f"revision: got {self.revision!r} for {self.path!r}; allowed for a hub id only; "
                "remove it."
            )
        return self


class ExtractSpec(_Spec):
    """Which part of a completion is the answer."""

    pattern: str
    take: Literal["first", "last"] = "first"
    group: Annotated[Whole, Field(ge=0)] | str | None = None


class ExactSpec(_Spec):
    """An exact-match checker; see `passuntil.checkers.exact`."""

    kind: Literal["exact"] = "exact"
    normalise: Annotated[tuple[str, ...], Field(strict=False)] = ("strip",)
    extract: ExtractSpec | None = None
    require_end: bool = False

    @model_validator(mode="after")
    def _known_steps(self) -> Self:
        self.build()
        return self

    def build(self) -> ExactChecker:
        """Return the checker."""
        extract = None if self.extract is None else Extract(**self.extract.model_dump())
        return ExactChecker(normalise=self.normalise, extract=extract, require_end=self.require_end)


class CodeSpec(_Spec):
    """A checker that runs code tests in the jail: `passuntil.checkers.code.CodeLimits`.

    The limits stand here a second time so that a job can be read where no jail can be built.
    """

    kind: Literal["code"] = "code"
    cpu_time_s: PositiveFloat = 0.1
    cpu_time_factor: PositiveFloat = 20.0
    blocked_factor: PositiveFloat = 3.0
    blocked_s: PositiveFloat = 1.0
    memory_bytes: Annotated[Whole, Field(ge=128 * 1024**2)] = 1024**3
    output_bytes: Annotated[Whole, Field(ge=256)] = 4096
    source_bytes: Annotated[Whole, Field(ge=256)] = 256 * 1024
    judge_cpu_time_s: PositiveFloat = 1.0


class SamplingSpec(_Spec):
    """How tokens are drawn; a model's own generation_config never applies."""

    temperature: Temperature = 1.0
    top_p: Share = 1.0
    top_k: TopK = 0
    max_tokens: Positive = 256
    stop: StopStrings = ()


class SamplingPatch(_Spec):
    """What one task draws differently; null keeps the job's value."""

    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    max_tokens: Positive | None = None
    stop: StopStrings | None = None


_CHECKER_OF: Mapping[str, str] = {"answers": "exact", "humaneval": "code"}


class TaskSpec(_Spec):
    """One task."""

    name: Name
    path: str
    format: str
    limit: Positive | None = None
    checker: Annotated[ExactSpec | CodeSpec, Field(discriminator="kind")]
    sampling: SamplingPatch = SamplingPatch()

    @model_validator(mode="before")
    @classmethod
    def _default_checker(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        checker = data.get("checker")
        if checker is None or (isinstance(checker, dict) and "kind" not in checker):
            kind = _CHECKER_OF.get(str(data.get("format")), "exact")
            return {**data, "checker": {"kind": kind, **(checker or {})}}
        return data

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str, info: ValidationInfo) -> str:
        if info.context:
            find_task(path, info.context["base"])
        return path

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        if name not in FORMATS:
            raise UsageError(
                f"got {name!r}; allowed: {', '.join(FORMATS)}; name the file's format."
                f"{nearest(name, FORMATS)}"
            )
        return name

    @model_validator(mode="after")
    def _checker_fits(self) -> Self:
        fitting = _CHECKER_OF[self.format]
        if self.checker.kind != fitting:
            raise UsageError(
                f"checker: got kind {self.checker.kind!r} with format {self.format!r}; allowed: "
                f"{fitting!r}; change the kind, or leave it out."
            )
        return self


class EngineSpec(_Spec):
    """The engine that samples."""

    kind: Literal["vllm"] = "vllm"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_num_seqs: Positive = 256
    max_model_len: Positive | None = None
    gpu_memory_utilization: Share = 0.9
    kv_cache_memory_bytes: Positive | None = None
    enforce_eager: bool | None = None
    tensor_parallel_size: Positive = 1
    cpu_threads: Positive | None = None
    trust_remote_code: bool = False
    tokenizer: str | None = None


class CheckerOptions(_Spec):
    """What all checkers of a job share."""

    workers: Positive | None = None
    retries: Annotated[Whole, Field(ge=0)] = 2


class Job(_Spec):
    """A whole job file. Made by `load_job`, or by `from_json` from a run's record."""

    name: Name
    family: Annotated[tuple[ModelSpec, ...], Field(strict=False)]
    tasks: Annotated[tuple[TaskSpec, ...], Field(strict=False)]
    sampling: SamplingSpec = SamplingSpec()
    passes: Positive = 1
    min_samples: Positive = 1
    budget: Positive = 100_000
    seed: Seed = 0
    seeding: Literal["per_sample", "engine"] = "per_sample"
    greedy: bool = True
    engine: EngineSpec = EngineSpec()
    checker: CheckerOptions = CheckerOptions()

    _base: Path = PrivateAttr(default_factory=Path)
    _digests: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("family", "tasks")
    @classmethod
    def _unique(cls, items: tuple[Any, ...]) -> tuple[Any, ...]:
        if not items:  # not min_length: it would count valid items only
            raise UsageError("got an empty list; allowed: at least one item; add one.")
        seen: dict[str, int] = {}
        for i, item in enumerate(items):
            if item.name in seen:
                raise UsageError(
                    f"{i}.name: got {item.name!r} a second time (first: "
                    f"item {seen[item.name]}); allowed: unique names; rename one."
                )
            seen[item.name] = i
        return items

    @model_validator(mode="after")
    def _interacting(self) -> Self:
        self.stop_rule()
        if all(model.held_out for model in self.family):
            raise UsageError(
                "family: got only models with held_out: true; allowed: at least one that is not; "
                "a forecast needs models to start from."
            )
        return self

    def stop_rule(self) -> StopRule:
        """Return when sampling of an instance ends."""
        return StopRule(passes=self.passes, min_samples=self.min_samples, budget=self.budget)

    def task(self, name: str) -> TaskSpec:
        """Return the task of that name."""
        for task in self.tasks:
            if task.name == name:
                return task
        known = [task.name for task in self.tasks]
        raise UsageError(
            f"task: got {name!r}; allowed: {', '.join(known)}; name a task of the job."
            f"{nearest(name, known)}"
        )

    def decoding(self, task: TaskSpec | str) -> Decoding:
        """Return how the samples of a task are drawn."""
        patch = (self.task(task) if isinstance(task, str) else task).sampling
        own = patch.model_dump(exclude_none=True)
        return Decoding(**{**self.sampling.model_dump(), **own})

    def model_location(self, model: ModelSpec) -> Path | str:
        """Return the folder of a model, or its hub id."""
        return find_model(model.path, self._base) or model.path

    def task_file(self, task: TaskSpec) -> Path:
        """Return the file of a task."""
        return find_task(task.path, self._base)

    def instances(self, task: TaskSpec | str) -> list[Instance]:
        """Read a task's instances, at most its `limit`."""
        spec = self.task(task) if isinstance(task, str) else task
        return load_task(spec.name, self.task_file(spec), spec.format, spec.limit)

    def to_json(self) -> dict[str, object]:
        """Return the job, defaults filled in, and the digest of each task file."""
        record: dict[str, Any] = self.model_dump(mode="json")
        for task in record["tasks"]:
            task["digest"] = self._digests.get(task["name"])
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any], base: Path | None = None) -> Self:
        """Return the job a run recorded; its models and task files need not exist."""
        tasks = [dict(task) for task in record["tasks"]]
        digests = {task["name"]: task.pop("digest") for task in tasks}
        job = cls.model_validate({**record, "tasks": tasks})
        return job.located(base or Path(), {k: v for k, v in digests.items() if v is not None})

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that decides samples and verdicts."""
        return identity.fingerprint(self.to_json())

    def located(self, base: Path, digests: Mapping[str, str]) -> Self:
        """Note the folder that relative paths start from and the digests of the task files."""
        self._base = base
        self._digests = dict(digests)
        return self
