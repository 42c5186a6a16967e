"""What overlapping the start of the next model's engine could save: seconds a start takes.

    python benchmarks/engine_start.py [--limit 8] [--json]

Starts vLLM on each bundled model after the other in one process, as a run does, samples one short
completion and closes it. The first start also imports vLLM and torch, once a run.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from arms import describe_machine, job_file, print_json, print_machine
from overrun import JOB, drive_mix, prompts_of

from passuntil.config import load_job
from passuntil.config.paths import bundled
from passuntil.runner.engine import start_vllm


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name in sorted(bundled("model"))[: options.limit]:
        with job_file(JOB, model=name, max_tokens=8, max_num_seqs=256) as path:
            job = load_job(str(path))
        begin = time.perf_counter()
        sampler = start_vllm(job, job.family[0])
        started = time.perf_counter()
        drive_mix(
            sampler,
            {"one": 1.0},
            prompts=prompts_of(job, 1),
            budget=1,
            seed=0,
            decoding=job.decoding(job.tasks[0]),
        )
        first = time.perf_counter()
        sampler.close()
        row = {
            "model": name,
            "start_s": started - begin,
            "first_sample_s": first - started,
            "close_s": time.perf_counter() - first,
        }
        rows.append(row)
        print(" ".join(f"{k}={v}" for k, v in row.items()), file=sys.stderr, flush=True)
    machine = describe_machine(options)
    print_machine(machine)
    if options.json:
        print_json(machine, rows=rows)


if __name__ == "__main__":
    main()
