"""Candidates that share a child: no neighbour changes a verdict, and a breach ends the sharing."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from attack_programs import ANSWERS, ATTACKS, PAIRS, PROBLEM

from passuntil.checkers.code import CodeChecker, CodeLimits
from passuntil.checkers.sandbox.problem import Answer, Compiled, Problem
from passuntil.errors import CheckerError
from passuntil.records import CodeTests, Completion, FinishReason, Instance, SampleKey, Verdict

pytestmark = pytest.mark.jail

_LIMITS = CodeLimits(blocked_s=0.2)
_numbers = itertools.count()

# Honest ones, each with a constant of its own so that none is settled as known.
HONEST = {
    "pass": "TABLE = {answers}\ndef solve(x):\n    unused = {n}\n    return TABLE[x]\n",
    "fail": "def solve(x):\n    return {n}\n",
    "error": "def solve(x):\n    return [][{n}]\n",
}
# Tame, so they run beside neighbours; each would harm them if something were shared.
TAME_ATTACKS = {
    "keeps memory in a cycle": "a = [bytes({n} + 600_000_000)]\na.append(a)\n",
    "keeps memory in a generator": "def g():\n    b = bytes({n} + 700_000_000)\n    yield b\n"
    "h = g()\nnext(h)\ndef solve(x):\n    return h\n",
    "keeps patterns": "import re\nfor i in range(300):\n    re.compile(str(i) * 1000 + '{n}')\n",
    "stalls when cleaned up": "def g():\n    try:\n        yield {n}\n    finally:\n"
    "        while True:\n            pass\nh = g()\nnext(h)\ndef solve(x):\n    return 1\n",
    "stalls when collected": "def g():\n    try:\n        yield {n}\n    finally:\n"
    "        while True:\n            pass\nh = g()\nnext(h)\na = [h]\na.append(a)\n",
    "recurses": "def solve(x):\n    return solve((x, {n}))\n",
    "recurses and swallows": "def r(d):\n    try:\n        return r(d + 1)\n    except Exception:\n"
    "        return d\ndef solve(x):\n    return r({n})\n",
    "hoards": "a = []\nwhile True:\n    a.append([{n}] * 1000)\n",
    "hoards and swallows": "a = []\nwhile True:\n    try:\n        a.append(bytes(10**8 + {n}))\n"
    "    except Exception:\n        break\ndef solve(x):\n    return len(a)\n",
    "floods": "def solve(x):\n    return 'x' * (100_000 + {n})\n",
    "returns all that is": "def solve(x):\n    return (i for i in range(10**7 + {n}))\n",
    "overflows the C stack": "a = []\nfor i in range(10**6 + {n}):\n    a = [a]\n"
    "def solve(x):\n    return a\n",
    "shadows all builtins": "len = sum = range = print = int = str = list = None\n"
    "def solve(x):\n    return {n}\n",
    "changes its inputs": "seen = []\ndef solve(x, *a):\n    seen.append(x)\n"
    "    return len(seen) + {n}\n",
    "prints": "print('VERDICT pass', {n}, flush=True)\ndef solve(x):\n    print(x)\n",
    "exhausts shared iterators": "from itertools import count, cycle\nfor i in count({n}):\n"
    "    if i > {n} + 1000: break\ndef solve(x):\n    return i\n",
    "intern": "def solve(x):\n    return ''.join(['sol', 've{n}']) is 'solve{n}'\n",
    "loops in C": "def solve(x):\n    return sum(range(10**12 + {n}))\n",
    "big power": "def solve(x):\n    return len(str((10 + {n})**(10**7)))\n",
}


def honest(kind: str) -> str:
    return HONEST[kind].format(n=next(_numbers), answers=ANSWERS)


def sample(text: str, instance: Instance = PROBLEM) -> tuple[Instance, Completion]:
    return instance, Completion(SampleKey("m", "t", "i", 1), text, (), FinishReason.END)


def reasons(checker: CodeChecker, texts: Sequence[str]) -> list[str]:
    verdicts = checker.check_many([sample(text) for text in texts])
    assert not [each for each in verdicts if isinstance(each, CheckerError)], verdicts
    return [each.reason for each in verdicts if isinstance(each, Verdict)]


def is_sharing(checker: CodeChecker) -> bool:
    told = checker.describe()["batches"]
    assert isinstance(told, dict)
    return not told["stopped"]


@pytest.fixture(scope="module")
def checker() -> Iterator[CodeChecker]:
    checker = CodeChecker(n_workers=1, limits=_LIMITS)
    yield checker
    checker.close()


@pytest.fixture(scope="module")
def alone() -> Iterator[CodeChecker]:
    checker = CodeChecker(n_workers=1, limits=_LIMITS, batches=False, settles=False)
    yield checker
    checker.close()


@pytest.fixture
def fresh() -> Iterator[CodeChecker]:
    checker = CodeChecker(n_workers=1, limits=_LIMITS)
    yield checker
    checker.close()


@pytest.fixture
def patient() -> Iterator[CodeChecker]:
    """One whose slices no busy machine makes too short, so that none leaves its batch."""
    checker = CodeChecker(n_workers=1, limits=replace(_LIMITS, cpu_time_s=3.0))
    yield checker
    checker.close()


def test_a_batch_gives_the_verdicts_of_single_checks(patient: CodeChecker) -> None:
    rng = random.Random(3)
    kinds = rng.choices(["pass", "fail", "error"], k=100)
    shared: list[int] = []
    worker = patient._all[0]
    original = worker.run_batch

    def counted(problem: Problem, codes: Sequence[bytes]) -> list[Answer | None]:
        answers = original(problem, codes)
        shared.append(sum(answer is not None for answer in answers))
        return answers

    worker.run_batch = counted  # type: ignore[method-assign]
    try:
        assert reasons(patient, [honest(kind) for kind in kinds]) == kinds
    finally:
        worker.run_batch = original  # type: ignore[method-assign]
    assert shared == [100]


def test_no_attack_changes_a_neighbours_verdict(checker: CodeChecker) -> None:
    """Every attack program, honest ones before, between and after."""
    rng = random.Random(5)
    zygote = checker._all[0].zygote()
    attacks = [attack for attack in ATTACKS if len(attack.source) < 1_000_000]
    rng.shuffle(attacks)
    for start in range(0, len(attacks), 12):
        texts, expected = [], []
        for attack in attacks[start : start + 12]:
            kind = rng.choice(["pass", "fail", "error"])
            texts += [honest(kind), attack.source]
            expected += [kind, "pass" if attack.is_correct else None]
        texts.append(honest("pass"))
        expected.append("pass")
        got = reasons(checker, texts)
        for text, one, want in zip(texts, got, expected, strict=True):
            assert (one != "pass") if want is None else (one == want), (text, one)
    for plant, look in PAIRS.values():
        got = reasons(checker, [honest("fail"), plant, look, honest("pass")])
        assert got[0] == "fail"
        assert "pass" not in got[1:3]
        assert got[3] == "pass"
    assert checker._all[0].zygote() is zygote
    assert is_sharing(checker)


@pytest.mark.parametrize("name", TAME_ATTACKS)
def test_tame_attacks_harm_no_neighbour(
    checker: CodeChecker, alone: CodeChecker, name: str
) -> None:
    attacks = [TAME_ATTACKS[name].format(n=next(_numbers)) for _ in range(2)]
    own = reasons(alone, attacks)
    kinds = ["pass", "fail", "error"]
    texts = [honest(kind) for kind in kinds * 3]
    texts[1:1] = attacks[:1]
    texts[5:5] = attacks[1:]
    got = reasons(checker, texts)
    assert [got[1], got[5]] == own
    assert got[:1] + got[2:5] + got[6:] == kinds * 3
    assert is_sharing(checker)


def test_a_recursion_ends_at_the_same_depth_alone_and_in_a_batch(
    fresh: CodeChecker, alone: CodeChecker
) -> None:
    def solution(depth: int) -> str:
        return (
            f"TABLE = {ANSWERS}\ndef down(n):\n    return 0 if n == 0 else down(n - 1)\n"
            f"def solve(x):\n    return TABLE[x] + down({depth})\n"
        )

    depths = list(range(960, 1000))
    expected = reasons(alone, [solution(depth) for depth in depths])
    assert {"pass", "error"} == set(expected)
    assert reasons(fresh, [solution(depth) for depth in depths]) == expected


def without_gate(checker: CodeChecker) -> None:
    """Let everything share a child, as if the gate had a hole."""
    worker = checker._all[0]
    original = worker.compiler.compile

    def open_gate(
        programs: Sequence[bytes], *, cpu_time_s: float, is_gated: bool
    ) -> list[Compiled | None]:
        compiled = original(programs, cpu_time_s=cpu_time_s, is_gated=is_gated)
        return [each and dataclasses.replace(each, is_tame=True) for each in compiled]

    worker.compiler.compile = open_gate  # type: ignore[method-assign]


# Breaks the harness that it shares with those after it: every one of them answers `answers`.
FORGER = """
import sys
def solve(x):
    frame = sys._getframe()
    while "_call" not in frame.f_globals:
        frame = frame.f_back
    frame.f_globals["_call"] = lambda function, call: [0, {answers}[call[0]["t"][0]]]
    return {n}
"""
BREAKER = FORGER.replace('{answers}[call[0]["t"][0]]', "{n}")


def test_through_a_hole_in_the_gate_no_neighbour_is_made_to_pass(fresh: CodeChecker) -> None:
    without_gate(fresh)
    forger = FORGER.format(n=next(_numbers), answers=ANSWERS)
    with pytest.warns(RuntimeWarning, match="'pass' beside neighbours and 'fail' alone"):
        got = reasons(fresh, [forger, *(honest("fail") for _ in range(20))])
    assert "pass" not in got
    assert not is_sharing(fresh)


def until_found(checker: CodeChecker) -> None:
    """Make right neighbours fail; one shared fail in 64 is judged again: 800 are never missed."""
    for _ in range(40):
        breaker = BREAKER.format(n=next(_numbers))
        reasons(checker, [breaker, *(honest("pass") for _ in range(20))])
        if not is_sharing(checker):
            return


def test_neighbours_made_to_fail_are_found_and_end_the_sharing(fresh: CodeChecker) -> None:
    without_gate(fresh)
    ran: list[int] = []
    worker = fresh._all[0]
    original: Callable[..., list[Answer | None]] = worker.run_batch

    def counted(problem: Problem, codes: Sequence[bytes]) -> list[Answer | None]:
        ran.append(len(codes))
        return original(problem, codes)

    worker.run_batch = counted  # type: ignore[method-assign]
    with pytest.warns(RuntimeWarning, match="'fail' beside neighbours and 'pass' alone"):
        until_found(fresh)
    assert not is_sharing(fresh)
    n_batches = len(ran)
    assert reasons(fresh, [honest("pass"), honest("fail")]) == ["pass", "fail"]
    assert len(ran) == n_batches


def test_known_code_from_before_the_breach_is_forgotten(fresh: CodeChecker) -> None:
    without_gate(fresh)
    right = honest("pass")
    breaker = BREAKER.format(n=next(_numbers))
    assert reasons(fresh, [breaker, right, honest("fail")])[1] == "fail"  # made to
    with pytest.warns(RuntimeWarning, match="beside neighbours"):
        until_found(fresh)
    assert reasons(fresh, [right]) == ["pass"]


def test_samples_of_several_instances_do_not_mix(checker: CodeChecker) -> None:
    test = "def check(candidate):\n    assert candidate(3) == {n}\n"
    instances = [
        Instance("t", str(n), "", CodeTests("", test.format(n=n), "f", f"def f(x):\n return {n}\n"))
        for n in range(4)
    ]
    samples, expected = [], []
    for n, answer in itertools.product(range(4), range(4)):
        samples.append(sample(f"def f(x):\n    return {answer}\n", instances[n]))
        expected.append(n == answer)
    order = list(range(16))
    random.Random(1).shuffle(order)
    got = checker.check_many([samples[i] for i in order])
    assert [isinstance(v, Verdict) and v.is_pass for v in got] == [expected[i] for i in order]


def test_equal_outputs_of_other_problems_are_not_confused(checker: CodeChecker) -> None:
    """The judge's word is remembered by outputs and problem: what passes one fails the other."""
    one, two = (
        Instance(
            "t",
            name,
            "",
            CodeTests("", f"def check(c):\n    assert c(0) == {n}\n", "f", f"def f(x): return {n}"),
        )
        for name, n in (("one", 1), ("two", 2))
    )
    texts = ["def f(x): return 1", "def f(x): return 2", "def f(x): return 1 + 0 * x"]
    for _ in range(2):
        got = checker.check_many([sample(text, each) for each in (one, two) for text in texts])
        passed = [isinstance(v, Verdict) and v.is_pass for v in got]
        assert passed == [True, False, True, False, True, False]


def test_code_that_differs_in_what_the_key_leaves_out_is_told_apart(checker: CodeChecker) -> None:
    """Line numbers are not in the key: a program that looks at its own passes by its source."""
    by_line = (
        "{pad}import sys\ndef solve(x):\n"
        "    return {answers}[x] if sys._getframe().f_lineno == 3 else None\n"
    )
    right = by_line.format(pad="", answers=ANSWERS)
    wrong = by_line.format(pad="\n\n", answers=ANSWERS)
    assert reasons(checker, [right]) == ["pass"]
    assert reasons(checker, [wrong]) == ["fail"]  # known as a pass by its code, and judged again


def test_faults_stand_for_their_own_samples(fresh: CodeChecker) -> None:
    worker = fresh._all[0]

    def broken(problem: Problem, codes: Sequence[bytes]) -> list[Answer | None]:
        worker.drop_zygote()
        raise CheckerError("zygote: gone")

    worker.run_batch = broken  # type: ignore[method-assign]
    verdicts = fresh.check_many([sample(honest("pass")) for _ in range(3)])
    assert [type(each) for each in verdicts] == [CheckerError] * 3
    assert fresh.check(*sample(honest("pass"))).is_pass


def test_a_compile_worker_that_dies_in_a_batch_costs_one_program(fresh: CodeChecker) -> None:
    bomb = "x = " + "(" * 90 + "'a' * 10 ** 9" + ")" * 90 + "\n"
    slow = "x = (" + " + ".join(f"[{i}] * {i}" for i in range(9_000)) + ")\n"
    texts = [honest("pass"), bomb, honest("fail"), slow, "def f(:\n", honest("pass")]
    got = reasons(fresh, texts)
    assert [got[0], got[2], got[4], got[5]] == ["pass", "fail", "error", "pass"]
    assert "pass" not in (got[1], got[3])
