"""Which keys of a job decide its samples and verdicts, so that a run is not resumed with others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["decisive", "diff_jobs", "fingerprint"]

_RULE = ("seed", "seeding")
_DEFAULT_MODE = "until"
_MODES: Mapping[str, tuple[str, ...]] = {
    "until": ("passes", "min_samples", "budget"),
    "fixed": ("samples",),
    "target": ("target_width", "total_budget", "min_samples", "budget"),
}
_MODEL = ("path", "revision")
# Where a forecast steers, sizes decide which samples are drawn, and so does who is held out.
_FORECAST = ("forecast", "sample_cost")
_FORECAST_MODEL = ("n_params", "held_out")
_TASK = ("digest", "format", "limit", "checker")
_ENGINE = ("kind", "dtype", "tokenizer")
# Left out at these values, so that runs from before the keys keep their fingerprint.
_LATER: Mapping[str, object] = {"checker.batches": True, "checker.unverified": False}


def decisive(job: Mapping[str, Any]) -> dict[str, object]:
    """Return the deciding values of ``Job.to_json()`` by dotted key.

    Items count by name, not by place; a task's decoding is what results, wherever it is written.
    A task file counts by its content, a local model by its path.
    """
    mode = job.get("mode", _DEFAULT_MODE)
    flat: dict[str, object] = {key: job[key] for key in _MODES[mode] + _RULE}
    if mode == "target" and job.get("forecast") is not None:  # left out for the same reason
        flat |= {key: job[key] for key in _FORECAST}
        for model in job["family"]:
            flat |= {f"family.{model['name']}.{key}": model[key] for key in _FORECAST_MODEL}
    if mode != _DEFAULT_MODE:  # left out, so that runs from before the modes keep their fingerprint
        flat["mode"] = mode
    for model in job["family"]:
        for key in _MODEL:
            flat[f"family.{model['name']}.{key}"] = model[key]
    for task in job["tasks"]:
        prefix = f"tasks.{task['name']}"
        for key in _TASK:
            found = _flatten(key, task[key])
            flat.update((f"{prefix}.{k}", v) for k, v in found if not _is_later(k, v))
        if task.get("method", "sample") != "sample":  # left out for the same reason
            flat[f"{prefix}.method"] = task["method"]
        patch = {k: v for k, v in task["sampling"].items() if v is not None}
        flat.update(_flatten(f"{prefix}.sampling", {**job["sampling"], **patch}))
    if job["checker"].get("unsafe_no_sandbox"):  # left out for the same reason
        flat["checker.unsafe_no_sandbox"] = True
    flat.update({f"engine.{key}": job["engine"][key] for key in _ENGINE})
    return flat


def fingerprint(job: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the deciding values of ``Job.to_json()``."""
    text = json.dumps(decisive(job), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def diff_jobs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one line per deciding key that differs between two ``Job.to_json()``."""
    before, after = decisive(old), decisive(new)
    lines = []
    for key in [*before, *(k for k in after if k not in before)]:
        if key not in after:
            lines.append(f"{key}: was {_show(before[key])}, is gone")
        elif key not in before:
            lines.append(f"{key}: was absent, is {_show(after[key])}")
        elif before[key] != after[key]:
            lines.append(f"{key}: was {_show(before[key])}, is {_show(after[key])}")
    return lines


def _flatten(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(f"{prefix}.{key}", item)
    else:
        yield prefix, value


def _is_later(key: str, value: object) -> bool:
    return key in _LATER and value is _LATER[key]


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
