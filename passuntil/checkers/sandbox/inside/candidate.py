"""What runs in a forked child: one candidate, or several tame ones, between two pipes.

Nothing that leaves here is trusted. A child writes one frame per candidate to descriptor 3:

    V, outputs   one output per call; where the test runs here, "fail" or the nonce
    L, names     the program did not load: the class names of its exception

In front of it, where several candidates share the child: ``.`` or ``!`` (the rest needs a fresh
child), and ``+`` or ``?`` (this one has to run alone).
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import marshal
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from passuntil.checkers.sandbox.inside import gate, script, wire
from passuntil.checkers.sandbox.inside.lock import Lock

__all__ = ["ANSWERS", "REQUESTS", "Task", "run"]

REQUESTS, ANSWERS = 3, 4
_MOST_FILES = 4096  # above the RLIMIT_NOFILE of every jail

_ADAPTED = 20
_EXAMPLE = b"""
import math
from typing import List
def f(values: List[int], first=1, *rest, **named) -> bool:
    found = {str(x): (x,) for x in values}
    for i, x in enumerate(sorted(found)):
        if i != x and len(x) < abs(first - i):
            found[i] = [math.sqrt(i)]
    return found
"""

# What depends on how much memory or stack neighbours use, or on what may be opened: tried alone.
_NOT_PLAIN = frozenset({"MemoryError", "RecursionError", "ImportError"})


@dataclass(slots=True)
class Task:
    """What a child runs: one program, or several tame ones.

    `trial` is the test and a nonce where the test has to run beside the candidate; `room` is the
    address space that a neighbour must leave.
    """

    entry: str
    programs: list[bytes]
    is_code: bool
    is_batch: bool
    calls: list[Any]
    trial: tuple[str, str] | None = None
    room: int = 0

    def code(self, program: bytes) -> types.CodeType:
        """Return the code of one of the programs."""
        if self.is_code:
            code: types.CodeType = marshal.loads(program)
            return code
        source = program.decode("utf-8", "surrogatepass")
        # without the __future__ flags of this file
        return compile(source, "<candidate>", "exec", dont_inherit=True)


def run(lock: Lock, cpu_time_s: float, task: Task, fds: tuple[int, int, int]) -> None:
    """Give up all rights, run the task and never return.

    `fds` are the child's ends of its pipes: answers, calls (-1 unless it is live), faults.
    """
    out_w, in_r, fault_w = fds
    try:
        lock.apply(cpu_time_s=cpu_time_s)
        # the zygote's own pipes are overwritten here, and closed below with all the rest
        os.dup2(out_w, REQUESTS)
        if in_r >= 0:
            os.dup2(in_r, ANSWERS)
        lock.filter_calls()
    except BaseException as error:
        # the candidate never holds this pipe, so it cannot feign a fault of the checker
        os.write(fault_w, str(error).encode()[:1000])
        os._exit(3)
    try:
        os.closerange(ANSWERS if in_r < 0 else ANSWERS + 1, _MOST_FILES)
        gc.enable()
        if in_r >= 0:
            _converse(task)
        else:
            for program in task.programs:
                answer, is_plain = _answer(task, program)
                if not task.is_batch:
                    wire.write_frame(REQUESTS, answer)
                    break
                _clean_up()
                has_room = _has_room(task.room)
                marks = (b"." if has_room else b"!") + (b"+" if is_plain else b"?")
                wire.write_frame(REQUESTS, marks, answer)
                if not has_room:
                    break
    except MemoryError:
        with contextlib.suppress(BaseException):
            wire.write_frame(REQUESTS, b"!?" if task.is_batch else b"", b"LMemoryError")
    except BaseException:
        os._exit(1)
    os._exit(0)


def warm_up() -> None:
    """Do here, until Python has adapted its code, what would be written to in every child."""
    call = [{"t": [["i", 1.0, 2, None, True]]}, {"d": []}]
    for _ in range(_ADAPTED):
        for is_code in (True, False):
            program = marshal.dumps(compile(_EXAMPLE, "<warm>", "exec")) if is_code else _EXAMPLE
            task = Task("f", [program], is_code=is_code, is_batch=False, calls=[call, call])
            _answer(task, task.programs[0])
            _clean_up()


def _answer(task: Task, program: bytes) -> tuple[bytes, bool]:
    """Return what the program answers and whether that cannot depend on neighbours.

    One candidate and several come here by the same number of calls, so that a recursion ends at
    the same depth for both.
    """
    try:
        function = _load(task, program)
        if task.trial is not None:
            return b"V" + _tried(function, *task.trial), True
    except BaseException as error:
        names_of_error = _names(error)
        return b"L" + ",".join(names_of_error).encode("utf-8", "replace"), _is_plain(names_of_error)
    outputs = [_call(function, call) for call in task.calls]
    is_plain = all(output[0] != 1 or _is_plain(output[1][0]) for output in outputs)
    return b"V" + wire.dumps(outputs), is_plain


class _TestNames(dict[str, Any]):
    """A test's own names, before the candidate's: what it expects is no global of the candidate."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._candidate = names

    def __missing__(self, name: str) -> Any:
        return self._candidate[name]


def _tried(function: Callable[..., Any], test: str, nonce: str) -> bytes:
    """Run the test here, where the candidate could forge its word: return the nonce if it holds."""
    names = _TestNames(sys.modules["candidate"].__dict__)
    exec(compile(test, "<test>", "exec", dont_inherit=True), names)
    try:
        names["check"](function)
    except AssertionError:
        return b"fail"
    return nonce.encode()


def _load(task: Task, program: bytes) -> Callable[..., Any]:
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module
    code = task.code(program)
    if task.entry == script.ENTRY_POINT:
        return script.as_function(code)
    if task.is_batch:
        # what one candidate could do to this copy, no other sees
        allowed = {name: getattr(builtins, name) for name in gate.BUILTINS}
        module.__dict__["__builtins__"] = {**allowed, "__import__": __import__}
    exec(code, module.__dict__)
    return script.find(module.__dict__, task.entry)


def _converse(task: Task) -> None:
    """Answer call by call."""
    try:
        function = _load(task, task.programs[0])
    except BaseException as error:
        wire.write_frame(REQUESTS, b"L", ",".join(_names(error)).encode("utf-8", "replace"))
        return
    wire.write_frame(REQUESTS, b"V[]")
    while True:
        call = wire.loads(wire.read_frame(ANSWERS))
        wire.write_frame(REQUESTS, b"V" + wire.dumps([_call(function, call)]))


def _clean_up() -> None:
    """Drop all that a candidate made, while the time still counts as its own."""
    # functions and their module refer to each other
    sys.modules.pop("candidate").__dict__.clear()
    gc.collect()  # 7 us: what the zygote made is frozen


def _has_room(n_bytes: int) -> bool:
    """Tell whether a neighbour left so much address space; the bytes are never touched."""
    try:
        bytes(n_bytes)
    except MemoryError:
        return False
    return True


def _names(error: BaseException) -> list[str]:
    return [kind.__name__ for kind in type(error).__mro__]


def _is_plain(names: list[str]) -> bool:
    return _NOT_PLAIN.isdisjoint(names)


def _call(function: Callable[..., Any], call: Any) -> list[Any]:
    """Call once: [0, value, changed arguments], [1, exception] or [2, type that is opaque]."""
    args = wire.unpack(call[0])
    kwargs = wire.unpack(call[1])
    try:
        value = function(*args, **kwargs)
        answer = [0, wire.pack(value)]
    except wire.OpaqueError as error:
        answer = [2, str(error)[:80]]
    except BaseException as error:
        return [1, _exception(error), *_changed(call, args, kwargs)]
    return answer + _changed(call, args, kwargs)


def _exception(error: BaseException) -> Any:
    """Return the class names, most derived first, and the arguments where they are plain."""
    try:
        return [_names(error), wire.pack(list(error.args))]
    except wire.OpaqueError:
        return [_names(error), [str(error)[:1000]]]


def _changed(call: Any, args: Any, kwargs: Any) -> list[Any]:
    """Return the arguments if the call changed them: a test may look at them."""
    try:
        now = [wire.pack(args), wire.pack(kwargs)]
    except wire.OpaqueError:
        return []
    return [] if now == call else [now]
