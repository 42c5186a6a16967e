import gzip
import json

import pytest

from passuntil.errors import UsageError
from passuntil.tasks.rows import read_rows

ROWS = [{"a": 1}, {"a": 2, "b": None}]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("r.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("r.json", json.dumps(ROWS)),
        ("r.json", json.dumps(ROWS, indent=2)),
        ("r.json", "\n".join(map(json.dumps, ROWS)) + "\n"),
        ("r.jsonl", "\ufeff" + "\r\n".join(map(json.dumps, ROWS)) + "\n\n"),
    ],
)
def test_json_in_every_shape_plain_and_packed(tmp_path, name, data):
    path, packed = tmp_path / name, tmp_path / f"{name}.gz"
    path.write_text(data, "utf-8")
    packed.write_bytes(gzip.compress(data.encode()))
    assert read_rows(path) == read_rows(packed) == ROWS


def test_a_list_within_an_object(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"examples": ROWS, "name": "x"}))
    assert read_rows(path, "examples") == ROWS
    with pytest.raises(UsageError, match=r"no key 'rows' at the top \(examples, name\)"):
        read_rows(path, "rows")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("r.jsonl", '{"a": 1}\n{"a": ', r"r.jsonl:2: got no valid JSON"),
        ("r.jsonl", "[1]", r"r.jsonl:1: got JSON that is no object"),
        ("r.json", "[1]", "got JSON that is no list of objects"),
        ("r.json", "[", "r.json: got no valid JSON"),
        ("r.jsonl", "", "got no rows; allowed: at least one"),
        ("r.csv", "a,b", "got the ending '.csv'; allowed: .jsonl"),
        ("r.parquet", "PAR", "got broken Parquet data"),
        ("r.jsonl.gz", "plain", "got broken gzip data"),
    ],
)
def test_broken_files(tmp_path, name, data, message):
    (tmp_path / name).write_text(data)
    with pytest.raises(UsageError, match=message):
        read_rows(tmp_path / name)


def test_parquet_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'passuntil\[parquet\]'"):
        read_rows(tmp_path / "r.parquet")
