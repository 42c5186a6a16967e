"""Job files: what to sample, how to judge it, when to stop."""

from passuntil.config.checkers import build_checkers
from passuntil.config.identity import diff_jobs
from passuntil.config.job import (
    CheckerOptions,
    CodeSpec,
    EngineSpec,
    ExactSpec,
    Job,
    ModelSpec,
    SamplingPatch,
    SamplingSpec,
    TaskSpec,
)
from passuntil.config.load import load_job
from passuntil.config.paths import bundled

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
    "build_checkers",
    "bundled",
    "diff_jobs",
    "load_job",
]
