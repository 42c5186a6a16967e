"""The unseeded fast mode: the engine's own stream, another one at every start, recorded."""

from __future__ import annotations

from pathlib import Path

from simulated import Silent

from passuntil.config import load_job
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.run import run_job

JOB = """\
family:
  - {name: a, path: "builtin:pico-20k", n_params: 20000}
  - {name: b, path: "builtin:pico-20k", n_params: 20000}
tasks: [{name: answers, path: "builtin:pico-answer", format: answers, limit: 1}]
sampling: {max_tokens: 12}
budget: 64
min_samples: 64
seeding: engine
engine: {dtype: float32, max_num_seqs: 32, cpu_threads: 1}
"""


def test_two_engines_do_not_repeat_each_other(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    run_job(load_job(str(tmp_path / "job.yaml")), tmp_path / "run", observer=Silent())
    record = RunRecord.load(tmp_path / "run")
    seeds = [starts[0]["engine_seed"] for starts in record.engines.values()]
    assert len(set(seeds)) == 2
    ledger = SqliteLedger(tmp_path / "run" / LEDGER_FILE, mode="read")
    # the texts of indices 1 to 3 are always kept, so the same ones are compared
    texts = {b.model: [k.text for k in b.kept if k.index <= 3] for b in ledger.blocks()}
    ledger.close()
    assert len(texts["a"]) == len(texts["b"]) == 3
    assert texts["a"] != texts["b"]
