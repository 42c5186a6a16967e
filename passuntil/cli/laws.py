"""What the commands that fit laws share: covariates, losses, files to write."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from passuntil.errors import UsageError
from passuntil.runner.analysis import Covariate, LossSource

__all__ = ["Against", "LossesPath", "LossesTask", "loss_source", "require_folder"]

LossesPath = Annotated[
    Path | None,
    typer.Option(
        "--losses",
        help="Gold answers' losses for loss_assisted: .jsonl, .csv, .npz, or a run's folder.",
        show_default=False,
    ),
]
LossesTask = Annotated[
    str | None,
    typer.Option("--losses-task", help=r"Its name among the losses \[default: the task's]"),
]
Against = Annotated[Covariate, typer.Option("--against", help="What grows along the axis.")]


def loss_source(losses: Path | None, losses_task: str | None) -> LossSource | None:
    """Return where the losses are, if anywhere."""
    if losses is not None:
        return LossSource(losses, losses_task)
    if losses_task is not None:
        raise UsageError(
            f"--losses-task: got {losses_task!r} and no --losses; allowed: both; add --losses FILE."
        )
    return None


def require_folder(option: str, path: Path | None) -> None:
    """Refuse a file to write whose folder is missing, before the work whose result it is for."""
    if path is not None and not path.parent.is_dir():
        raise UsageError(
            f"{option}: got {path}, and there is no folder {path.parent}; allowed: a file in an "
            "existing folder; make the folder first."
        )
