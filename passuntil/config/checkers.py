"""The checkers a job asks for."""

from __future__ import annotations

import os

from passuntil.config.job import CodeSpec, Job
from passuntil.ports import Checker

__all__ = ["build_checkers"]


def build_checkers(job: Job) -> dict[str, Checker]:
    """Return a checker per task name; tasks with equal code limits share one jail."""
    checkers: dict[str, Checker] = {}
    jails: dict[CodeSpec, Checker] = {}
    for task in job.tasks:
        spec = task.checker
        if isinstance(spec, CodeSpec):
            if spec not in jails:
                jails[spec] = _code_checker(spec, job)
            checkers[task.name] = jails[spec]
        else:
            checkers[task.name] = spec.build()
    return checkers


def _code_checker(spec: CodeSpec, job: Job) -> Checker:
    # the jail is loaded only where a task needs it
    from passuntil.checkers.code import CodeChecker  # type: ignore[import-not-found]  # noqa: PLC0415

    options = job.checker
    checker: Checker = CodeChecker(
        concurrency=options.workers or os.cpu_count() or 1,
        unsafe_no_sandbox=options.unsafe_no_sandbox,
    )
    return checker
