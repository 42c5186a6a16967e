"""Reading a task file, line by line."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from passuntil.errors import UsageError, nearest
from passuntil.records import Instance
from passuntil.tasks.formats import FORMATS

__all__ = ["load_task"]

_ALLOWED = {
    "string_pattern_mismatch": "the name of a function",
    "string_too_short": "text that is not empty",
    "string_type": "text",
}


def load_task(name: str, path: str | Path, format: str, limit: int | None = None) -> list[Instance]:  # noqa: A002
    """Return the instances of a .jsonl or .jsonl.gz file, at most the first `limit`.

    The whole file is validated whatever the limit; a `UsageError` names file and line of every
    broken one (the first ten).
    """
    if format not in FORMATS:
        raise UsageError(
            f"format: got {format!r}; allowed: {', '.join(FORMATS)}; name the file's format."
            f"{nearest(format, FORMATS)}"
        )
    if limit is not None and limit < 1:
        raise UsageError(f"limit: got {limit}; allowed: >= 1, or none; raise it.")
    instances: list[Instance] = []
    lines_of: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(_read(Path(path)).split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            parsed = FORMATS[format].model_validate_json(line)
        except ValidationError as error:
            problems += [f"{where}: {_describe(d, line)}" for d in error.errors(include_url=False)]
            continue
        first = lines_of.setdefault(parsed.instance_id, number)
        if first != number:
            problems.append(
                f"{where}: got the id {parsed.instance_id!r} a second time (first: line {first}); "
                "allowed: unique ids; rename one."
            )
        instances.append(parsed.to_instance(name))
    if problems:
        more = f"\n... and {len(problems) - 10} more problems" if len(problems) > 10 else ""
        raise UsageError("\n".join(problems[:10]) + more)
    if not instances:
        raise UsageError(f"{path}: got no instances; allowed: at least one line; fill the file.")
    return instances[:limit]


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        return text.removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file; correct the task's path.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(
            f"{path}: got broken gzip data ({error}); allowed: a whole .gz file; fetch it again."
        ) from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check the file.") from error


def _describe(detail: ErrorDetails, line: bytes) -> str:
    key = ".".join(map(str, detail["loc"]))
    kind = detail["type"]
    if kind == "json_invalid":
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return (
                f"got the byte 0x{line[error.start]:02x} at column {error.start + 1}, which is not "
                "UTF-8; allowed: UTF-8; save the file as UTF-8."
            )
        reason = str(detail.get("ctx", {}).get("error", detail["msg"]))
        return f"got no valid JSON ({reason}); allowed: one JSON object per line; correct it."
    if kind == "missing":
        return f"{key}: got nothing; allowed: a value, the key is required; add it."
    if kind == "value_error":
        return f"{key}: {detail['ctx']['error']}"
    if kind.startswith("model"):
        return "got JSON that is no object; allowed: one JSON object per line; correct it."
    value = repr(detail["input"])
    value = value if len(value) <= 60 else f"{value[:57]}..."
    allowed = _ALLOWED.get(kind, detail["msg"])
    return f"{key}: got {value}; allowed: {allowed}; correct it."
