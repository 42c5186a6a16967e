"""Which isolation this machine offers, found out by doing it, never by version or sysctl."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from passuntil.checkers.sandbox import groups
from passuntil.checkers.sandbox.filter import MACHINES
from passuntil.checkers.sandbox.interpreter import discover
from passuntil.checkers.sandbox.jail import JailedProcess
from passuntil.checkers.sandbox.plan import JailPlan, find_bwrap, unused_uid
from passuntil.checkers.sandbox.selftest import self_test
from passuntil.checkers.sandbox.worker import Worker
from passuntil.errors import CheckerError, NoIsolationError

__all__ = ["IsolationReport", "probe"]

_REMEDY_BWRAP = "apt-get install bubblewrap (or your system's package of that name)"
_REMEDY_NAMESPACES = (
    "allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns), or run in a "
    "virtual machine"
)
_LOWER_LEVELS: tuple[int, ...] = (2, 1)
_REMEDY_PYTHON = (
    "an interpreter that every user may read (not below /root), or the right to change the user"
)
_REMEDY_GROUPS = (
    "nothing, if the memory that a report states as the most is there; else a cgroup v2 with the "
    "controllers memory and pids that this user may write (systemd: Delegate=yes)"
)
_REMEDY_LANDLOCK = "a kernel of 5.13 or later with Landlock enabled (lsm=landlock,...)"


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """What works here.

    Parameters
    ----------
    level : int
        3, 2, 1, or 0 where code tasks may not run.
    plan : JailPlan or None
        The jail of that level.
    works : tuple of str
        Primitives that were tried and hold.
    missing : tuple of (str, str, str)
        Primitive, what it answered, remedy.
    """

    level: int
    plan: JailPlan | None
    works: tuple[str, ...]
    missing: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, plan: JailPlan) -> IsolationReport:
        """Return the report of a plan that was chosen by hand."""
        return cls(plan.level, plan, (), ())

    def refusal(self) -> str:
        """Return the message of a machine without isolation."""
        lines = [f"{what}: got {answer}; do: {remedy}" for what, answer, remedy in self.missing]
        return (
            "isolation: got none that holds; allowed: bubblewrap with user namespaces, or Landlock "
            "with seccomp. " + ". ".join(lines) + "."
        )

    def to_json(self) -> Mapping[str, object]:
        """Return the report as plain values."""
        return {
            "level": self.level,
            "works": list(self.works),
            "missing": [
                {"primitive": what, "answer": answer, "remedy": remedy}
                for what, answer, remedy in self.missing
            ],
            "uid": self.plan.uid if self.plan else None,
            "python": sys.version.split()[0],
        }


def probe(*, memory_bytes: int = 1 << 30, is_thorough: bool = False) -> IsolationReport:
    """Try the jails and return the strongest that starts.

    Parameters
    ----------
    memory_bytes : int
        Address space of a jailed process.
    is_thorough : bool
        True also runs the hostile programs of the self-test, as every checker does at its start.
    """
    missing: list[tuple[str, str, str]] = []
    works: list[str] = []
    machine = platform.machine()
    if sys.platform != "linux" or machine not in MACHINES:
        answer = f"{sys.platform} on {machine}"
        missing.append(("platform", answer, f"run on Linux on {' or '.join(MACHINES)}"))
        return IsolationReport(0, None, (), tuple(missing))
    plan = _try_bwrap(memory_bytes, works, missing)
    for level in _LOWER_LEVELS:
        plan = plan or _try_without_namespaces(level, memory_bytes, works, missing)
    if plan is not None:
        plan = _with_groups(plan, works, missing)
    if plan is not None and is_thorough:
        plan = _tested(plan, works, missing)
    return IsolationReport(plan.level if plan else 0, plan, tuple(works), tuple(missing))


def _try_bwrap(
    memory_bytes: int, works: list[str], missing: list[tuple[str, str, str]]
) -> JailPlan | None:
    bwrap = find_bwrap()
    if bwrap is None:
        missing.append(("bubblewrap", "no program 'bwrap' on PATH", _REMEDY_BWRAP))
        return None
    try:
        discover()
        plan = JailPlan(3, unused_uid(), bwrap, memory_bytes)
        zygote = JailedProcess(plan, "zygote")
    except CheckerError as error:
        missing.append(("bubblewrap", str(error), _REMEDY_NAMESPACES))
        return None
    try:
        abi = int(zygote.ready["landlock_abi"])
    finally:
        zygote.close()
    works += ["bubblewrap", "user, pid, network, ipc, uts and mount namespaces"]
    works += ["seccomp", "resource limits"]
    if abi:
        works.append(f"Landlock (ABI {abi})")
    else:
        missing.append(("Landlock", "not in this kernel", _REMEDY_LANDLOCK))
    return plan


def _try_without_namespaces(
    level: int, memory_bytes: int, works: list[str], missing: list[tuple[str, str, str]]
) -> JailPlan | None:
    """Try level 2 (Landlock, seccomp and limits) or 1 (a filter that refuses every path)."""
    try:
        plan = JailPlan(level, unused_uid(), None, memory_bytes)
        zygote = JailedProcess(plan, "zygote")
    except CheckerError as error:
        missing.append((f"jail without namespaces, level {level}", str(error), _REMEDY_PYTHON))
        return None
    try:
        abi = int(zygote.ready["landlock_abi"])
    finally:
        zygote.close()
    if level == 2 and not abi:
        missing.append(("Landlock", "not in this kernel or denied", _REMEDY_LANDLOCK))
        return None
    works += ["seccomp", "resource limits"]
    works += [f"Landlock (ABI {abi})"] if abi else []
    works += [f"unused user {plan.uid}"] if plan.uid is not None else []
    return plan


def _with_groups(plan: JailPlan, works: list[str], missing: list[tuple[str, str, str]]) -> JailPlan:
    """Bound the sum of each jail where groups can be made; without them, processes are bounded."""
    try:
        folder = groups.find()
    except OSError as error:
        missing.append(("control groups", error.strerror or str(error), _REMEDY_GROUPS))
        return plan
    groups.sweep(folder)
    works.append("control groups (memory.max, pids.max)")
    return replace(plan, groups=folder)


def _tested(
    plan: JailPlan, works: list[str], missing: list[tuple[str, str, str]]
) -> JailPlan | None:
    with ThreadPoolExecutor(1) as starter:
        worker = Worker(plan, starter)
        try:
            self_test(worker)
        except NoIsolationError as error:
            missing.append(("self-test", str(error), "report it with the output of this command"))
            return None
        finally:
            worker.close()
    works.append("self-test of hostile programs")
    return plan
