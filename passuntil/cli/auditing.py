"""Commands that look at what a run recorded: verify, recheck, replay, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from passuntil.cli.common import AsJson, RunFolder, Task, app, console, print_json
from passuntil.report.recheck import print_recheck, print_replay
from passuntil.runner.engine import start_vllm
from passuntil.runner.export import export_run
from passuntil.runner.recheck import REPORT_FILE, recheck_run
from passuntil.runner.replay import replay_sample
from passuntil.runner.verify import verify_run

# Violations of one kind that are printed; --json has them all.
_SHOWN = 10


@app.command()
def verify(run: RunFolder, as_json: AsJson = False) -> None:
    """Check that a run's ledger, records and forecasts are whole; exit code 1 if not."""
    checks = verify_run(run)
    n_violations = sum(len(check.violations) for check in checks)
    if as_json:
        print_json(
            {
                "is_sound": n_violations == 0,
                "checks": [{"what": c.what, "n": c.n, "violations": c.violations} for c in checks],
            }
        )
        raise typer.Exit(1 if n_violations else 0)
    for check in checks:
        mark = "[red]NO [/]" if check.violations else "[green]yes[/]" if check.n else " - "
        console.print(f"{mark} {check.what} ({check.n:,} checked)", highlight=False)
        for violation in check.violations[:_SHOWN]:
            console.print(f"      {violation}", markup=False, highlight=False, soft_wrap=True)
        if len(check.violations) > _SHOWN:
            console.print(f"      and {len(check.violations) - _SHOWN} more: --json", markup=False)
    console.print(
        f"{n_violations} violations in {run}" if n_violations else f"{run} is sound",
        highlight=False,
        soft_wrap=True,
    )
    raise typer.Exit(1 if n_violations else 0)


@app.command()
def recheck(
    run: RunFolder,
    task: Task = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="New run with today's verdicts; needs keep_texts: all.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge the kept texts anew by today's checkers; exit code 1 if a verdict changes."""
    done = recheck_run(run, task=task, output=output)
    if as_json:
        print_json(done.to_json())
    else:
        print_recheck(console, done)
        console.print(f"report    {run / REPORT_FILE}", highlight=False, soft_wrap=True)
        if output is not None:
            console.print(f"new run   {output}", highlight=False, soft_wrap=True)
    raise typer.Exit(1 if done.n_changed else 0)


@app.command()
def replay(
    run: RunFolder,
    sample: Annotated[str, typer.Argument(metavar="TASK/INSTANCE#INDEX", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help=r"Model \[default: the only one]", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw one recorded sample again and judge it; exit code 1 if something differs."""
    done = replay_sample(run, sample, make_sampler=start_vllm, model=model)
    if as_json:
        print_json(done.to_json())
    else:
        print_replay(console, done)
    raise typer.Exit(0 if done.matches else 1)


@app.command()
def export(
    run: RunFolder,
    file: Annotated[
        Path, typer.Argument(help="New file: .csv, .jsonl or .parquet.", show_default=False)
    ],
    task: Task = None,
    samples: Annotated[
        bool,
        typer.Option(
            "--samples", help="A row per judged sample, with the kept texts; not per instance."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run as one table: a row per model and instance, or per sample."""
    n_rows = export_run(run, file, task=task, with_samples=samples)
    if as_json:
        print_json({"file": str(file), "rows": n_rows})
    else:
        console.print(f"{n_rows:,} rows in {file}", highlight=False, soft_wrap=True)
