"""The scores of a choice run on disk: one SQLite file, one transaction per batch."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from passuntil.choices.formats import ChoiceInstance
from passuntil.errors import LedgerError, UsageError
from passuntil.ledger.lock import DriverLock

__all__ = ["STORE_FILE", "Part", "Score", "ScoreStore"]

STORE_FILE: Final = "scores.sqlite"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instance (
  benchmark TEXT NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL,
  texts TEXT NOT NULL, correct INTEGER, PRIMARY KEY (benchmark, place)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (
  number INTEGER PRIMARY KEY, family TEXT NOT NULL, model TEXT NOT NULL, benchmark TEXT NOT NULL,
  UNIQUE (family, model, benchmark));
CREATE TABLE IF NOT EXISTS score (
  part INTEGER NOT NULL, place INTEGER NOT NULL, choice INTEGER NOT NULL,
  log_likelihood REAL NOT NULL, n_tokens INTEGER NOT NULL, is_greedy INTEGER NOT NULL,
  PRIMARY KEY (part, place, choice)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One model on one benchmark."""

    family: str
    model: str
    benchmark: str


@dataclass(frozen=True, slots=True)
class Score:
    """What one choice got.

    Attributes
    ----------
    place, choice : int
        Of the instance in the benchmark, of the choice in the instance; from 0.
    log_likelihood : float
        Natural log, summed over the tokens of the choice.
    n_tokens : int
        Tokens of the choice.
    is_greedy : bool
        Whether greedy decoding writes it.
    """

    place: int
    choice: int
    log_likelihood: float
    n_tokens: int
    is_greedy: bool


@final
class ScoreStore:
    """The scores of all models of a run.

    Parameters
    ----------
    folder : Path
        Made if it is not there, when writing.
    mode : {"write", "read"}
        One writer at a time; readers beside it.

    Raises
    ------
    UsageError
        Nothing to read there.
    LedgerBusyError
        Another process writes.
    """

    def __init__(self, folder: Path, *, mode: Literal["write", "read"]) -> None:
        path = folder / STORE_FILE
        self._path = path
        self._lock: DriverLock | None = None
        if mode == "read":
            if not path.is_file():
                raise UsageError(
                    f"run: got {folder}, which has no {STORE_FILE}; allowed: a folder that "
                    "`passuntil choices JOB.yaml -o FOLDER` made; check the path."
                )
            self._database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = DriverLock(folder / "scores.lock")
        self._database = sqlite3.connect(path)
        with self._errors():
            # WAL: readers beside the writer; a committed batch outlives a kill
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def read_meta(self, key: str) -> Mapping[str, Any] | None:
        """Return a note, or None."""
        with self._errors():
            row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def write_meta(self, key: str, value: Mapping[str, Any]) -> None:
        """Write a note."""
        with self._errors(), self._database as database:
            text = json.dumps(value, allow_nan=False)
            database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, text))

    def write_instances(self, benchmark: str, instances: Sequence[ChoiceInstance]) -> None:
        """Note the instances of a benchmark; those that are there already must be the same.

        More may follow them later: a raised limit goes on where the run stands.
        """
        rows = [
            (benchmark, place, found.id, json.dumps(found.texts), found.correct)
            for place, found in enumerate(instances)
        ]
        with self._errors(), self._database as database:
            old = database.execute(
                "SELECT * FROM instance WHERE benchmark = ? ORDER BY place", (benchmark,)
            ).fetchall()
            if old[: len(rows)] != rows[: len(old)]:
                raise UsageError(
                    f"run {self._path.parent}: got other instances of {benchmark} than it was "
                    "begun with; allowed: the same; choose another folder with -o, or restore the "
                    "task."
                )
            database.executemany("INSERT INTO instance VALUES (?, ?, ?, ?, ?)", rows[len(old) :])

    def instances(self, benchmark: str) -> list[tuple[str, tuple[str, ...], int | None]]:
        """Return id, texts of the choices, and correct choice of each instance."""
        with self._errors():
            rows = self._database.execute(
                "SELECT id, texts, correct FROM instance WHERE benchmark = ? ORDER BY place",
                (benchmark,),
            ).fetchall()
        return [(name, tuple(json.loads(texts)), correct) for name, texts, correct in rows]

    def append(self, part: Part, scores: Iterable[Score]) -> None:
        """Add scores, all or none.

        Raises
        ------
        LedgerError
            One is there already, or the disk fails.
        """
        with self._errors(), self._database as database:
            address = (part.family, part.model, part.benchmark)
            database.execute(
                "INSERT OR IGNORE INTO part (family, model, benchmark) VALUES (?, ?, ?)", address
            )
            number = self._number(part)
            database.executemany(
                "INSERT INTO score VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (number, s.place, s.choice, s.log_likelihood, s.n_tokens, s.is_greedy)
                    for s in scores
                ],
            )

    def scores(self, part: Part) -> list[Score]:
        """Return the scores of a part, by instance and choice."""
        with self._errors():
            rows = self._database.execute(
                "SELECT place, choice, log_likelihood, n_tokens, is_greedy FROM score "
                "WHERE part = ? ORDER BY place, choice",
                (self._number(part),),
            ).fetchall()
        return [Score(p, c, value, n, bool(greedy)) for p, c, value, n, greedy in rows]

    def parts(self) -> list[Part]:
        """Return what has scores, in the order it was begun."""
        with self._errors():
            rows = self._database.execute(
                "SELECT family, model, benchmark FROM part ORDER BY number"
            ).fetchall()
        return [Part(*row) for row in rows]

    def done(self, part: Part) -> set[tuple[int, int]]:
        """Return place and choice of what is scored."""
        with self._errors():
            rows = self._database.execute(
                "SELECT place, choice FROM score WHERE part = ?", (self._number(part),)
            ).fetchall()
        return set(rows)

    def _number(self, part: Part) -> int | None:
        row = self._database.execute(
            "SELECT number FROM part WHERE family = ? AND model = ? AND benchmark = ?",
            (part.family, part.model, part.benchmark),
        ).fetchone()
        return None if row is None else int(row[0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(
                f"scores {self._path}: got {type(error).__name__}: {error}; allowed: a whole file "
                "on a disk with free space; free some, or restore it from a copy."
            ) from error
