"""SIGKILL of the driver: what it was told is committed stays, the next driver goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from passuntil.ledger import SqliteLedger

DRIVER = """
import sys
from passuntil.ledger import SqliteLedger
from passuntil.ports import Block, GreedyResult, KeptText

def verdict(index):
    return index * 2654435761 >> 7 & 1

ledger = SqliteLedger(sys.argv[1])
n = sum(len(block.verdicts) for block in ledger.blocks() if block.instance == "a")
while True:
    n_new = 1 + n % 37
    verdicts = bytes(verdict(i) for i in range(n + 1, n + 1 + n_new))
    fails = {"wrong": verdicts.count(0)} if 0 in verdicts else {}
    kept = tuple(
        KeptText(i, True, "pass", "end", f"text {i}")
        for i, v in enumerate(verdicts, start=n + 1) if v
    )
    blocks = [Block("m", "t", name, n + 1, verdicts, fails, n_new, 1, 2, kept) for name in "ab"]
    ledger.append(blocks, [GreedyResult("m", "t", str(n), True, "pass", "")])
    n += n_new
    print(n, flush=True)
"""

HOLDER = """
import os, sys, time
from passuntil.ledger import SqliteLedger

ledger = SqliteLedger(sys.argv[1])
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


def start(code: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )


def kill(process: subprocess.Popen[str]) -> str:
    """Kill and return what was written since."""
    process.send_signal(signal.SIGKILL)
    assert process.stdout is not None
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return rest


def check(ledger: SqliteLedger, n_acknowledged: int) -> int:
    held = {"a": b"", "b": b""}
    texts: dict[str, list[str]] = {"a": [], "b": []}
    for block in ledger.blocks():
        assert block.start == len(held[block.instance]) + 1
        held[block.instance] += block.verdicts
        texts[block.instance] += [kept.text for kept in block.kept]
    n = len(held["a"])
    assert n >= n_acknowledged
    expected = bytes(index * 2654435761 >> 7 & 1 for index in range(1, n + 1))
    assert held == {"a": expected, "b": expected}
    passing = [f"text {i}" for i, verdict in enumerate(expected, start=1) if verdict]
    assert texts == {"a": passing, "b": passing}
    greedy = [int(result.instance) for result in ledger.greedy()]
    overrun = sum(block.overrun_samples for block in ledger.blocks())
    assert greedy == sorted(set(greedy))
    assert overrun == 2 * len(greedy)  # as many as appends: each whole or not at all
    return n


def test_killed_driver_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    delays = random.Random(0)
    n = 0
    for _ in range(4):
        driver = start(DRIVER, path)
        assert driver.stdout is not None
        acknowledged = int(driver.stdout.readline())
        assert acknowledged > n  # the killed one's lock was free at once
        time.sleep(delays.uniform(0, 0.15))
        lines = kill(driver).splitlines()
        acknowledged = int(lines[-1]) if lines else acknowledged
        reader = SqliteLedger(path, mode="read")  # reads what the dead left in the WAL
        n = check(reader, acknowledged)
        reader.close()
    ledger = SqliteLedger(path)
    assert check(ledger, n) == n
    ledger.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, path.name + ".lock"]


def test_child_of_a_killed_driver_does_not_hold_the_run(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    driver = start(HOLDER, path)
    assert driver.stdout is not None
    child = int(driver.stdout.readline())
    try:
        os.kill(driver.pid, signal.SIGKILL)
        assert driver.wait() == -signal.SIGKILL
        os.kill(child, 0)  # it lives on
        SqliteLedger(path).close()
    finally:
        os.kill(child, signal.SIGKILL)
        driver.stdout.close()
