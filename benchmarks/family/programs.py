"""Short Python programs over a list of integers: what they say, what they do, what tests them."""

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from random import Random
from types import CodeType
from typing import Final

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
_WEIGHTS: Final = tuple(1 / (rank + 4) for rank in range(len(OPERATIONS)))
_INNER: Final = tuple(index for index, op in enumerate(OPERATIONS) if not op.is_final)

PROMPT_HEAD: Final = "def f(xs):\n    # "
ENTRY_POINT: Final = "f"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with its constant."""

    operation: Operation
    constant: int | None

    def words(self) -> str:
        """The phrase that a prompt uses."""
        return self.operation.word + ("" if self.constant is None else f" {self.constant}")


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
    high = rng.choice((6, 30, 40))
    return [rng.randint(-high // 2, high) for _ in range(rng.randint(1, 9))]


def _probes() -> tuple[tuple[int, ...], ...]:
    rng = Random("passuntil/pico/probes")
    return ((), *(tuple(random_list(rng)) for _ in range(11)))


PROBES: Final = _probes()


def random_call(rng: Random, *, may_end: bool) -> Call:
    """A call by the frequencies of the language; only the last one may give a number."""
    while True:
        (operation,) = rng.choices(OPERATIONS, _WEIGHTS)
        if may_end or not operation.is_final:
            break
    constant = None if operation.constants is None else rng.randint(*operation.constants)
    return Call(operation, constant)


def random_program(rng: Random, n_calls: int) -> Program:
    """A program of `n_calls` calls."""
    return Program(tuple(random_call(rng, may_end=i == n_calls - 1) for i in range(n_calls)))


def is_degenerate(program: Program) -> bool:
    """Whether a call could be left out, or the result hardly depends on the input."""
    calls = program.calls
    signature = program.signature()
    shorter = (Program(calls[:i] + calls[i + 1 :]) for i in range(len(calls)))
    if any(other.signature() == signature for other in shorter):
        return True
    return len({repr(program.run(list(probe))) for probe in PROBES}) < 6


def mutants(program: Program, rng: Random) -> list[Program]:
    """Programs that are wrong in one place: a call left out, swapped, replaced, or off by one."""
    calls = program.calls
    found = [Program(calls[:i] + calls[i + 1 :]) for i in range(len(calls))]
    for i in range(len(calls) - 1):
        if not calls[i + 1].operation.is_final:
            found.append(Program((*calls[:i], calls[i + 1], calls[i], *calls[i + 2 :])))
    for i, call in enumerate(calls):
        others = [random_call(rng, may_end=i == len(calls) - 1) for _ in range(12)]
        if call.constant is not None:
            others += [Call(call.operation, call.constant + step) for step in (-1, 1)]
        found += [Program((*calls[:i], other, *calls[i + 1 :])) for other in others]
    return found


def discriminating_inputs(program: Program, rng: Random) -> list[list[int]]:
    """Inputs, the empty list first, on which every mutant of another behaviour is caught."""
    pool = [random_list(rng) for _ in range(80)]
    chosen: list[list[int]] = [[], *pool[:3]]
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
