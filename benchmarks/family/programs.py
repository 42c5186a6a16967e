"""Short Python programs over a list of integers: what they say, what they do, what tests them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from itertools import accumulate, combinations
from random import Random
from types import CodeType
from typing import Final

from benchmarks.family import names

Value = list[int] | int


@dataclass(frozen=True, slots=True)
class Operation:
    """A word of the language: its template of code and the constants it takes."""

    word: str
    template: str
    constants: tuple[int, int] | None = None

    @property
    def is_final(self) -> bool:
        """Whether the result is a number, so that nothing can follow."""
        return self.template.startswith(("sum(", "len(", "max(", "min(", "{e}.count("))


LARGE, SMALL, SHORT = (1, 29), (2, 9), (1, 4)
NAMED_SHARE: Final = 0.7  # of the large constants, which are then 10 to 99
SUM_SHARE: Final = 0.15  # or a name plus a digit

# Ordered by frequency: rank r is drawn with weight 1 / (r + 4), a mild Zipf law, so that a
# model meets rare words late and capacity decides how many of them it knows.
OPERATIONS: Final = (
    Operation("add", "[x+{c} for x in {e}]", LARGE),
    Operation("rev", "{e}[::-1]"),
    Operation("over", "[x for x in {e} if x>{c}]", LARGE),
    Operation("sort", "sorted({e})"),
    Operation("mul", "[x*{c} for x in {e}]", SMALL),
    Operation("head", "{e}[:{c}]", SHORT),
    Operation("sum", "sum({e})"),
    Operation("put", "[*{e},{c}]", LARGE),
    Operation("skip", "{e}[{c}:]", SHORT),
    Operation("under", "[x for x in {e} if x<{c}]", LARGE),
    Operation("mod", "[x%{c} for x in {e}]", SMALL),
    Operation("uniq", "sorted(set({e}))"),
    Operation("sub", "[x-{c} for x in {e}]", LARGE),
    Operation("tail", "{e}[-{c}:]", SHORT),
    Operation("len", "len({e})"),
    Operation("neg", "[-x for x in {e}]"),
    Operation("div", "[x//{c} for x in {e}]", SMALL),
    Operation("lead", "[{c},*{e}]", LARGE),
    Operation("by", "[x for x in {e} if x%{c}==0]", SMALL),
    Operation("cut", "{e}[:-{c}]", SHORT),
    Operation("cap", "[min(x,{c}) for x in {e}]", LARGE),
    Operation("abs", "[abs(x) for x in {e}]"),
    Operation("every", "{e}[::{c}]", (2, 4)),
    Operation("not", "[x for x in {e} if x!={c}]", LARGE),
    Operation("low", "[max(x,{c}) for x in {e}]", LARGE),
    Operation("desc", "sorted({e})[::-1]"),
    Operation("from", "[{c}-x for x in {e}]", LARGE),
    Operation("odd", "[x for x in {e} if x%2]"),
    Operation("count", "{e}.count({c})", LARGE),
    Operation("sq", "[x*x for x in {e}]"),
)
_CUMULATIVE: Final = tuple(accumulate(1 / (rank + 4) for rank in range(len(OPERATIONS))))

MAX_EQUAL: Final = 4

PROMPT_HEAD: Final = "def f(xs):\n    # "
ENTRY_POINT: Final = "f"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with its constant."""

    operation: Operation
    constant: int | None
    name: str | None = None

    def words(self) -> str:
        """The phrase that a prompt uses: the constant by its name if it has one."""
        if self.constant is None:
            return self.operation.word
        return f"{self.operation.word} {self.name or self.constant}"


@dataclass(frozen=True, slots=True)
class Program:
    """A pipeline of calls, first applied first."""

    calls: tuple[Call, ...]

    @property
    def prompt(self) -> str:
        """The head of the function with the comment that says what to compute."""
        return PROMPT_HEAD + ", ".join(call.words() for call in self.calls) + "\n"

    @property
    def expression(self) -> str:
        """The canonical Python expression over `xs`."""
        text = "xs"
        for call in self.calls:
            text = call.operation.template.format(e=text, c=call.constant)
        return text

    @property
    def completion(self) -> str:
        """The canonical body of the function."""
        return f"    return {self.expression}"

    def run(self, xs: list[int]) -> Value:
        """The value of the expression for one input."""
        return eval(_compiled(self.expression), {"xs": list(xs)})  # our own text, no input's

    def signature(self) -> bytes:
        """A hash of the outputs on the fixed probes: equal for equal behaviour."""
        code = compile(self.expression, "<program>", "eval")
        outputs = [eval(code, {"xs": list(probe)}) for probe in PROBES]
        return blake2b(repr(outputs).encode(), digest_size=8).digest()


@cache
def _compiled(expression: str) -> CodeType:
    return compile(expression, "<program>", "eval")


def random_list(rng: Random) -> list[int]:
    """An input: up to nine integers, often with repetitions."""
    high = rng.choice((6, 40, 110))
    return [rng.randint(-high // 2, high) for _ in range(rng.randint(1, 9))]


def _probes() -> tuple[tuple[int, ...], ...]:
    rng = Random("passuntil/pico/probes")
    return ((), *(tuple(random_list(rng)) for _ in range(11)))


PROBES: Final = _probes()


def random_call(rng: Random, *, may_end: bool) -> Call:
    """A call by the frequencies of the language; only the last one may give a number."""
    while True:
        (operation,) = rng.choices(OPERATIONS, cum_weights=_CUMULATIVE)
        if may_end or not operation.is_final:
            break
    if operation.constants is LARGE and rng.random() < NAMED_SHARE:
        (name,) = names.draw(rng)
        if rng.random() < SUM_SHARE:
            digit = rng.randint(2, 9)
            return Call(operation, names.NAMES[name] + digit, f"{name}+{digit}")
        return Call(operation, names.NAMES[name], name)
    constant = None if operation.constants is None else rng.randint(*operation.constants)
    return Call(operation, constant)


def random_program(rng: Random, n_calls: int) -> Program:
    """A program of `n_calls` calls."""
    return Program(tuple(random_call(rng, may_end=i == n_calls - 1) for i in range(n_calls)))


def is_degenerate(program: Program) -> bool:
    """Whether some calls could be left out, or the result hardly depends on the input."""
    signature = program.signature()
    kept = (c for n in range(len(program.calls)) for c in combinations(program.calls, n))
    shorter = (Program(c) for c in kept if not any(call.operation.is_final for call in c[:-1]))
    if any(other.signature() == signature for other in shorter):
        return True
    if any(other.signature() == signature for other in _compensated(program)):
        return True
    if any(_n_equal_constants(program, i) > MAX_EQUAL for i in range(len(program.calls))):
        return True
    return len({repr(program.run(list(probe))) for probe in PROBES}) < 6


def _compensated(program: Program) -> Iterator[Program]:
    """Programs with two constants moved by one: two additions, say, whose errors may cancel."""
    calls = program.calls
    numbered = [i for i, call in enumerate(calls) if call.operation.constants is LARGE]
    for i, j in combinations(numbered, 2):
        for by in (-1, 1):
            changed = list(calls)
            changed[i] = Call(calls[i].operation, calls[i].constant + 1)
            changed[j] = Call(calls[j].operation, calls[j].constant + by)
            yield Program(tuple(changed))


def _n_equal_constants(program: Program, place: int) -> int:
    """How many other values of a large constant leave the behaviour as it is, before a `mod` say.

    A bound has a few, since no probe lies between it and its neighbours.
    """
    call = program.calls[place]
    if call.operation.constants is not LARGE:
        return 0
    others = (Call(call.operation, c) for c in range(*names.VALUES) if c != call.constant)
    before, after = program.calls[:place], program.calls[place + 1 :]
    signature = program.signature()
    return sum(Program((*before, other, *after)).signature() == signature for other in others)


def mutants(program: Program, rng: Random) -> list[Program]:
    """Programs that are wrong in one place: a call left out, swapped, replaced, or off by one."""
    calls = program.calls
    found = [Program(calls[:i] + calls[i + 1 :]) for i in range(len(calls))]
    for i in range(len(calls) - 1):
        if not calls[i + 1].operation.is_final:
            found.append(Program((*calls[:i], calls[i + 1], calls[i], *calls[i + 2 :])))
    for i, call in enumerate(calls):
        others = [random_call(rng, may_end=i == len(calls) - 1) for _ in range(12)]
        if call.operation.constants is not None:
            low, high = call.operation.constants
            near = [call.constant + step for step in (-1, 1)]
            far = [rng.randint(low, max(high, 99 if high > 9 else high)) for _ in range(8)]
            others += [Call(call.operation, other) for other in near + far if other >= low]
        found += [Program((*calls[:i], other, *calls[i + 1 :])) for other in others]
    return found


def discriminating_inputs(program: Program, rng: Random) -> list[list[int]]:
    """Inputs, the empty list first, on which every mutant of another behaviour is caught."""
    pool = [random_list(rng) for _ in range(120)]
    # Runs of neighbours hold every value of a range: a bound that is off by one shows in them.
    runs = [list(range(low, low + 12)) for low in range(-150, 250, 10)]
    for run in runs:
        rng.shuffle(run)
    chosen: list[list[int]] = [[], *pool[:3]]
    pool += runs
    for mutant in mutants(program, rng):
        if any(_differs(program, mutant, xs) for xs in chosen):
            continue
        chosen += [xs for xs in pool if _differs(program, mutant, xs)][:1]
    return chosen


def _differs(program: Program, other: Program, xs: list[int]) -> bool:
    try:
        return other.run(xs) != program.run(xs)
    except (ArithmeticError, ValueError, TypeError):
        return True


def test_source(program: Program, rng: Random) -> str:
    """The `check(candidate)` function in HumanEval's form."""
    lines = ["def check(candidate):"]
    for xs in discriminating_inputs(program, rng):
        lines.append(f"    assert candidate({xs!r}) == {program.run(xs)!r}")
    return "\n".join(lines) + "\n"
