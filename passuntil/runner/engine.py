"""The engine of a job's model."""

from __future__ import annotations

import secrets

from passuntil.config import Job, ModelSpec
from passuntil.ports import Sampler

__all__ = ["start_vllm"]


def start_vllm(job: Job, model: ModelSpec, *, times_steps: bool = False) -> Sampler:
    """Return vLLM with one model of the job.

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

    options = job.engine.model_dump(exclude={"kind"})
    # without seeds of their own, two engines that start from one seed draw the same samples
    engine_seed = job.seed % 2**32 if job.seeding == "per_sample" else secrets.randbits(32)
    return VllmSampler(
        job.model_location(model),
        revision=model.revision,
        engine_seed=engine_seed,
        times_steps=times_steps,
        **options,
    )
