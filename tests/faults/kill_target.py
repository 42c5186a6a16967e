"""A run to be killed: python kill_target.py FOLDER SECONDS_PER_STEP [KEY=VALUE ...].

With models_at_once above 1 each sampler has a process of its own, as vLLM has then.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))

from simulated import Silent, make_job, scripted  # path set above

from passuntil.config import Job, ModelSpec
from passuntil.runner import drive
from passuntil.runner.run import run_job
from passuntil.sampler.process import ProcessSampler


class Slow:
    """A sampler that takes its time, so that a kill finds it at work."""

    def __init__(self, inner: Any, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds

    def step(self) -> Any:
        time.sleep(self._seconds)
        return self._inner.step()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def slow(job: Job, model: ModelSpec, seconds: float) -> Slow:
    return Slow(scripted(job, model), seconds)


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    drive._FLUSH_INTERVAL_S = 0.02  # many transactions to be killed in
    job = make_job(folder, *sys.argv[3:])

    def start(job: Job, model: ModelSpec) -> Any:
        if job.models_at_once == 1:
            return slow(job, model, seconds)
        options = {"job": job, "model": model, "seconds": seconds}
        return ProcessSampler("kill_target:slow", options)

    run_job(job, folder, observer=Silent(), make_sampler=start)


if __name__ == "__main__":
    main()
