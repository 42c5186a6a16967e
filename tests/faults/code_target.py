"""A run with real jails to be killed, whole or in parts.

python code_target.py FOLDER SECONDS_PER_STEP BUDGET

Writes "PID ROLE" of every jailed process to FOLDER/roles, so that a killer can choose by role.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))

from kill_target import Slow
from simulated import Silent

from passuntil.checkers.sandbox import worker
from passuntil.checkers.sandbox.jail import JailedProcess
from passuntil.checkers.sandbox.plan import JailPlan
from passuntil.config import load_job
from passuntil.records import CodeTests, SampleKey
from passuntil.runner import drive
from passuntil.runner.run import run_job
from passuntil.sampler.scripted import ScriptedSampler

JOB = """\
family:
  - {{name: small, path: "builtin:pico-20k", n_params: 20000}}
  - {{name: large, path: "builtin:pico-75k", n_params: 75000}}
tasks:
  - {{name: code, path: "builtin:pico-code", format: humaneval, limit: 4}}
greedy: false
min_samples: {floor}
budget: {budget}
checker: {{workers: 2}}
"""
CHANCE = {"small": 0.003, "large": 0.01}
WRONG = (
    "    return xs[:{n}]",
    "    return [{n}] * 3",
    "    return (",
    "    raise ValueError({n})",
    "    return undefined_{n}",
)


def note_roles(path: Path) -> None:
    """Have every jailed process noted once it is up."""

    def start(plan: JailPlan, role: str) -> JailedProcess:
        process = JailedProcess(plan, role)
        with path.open("a") as file:
            file.write(f"{process.pid} {role}\n")
        return process

    started: Any = start
    worker.JailedProcess = started


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    note_roles(folder / "roles")
    drive._FLUSH_INTERVAL_S = 0.02  # many transactions to be killed in
    job_file = folder / "job.yaml"
    budget = int(sys.argv[3])
    job_file.write_text(JOB.format(budget=budget, floor=budget // 3))
    job = load_job(str(job_file))
    right = {i.id: i.target for i in job.instances("code")}

    def script(key: SampleKey) -> tuple[str, int]:
        target = right[key.instance]
        assert isinstance(target, CodeTests)
        length = 1 + key.seed(1) % 7
        if key.seed(0) / 2**63 < CHANCE[key.model]:
            return f"{target.canonical_solution}\n", length
        return WRONG[key.seed(2) % len(WRONG)].format(n=key.seed(3) % 1000), length

    run_job(
        job,
        folder,
        observer=Silent(),
        make_sampler=lambda j, m: Slow(ScriptedSampler(script, capacity=32), seconds),
    )


if __name__ == "__main__":
    main()
