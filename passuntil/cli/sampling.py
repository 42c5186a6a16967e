"""Commands that sample: run, demo."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from passuntil.cli.common import app, console
from passuntil.config import Job, load_job
from passuntil.report.cost import print_plan
from passuntil.report.profile import print_profile
from passuntil.report.progress import RunProgress
from passuntil.report.run import RunReport
from passuntil.runner.engine import start_engine
from passuntil.runner.record import RunRecord
from passuntil.runner.run import run_job


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="JOB.yaml, or builtin:NAME.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Replace keys: budget=2000", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=r"Folder of the run \[default: runs/NAME]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved job and its cost; sample nothing.")
    ] = False,
    unsafe_no_sandbox: Annotated[
        bool,
        typer.Option(
            "--unsafe-no-sandbox", help="Run code tasks without a jail; stamped on every result."
        ),
    ] = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Look into engine steps too; print where the time went at the end."
        ),
    ] = False,
) -> None:
    """Sample a job, judge, and report. The same command resumes an interrupted run."""
    unsafe = ["checker.unsafe_no_sandbox=true"] if unsafe_no_sandbox else []
    resolved = load_job(job, [*(overrides or []), *unsafe])
    folder = output or Path("runs") / resolved.name
    if dry_run:
        print_plan(console, resolved, folder)
        return
    _run(resolved, folder, times_steps=profile)
    if profile:
        print_profile(console, RunRecord.load(folder))


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder.")] = Path("runs/demo"),
) -> None:
    """Small bundled models predict a bigger one, on this machine, in minutes."""
    _run(load_job("builtin:demo"), output)
    console.print("  the job         passuntil run builtin:demo --dry-run", highlight=False)
    console.print("  the full job    passuntil run builtin:pico", highlight=False)


def _run(job: Job, folder: Path, *, times_steps: bool = False) -> None:
    make_sampler = partial(start_engine, times_steps=times_steps)
    with RunProgress(job, console) as progress:
        run_job(job, folder, observer=progress, make_sampler=make_sampler)
    report = RunReport.of(RunRecord.load(folder))
    report.print(console)
    plot = folder / "pu.png"
    report.plot(plot)
    summary = folder / "summary.json"
    summary.write_text(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
    console.print("\nWhere everything lies", style="bold")
    for what, path in (
        ("plot", plot),
        ("tables (JSON)", summary),
        ("forecasts", folder / "forecasts"),
        ("every verdict", folder / "ledger.sqlite"),
    ):
        console.print(f"  {what:15} {path}", highlight=False, soft_wrap=True)
    console.print(f"  {'again':15} passuntil show {folder}", highlight=False, soft_wrap=True)
