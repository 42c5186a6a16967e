"""The compile worker as its host sees it: programs in, code and keys out, no fault."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from concurrent.futures import Executor

from passuntil.checkers.sandbox.inside import wire
from passuntil.checkers.sandbox.inside.compiler import KEY_BYTES
from passuntil.checkers.sandbox.jail import JailedProcess
from passuntil.checkers.sandbox.plan import JailPlan
from passuntil.checkers.sandbox.problem import Compiled

__all__ = ["CompileWorker"]

_MOST_COMPILED = 20_000  # newer Pythons keep interned names for ever


class CompileWorker:
    """A jailed process that compiles, started when needed and again after it died.

    One thread at a time.

    Parameters
    ----------
    plan : JailPlan
        Its jail.
    starter : Executor
        Where processes are started: a thread that outlives them.
    """

    def __init__(self, plan: JailPlan, starter: Executor) -> None:
        self._plan = plan
        self._starter = starter
        self.process: JailedProcess | None = None
        self.n_compiled = 0

    def compile(
        self, programs: Sequence[bytes], *, cpu_time_s: float, is_gated: bool
    ) -> list[Compiled | None]:
        """Compile without running; None where that fails in any way that a child must tell.

        Without the gate none is tame.
        """
        compiled: list[Compiled | None] = []
        while len(compiled) < len(programs):
            rest = programs[len(compiled) :]
            try:
                compiler = self._running()
                self.n_compiled += len(rest)
                before = compiler.cpu_s()
                compiler.send(b"G" if is_gated else b"N", wire.join(rest))
                for _ in rest:
                    while not compiler.wait(
                        max(0.0, cpu_time_s - (compiler.cpu_s() - before)) + 0.001
                    ):
                        if compiler.cpu_s() - before >= cpu_time_s:
                            raise TimeoutError
                    frame = compiler.receive()
                    if frame == b"M":  # with what it holds of 20,000 programs; alone it may fit
                        raise OSError(errno.ENOMEM, "the compile worker is full")
                    compiled.append(_compiled(frame))
                    before = compiler.cpu_s()
            except OSError:
                # the one that it died of, or spent its time or memory on; others go to a new one
                self.close()
                compiled.append(None)
            except BaseException:
                self.close()
                raise
        return compiled

    def _running(self) -> JailedProcess:
        if self.process is None or self.n_compiled >= _MOST_COMPILED:
            self.close()
            self.n_compiled = 0
            start = self._starter.submit(JailedProcess, self._plan, "compiler")
            self.process = start.result()
        return self.process

    def close(self) -> None:
        """End the process; the next program starts a new one."""
        if self.process is not None:
            process, self.process = self.process, None
            process.close()


def _compiled(frame: bytes) -> Compiled:
    if frame[:1] in (b"C", b"T"):
        key, code = frame[1 : 1 + KEY_BYTES], frame[1 + KEY_BYTES :]
        return Compiled("", key, code, is_tame=frame[:1] == b"T")
    return Compiled("error", b"", b"", is_tame=False)
