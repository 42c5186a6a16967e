"""What a run records of its models beside their samples: engines, weights, speeds, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, final

from passuntil.config import Job, ModelSpec
from passuntil.errors import UsageError
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Checker
from passuntil.runner.drive import Drive, Snapshot
from passuntil.runner.instance import InstanceRun
from passuntil.runner.profile import TimedChecker, add_profiles
from passuntil.runner.weights import weights_digest

__all__ = ["ModelNotes"]


@final
class ModelNotes:
    """Keeps the records of a run's models up to date.

    Parameters
    ----------
    job, folder, ledger
        What is sampled, and where it goes.
    checkers : mapping of str to Checker
        By task.
    write_checkers : callable
        Records how completions are judged; called when that has changed.
    """

    def __init__(
        self,
        job: Job,
        folder: Path,
        ledger: SqliteLedger,
        checkers: Mapping[str, Checker],
        write_checkers: Callable[[], None],
    ) -> None:
        self._job = job
        self._folder = folder
        self._ledger = ledger
        self._checkers = checkers
        # tasks may share a checker
        self._timed = {c for c in checkers.values() if isinstance(c, TimedChecker)}
        self._write_checkers = write_checkers
        self._described = self._describe()
        self._n_faults: dict[str, int] = {}
        self._engines: dict[str, Any] = dict(ledger.read_meta("engines") or {})

    def write_start(self, model: str, provenance: Mapping[str, object]) -> None:
        """Record a start of an engine."""
        # a list: a run that is resumed may go on with another version or device
        self._engines.setdefault(model, []).append(dict(provenance))
        self._ledger.write_meta("engines", self._engines)

    def write_end(
        self, model: str, drive: Drive, runs: Iterable[InstanceRun], share_s: float
    ) -> None:
        """Record the end of an engine's last start, and what it did.

        `share_s` is the wall time of the drive, shared out among those side by side, seconds.
        """
        self.write_faults(model, runs)
        self._write_speed(model, drive, share_s)
        self._write_profile(model, drive)
        self._engines[model][-1]["is_ended"] = True
        self._ledger.write_meta("engines", self._engines)

    def watch(self, snapshot: Snapshot) -> None:
        """Record at once what is in no block, so that a killed run's folder is right too."""
        n_faults = sum(run.fault is not None for run in snapshot.instances)
        if n_faults != self._n_faults.get(snapshot.model, 0):
            self.write_faults(snapshot.model, snapshot.instances)
        described = self._describe()
        if described != self._described:
            self._described = described
            self._write_checkers()

    def write_weights(self, model: ModelSpec) -> None:
        """Record which weights are sampled; a run does not go on with others at the same path.

        Raises
        ------
        UsageError
            They are others than the run was begun with.
        """
        location = self._job.model_location(model)
        if not isinstance(location, Path):
            return  # a hub id; its revision is part of the job
        digest = weights_digest(location)
        found: dict[str, Any] = dict(self._ledger.read_meta("weights") or {})
        if found.setdefault(model.name, digest) != digest:
            raise UsageError(
                f"run {self._folder}: got other files in {location} than {model.name} was begun "
                "with; allowed: the same; choose another folder with -o, or restore the model."
            )
        self._ledger.write_meta("weights", found)

    def write_faults(self, model: str, runs: Iterable[InstanceRun]) -> None:
        """Record the aborted instances, for reports; a resumed run tries them again."""
        faults: dict[str, dict[str, str]] = {}
        for run in runs:
            if run.fault is not None:
                faults.setdefault(run.instance.task, {})[run.instance.id] = str(run.fault)
        self._n_faults[model] = sum(map(len, faults.values()))
        found: dict[str, Any] = dict(self._ledger.read_meta("faults") or {})
        if faults or model in found:
            self._ledger.write_meta("faults", {**found, model: faults})

    def _write_speed(self, model: str, drive: Drive, share_s: float) -> None:
        """Add up what was drawn and how long it took, over all starts; plans need the speed."""
        found: dict[str, Any] = dict(self._ledger.read_meta("speeds") or {})
        before = found.get(model, {"samples": 0, "tokens": 0, "seconds": 0.0})
        last = drive.snapshot()
        speed = {
            "samples": before["samples"] + last.n_samples,
            "tokens": before["tokens"] + last.n_tokens,
            "seconds": before["seconds"] + last.elapsed_s,
            "share_seconds": before.get("share_seconds", before["seconds"]) + share_s,
        }
        self._ledger.write_meta("speeds", {**found, model: speed})

    def _write_profile(self, model: str, drive: Drive) -> None:
        """Add up where the time went, over all starts."""
        found: dict[str, Any] = dict(self._ledger.read_meta("profiles") or {})
        seconds = {str(phase): time for phase, time in drive.watch.seconds.items()}
        taken = [checker.take(model) for checker in self._timed]
        checks = {"n": sum(n for n, _ in taken), "thread_seconds": sum(s for _, s in taken)}
        now = {"seconds": seconds, "checks": checks}
        self._ledger.write_meta("profiles", {**found, model: add_profiles(found.get(model), now)})

    def _describe(self) -> dict[str, Mapping[str, object]]:
        return {task: checker.describe() for task, checker in self._checkers.items()}
