"""Shared by all tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# simulated runs serve the tests of the runner, the reports, the command line and the faults
sys.path.insert(0, str(Path(__file__).parent / "runner"))


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on the scripted sampler: three models and a held-out one."""
    from simulated import make_job, run  # noqa: PLC0415  # needs the path above

    folder = tmp_path_factory.mktemp("finished")
    run(make_job(folder), folder / "run")
    return folder / "run"
