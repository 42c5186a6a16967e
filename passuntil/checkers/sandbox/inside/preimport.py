"""Modules that are imported before any fork: a child that imports them itself pays milliseconds."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import typing
from typing import Any

from passuntil.checkers.sandbox.inside import heap

__all__ = ["PREIMPORT", "PREIMPORT_ALL", "boot"]

# What the jail's own code imports, all that the gate of the batch tier lets programs import (a
# neighbour must not be able to tell that it came second), and what solutions of HumanEval, MBPP and
# the like use beyond that. A shared object is five mappings, which every fork copies, so six
# modules that are rare and bring some (hashlib all of libcrypto) are left out: array, base64,
# binascii, hashlib, queue, unicodedata. Imported on demand, in a child and on its CPU time, each
# takes a few milliseconds of a limit of at least 100. Heavier ones, such as asyncio, which would
# take all of that, never were here.
PREIMPORT = (  # noqa: SIM905
    "abc bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime "
    "decimal enum fractions functools heapq io itertools json keyword locale math numbers operator "
    "os pprint random re statistics string struct sys textwrap threading time types typing"
).split()

# Where no path can be opened after the fork, what is not here cannot be imported.
PREIMPORT_ALL = (  # noqa: SIM905
    "argparse array ast asyncio atexit base64 binascii builtins bz2 codecs concurrent.futures "
    "configparser contextvars csv ctypes difflib dis doctest email encodings.idna "
    "encodings.latin_1 encodings.utf_16 errno fcntl filecmp fnmatch gc getopt glob graphlib gzip "
    "hashlib hmac html http.client importlib.util inspect ipaddress linecache logging lzma marshal "
    "mmap multiprocessing optparse pathlib pickle platform pty queue reprlib resource sched "
    "secrets select selectors shlex shutil signal socket sqlite3 subprocess symtable tempfile "
    "timeit tokenize traceback unicodedata unittest unittest.mock urllib.parse urllib.request uuid "
    "warnings weakref xml.etree.ElementTree zipfile zlib zoneinfo"
).split()

_GENERICS = ("Dict", "List", "Optional", "Set", "Tuple", "Union")


def boot(config: dict[str, Any]) -> None:
    """Import all that candidates may, before any code of the zygote's own is there."""
    if config["forks"]:
        _preimport([*PREIMPORT, *(() if config["can_import"] else PREIMPORT_ALL)])
        _annotate()
        gc.collect()
        heap.fill_pools()


def _annotate() -> None:
    """Make the types that programs are annotated with: `typing` remembers 128 of a kind.

    Each one that it does not know costs a sample 20 pages of what is imported here.
    """
    generics = {name: getattr(typing, name) for name in _GENERICS}
    kinds = [bool, float, int, str, Any]
    kinds += [generics["List"][kind] for kind in kinds]
    for kind in kinds:
        for name, generic in generics.items():
            if name in ("List", "Optional", "Set"):
                generic[kind]
            else:
                generic[str, kind]
                generic[kind, int]
        generics["Tuple"][kind, kind]
        generics["Tuple"][kind, ...]


def _preimport(names: list[str]) -> None:
    """Import modules without their fork hooks.

    The hooks of threading and random touch 170 pages in every child (0.6 of 2.1 ms measured):
    threading forgets threads that a zygote does not have, random draws a seed that samples must
    not have.
    """
    register = os.register_at_fork
    os.register_at_fork = lambda **hooks: None
    try:
        for name in names:
            with contextlib.suppress(ImportError):  # an interpreter built without it
                importlib.import_module(name)
    finally:
        os.register_at_fork = register
