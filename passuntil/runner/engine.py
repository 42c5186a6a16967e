"""The engine of a job's model."""

from __future__ import annotations

import secrets
from typing import Any

from passuntil.config import Job, ModelSpec
from passuntil.ports import Sampler
from passuntil.sampler.process import ProcessSampler

__all__ = ["start_engine", "start_vllm"]


def start_engine(job: Job, model: ModelSpec, *, times_steps: bool = False) -> Sampler:
    """Return vLLM with one model of the job: in this process if it is the only one at a time.

    With ``models_at_once`` above 1 it gets a process of its own and may still be loading;
    `times_steps` has no effect then.

    Raises
    ------
    EngineError
        vLLM is not installed, or the model does not load.
    """
    if job.models_at_once == 1:
        return start_vllm(job, model, times_steps=times_steps)
    return ProcessSampler("passuntil.sampler.vllm:VllmSampler", _options(job, model))


def start_vllm(job: Job, model: ModelSpec, *, times_steps: bool = False) -> Sampler:
    """Return vLLM with one model of the job, in this process.

    Parameters
    ----------
    job, model
        What to load and how.
    times_steps : bool
        Tell apart what engine steps are made of; `passuntil.runner.profile.SplitsSteps`.

    Raises
    ------
    EngineError
        vLLM is not installed, or the model does not load.
    """
    from passuntil.sampler.vllm import VllmSampler  # noqa: PLC0415  # seconds, and often absent

    return VllmSampler(times_steps=times_steps, **_options(job, model))


def _options(job: Job, model: ModelSpec) -> dict[str, Any]:
    # without seeds of their own, two engines that start from one seed draw the same samples
    engine_seed = job.seed % 2**32 if job.seeding == "per_sample" else secrets.randbits(32)
    return {
        "model": job.model_location(model),
        "revision": model.revision,
        "engine_seed": engine_seed,
        **job.engine.model_dump(exclude={"kind"}),
    }
