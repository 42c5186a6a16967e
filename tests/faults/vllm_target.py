"""A run on real vLLM to be killed: python vllm_target.py FOLDER [KEY=VALUE ...]."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))

from simulated import Silent

from passuntil.config import load_job
from passuntil.runner import drive
from passuntil.runner.run import run_job

JOB = """\
family:
  - {name: small, path: "builtin:pico-20k", n_params: 20000}
  - {name: large, path: "builtin:pico-75k", n_params: 75000}
tasks:
  - {name: answers, path: "builtin:pico-answer", format: answers, limit: 6}
sampling: {max_tokens: 12}
min_samples: 50
budget: 1000
engine: {dtype: float32, max_num_seqs: 32, cpu_threads: 1}
"""


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    drive._FLUSH_INTERVAL_S = 0.1
    job_file = folder / "job.yaml"
    job_file.write_text(JOB)
    run_job(load_job(str(job_file), sys.argv[2:]), folder, observer=Silent())


if __name__ == "__main__":
    main()
