"""What the README shows works: its job loads, its Python runs, its commands exist."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from passuntil.cli import app
from passuntil.config import load_job

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_job_loads(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    (tmp_path / "job.yaml").write_text(text)
    problem = {
        "task_id": "HumanEval/0",
        "prompt": "def f():\n",
        "canonical_solution": "    return 1\n",
        "test": "def check(candidate):\n    assert candidate() == 1\n",
        "entry_point": "f",
    }
    with gzip.open(tmp_path / "HumanEval.jsonl.gz", "wt") as file:
        file.write(json.dumps(problem) + "\n")
    job = load_job(str(tmp_path / "job.yaml"))
    assert [model.held_out for model in job.family] == [False] * 4 + [True]
    assert (
        job.decoding("humaneval").stop[0] == yaml.safe_load(text)["tasks"][0]["sampling"]["stop"][0]
    )
    assert job.stop_rule().min_samples == 100


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_commands_exist() -> None:
    named = set(re.findall(r"passuntil ([a-z]+)", "\n".join(blocks("console"))))
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert named
    assert named <= known


def test_links_to_files_resolve() -> None:
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (root / target).exists(), target
