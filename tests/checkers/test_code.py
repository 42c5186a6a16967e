"""Verdicts of the code checker on honest and on broken programs."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from textwrap import dedent

import pytest

from passuntil.checkers.code import CodeChecker, CodeLimits
from passuntil.checkers.sandbox.problem import Answer, Problem
from passuntil.errors import CheckerError, UsageError
from passuntil.records import (
    CodeTests,
    Completion,
    ExactAnswer,
    FinishReason,
    Instance,
    SampleKey,
    Verdict,
)

pytestmark = pytest.mark.jail


@pytest.fixture(scope="module")
def checker() -> Iterator[CodeChecker]:
    checker = CodeChecker(n_workers=1, limits=CodeLimits(blocked_s=0.3))
    yield checker
    checker.close()


def completion(text: str) -> Completion:
    return Completion(SampleKey("m", "t", "i", 1), text, (), FinishReason.END)


def problem(test: str, solution: str, *, prompt: str = "", entry_point: str = "f") -> Instance:
    solution = solution if prompt else dedent(solution)
    target = CodeTests(prompt, dedent(test), entry_point, solution)
    return Instance("t", "t/0", prompt, target)


def reason(checker: CodeChecker, instance: Instance, text: str) -> str:
    assert isinstance(instance.target, CodeTests)
    text = text if instance.target.prompt else dedent(text)
    return checker.check(instance, completion(text)).reason


HUMAN_EVAL = problem(
    """

    METADATA = {'author': 'jt', 'dataset': 'test'}


    def check(candidate):
        assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3) == True
        assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.05) == False
        assert candidate([1.0, 2.0, 5.9, 4.0, 5.0], 0.95) == True
        assert candidate([1.0, 2.0, 5.9, 4.0, 5.0], 0.8) == False
    """,
    "    return any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[:i])\n",
    prompt=dedent(
        '''
        from typing import List


        def has_close_elements(numbers: List[float], threshold: float) -> bool:
            """ Check if in given list of numbers, are any two numbers closer to each other than
            given threshold.
            >>> has_close_elements([1.0, 2.0, 3.0], 0.5)
            False
            """
        '''
    ),
    entry_point="has_close_elements",
)
DOUBLE = problem(
    """
    def check(candidate):
        for n in (0, 1, 5, -3, 10 ** 30):
            assert candidate(n) == 2 * n
    """,
    "def f(n):\n    return 2 * n\n",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("    return any(abs(a - b) < threshold for i, a in enumerate(numbers)"
         " for b in numbers[:i])\n", "pass"),
        ("    s = sorted(numbers)\n    return any(b - a < threshold for a, b in zip(s, s[1:]))\n"
         "\n\nif __name__ == '__main__':\n    raise SystemExit\n", "pass"),
        ("    return True\n", "fail"),
        ("    return None\n", "fail"),
        ("", "fail"),
        ("    return (\n", "error"),
        ("    return undefined\n", "error"),
        ("    raise SystemExit\n", "error"),
        ("    raise AssertionError\n", "error"),
        ("    while True: pass\n", "timeout"),
        ("    import time; time.sleep(60)\n", "timeout"),
        ("    raise MemoryError\n", "memory"),
        ("    import ctypes; ctypes.string_at(0)\n", "crash"),
        ("    import os; os._exit(0)\n", "crash"),
        ("    return 'x' * 50000\n", "flood"),
        ("    return lambda: True\n", "opaque"),
        ("    import os; os.write(3, b'\\x03\\0\\0\\0abc')\n", "garbled"),
        ("    pass\n" + "#" * 300_000, "too_large"),
    ],
)  # fmt: skip
def test_every_reason(checker: CodeChecker, text: str, expected: str) -> None:
    assert checker.check(HUMAN_EVAL, completion(text)).reason == expected


def test_randomness_has_the_same_seed_in_every_sample(checker: CodeChecker) -> None:
    prepared = checker.prepare(DOUBLE)
    program = b"import random\ndef f(n):\n    return random.random()\n"
    worker = checker._all[0]
    answers = {worker.run(prepared, program).outputs for _ in range(3)}
    assert len(answers) == 1
    first = random.Random(0).random()
    assert f"[[0,{first!r}]" in answers.pop().decode()


def test_a_limit_met_on_a_cpu_of_its_own_is_a_timeout_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Met beside others it has to be met twice."""
    checker = CodeChecker(n_workers=1, settles=False)
    prepared = checker.prepare(DOUBLE)
    worker = checker._all[0]
    runs: list[bool] = []
    original = worker.run

    def told(problem: Problem, program: bytes, *, is_code: bool = False) -> Answer:
        answer = original(problem, program, is_code=is_code)
        assert answer.reason == "timeout"
        is_disturbed = next(disturbances)
        runs.append(is_disturbed)
        return replace(answer, is_disturbed=is_disturbed)

    monkeypatch.setattr(worker, "run", told)
    for disturbed, n_runs in (([False], 1), ([True, True], 2), ([True, False], 2)):
        runs.clear()
        disturbances = iter(disturbed)
        assert reason(checker, DOUBLE, "while True: pass") == "timeout"
        assert len(runs) == n_runs
    assert original(prepared, b"import time\ntime.sleep(9)\n").is_disturbed, "asleep, not busy"
    checker.close()


def test_check_is_repeatable(checker: CodeChecker) -> None:
    chance = "import random\ndef f(n):\n    return 2 * n if random.random() < 0.5 else None\n"
    hashes = "def f(n):\n    return 2 * n if hash('a string') % 2 else None\n"
    for text in (chance, hashes):
        assert len({reason(checker, DOUBLE, text) for _ in range(5)}) == 1


def test_values_keep_their_types(checker: CodeChecker) -> None:
    values = problem(
        """
        from collections import Counter, OrderedDict, deque
        from fractions import Fraction
        import math
        def check(candidate):
            for i, kind in enumerate((int, bool, float, str, bytes, tuple, list, set, frozenset,
                                      dict, complex, type(None), range, Counter, OrderedDict, deque,
                                      Fraction)):
                assert type(candidate(i)) is kind, kind
            assert math.isnan(candidate(100)) and math.copysign(1, candidate(101)) == -1
            assert candidate(102) == '\\ud800\\0' and candidate(103) == -10 ** 200
            assert candidate(104) == {(1, (2,)): [{3: {4}}]}
            assert list(candidate(105)) == [0, 1] and sorted(candidate(106)) == [1]
        """,
        """
        from collections import Counter, OrderedDict, deque
        from fractions import Fraction
        VALUES = [1, True, 1.0, 'a', b'a', (1,), [1], {1}, frozenset([1]), {1: 2}, 1j, None,
                  range(3), Counter('aab'), OrderedDict(a=1), deque([1]), Fraction(1, 3)]
        MORE = [float('nan'), -0.0, '\\ud800\\0', -10 ** 200, {(1, (2,)): [{3: {4}}]}]
        def f(i):
            if i < 100:
                return VALUES[i]
            if i < 105:
                return MORE[i - 100]
            return (x for x in range(2)) if i == 105 else {1: 2}.keys()
        """,
    )
    canonical = values.target
    assert isinstance(canonical, CodeTests)
    assert reason(checker, values, canonical.canonical_solution) == "pass"


def test_changed_arguments_come_back(checker: CodeChecker) -> None:
    in_place = problem(
        """
        def check(candidate):
            items = [3, 1, 2]
            table = {'a': [2, 1]}
            inner = table['a']
            assert candidate(items, table=table) is None
            assert items == [1, 2, 3] and inner == [1, 2]
        """,
        "def f(items, table):\n    items.sort()\n    table['a'].sort()\n",
    )
    good = "def f(items, table):\n    items[:] = sorted(items)\n    table['a'].sort()\n"
    assert reason(checker, in_place, good) == "pass"
    assert reason(checker, in_place, "def f(items, table):\n    return None\n") == "fail"
    untouched = problem(
        """
        def check(candidate):
            a = [2, 1]
            assert candidate(a) == [1, 2]
            assert a == [2, 1]
        """,
        "def f(a):\n    return sorted(a)\n",
    )
    assert reason(checker, untouched, "def f(a):\n    a.sort()\n    return a\n") == "fail"
    assert reason(checker, untouched, "def f(a):\n    return sorted(a)\n") == "pass"


def test_exceptions_cross_the_border(checker: CodeChecker) -> None:
    raising = problem(
        """
        def check(candidate):
            for wrong in (-1, 'a'):
                try:
                    candidate(wrong)
                except (ValueError, TypeError) as error:
                    assert str(error) == 'negative' or wrong == 'a'
                else:
                    assert False
            assert candidate(2) == 4
        """,
        """
        def f(n):
            if n < 0:
                raise ValueError('negative')
            return n * n
        """,
    )
    own = "class Own(ValueError): pass\ndef f(n):\n if n < 0: raise Own('negative')\n return n*n"
    assert reason(checker, raising, own) == "pass"
    assert reason(checker, raising, "def f(n):\n    return n * n\n") == "fail"
    assert reason(checker, raising, "def f(n):\n    raise KeyError(n)\n") == "error"


def test_stop_iteration_cannot_end_the_loop_of_a_test(checker: CodeChecker) -> None:
    mapped = problem(
        "def check(candidate):\n    assert all(map(lambda n: candidate(n) == 2 * n, [1, 2]))\n",
        "def f(n):\n    return 2 * n\n",
    )
    assert reason(checker, mapped, "def f(n):\n    raise StopIteration\n") != "pass"


def test_later_inputs_that_follow_earlier_answers_are_asked_live(checker: CodeChecker) -> None:
    adaptive = problem(
        """
        def check(candidate):
            x = candidate(2)
            assert x in (4, 5)
            assert candidate(x) == x * x
        """,
        "def f(n):\n    return n * n\n",
    )
    assert reason(checker, adaptive, "def f(n):\n    return 5 if n == 2 else n * n\n") == "pass"
    assert reason(checker, adaptive, "def f(n):\n    return 5 if n == 2 else 0\n") == "fail"
    assert reason(checker, adaptive, "def f(n):\n    return n + 2 if n == 2 else n * n\n") == "pass"
    for body, expected in (("while 1: pass", "timeout"), ("f(n)", "error"), ("1/0", "error")):
        text = f"def f(n):\n    if n == 2: return 5\n    {body}\n"
        assert reason(checker, adaptive, text) == expected
    gone = "import os\ndef f(n):\n    if n == 2: return 5\n    os._exit(0)\n"
    assert reason(checker, adaptive, gone) == "crash"
    assert reason(checker, adaptive, "def f(n):\n    return n * n\n") == "pass"


def test_tests_with_fresh_randomness_are_live(checker: CodeChecker) -> None:
    fresh = problem(
        """
        import os
        def check(candidate):
            for byte in os.urandom(20):
                assert candidate(byte) == byte + 1
        """,
        "def f(n):\n    return n + 1\n",
    )
    assert checker.prepare(fresh).is_live
    assert reason(checker, fresh, "def f(n):\n    return 1 + n\n") == "pass"
    assert reason(checker, fresh, "def f(n):\n    return n\n") == "fail"
    seeded = problem(
        """
        import random
        def check(candidate):
            for _ in range(20):
                n = random.randrange(10 ** 6)
                assert candidate(n) == n + 1
        """,
        "def f(n):\n    return n + 1\n",
    )
    assert not checker.prepare(seeded).is_live
    assert reason(checker, seeded, "def f(n):\n    return 1 + n\n") == "pass"


def test_helpers_of_the_prompt_are_the_prompts_own(checker: CodeChecker) -> None:
    cyclic = problem(
        """
        def check(candidate):
            assert candidate(encode('abc')) == 'abc'
            assert f(encode('xyz')) == 'xyz'
        """,
        "    return s[-1] + s[:-1]\n",
        prompt="def encode(s):\n    return s[1:] + s[0]\n\n\ndef f(s):\n",
    )
    assert reason(checker, cyclic, "    return s[-1] + s[:-1]\n") == "pass"
    # redefines the helper so that doing nothing would be right
    forged = "    return s\ndef encode(s):\n    return s\n"
    assert reason(checker, cyclic, forged) == "fail"


def test_candidates_see_no_trace_of_the_test(checker: CodeChecker) -> None:
    text = """
        import gc, sys
        def f(n):
            seen = [o for o in gc.get_objects() if isinstance(o, (str, bytes))]
            frame = sys._getframe()
            while frame:
                seen += [v for v in frame.f_locals.values() if isinstance(v, (str, bytes))]
                frame = frame.f_back
            for text in seen:
                if 'candidate(n)' ' == 2' in str(text):
                    return 2 * n
        """
    assert reason(checker, DOUBLE, text) == "fail"


@pytest.mark.parametrize(
    ("test", "solution", "told"),
    [
        ("def check(candidate): assert not candidate(1)\n", "def f(n): return 2", "AssertionError"),
        ("def check(candidate): candidate(lambda: 1)\n", "def f(n): return 2\n", "function"),
        ("def check(candidate):\n    candidate(1)\n", "def f(n): return f\n", "function"),
        ("def check(candidate:\n", "def f(n): return 2\n", "SyntaxError"),
        ("def check(candidate):\n    candidate(1)\n", "def g(n): return 2\n", "KeyError"),
        ("", "def f(n): return 2\n", "check"),
    ],
)  # fmt: skip
def test_problems_that_cannot_be_judged_are_refused(
    checker: CodeChecker, test: str, solution: str, told: str
) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match=told):
            checker.check(problem(test, solution), completion("def f(n): return 2\n"))
    assert reason(checker, DOUBLE, "def f(n): return n + n\n") == "pass"


def test_other_targets_are_refused(checker: CodeChecker) -> None:
    with pytest.raises(UsageError, match="ExactAnswer"):
        checker.check(Instance("t", "i", "", ExactAnswer(("a",))), completion(""))


def test_bad_options_are_refused() -> None:
    with pytest.raises(UsageError, match="n_workers"):
        CodeChecker(n_workers=0)
    with pytest.raises(UsageError, match="memory_bytes"):
        CodeLimits(memory_bytes=1000)
    with pytest.raises(UsageError, match="cpu_time_s"):
        CodeLimits(cpu_time_s=float("nan"))


def test_describe_names_level_and_limits(checker: CodeChecker) -> None:
    told = checker.describe()
    assert told["name"] == "code"
    assert isinstance(told["isolation"], dict)
    assert told["isolation"]["level"] in (1, 2, 3)
    assert isinstance(told["limits"], dict)
    assert told["limits"]["blocked_s"] == 0.3
    assert checker.concurrency == 1


def test_cpu_limit_follows_a_slow_canonical_solution(checker: CodeChecker) -> None:
    slow = problem(
        "def check(candidate):\n    assert candidate(300_000) == 300_000\n",
        "def f(n):\n    return sum(1 for _ in range(n))\n",
    )
    assert checker.prepare(slow).limits.cpu_time_s > 0.1
    assert checker.prepare(DOUBLE).limits.cpu_time_s == 0.1


def test_close_is_idempotent_and_ends_everything() -> None:
    checker = CodeChecker(n_workers=2)
    worker = checker._all[0]
    pids = [worker.zygote().pid, worker.judge().pid]
    checker.close()
    checker.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(CheckerError, match="close"):
        checker.check(DOUBLE, completion(""))


def test_threads_share_a_checker() -> None:
    checker = CodeChecker(n_workers=2)
    wrong: list[object] = []

    def work() -> None:
        for _ in range(20):
            for text, expected in (
                ("def f(n): return n * 2", "pass"),
                ("def f(n): return 1", "fail"),
            ):
                verdict = checker.check(DOUBLE, completion(text))
                if verdict.reason != expected:
                    wrong.append(verdict)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # jails outlive the threads that asked for them
    time.sleep(0.05)
    assert checker.check(DOUBLE, completion("def f(n): return n * 2")).is_pass
    checker.close()
    assert not wrong


def test_settling_changes_no_verdict_and_runs_less() -> None:
    """Programs that do not compile, or are equal but for comments, are not run again."""
    texts = [
        "def f(n): return n * 2",
        "def f(n): return 1",
        "def f(n: return",
        "def f(n): return f",
    ]
    with_notes = [f"# note {i}\n{text}\n\n# {i}\n" for i in range(3) for text in texts]
    settling, running = CodeChecker(n_workers=1), CodeChecker(n_workers=1, settles=False)
    ran: list[bytes] = []
    worker = settling._all[0]
    original = worker.run

    def counted(problem: Problem, program: bytes, *, is_code: bool = False) -> Answer:
        ran.append(program)
        return original(problem, program, is_code=is_code)

    worker.run = counted  # type: ignore[method-assign]
    try:
        for text in with_notes:
            assert reason(settling, DOUBLE, text) == reason(running, DOUBLE, text)
        # once each for what compiles, and every pass once more from its source
        assert len(ran) == 3 + 3
    finally:
        settling.close()
        running.close()


def test_a_compile_worker_that_dies_is_replaced() -> None:
    checker = CodeChecker(n_workers=1)
    assert reason(checker, DOUBLE, "def f(n): return n * 2") == "pass"
    compiler = checker._all[0].compiler.process
    assert compiler is not None
    os.kill(compiler.pid, signal.SIGKILL)
    # a crash of it is no verdict: the child compiles the source itself
    assert reason(checker, DOUBLE, "def f(n): return n + n") == "pass"
    assert reason(checker, DOUBLE, "def f(n): return n + ") == "error"
    checker.close()


def test_a_judge_that_dies_while_it_prepares_is_a_fault_of_those_samples_only() -> None:
    checker = CodeChecker(n_workers=1)
    right = completion("def f(n): return n * 2")
    assert checker.check(DOUBLE, right).is_pass
    os.kill(checker._all[0].judge().pid, signal.SIGKILL)
    triple = problem(
        "def check(candidate):\n    assert candidate(2) == 6\n", "def f(n): return 3 * n"
    )
    first, second, third = checker.check_many([(triple, right), (triple, right), (DOUBLE, right)])
    assert isinstance(first, CheckerError)
    assert second is first, "prepared once per call"
    assert third == Verdict.passed()
    assert reason(checker, triple, "def f(n): return n * 3") == "pass"
    checker.close()


@pytest.mark.parametrize(("n_timeouts", "expected"), [(1, "pass"), (2, "timeout")])
@pytest.mark.parametrize("judges", ["judge_outputs", "judge_live"])
def test_a_judgement_is_a_timeout_only_if_it_is_one_twice(
    monkeypatch: pytest.MonkeyPatch, judges: str, n_timeouts: int, expected: str
) -> None:
    """What a busy host may do to a judge once; the calls after it are real."""
    checker = CodeChecker(n_workers=1, settles=False, confirms_passes=False)
    source = "os.urandom(3)" if judges == "judge_live" else "(1, 2, 3)"
    instance = problem(
        f"import os\ndef check(candidate):\n    assert all(candidate(n) == n for n in {source})\n",
        "def f(n): return n",
    )
    assert checker.prepare(instance).is_live == (judges == "judge_live")
    worker = checker._all[0]
    original = getattr(worker, judges)
    late: list[str | Answer] = ["timeout"] * n_timeouts
    if judges == "judge_live":
        late = [Answer("timeout", b"", 0.0)] * n_timeouts
    monkeypatch.setattr(worker, judges, lambda *args: late.pop() if late else original(*args))
    assert reason(checker, instance, "def f(n): return n") == expected
    assert not late
    checker.close()


def test_a_full_compile_worker_gives_no_verdict_and_is_replaced() -> None:
    checker = CodeChecker(
        n_workers=1, limits=CodeLimits(memory_bytes=1 << 28, source_bytes=1 << 21, cpu_time_s=5.0)
    )
    worker = checker._all[0]
    big = b"def f(n): return n\nx = [" + b"{1:a}," * 200_000 + b"]\n"
    compiled = worker.compiler.compile([b"a = 1", big, b"a = 2"], cpu_time_s=30.0, is_gated=False)
    assert [each is None for each in compiled] == [False, True, False]
    assert worker.compiler.n_compiled == 1, "the last one went to a new worker"
    assert reason(checker, DOUBLE, big.decode()) == "memory"  # of its own, alone
    checker.close()
