"""Which completions of a code task pass: a child process with limits, for our own meter only.

This is no sandbox: the package's checkers are. Names are limited to the language's functions,
memory and time by the kernel.
"""

import builtins
import multiprocessing
import resource
import signal
import warnings
from multiprocessing.connection import Connection
from typing import Any, Final

MEMORY_BYTES: Final = 4 << 30  # address space, most of it the parent's libraries
TIMEOUT_S: Final = 1
NAMES: Final = ("abs", "len", "max", "min", "set", "sorted", "sum", "range", "list", "int")


def passing(row: dict[str, Any], completions: list[str]) -> list[bool]:
    """Whether each completion passes the tests of a HumanEval row."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_judge, args=(row, completions, sender))
    child.start()
    sender.close()
    verdicts: list[bool] = []
    while len(verdicts) < len(completions):
        try:
            verdicts.append(receiver.recv())
        except EOFError as error:
            child.join()
            raise RuntimeError(
                f"the judge died at {row['task_id']}, completion {completions[len(verdicts)]!r}"
            ) from error
    child.join()
    return verdicts


def _judge(row: dict[str, Any], completions: list[str], sender: Connection) -> None:
    warnings.simplefilter("ignore")  # a generated program may well look odd to the compiler
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _too_long)
    for completion in completions:
        signal.alarm(TIMEOUT_S)
        verdict = _is_passing(row, completion)
        signal.alarm(0)
        sender.send(verdict)


def _too_long(signum: int, frame: object) -> None:
    raise TimeoutError


def _is_passing(row: dict[str, Any], completion: str) -> bool:
    if "__" in completion:
        return False
    program = f"{row['prompt']}{completion}\n{row['test']}\ncheck({row['entry_point']})"
    allowed = {name: getattr(builtins, name) for name in NAMES}
    allowed["AssertionError"] = AssertionError
    try:
        exec(program, {"__builtins__": allowed})
    except Exception:  # whatever a generated program raises is its failure
        return False
    return True
