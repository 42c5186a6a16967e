"""The ``.npz`` file of `ChoiceScores`."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np

from passuntil.errors import UsageError

__all__ = ["read_scores", "write_scores"]


def write_scores(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write one ``.npz`` of the fields of `ChoiceScores`, whole or not at all."""
    file = Path(path)
    arrays: dict[str, Any] = {
        "correct": np.array([-1 if i is None else i for i in values["correct"]], dtype=np.int64)
    }
    for name, value in values.items():
        if name != "correct" and value is not None:
            arrays[name] = np.asarray(value)
    part = file.with_name(file.name + ".part")
    with part.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    part.replace(file)


def read_scores(path: str | Path, *, known: Set[str]) -> dict[str, Any]:
    """Return the fields that `write_scores` wrote.

    Parameters
    ----------
    path : str or Path
    known : set of str
        Names a file may have.

    Raises
    ------
    UsageError
        Not such a file.
    """
    try:
        with np.load(Path(path), allow_pickle=False) as file:
            found: dict[str, Any] = {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path}: got a file that cannot be read ({error}); allowed: what "
            "ChoiceScores.save wrote."
        ) from None
    needed = {"benchmark", "family", "models", "compute", "instances", "correct"}
    needed |= {"log_likelihood", "is_choice"}
    if not needed <= set(found) <= known:
        raise UsageError(
            f"{path}: got arrays {', '.join(sorted(found))}; allowed: those that "
            f"ChoiceScores.save writes ({', '.join(sorted(needed))} and others)."
        )
    for name in ("benchmark", "family"):
        found[name] = str(found[name])
    for name in ("models", "instances"):
        found[name] = tuple(found[name].tolist())
    found["correct"] = tuple(None if i < 0 else int(i) for i in found["correct"])
    return found
