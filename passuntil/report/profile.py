"""Where the time of a run went, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from passuntil.runner.profile import Phase
from passuntil.runner.record import RunRecord

__all__ = ["print_profile"]

_TOLD_APART = (Phase.SAMPLING, Phase.SCHEDULING, Phase.DETOKENISING)


def print_profile(console: Console, run: RunRecord) -> None:
    """Print the driver's phases per model, which add up to all its time, and the checks beside."""
    names = [model.name for model in run.job.family if model.name in run.profiles]
    if not names:
        console.print(
            f"{run.folder}: no profile; one is recorded at the end of each model", highlight=False
        )
        return
    table = Table(title="Time of the driver", title_justify="left", box=None)
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for phase in Phase:
        table.add_row(phase.value, *(_share(run.profiles[name], phase) for name in names))
    totals = {name: sum(run.profiles[name]["seconds"].values()) for name in names}
    # an engine draws on while the driver turns to other models
    walls = {name: run.speeds[name]["seconds"] for name in names}
    table.add_row("seconds", *(f"{totals[name]:.1f}" for name in names))
    table.add_section()
    rows = {"samples/s": "samples", "tokens/s": "tokens"}
    for title, key in rows.items():
        rates = [run.speeds[name][key] / max(walls[name], 1e-9) for name in names]
        table.add_row(title, *(f"{rate:,.0f}" for rate in rates))
    table.add_row("killed or going on", *(f"{run.n_unended(name)}" for name in names))
    table.add_row("checks", *(f"{_checks(run, name)['n']:,}" for name in names))
    table.add_row("ms a check", *(_ms_per_check(_checks(run, name)) for name in names))
    table.add_row("checks at once", *(_overlap(run, name, walls[name]) for name in names))
    console.print(table)
    if run.job.models_at_once > 1:
        console.print(
            "Engines have processes of their own: the engine step is the driver's wait for one. "
            "Its work for other models is left out.",
            highlight=False,
        )
    console.print(
        "Checks run in threads beside the driver, and so does the making of the texts that they "
        "read; cheap ones, with theirs, are part of handing over. Sampling, scheduling and "
        "detokenising are parts of the engine's work, told apart by `run --profile`; without, the "
        "engine step holds them (-). On a GPU, sampling is the time to launch it: what it takes "
        "there is in the engine step. What a killed start had in flight is in no count.",
        highlight=False,
    )


def _share(profile: Mapping[str, Any], phase: Phase) -> str:
    seconds = profile["seconds"]
    if phase in _TOLD_APART and phase.value not in seconds:
        return "-"
    return f"{100 * seconds.get(phase.value, 0.0) / max(sum(seconds.values()), 1e-9):.1f} %"


def _checks(run: RunRecord, model: str) -> Mapping[str, float]:
    checks: Mapping[str, float] = run.profiles[model]["checks"]
    return checks


def _ms_per_check(checks: Mapping[str, float]) -> str:
    return f"{1e3 * checks['thread_seconds'] / checks['n']:.2f}" if checks["n"] else "-"


def _overlap(run: RunRecord, model: str, seconds: float) -> str:
    checks = _checks(run, model)
    return f"{checks['thread_seconds'] / max(seconds, 1e-9):.2f}" if checks["n"] else "-"
