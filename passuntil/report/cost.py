"""What a job is going to do and what it can cost, before anything is sampled."""

from __future__ import annotations

from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from passuntil.config import Job
from passuntil.errors import UsageError
from passuntil.report.words import count, model_size
from passuntil.steering.forecast import MOST_GROWTH, MOST_ROUNDS

__all__ = ["print_plan"]

_UNREAD = {"until": (), "fixed": ("passes", "min_samples", "budget"), "target": ("passes",)}
"""Keys of a job that its mode leaves aside."""


def print_plan(console: Console, job: Job, folder: Path) -> None:
    """Print the resolved job and the bounds of its cost.

    The floor is drawn for certain; the budget is the most. Where a job ends between them depends
    on the pass rates it is there to measure. A task with ``method: likelihood`` draws none.

    Raises
    ------
    UsageError
        ``total_budget`` is below the floor of a task.
    """
    table = _cost(job)
    text = yaml.safe_dump(job.to_json(), sort_keys=False, allow_unicode=True)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    if job.forecast is not None:
        console.print(
            f"Steered by the forecast of {model_size(job.forecast)} parameters: a first round of "
            f"{job.min_samples} samples of each instance under each model that is not held out, "
            f"then at most {MOST_ROUNDS - 1} rounds, each at most {MOST_GROWTH - 1:g} times the "
            "samples before it; every round starts the engines of the models it samples anew",
            highlight=False,
        )
    unread = [key for key in _UNREAD[job.mode] if key in job.model_fields_set]
    if unread:
        console.print(f"Not used in mode {job.mode}: {', '.join(unread)}", highlight=False)
    sizes = ", ".join(
        f"{m.name} ({model_size(m.n_params)}{', held out' if m.held_out else ''})"
        for m in job.family
    )
    console.print(f"Models: {sizes}", highlight=False)
    console.print(f"Folder: {folder}", highlight=False)


def _cost(job: Job) -> Table:
    table = Table(title="Cost", title_justify="left")
    for name in (
        "task",
        "instances",
        "max_tokens",
        "samples, at least",
        "at most",
        "tokens, at most",
    ):
        table.add_column(name, justify="left" if name == "task" else "right")
    n_models, rule = len(job.family), job.stop_rule()
    n_held_out = sum(model.held_out for model in job.family)
    # models that share one total_budget
    n_sharing = 1 if job.forecast is None else n_models - n_held_out
    for task in job.tasks:
        n = len(job.instances(task))
        decoding = job.decoding(task)
        if task.method == "likelihood":
            table.add_row(task.name, str(n), str(decoding.max_tokens), "calculated", "none", "none")
            continue
        first = n_sharing * n * rule.min_samples
        if job.total_budget is not None and job.total_budget < first:
            models = "" if n_sharing == 1 else f" under each of {n_sharing} models"
            raise UsageError(
                f"total_budget: got {job.total_budget}; allowed: at least min_samples for each of "
                f"the {n} instances of {task.name}{models}, {first}; raise it or lower "
                "min_samples."
            )
        each = n * rule.budget
        most = n_models * min(each, job.total_budget or each)
        if job.forecast is not None:
            total = job.total_budget or n_sharing * each
            most = min(n_sharing * each, total) + n_held_out * min(each, total // n_sharing)
        table.add_row(
            task.name,
            str(n),
            str(decoding.max_tokens),
            count(n_models * n * rule.min_samples),
            count(most),
            count(most * decoding.max_tokens),
        )
    return table
