"""Starting an engine of probabilities from a job, of samples or of choices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from passuntil.sampler.scorer import Scorer

__all__ = ["EngineJob", "start_scorer"]


class EngineJob(Protocol):
    """A job with models and the options of the engine that runs them."""

    @property
    def engine(self) -> Any:
        """Options, a `passuntil.config.model.EngineSpec`."""
        ...

    def model_location(self, model: Any, /) -> Path | str:
        """Return the folder of a model, or its hub id."""
        ...


def start_scorer(job: EngineJob, model: Any) -> Scorer:
    """Return vLLM with one model of the job, a `passuntil.config.ModelSpec`.

    Raises
    ------
    EngineError
        vLLM is not installed, or the model does not load.
    """
    from passuntil.sampler.likelihood import VllmScorer  # noqa: PLC0415  # seconds, often absent

    options = job.engine.model_dump(exclude={"kind"})
    return VllmScorer(job.model_location(model), revision=model.revision, **options)
