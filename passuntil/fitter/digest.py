"""A hash of tallies: shows later which data a forecast had seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from passuntil.estimator.exact import ExactRate
from passuntil.records import Tally

__all__ = ["tallies_digest"]


def tallies_digest(tallies: Sequence[Iterable[Tally | ExactRate]]) -> str:
    """Return the SHA-256, in hex, of a family's tallies as canonical JSON.

    Parameters
    ----------
    tallies : sequence of iterable of (Tally or ExactRate)
        One entry per model; the order of models and of instances counts.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> tallies_digest([[Tally.stopped(passes=1, trials=37)]])[:16]
    'b1ebd5e8082daf17'
    """
    plain = [[dict(t.to_json()) for t in model] for model in tallies]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
