"""How full the batch is while one hard instance is left, on vLLM.

    python benchmarks/tail.py [--max-num-seqs 64 256] [--budget 20000] [--json]

One open instance that passes with chance 1e-4 or less; the bundled model generates real text and a
hash of the sample's key is the verdict. Every engine step is asked how many sequences it computes:
occupancy is their mean over all steps, from the first to the last, over max_num_seqs. The steps in
which the last samples before the budget run dry count too.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from arms import describe_machine, job_file, print_json, print_machine
from overrun import JOB, drive_mix, prompts_of

from passuntil.config import load_job
from passuntil.runner.engine import start_vllm


def watch(sampler: Any) -> list[int]:
    """Record the number of sequences of every step of the engine; it runs in this process."""
    scheduler = sampler._engine.engine_core.engine_core.scheduler
    schedule, rows = scheduler.schedule, []

    def watched(*arguments: Any, **options: Any) -> Any:
        output = schedule(*arguments, **options)
        rows.append(len(output.num_scheduled_tokens))
        return output

    scheduler.schedule = watched
    return rows


def measure(options: argparse.Namespace, max_num_seqs: int) -> dict[str, Any]:
    values = {"model": options.model, "max_tokens": options.max_tokens}
    with job_file(JOB, **values, max_num_seqs=max_num_seqs) as path:
        job = load_job(str(path))
        with closing(start_vllm(job, job.family[0])) as sampler:
            rows = watch(sampler)
            drawn = drive_mix(
                sampler,
                {"hard": options.rate},
                prompts=prompts_of(job, 1),
                budget=options.budget,
                seed=options.seed,
                decoding=job.decoding(job.tasks[0]),
            )
    share = np.array([n for n in rows if n > 0]) / max_num_seqs
    return {
        "max_num_seqs": max_num_seqs,
        "occupancy": float(share.mean()),
        "occupancy_low_5_percent": float(np.quantile(share, 0.05)),
        "steps": len(share),
        "samples": drawn["stops"]["hard"],
        "tokens": drawn["tokens"],
        "overrun_tokens": drawn["overrun_tokens"],
        "seconds": drawn["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="pico-20k")
    parser.add_argument("--max-num-seqs", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--budget", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    machine = describe_machine(options)
    print_machine(machine)
    rows = [measure(options, n) for n in options.max_num_seqs]
    for row in rows:
        print(
            f"max_num_seqs {row['max_num_seqs']}: occupancy {row['occupancy']:.3f} (5 % of steps "
            f"below {row['occupancy_low_5_percent']:.3f}) over {row['steps']} steps, "
            f"{row['samples']} samples, {row['tokens']} tokens, {row['overrun_tokens']} overrun, "
            f"{row['seconds']:.1f} s",
            file=sys.stderr,
        )
    if options.json:
        print_json(machine, rows=rows)


if __name__ == "__main__":
    main()
