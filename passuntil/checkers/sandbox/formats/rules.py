"""Whose rules a problem is judged by, and what its programs may take for granted."""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["CPU_TIME_UNKNOWN_S", "Rules"]

_STARRED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "sys", "json", "typing"),
)
# What the stars above put in the place of builtins. `io.open`, which would take the place of the
# one that opens descriptor 0 as the input, is left out with its like.
_RESTORED = ("abs", "compile", "pow")
_OF_IO = (
    *("BlockingIOError", "BufferedIOBase", "BufferedRandom", "BufferedReader", "BufferedRWPair"),
    *("BufferedWriter", "BytesIO", "FileIO", "IOBase", "RawIOBase", "SEEK_CUR", "SEEK_END"),
    *("SEEK_SET", "StringIO", "TextIOBase", "TextIOWrapper", "UnsupportedOperation"),
)

_LIVECODEBENCH = "".join(
    (
        *(f"from {name} import *\n" for name in _STARRED),
        f"from io import {', '.join(_OF_IO)}\n",
        f"from builtins import {', '.join(_RESTORED)}\n",
        "import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, ",
        "itertools, functools, operator, io, sys, json\nsys.setrecursionlimit(50000)\n",
    )
)
# numpy, which APPS imports as well, is not in a jail.
_APPS = """import sys, time, itertools, collections, math, fractions, random, heapq
from itertools import accumulate, product, permutations, combinations
from collections import Counter, OrderedDict, deque, defaultdict, ChainMap
from functools import lru_cache
from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2
from typing import List, Tuple
from heapq import *
"""


# What a sample has where no solution tells what a problem takes: the time that LiveCodeBench gives
# to one case, for all of them.
CPU_TIME_UNKNOWN_S: Final = 6.0


class Rules(enum.Enum):
    """Whose rules a problem is judged by.

    PLAIN compares lines without trailing blanks, and numbers within a tolerance if one is given;
    APPS and LIVECODEBENCH compare as these do, see `stdio_tests` and `call_tests`.
    """

    PLAIN = "plain"
    APPS = "apps"
    LIVECODEBENCH = "livecodebench"

    @property
    def prelude(self) -> str:
        """What the benchmark writes in front of each program: imports."""
        return {Rules.APPS: _APPS, Rules.LIVECODEBENCH: _LIVECODEBENCH}.get(self, "")
