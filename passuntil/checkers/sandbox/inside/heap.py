"""The zygote's memory, laid out so that forks, and what children write to, cost little.

A child costs what the kernel copies: an entry per page of the zygote when it is forked, and the
page itself when the child writes to it, be it a reference count. So the heap lies in large pages
where the kernel has them, one entry per 512, and no page of what was imported first has room for
what is made later, which then lies close together.

None of it is needed: where the C library or the kernel is another one, it has no effect.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

__all__ = ["boot", "fill_pools", "use_large_pages"]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_DEFAULT_BYTES = 128 << 10  # of all three, in glibc
_MADV_COLLAPSE = 25
_LARGE_PAGE = 2 << 20
# obmalloc: size classes of 16 bytes in pools of 16 KB behind a header, pools in arenas
_ARENA, _POOL, _POOL_HEADER = 1 << 20, 1 << 14, 48
_SIZES = range(48, 513, 16)
_MOST_PLACES = 2048


class _ArenaAllocator(ctypes.Structure):
    """``PyObjectArenaAllocator``."""

    _fields_ = (
        ("context", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )


_libc = ctypes.CDLL(None)
_can_move = all(hasattr(_libc, name) for name in ("aligned_alloc", "getpid", "mallopt"))
_own = _ArenaAllocator()
_kept: list[bytes] = []


def boot(config: dict[str, Any]) -> None:
    """Where children will be forked, have arenas in the C library's heap, side by side."""
    if not (config["forks"] and _can_move):
        return
    for option, value in (
        (_M_MMAP_THRESHOLD, 32 << 20),
        (_M_TOP_PAD, 2 * _LARGE_PAGE),
        (_M_TRIM_THRESHOLD, 1 << 30),
    ):
        _libc.mallopt(option, value)
    ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(_own))
    # aligned_alloc(context, size), and a function without effect: until the end nothing is freed
    addresses = [ctypes.cast(f, ctypes.c_void_p).value for f in (_libc.aligned_alloc, _libc.getpid)]
    in_heap = _ArenaAllocator(_ARENA, *addresses)
    ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(in_heap))


def fill_pools() -> None:
    """Take the free places of all pools: what is made next lies in fresh ones."""
    for size in _SIZES:
        for _ in range(_MOST_PLACES):
            _kept.append(bytes(size - 40))  # 33 bytes of its own, so of this size class
            if id(_kept[-1]) % _POOL == _POOL_HEADER:
                break


def use_large_pages() -> None:
    """Give the heap large pages; from now on arenas come and go as in any Python."""
    if _own.allocate:
        ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(_own))
        for option in (_M_MMAP_THRESHOLD, _M_TOP_PAD, _M_TRIM_THRESHOLD):
            _libc.mallopt(option, _DEFAULT_BYTES)
    if hasattr(_libc, "madvise"):
        for number in {id(each) // _LARGE_PAGE for each in gc.get_objects()}:
            start, size = ctypes.c_void_p(number * _LARGE_PAGE), ctypes.c_size_t(_LARGE_PAGE)
            # refused by kernels before 6.1, and for what is not all heap
            _libc.madvise(start, size, _MADV_COLLAPSE)
