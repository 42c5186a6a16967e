"""How programs of one problem get their reasons, cheapest way first.

1. Settled: what does not compile, or compiles to what was judged before, is not run.
2. Shared: tame programs run one after the other in a shared child; only plain outputs count.
3. Alone: everything else, from the source in a fresh child.

Nothing of 1 and 2 is trusted with a pass: that is judged again alone, from its source and without
any cache. Of the fails of 2 a share, drawn by a hash of the text, is judged again alone as well;
one that differs ends sharing for good.

A verdict never depends on the load of the host. Limits count CPU time, and time asleep without the
time in which a CPU was waited for. What met its limit beside others runs alone. What meets it alone
is a timeout if the CPU was its own: it waited for one for less than a tenth of the time. Otherwise
seconds may have been slow ones, caches being shared: it runs alone once more, and only the same end
again is a timeout. Left is what no clock of a host sees, another thread on the same core: less than
a factor of two, where the limit is twenty times what the canonical solution takes.
"""

from __future__ import annotations

import functools
import hashlib
import re
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from passuntil.checkers.sandbox.inside import script
from passuntil.checkers.sandbox.problem import Answer, Compiled, Problem
from passuntil.checkers.sandbox.worker import Worker

__all__ = ["BATCH_SIZE", "Tiers", "suspect_word"]

BATCH_SIZE = 64
"""Programs that may share a child."""

# Where each has a child of its own: what the compile worker takes in one go costs a third of what
# it takes one by one, and a fault of the checker costs these many another judgement.
_COMPILED_AT_ONCE = 16

_AUDITED_OF = 64  # one in this many shared fails is judged again alone
_DIVERGED = "diverged"
_MOST_REMEMBERED = 1 << 15  # about 5 MB

# What an honest solution has no use for and a forged pass needs, where the test runs beside it.
_SUSPECT = re.compile(
    r"\b(_getframe|gc|ctypes|settrace|setprofile|inspect|__eq__|__ne__|__code__|co_consts|f_back|"
    r"f_locals|f_globals|tb_frame|gi_frame|__builtins__|builtins|_current_frames)\b"
)


def suspect_word(text: str, n_prompt: int) -> str | None:
    """Return a word that a forged pass needs and that does not end within the prompt."""
    found = (match[0] for match in _SUSPECT.finditer(text) if match.end() > n_prompt)
    return next(found, None)


@dataclass(frozen=True, slots=True)
class _First:
    """A first word on a program, and whether it rests on a run beside neighbours."""

    reason: str
    is_shared: bool = False


class Tiers:
    """Settles, shares and confirms; the caches of all workers.

    Parameters
    ----------
    settles : bool
        Programs that do not compile, or are known by their code, are not run.
    batches : bool
        Tame programs share a child.
    confirms_passes : bool
        A pass counts if the program passes a second time, alone.
    """

    def __init__(self, *, settles: bool, batches: bool, confirms_passes: bool) -> None:
        self.settles = settles or batches
        self.confirms_passes = confirms_passes or self.settles
        self.batches = batches
        self._is_sharing = batches
        self._stopped = ""
        self._n_shared = 0
        self._lock = threading.Lock()
        self._codes: dict[bytes, _First] = {}
        self._words: dict[bytes, str] = {}

    @property
    def most_at_once(self) -> int:
        """Number of programs that `reasons` usefully takes at once."""
        if self.batches:
            return BATCH_SIZE
        return _COMPILED_AT_ONCE if self.settles else 1

    def describe(self) -> Mapping[str, object]:
        """Return what a report says of the tiers."""
        return {
            "settles": self.settles,
            "confirms_passes": self.confirms_passes,
            "batches": {
                "size": BATCH_SIZE if self.batches else 1,
                "judged_again_alone": 1 / _AUDITED_OF if self.batches else 1.0,
                "stopped": self._stopped,
            },
        }

    def reasons(self, worker: Worker, problem: Problem, programs: Sequence[bytes]) -> list[str]:
        """Return a reason per program.

        Raises
        ------
        CheckerError
            A process failed; none of the programs has a reason then.
        """
        if not self.settles or problem.is_live or not problem.is_split:
            firsts = [_first(self._alone(worker, problem, program)) for program in programs]
        else:
            firsts = self._firsts(worker, problem, programs)
        return [
            self._checked(worker, problem, program, first)
            for program, first in zip(programs, firsts, strict=True)
        ]

    def _firsts(self, worker: Worker, problem: Problem, programs: Sequence[bytes]) -> list[_First]:
        can_share = (
            self._is_sharing and len(programs) > 1 and problem.entry_point != script.ENTRY_POINT
        )
        compiled = worker.compiler.compile(
            programs, cpu_time_s=problem.limits.cpu_time_s, is_gated=can_share
        )
        if can_share:
            self._run_unknown(worker, problem, compiled)
        firsts = []
        for program, each in zip(programs, compiled, strict=True):
            if each is None:
                firsts.append(_first(self._alone(worker, problem, program)))
            elif each.reason:
                firsts.append(_first(each.reason))
            else:
                firsts.append(self._known(worker, problem, program, each))
        return firsts

    def _run_unknown(
        self, worker: Worker, problem: Problem, compiled: Sequence[Compiled | None]
    ) -> None:
        """Run what is tame and not known yet, several to a child."""
        unknown = {
            each.key: each.code
            for each in compiled
            if each is not None and each.is_tame and _address(problem, each) not in self._codes
        }
        if len(unknown) < 2:
            return
        answers = worker.run_batch(problem, list(unknown.values()))
        for key, answer in zip(unknown, answers, strict=True):
            if answer is None:
                continue  # runs alone
            reason = self._word_of(worker, problem, answer)
            if reason != _DIVERGED:
                self._n_shared += 1
                self._remember(_prefix(problem) + key, _first(reason, is_shared=True))

    def _known(
        self, worker: Worker, problem: Problem, program: bytes, compiled: Compiled
    ) -> _First:
        address = _address(problem, compiled)
        first = self._codes.get(address)
        if first is None:
            answer = _run(worker, problem, compiled.code, is_code=True)
            reason = self._word_of(worker, problem, answer)
            if reason == _DIVERGED:
                reason = _twice(lambda: worker.judge_live(problem, program).reason)
            first = _first(reason)
            self._remember(address, first)
        return first

    def _checked(self, worker: Worker, problem: Problem, program: bytes, first: _First) -> str:
        """Judge passes, and a share of the shared fails, again alone."""
        is_pass = first.reason == "pass"
        if is_pass and not self.confirms_passes:
            return first.reason
        if not is_pass and not (first.is_shared and _is_audited(program)):
            return first.reason
        reason = self._alone(worker, problem, program)
        if first.is_shared and reason != first.reason:
            self._stop_sharing(first.reason, reason, program)
        return reason

    def _alone(self, worker: Worker, problem: Problem, program: bytes) -> str:
        """Return the reason, from the source in a fresh child and without any cache."""
        if not problem.is_split:
            reason = _twice(lambda: worker.run_test(problem, program).reason)
            if reason != "pass":
                return reason
            text = program.decode("utf-8", "surrogatepass")
            return "pass" if suspect_word(text, problem.n_prompt) is None else "refused"
        if not problem.is_live:
            answer = _run(worker, problem, program)
            if answer.reason:
                return answer.reason
            reason = _twice(lambda: worker.judge_outputs(problem, answer.outputs))
            if reason != _DIVERGED:
                return reason
        return _twice(lambda: worker.judge_live(problem, program).reason)

    def _word_of(self, worker: Worker, problem: Problem, answer: Answer) -> str:
        """Return the judge's word, asked once for the same outputs of the same problem.

        What the test does with the outputs depends on nothing else, unless it called with other
        arguments than were recorded.
        """
        if answer.reason:
            return answer.reason
        digest = hashlib.blake2b(answer.outputs, digest_size=16).digest()
        address = _prefix(problem) + digest
        word = self._words.get(address)
        if word is None:
            word = _twice(lambda: worker.judge_outputs(problem, answer.outputs))
            if len(self._words) >= _MOST_REMEMBERED:
                self._words.clear()
            self._words[address] = word
        return word

    def _remember(self, address: bytes, first: _First) -> None:
        with self._lock:
            if first.is_shared and not self._is_sharing:
                return
            if len(self._codes) >= _MOST_REMEMBERED:
                self._codes.clear()
            self._codes[address] = first

    def _stop_sharing(self, shared: str, alone: str, program: bytes) -> None:
        """Go on alone: what one neighbour could do to one verdict it could do to others."""
        with self._lock:
            if not self._is_sharing:
                return
            self._is_sharing = False
            self._codes = {at: each for at, each in self._codes.items() if not each.is_shared}
            self._stopped = (
                f"{shared!r} beside neighbours and {alone!r} alone, after {self._n_shared} "
                "programs in shared children"
            )
        text = program.decode("utf-8", "replace")
        warnings.warn(
            f"code checker: got {self._stopped}; allowed: the same verdict; every sample runs "
            f"alone from now on. Report this program, and give `batches: false` to a run that "
            f"must not hold verdicts from shared children:\n{text[-2000:]}",
            RuntimeWarning,
            stacklevel=2,
        )


def _twice(judge: Callable[[], str]) -> str:
    """Judge; a timeout counts if it comes twice."""
    reason = judge()
    return judge() if reason == "timeout" else reason


def _run(worker: Worker, problem: Problem, program: bytes, *, is_code: bool = False) -> Answer:
    """Run alone; a timeout counts if it comes twice, or on a CPU of its own."""
    answer = worker.run(problem, program, is_code=is_code)
    if answer.reason == "timeout" and answer.is_disturbed:
        answer = worker.run(problem, program, is_code=is_code)
    return answer


@functools.cache
def _first(reason: str, *, is_shared: bool = False) -> _First:
    """Return the one value of its kind: the caches hold many."""
    return _First(reason, is_shared)


def _prefix(problem: Problem) -> bytes:
    return problem.key.to_bytes(8, "little")


def _address(problem: Problem, compiled: Compiled) -> bytes:
    return _prefix(problem) + compiled.key


def _is_audited(program: bytes) -> bool:
    """Draw by the text, so that a run that is repeated judges the same ones twice."""
    digest = hashlib.blake2b(program, digest_size=8, person=b"audit").digest()
    return int.from_bytes(digest, "little") % _AUDITED_OF == 0
