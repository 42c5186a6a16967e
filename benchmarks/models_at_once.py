"""Models side by side, or the next one's load overlapped: the wall time of a whole run.

    python benchmarks/models_at_once.py [--pairs 2] [--samples 2000] [--json]

Four bundled models draw a fixed number of samples of eight questions, exact match, a thread of
computation each. Ways, each a run in a process of its own, in an order drawn anew for each pair:

    one      models_at_once: 1, an engine in the driver's process; what the others are compared with
    two      models_at_once: 2
    ahead    one at a time, each engine in a process of its own that loads while the model before
             is sampled

A process of its own pays the import of vLLM again for each model. Seconds are of the whole command.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import passuntil
from passuntil.config import Job, ModelSpec, load_job
from passuntil.ports import Sampler
from passuntil.runner.engine import start_engine
from passuntil.runner.record import RunRecord
from passuntil.runner.run import run_job

WAYS = ("one", "two", "ahead")
JOB = """\
name: at-once
family:
  - {{name: a, path: "builtin:pico-75k", n_params: 1}}
  - {{name: b, path: "builtin:pico-145k", n_params: 2}}
  - {{name: c, path: "builtin:pico-75k", n_params: 3}}
  - {{name: d, path: "builtin:pico-145k", n_params: 4}}
tasks: [{{name: t, path: "builtin:pico-answer", format: answers, limit: 8}}]
sampling: {{max_tokens: 16}}
mode: fixed
samples: {samples}
engine: {{dtype: float32, max_num_seqs: 256, cpu_threads: 1}}
"""


class Silent:
    """Shows nothing."""

    def on_model(self, *_: object) -> None:
        """Do nothing."""

    on_progress = on_forecast = on_model


class Ahead:
    """Starts the next model's engine together with each."""

    def __init__(self) -> None:
        self._started: dict[str, Sampler] = {}

    def __call__(self, job: Job, model: ModelSpec) -> Sampler:
        """Return the model's engine."""
        apart = job.model_copy(update={"models_at_once": 2})
        sampler = self._started.pop(model.name, None) or start_engine(apart, model)
        rest = [m for m in job.family if m.n_params > model.n_params]
        if rest:
            self._started[rest[0].name] = start_engine(apart, rest[0])
        return sampler


def run(way: str, samples: int) -> None:
    """Run the job one way; print seconds as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.yaml").write_text(JOB.format(samples=samples))
        job = load_job(str(folder / "job.yaml"), ["models_at_once=2"] if way == "two" else [])
        make = Ahead() if way == "ahead" else start_engine
        begin = time.perf_counter()
        run_job(job, folder / "run", observer=Silent(), make_sampler=make)
        seconds = time.perf_counter() - begin
        record = RunRecord.load(folder / "run")
        drawn = sum(speed["samples"] for speed in record.speeds.values())
        driven = sum(speed["seconds"] for speed in record.speeds.values())
    print(json.dumps({"seconds": seconds, "samples": drawn, "driving_seconds": driven}))


def measure(way: str, samples: int) -> dict[str, float]:
    argv = [sys.executable, __file__, "--way", way, "--samples", str(samples)]
    begin = time.perf_counter()
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - begin
    return {**json.loads(done.stdout.splitlines()[-1]), "command_seconds": whole}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=2000, help="of each of 8 questions")
    parser.add_argument("--ways", nargs="+", choices=WAYS[1:], default=WAYS[1:])
    parser.add_argument("--way", choices=WAYS, help="run one and print its seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.way:
        run(options.way, options.samples)
        return
    load, ways = os.getloadavg()[0], ("one", *options.ways)
    rng, rows = random.Random(0), []
    for _ in range(options.pairs):
        order = rng.sample(ways, len(ways))
        rows.append({way: measure(way, options.samples) for way in order})
        print({way: round(rows[-1][way]["command_seconds"], 1) for way in order}, file=sys.stderr)
    assert len({row[way]["samples"] for row in rows for way in ways}) == 1
    ratios = {
        f"one / {way}": [r["one"]["command_seconds"] / r[way]["command_seconds"] for r in rows]
        for way in options.ways
    }
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "passuntil": passuntil.__version__,
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_before": load,
        "samples_of_each": options.samples,
        "seconds": {
            way: statistics.median(r[way]["command_seconds"] for r in rows) for way in ways
        },
        "start_seconds_of_one": statistics.median(
            r["one"]["command_seconds"] - r["one"]["driving_seconds"] for r in rows
        ),
        "ratios": ratios,
    }
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
