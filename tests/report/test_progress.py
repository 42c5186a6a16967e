"""What people see of a run while it goes on."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from simulated import make_job, scripted

from passuntil.report.progress import RunProgress
from passuntil.runner.run import run_job


def output(tmp_path: Path, *overrides: str, is_terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=100)
    job = make_job(tmp_path, *overrides)
    with RunProgress(job, console) as progress:
        run_job(job, tmp_path / "run", observer=progress, make_sampler=scripted)
    return file.getvalue()


def test_a_log_has_a_first_and_a_last_line_of_each_model(tmp_path: Path) -> None:
    lines = output(tmp_path, "models_at_once=2", is_terminal=False).splitlines()
    for title in ("small (1 of 4)", "middle (2 of 4)", "large (3 of 4)", "huge (4 of 4, held out)"):
        found = [line for line in lines if line.startswith(title)]
        assert found[0] == f"{title}: starting the engine"
        assert "8/8 instances closed" in found[-1]


def test_a_terminal_shows_the_models_that_are_under_way_together(tmp_path: Path) -> None:
    frames = output(tmp_path, "models_at_once=2", is_terminal=True).split("middle (2 of 4)")
    between = frames[2]  # from one picture of the second model to the next
    assert "small (1 of 4)" in between
    assert "huge" not in between


def test_a_terminal_shows_one_model_at_a_time_by_default(tmp_path: Path) -> None:
    shown = output(tmp_path, is_terminal=True)
    after = shown[shown.index("middle (2 of 4)") :]
    assert "small (1 of 4)" not in after
