from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passuntil.errors import LedgerBusyError, LedgerError, UsageError
from passuntil.ledger import MemoryLedger, SqliteLedger
from passuntil.ports import Block, GreedyResult, KeptText, Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def fails(start: int, n: int, *, instance: str = "i", reason: str = "wrong") -> Block:
    return Block("m", "t", instance, start, bytes(n), {reason: n}, 8 * n)


def per_instance(ledger: Ledger) -> dict[tuple[str, str, str], list[object]]:
    """Join the blocks of each instance."""
    joined: dict[tuple[str, str, str], list[object]] = {}
    for block in ledger.blocks():
        address = (block.model, block.task, block.instance)
        held = joined.setdefault(address, [b"", Counter(), 0, 0, 0, ()])
        reasons = Counter(block.fail_reasons)
        parts = (block.verdicts, reasons, block.n_tokens, block.overrun_samples)
        for i, part in enumerate((*parts, block.overrun_tokens, block.kept)):
            held[i] += part  # type: ignore[operator]
    return joined


texts = st.text(st.characters(codec=None), max_size=8)  # surrogates and NUL too
moves = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "\udfff c"]),
        st.lists(st.sampled_from(["pass", "wrong", "timeout", "\0"]), max_size=30),
        st.integers(0, 3),
        st.none() | texts,
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(moves=moves, repeat=st.sampled_from([1, 1, 700]))
def test_round_trip_agrees_with_memory(
    tmp_path_factory: pytest.TempPathFactory,
    moves: list[tuple[str, list[str], int, str | None]],
    repeat: int,
) -> None:
    path = tmp_path_factory.mktemp("run") / "ledger.sqlite"
    memory, sqlite = MemoryLedger(), SqliteLedger(path)
    start: dict[str, int] = {}
    for instance, reasons, overrun, text in moves:
        first = start.get(instance, 1)
        seen = reasons * repeat
        verdicts = bytes(reason == "pass" for reason in seen)
        kept = ()
        if text is not None and seen:
            kept = (KeptText(first, seen[0] == "pass", seen[0], "end", text),)
        block = Block(
            "m",
            "t",
            instance,
            first,
            verdicts,
            Counter(reason for reason in seen if reason != "pass"),
            3 * len(seen),
            overrun,
            2 * overrun,
            kept,
        )
        memory.append([block])
        sqlite.append([block])
        start[instance] = block.stop
    assert per_instance(sqlite) == per_instance(memory)
    with_reader = SqliteLedger(path, mode="read")
    assert per_instance(with_reader) == per_instance(memory)
    with_reader.close()
    sqlite.close()
    reopened = SqliteLedger(path)
    assert per_instance(reopened) == per_instance(memory)
    reopened.close()


def test_neighbours_are_joined_up_to_a_bound(path: Path) -> None:
    ledger = SqliteLedger(path)
    for start in range(1, 30_001, 100):
        ledger.append([fails(start, 100)])
    lengths = [len(block.verdicts) for block in ledger.blocks()]
    assert sum(lengths) == 30_000
    assert max(lengths) <= 4096
    assert len(lengths) == 8
    ledger.close()


def test_append_during_iteration_is_safe(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.append([fails(1, 3), fails(1, 3, instance="j")])
    seen = []
    for block in ledger.blocks():
        seen.append((block.instance, len(block.verdicts)))
        if len(seen) == 1:
            ledger.append([fails(4, 2, instance="j", reason="new")])
    assert seen == [("i", 3), ("j", 5)]
    ledger.close()


def test_meta_is_kept_and_replaced(path: Path) -> None:
    for ledger in (MemoryLedger(), SqliteLedger(path)):
        assert ledger.read_meta("job") is None
        ledger.write_meta("job", {"passes": 1, "models": ["a", None]})
        ledger.write_meta("host", {"name": "☃"})
        ledger.write_meta("job", {"passes": 2})
        assert ledger.read_meta("job") == {"passes": 2}
        assert ledger.read_meta("host") == {"name": "☃"}
        for value in ({"loss": float("nan")}, {"lock": object()}):
            with pytest.raises(UsageError, match="record 'job': got"):
                ledger.write_meta("job", value)
        assert ledger.read_meta("job") == {"passes": 2}
        ledger.close()


def test_reader_sees_the_moment_it_was_opened_at(path: Path) -> None:
    writer = SqliteLedger(path)
    writer.append([fails(1, 3)])
    early = SqliteLedger(path, mode="read")
    writer.append(
        [fails(4, 3), fails(1, 1, instance="j")], [GreedyResult("m", "t", "i", True, "pass", "x")]
    )
    late = SqliteLedger(path, mode="read")
    assert [block.stop for block in early.blocks()] == [4]
    assert list(early.greedy()) == []
    assert [block.stop for block in late.blocks()] == [7, 2]
    with pytest.raises(LedgerError, match="write in mode 'read'"):
        late.append([fails(7, 1)])
    with pytest.raises(LedgerError, match="write in mode 'read'"):
        late.write_meta("job", {})
    for ledger in (early, late, writer):
        ledger.close()


def test_closed_ledgers_refuse(path: Path) -> None:
    for ledger in (MemoryLedger(), SqliteLedger(path)):
        ledger.close()
        ledger.close()
        for call in (
            lambda held=ledger: held.append([fails(1, 1)]),
            lambda held=ledger: list(held.blocks()),
            lambda held=ledger: list(held.greedy()),
            lambda held=ledger: held.read_meta("job"),
        ):
            with pytest.raises(LedgerError, match="after close"):
                call()


def test_second_driver_is_refused_by_name(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.append([fails(1, 3)])
    message = f"process {os.getpid()} on host {socket.gethostname()}"
    with pytest.raises(LedgerBusyError, match=message):
        SqliteLedger(path)
    code = f"""
from passuntil.errors import LedgerBusyError
from passuntil.ledger import SqliteLedger
try:
    SqliteLedger({str(path)!r})
except LedgerBusyError as error:
    print(error)
"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert message in other.stdout
    ledger.append([fails(4, 1)])  # the refused ones did no harm
    ledger.close()
    SqliteLedger(path).close()


def test_failed_open_frees_the_lock(path: Path) -> None:
    path.write_text("not a database, and longer than the header of one" * 10)
    for _ in range(2):
        with pytest.raises(LedgerError, match="not a database"):
            SqliteLedger(path)


def test_mode_is_checked(path: Path) -> None:
    with pytest.raises(UsageError, match="mode: got 'w'"):
        SqliteLedger(path, mode="w")  # type: ignore[arg-type]
    assert not path.exists()


def test_verdicts_take_a_bit_each(path: Path) -> None:
    """1e8 samples under 1 GB allow 10 bytes each; texts apart, it is far less."""
    ledger = SqliteLedger(path)
    n = 200_000
    for start in range(1, n, 1000):
        ledger.append([fails(start, 1000, instance=f"i{k}") for k in range(3)])
    ledger.close()
    assert path.stat().st_size / (3 * n) < 0.3
    with sqlite3.connect(path) as database:
        (kind,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    assert kind == "ok"
