"""Progress of a run: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from passuntil.config import Job, ModelSpec
from passuntil.report.interrupt import Interrupt
from passuntil.report.words import count
from passuntil.runner.drive import Snapshot

__all__ = ["RunProgress"]

_PLAIN_INTERVAL_S: Final = 15.0
_BAR_WIDTH: Final = 24


class RunProgress:
    """An observer of `passuntil.runner.run.run_job` that people watch. A context manager."""

    def __init__(self, job: Job, console: Console) -> None:
        self._job = job
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._titles: dict[str, str] = {}
        self._going: dict[str, Table | Text] = {}  # what each model under way looks like
        self._said: dict[str, float] = {}
        self._interrupt = Interrupt()

    def __enter__(self) -> Self:
        self._interrupt.start()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        self._interrupt.stop()

    def on_model(self, model: ModelSpec, n_done: int, n_models: int) -> None:
        """Announce a model."""
        held_out = ", held out" if model.held_out else ""
        title = f"{model.name} ({n_done + 1} of {n_models}{held_out})"
        self._titles[model.name] = title
        self._said[model.name] = time.monotonic()
        if self._console.is_terminal:
            while len(self._going) >= self._job.models_at_once:  # calculated ones do not say end
                del self._going[next(iter(self._going))]
            self._going[model.name] = Text(f"{title}: starting the engine")
            self._refresh()
        else:
            self._console.print(f"{title}: starting the engine", highlight=False)

    def on_progress(self, snapshot: Snapshot) -> None:
        """Show where the model stands.

        Raises
        ------
        RunInterrupted
            Ctrl-C was pressed.
        """
        self._interrupt.check()
        is_last = snapshot.n_in_engine == 0 and not (
            snapshot.backlog or any(run.is_open for run in snapshot.instances)
        )
        if self._console.is_terminal:
            self._going[snapshot.model] = self._table(snapshot)
            self._refresh()
            if is_last:
                del self._going[snapshot.model]
            return
        now = time.monotonic()
        if is_last or now - self._said[snapshot.model] >= _PLAIN_INTERVAL_S:
            self._said[snapshot.model] = now
            n_closed = sum(run.state.is_closed for run in snapshot.instances)
            self._console.print(
                f"{self._titles[snapshot.model]}: {n_closed}/{len(snapshot.instances)} instances "
                f"closed, {self._rates(snapshot)}",
                highlight=False,
            )

    def _refresh(self) -> None:
        self._live.update(Group(*self._going.values()), refresh=True)

    def on_forecast(self, path: Path) -> None:
        """Say that a forecast was sealed."""
        self._console.print(f"Forecast sealed before its model is sampled: {path}", highlight=False)

    def on_round(self, task: str, words: str) -> None:
        """Say what a round of a steered run found."""
        self._console.print(f"{task}: {words}", highlight=False)

    def _rates(self, snapshot: Snapshot) -> str:
        seconds = max(snapshot.elapsed_s, 1e-9)
        return (
            f"{count(snapshot.n_samples)} samples, {count(snapshot.n_samples / seconds)}/s, "
            f"{count(snapshot.n_tokens / seconds)} tokens/s, {snapshot.elapsed_s:.0f} s"
        )

    def _table(self, snapshot: Snapshot) -> Table:
        table = Table(
            title=f"{self._titles[snapshot.model]}: {self._rates(snapshot)}",
            title_justify="left",
            box=None,
        )
        for name in ("task", "instances closed", "", "passes", "samples", "at budget"):
            table.add_column(name, justify="left" if name in ("task", "") else "right")
        for task in self._job.tasks:
            runs = [run for run in snapshot.instances if run.instance.task == task.name]
            closed = [run.state for run in runs if run.state.is_closed]
            filled = round(_BAR_WIDTH * len(closed) / max(1, len(runs)))
            table.add_row(
                task.name,
                f"{len(closed)}/{len(runs)}",
                "█" * filled + "░" * (_BAR_WIDTH - filled),
                count(sum(run.state.n_passes for run in runs)),
                count(sum(run.state.n_committed for run in runs)),
                str(sum(state.n_passes < state.rule.passes for state in closed)),
            )
        table.caption = f"{snapshot.n_in_engine} in the engine, {snapshot.backlog} being judged"
        return table
