"""Control groups of jails: made, entered, removed, and swept after a death without a farewell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from passuntil.checkers.code import CodeChecker
from passuntil.checkers.sandbox import groups, probe
from passuntil.checkers.sandbox.jail import JailedProcess
from passuntil.errors import CheckerError
from passuntil.records import CodeTests, Completion, FinishReason, Instance, SampleKey

pytestmark = pytest.mark.jail

DOUBLE = CodeTests(
    "", "def check(f):\n    assert f(2) == 4\n", "f", "def f(n):\n    return 2 * n\n"
)
INSTANCE = Instance("t", "t/0", "", DOUBLE)
RIGHT = Completion(SampleKey("m", "t", "i", 1), DOUBLE.canonical_solution, (), FinishReason.END)


def real_limits() -> bool:
    try:
        groups.find()
    except OSError:
        return False
    return True


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which groups can be made; where they can have no limits, without.

    Removal, entry and sweeping are the same with and without limits.
    """
    if not real_limits():
        monkeypatch.setattr(groups, "_limits", lambda folder, memory_bytes: {})
    try:
        found = groups.find()
    except OSError as error:
        pytest.skip(f"no control groups here: {error}")
    yield found
    groups.sweep(found)


def here(folder: Path) -> set[str]:
    return {each.name for each in folder.glob("passuntil-*")}


def test_every_process_of_a_jail_is_in_its_group_and_it_ends_with_it(folder: Path) -> None:
    before = here(folder)
    plan = probe.probe().plan
    assert plan is not None
    checker = CodeChecker(n_workers=1, plan=replace(plan, groups=folder))
    assert checker.check(INSTANCE, RIGHT).is_pass
    assert checker.describe()["memory_of_a_jail"] == "control group"
    made = here(folder) - before
    assert len(made) == 3  # zygote, judge, compile worker
    inside = {int(p) for name in made for p in (folder / name / "cgroup.procs").read_text().split()}
    worker = checker._all[0]
    assert {worker.zygote().pid, worker.judge().pid, worker.zygote()._process.pid} <= inside
    assert os.getpid() not in inside
    checker.close()
    assert here(folder) == before


@pytest.mark.skipif(not real_limits(), reason="no controller memory in cgroup v2 here")
def test_limits_are_the_kernels() -> None:
    group = groups.create(groups.find(), 1 << 30)
    assert int((group / "memory.max").read_text()) == 2 * (1 << 30) + (128 << 20)
    assert int((group / "pids.max").read_text()) == 128
    groups.remove(group)
    assert not group.exists()


def test_a_killed_owner_leaves_a_group_that_the_next_start_sweeps(folder: Path) -> None:
    script = f"""
import subprocess, sys, time
from pathlib import Path
from passuntil.checkers.sandbox import groups
groups._limits = lambda folder, memory_bytes: {{}}
group = groups.create(Path({str(folder)!r}), 1 << 30)
child = subprocess.Popen(["sleep", "1000"])
(group / "cgroup.procs").write_text(str(child.pid))
print(group.name, child.pid, flush=True)
time.sleep(1000)
"""
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        name, pid = owner.stdout.readline().split()
    groups.sweep(folder)
    assert name in here(folder), "its owner lives"
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    groups.sweep(folder)
    assert name not in here(folder)
    deadline = time.monotonic() + 2.0
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            break  # dead; nobody here reaps orphans
        time.sleep(0.01)
    else:
        assert not Path(f"/proc/{pid}").exists()


def test_foreign_names_and_namespaces_are_left_alone(tmp_path: Path) -> None:
    for name in ("passuntil-1-1-1-1", "passuntil-notes", "other"):
        (tmp_path / name).mkdir()
    groups.sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_without_controllers_it_is_said_and_the_sum_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    monkeypatch.setattr(groups, "_candidates", lambda: [tmp_path])
    with pytest.raises(OSError, match="no controller memory"):
        groups.find()
    report = probe.probe()
    assert report.plan is not None
    assert report.plan.groups is None
    told = {name: (answer, remedy) for name, answer, remedy in report.missing}
    assert "no controller memory" in told["control groups"][0]
    assert "Delegate=yes" in told["control groups"][1]
    monkeypatch.setattr(groups, "_candidates", list)
    with pytest.raises(OSError, match="no cgroup v2 is mounted"):
        groups.find()


def test_a_group_that_no_process_may_enter_is_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made it can be; entering it is refused, as where a common parent is another user's."""
    assert groups.find() == folder
    monkeypatch.setattr(groups, "_limits", lambda folder, memory_bytes: {})
    monkeypatch.setattr(groups, "_candidates", lambda: [tmp_path])
    original = groups.create

    def create(folder: Path, memory_bytes: int) -> Path:
        group = original(folder, memory_bytes)
        (group / "cgroup.procs").mkdir()  # no file to write to, also for root
        return group

    monkeypatch.setattr(groups, "create", create)
    monkeypatch.setattr(groups, "remove", shutil.rmtree)
    with pytest.raises(OSError, match="a process cannot enter a group: IsADirectoryError"):
        groups.find()
    assert not here(tmp_path)


def test_a_group_that_cannot_be_made_is_a_fault_of_the_checker(tmp_path: Path) -> None:
    plan = probe.probe().plan
    assert plan is not None
    with pytest.raises(CheckerError, match="control group of a jail"):
        JailedProcess(replace(plan, groups=tmp_path / "gone"), "zygote")
