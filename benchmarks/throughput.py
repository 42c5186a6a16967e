"""A whole job with its checkers, beside `LLM.generate` of the same samples without any.

    python benchmarks/throughput.py [--model pico-280k] [--limit 16] [--budget 2000] [--pairs 4]

The job is a code task of the bundled family: planning, checks in the jail, ledger, early stops.
Its useful tokens are those of the samples that count; the overrun is paid for and counts nothing.
`generate` then draws the same samples: same prompts, same seed for each, same engine options, no
checks and no stop, all requests in one call. Each engine lives in a process of its own, started
once and idle while another runs; job, seeded and unseeded `generate` alternate. Printed is the
median ratio of the pairs with its range. `job_over_generate` counts everything from the call to
its return but the engine's start: starting the jail, preparing the instances, waiting for the last
checks. `drive_over_generate` begins where sampling does. `thread_cpu` sets CPU time of the thread
that steps the engine beside that of `generate`: what a busy machine leaves unchanged. The price of
seeds is seeded over unseeded `generate`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from arms import Arm, Generator, describe_machine, job_file, n_tokens_of, print_json

from passuntil.config import Job, ModelSpec
from passuntil.ledger import SqliteLedger
from passuntil.records import sample_seeds
from passuntil.runner.drive import Snapshot
from passuntil.runner.engine import start_vllm
from passuntil.runner.record import LEDGER_FILE
from passuntil.runner.run import run_job

JOB = """\
name: throughput
family: [{{name: {model}, path: "builtin:{model}", n_params: 1}}]
tasks: [{{name: code, path: "builtin:pico-code", format: humaneval, limit: {limit}}}]
sampling: {{max_tokens: 40}}
min_samples: {min_samples}
budget: {budget}
greedy: false
engine: {{dtype: float32, max_num_seqs: {max_num_seqs}, cpu_threads: 1}}
checker: {{workers: {workers}}}
"""


class Silent:
    """An observer that asks for nothing."""

    def on_model(self, model: ModelSpec, n_done: int, n_models: int) -> None:
        """Do nothing."""

    def on_progress(self, snapshot: Snapshot) -> None:
        """Do nothing."""

    def on_forecast(self, path: Path) -> None:
        """Do nothing."""


class KeptOpen:
    """A sampler whose engine outlives the job."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def close(self) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def make_job_arm(job: Job) -> Callable[..., Any]:
    """Return a function that runs the whole job and says what it drew."""
    sampler = KeptOpen(start_vllm(job, job.family[0]))

    def run() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            begin, begin_cpu = time.perf_counter(), time.thread_time()
            run_job(job, folder, observer=Silent(), make_sampler=lambda j, m: sampler)  # type: ignore[arg-type,return-value]
            seconds, cpu = time.perf_counter() - begin, time.thread_time() - begin_cpu
            with closing(SqliteLedger(folder / LEDGER_FILE, mode="read")) as ledger:
                blocks = list(ledger.blocks())
                speeds: Any = ledger.read_meta("speeds")
                profile: Any = ledger.read_meta("profiles")
        drawn: dict[str, int] = {}
        for block in blocks:
            drawn[block.instance] = block.stop - 1
        return {
            "seconds": seconds,
            "cpu": cpu,
            "drive_seconds": speeds[job.family[0].name]["seconds"],
            "tokens": sum(block.n_tokens for block in blocks),
            "overrun_tokens": sum(block.overrun_tokens for block in blocks),
            "samples": sum(drawn.values()),
            "drawn": drawn,
            "profile": profile and profile[job.family[0].name],
        }

    return run


def make_generate_arm(job: Job) -> Callable[..., Any]:
    """Return a function that draws given samples with one call of `LLM.generate`."""
    engine = Generator(job)
    model, task = job.family[0], job.tasks[0]
    prompts = {instance.id: instance.prompt for instance in job.instances(task)}

    def run(drawn: Mapping[str, int], is_seeded: bool) -> dict[str, Any]:
        wanted = []
        for name, n in drawn.items():
            seed = sample_seeds(job.seed, model.name, task.name, name)
            wanted += [(prompts[name], seed(i) if is_seeded else None) for i in range(1, n + 1)]
        prepared = engine.prepare(wanted)
        begin, begin_cpu = time.perf_counter(), time.thread_time()
        outputs = engine.generate(prepared)
        seconds, cpu = time.perf_counter() - begin, time.thread_time() - begin_cpu
        return {"seconds": seconds, "cpu": cpu, "tokens": n_tokens_of(outputs)}

    return run


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def measure(path: Path, n_pairs: int) -> dict[str, Any]:
    """Return the ratios of the pairs, and what was seen on the way."""
    with (
        closing(Arm(make_job_arm, path)) as job,
        closing(Arm(make_generate_arm, path)) as generate,
    ):
        generate(job()["drawn"], True)  # kernels, caches and heaps are warm from here
        rows = []
        for _ in range(n_pairs):
            ours = job()
            drawn = ours["drawn"]
            rows.append((ours, generate(drawn, True), generate(drawn, False)))
    rates = [[one["tokens"] / one["seconds"] for one in row] for row in rows]
    drive = [ours["tokens"] / ours["drive_seconds"] for ours, _, _ in rows]
    first = rows[0][0]
    return {
        "n_pairs": n_pairs,
        "samples": first["samples"],
        "useful_tokens": first["tokens"],
        "overrun_share": first["overrun_tokens"] / first["tokens"],
        "job_tokens_per_s": spread([rate[0] for rate in rates]),
        "generate_tokens_per_s": spread([rate[1] for rate in rates]),
        "generate_unseeded_tokens_per_s": spread([rate[2] for rate in rates]),
        "job_over_generate": spread([rate[0] / rate[1] for rate in rates]),
        "drive_over_generate": spread([d / rate[1] for d, rate in zip(drive, rates, strict=True)]),
        "thread_cpu_job_over_generate": spread(
            [a["tokens"] / a["cpu"] / (b["tokens"] / b["cpu"]) for a, b, _ in rows]
        ),
        "all_drawn_over_generate": spread(
            [
                rate[0] * (1 + ours["overrun_tokens"] / ours["tokens"]) / rate[1]
                for (ours, _, _), rate in zip(rows, rates, strict=True)
            ]
        ),
        "seeded_over_unseeded": spread([rate[1] / rate[2] for rate in rates]),
        "profile": rows[-1][0]["profile"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="pico-280k")
    parser.add_argument("--limit", type=int, default=16, help="instances")
    parser.add_argument("--min-samples", type=int, default=100)
    parser.add_argument("--budget", type=int, default=2_000)
    parser.add_argument("--max-num-seqs", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2, help="of the jail")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    machine = describe_machine(options)
    with job_file(JOB, **vars(options)) as path:
        result = measure(path, options.pairs)
    machine["load_after"] = os.getloadavg()[0]
    if options.json:
        print_json(machine, **result)
        return
    print(" ".join(f"{key}={value}" for key, value in machine.items()))
    for name, value in result.items():
        if isinstance(value, dict) and "median" in value:
            print(f"{name:34} {value['median']:.4g}  ({value['low']:.4g} ... {value['high']:.4g})")
        elif name != "profile":
            print(f"{name:34} {value:.4g}")
    seconds = result["profile"]["seconds"]
    for phase, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {phase:32} {spent / sum(seconds.values()):.3f}")
    checks = result["profile"]["checks"]
    print(f"  {checks['n']} checks, {1e3 * checks['thread_seconds'] / checks['n']:.2f} ms each")


if __name__ == "__main__":
    main()
