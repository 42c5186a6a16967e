"""A disk that fills up during a run: a clear error, nothing lost, and the run goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import contents
from simulated import make_job, run

from passuntil.errors import LedgerError
from passuntil.runner import drive


def mount(folder: Path, size_kb: int, *options: str) -> None:
    flags = ",".join([f"size={size_kb}k", *options])
    subprocess.run(["mount", "-t", "tmpfs", "-o", flags, "tmpfs", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        mount(folder, 400)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_disk_full(tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "_FLUSH_INTERVAL_S", 0.01)
    job = make_job(tmp_path)
    run(job, tmp_path / "undisturbed")
    with pytest.raises(LedgerError, match=r"SQLITE_FULL|disk is full"):
        run(job, small_disk / "run")
    before = contents(small_disk / "run")
    assert before, "the disk was full before anything was committed"
    mount(small_disk, 16_384, "remount")
    run(job, small_disk / "run")
    after = contents(small_disk / "run")
    assert all(after[key].verdicts.startswith(held.verdicts) for key, held in before.items())
    assert after == contents(tmp_path / "undisturbed")
