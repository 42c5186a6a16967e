"""The job: models, tasks, decoding, stopping rule, engine and checkers, validated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from passuntil.config import identity
from passuntil.config.checker import CheckerOptions
from passuntil.config.fields import Name, Positive, PositiveFloat, Seed, Spec
from passuntil.config.likelihood import check_likelihood
from passuntil.config.model import EngineSpec, ModelSpec
from passuntil.config.paths import find_model
from passuntil.config.task import SamplingSpec, TaskSpec
from passuntil.errors import UsageError, nearest
from passuntil.ports import Decoding
from passuntil.records import Instance
from passuntil.steering import ForecastGoal, Goal
from passuntil.stopping import StopRule
from passuntil.tasks import Problem, TaskSource, load_problems

__all__ = ["Job"]


# Keys without a default that one mode alone reads; they are refused in the others.
_OWN_KEYS: Final = {
    "samples": "fixed",
    "target_width": "target",
    "total_budget": "target",
    "forecast": "target",
}


class Job(Spec):
    """A whole job file. Made by `load_job`, or by `from_json` from a run's record.

    ``mode: until`` samples each instance until ``passes`` pass, at least ``min_samples`` and at
    most ``budget`` times. ``mode: fixed`` draws ``samples`` of each. ``mode: target`` steers the
    samples of each model on each task to where they narrow the 95 % interval of PU most, until it
    is ``target_width`` wide, relative to PU, or ``total_budget`` samples are drawn for that model
    and task; each instance gets at least ``min_samples`` and at most ``budget``.

    With ``forecast``, the number of parameters of a bigger model, ``mode: target`` steers the
    samples of all models that are not held out to where they narrow the 90 % interval of its PU
    most, until that is ``target_width`` wide, relative to the forecast, ``total_budget`` samples
    are drawn for the task, or more would hardly narrow it. The samples come in rounds, each a pass
    over the models, the first of ``min_samples`` an instance. ``sample_cost: n_params`` counts a
    sample as dear as its model is big. A held-out model is then measured to ``target_width`` of its
    own PU, with an equal share of ``total_budget``.

    A mode does not read the others' keys: ``mode: fixed`` leaves ``passes``, ``min_samples`` and
    ``budget`` aside, ``mode: target`` leaves ``passes`` aside. They are not refused there, so that
    a job written for ``until`` can be run in another mode by an override alone.

    ``models_at_once`` above 1 samples so many models side by side, each engine in a process of its
    own, where there are cores and memory for them: on a GPU give each its share by
    ``engine: {gpu_memory_utilization: ...}``. Held-out models still come after all others.
    """

    name: Name
    family: Annotated[tuple[ModelSpec, ...], Field(strict=False)]
    tasks: Annotated[tuple[TaskSpec, ...], Field(strict=False)]
    sampling: SamplingSpec = SamplingSpec()
    mode: Literal["until", "fixed", "target"] = "until"
    samples: Positive | None = None
    target_width: PositiveFloat | None = None
    total_budget: Positive | None = None
    forecast: PositiveFloat | None = None
    sample_cost: Literal["equal", "n_params"] = "equal"
    passes: Positive = 1
    min_samples: Positive = 1
    budget: Positive = 100_000
    seed: Seed = 0
    seeding: Literal["per_sample", "engine"] = "per_sample"
    greedy: bool = True
    keep_texts: Literal["passing", "all"] = "passing"
    models_at_once: Positive = 1
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
        for key, mode in _OWN_KEYS.items():
            if getattr(self, key) is not None and self.mode != mode:
                raise UsageError(
                    f"{key}: got {getattr(self, key)} with mode: {self.mode}; allowed with "
                    f"mode: {mode} only; set that mode or remove {key}."
                )
        if self.sample_cost != "equal" and self.forecast is None:
            raise UsageError(
                f"sample_cost: got {self.sample_cost} without forecast; allowed: beside it only, "
                "where samples go to the model that brings most for its cost; add forecast or "
                "remove sample_cost."
            )
        self.stop_rule()
        self.goal()
        if self.forecast_goal() is not None:
            self._check_sizes()
        for task in self.tasks:
            check_likelihood(task, self.decoding(task))
        if all(model.held_out for model in self.family):
            raise UsageError(
                "family: got only models with held_out: true; allowed: at least one that is not; "
                "a forecast needs models to start from."
            )
        return self

    def stop_rule(self) -> StopRule:
        """Return when sampling of an instance ends."""
        if self.mode == "fixed":
            if self.samples is None:
                raise UsageError(
                    "samples: got none with mode: fixed; allowed: how many to draw of each "
                    "instance, >= 1; add it."
                )
            return StopRule.fixed(self.samples)
        if self.mode == "target":
            return StopRule.steered(min_samples=self.min_samples, budget=self.budget)
        return StopRule(passes=self.passes, min_samples=self.min_samples, budget=self.budget)

    def goal(self, model: ModelSpec | None = None) -> Goal | None:
        """Return what ends a task in target mode; None in other modes, and where a forecast does.

        A forecast steers every model but the held-out ones, which alone have a goal then.
        """
        if self.mode != "target":
            return None
        if self.forecast is None:
            return Goal(relative_width=self.target_width, total_budget=self.total_budget)
        if model is None or not model.held_out:
            return None
        n_measured = sum(not model.held_out for model in self.family)
        share = None if self.total_budget is None else max(1, self.total_budget // n_measured)
        return Goal(relative_width=self.target_width, total_budget=share)

    def forecast_goal(self) -> ForecastGoal | None:
        """Return what ends a task that a forecast steers, None where none does."""
        if self.mode != "target" or self.forecast is None:
            return None
        return ForecastGoal(self.forecast, self.target_width, self.total_budget)

    def _check_sizes(self) -> None:
        sizes = {model.n_params for model in self.family if not model.held_out}
        if len(sizes) < 2:
            raise UsageError(
                f"forecast: got models of {len(sizes)} size that are not held out; allowed: at "
                "least 2 sizes (3 or more for an interval that means something); add models."
            )

    @property
    def base(self) -> Path:
        """Folder that relative paths of the job start from."""
        return self._base

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

    def task_source(self, task: TaskSpec) -> TaskSource:
        """Return where the rows of a task come from."""
        return task.source(self._base)

    def instances(self, task: TaskSpec | str) -> list[Instance]:
        """Read a task's instances, at most its `limit`."""
        spec = self.task(task) if isinstance(task, str) else task
        return [problem.instance for problem in self.problems(spec)]

    def problems(self, task: TaskSpec | str) -> list[Problem]:
        """Read a task's instances with what is known to pass them."""
        spec = self.task(task) if isinstance(task, str) else task
        return load_problems(spec.name, self.task_source(spec), spec.format, spec.limit)

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
