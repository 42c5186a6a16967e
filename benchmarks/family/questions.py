"""Questions with exact answers: about words and sums, one-of-several, and chains of steps."""

import string
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.family import names

ANSWER_HEAD, CHOICE_HEAD, STEPS_HEAD, ANSWER_MARK = "Q: ", "C: ", "S: ", "\nA: "


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt with its only right answer; equal `key` means the same question."""

    prompt: str
    answer: str
    key: str
    choices: tuple[str, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()


def _shift(word: str, by: int) -> str:
    letters = string.ascii_lowercase
    return "".join(letters[(letters.index(letter) + by) % 26] for letter in word)


WORD_OPERATIONS: Final[dict[str, Callable[[str], str]]] = {
    "rev": lambda word: word[::-1],
    "sort": lambda word: "".join(sorted(word)),
    "left": lambda word: word[1:] + word[:1],
    "next": lambda word: _shift(word, 1),
    "ends": lambda word: word[-1] + word[1:-1] + word[0],
    "tail": lambda word: word[1:],
    "prev": lambda word: _shift(word, -1),
    "twin": lambda word: word[0] + word,
}


def word_question(rng: Random, n_calls: int, length: int) -> Question:
    """`n_calls` operations applied in order to a word of `length` distinct letters."""
    word = "".join(rng.sample(string.ascii_lowercase, length))
    names = [rng.choice(tuple(WORD_OPERATIONS)) for _ in range(n_calls)]
    answer = word
    for name in names:
        answer = WORD_OPERATIONS[name](answer)
    # The key leaves the operations out: another way to the same answer is the same question.
    prompt = f"{ANSWER_HEAD}{' '.join(names)} {word}{ANSWER_MARK}"
    return Question(prompt, answer, key=f"{word}={answer}")


NAME_KINDS: Final = ("say", "back", "rank", "max", "sum")


def name_question(rng: Random, kind: str, n_names: int) -> Question:
    """The numbers that names stand for: said, backwards, ranked, the largest, or the sum."""
    drawn = names.draw(rng, n_names)
    values = [names.NAMES[name] for name in drawn]
    if kind == "back":
        values = values[::-1]
    elif kind == "rank":
        values = sorted(values)
    elif kind == "max":
        values = [max(values)]
    elif kind == "sum":
        values = [sum(values)]
    prompt = f"{ANSWER_HEAD}{kind} {' '.join(drawn)}{ANSWER_MARK}"
    answer = " ".join(map(str, values))
    return Question(prompt, answer, key=f"{sorted(drawn)}={answer}")


def answer_question(rng: Random) -> Question:
    """A question of the kind `pico-answer` asks."""
    if rng.random() < 0.65:
        return name_question(rng, rng.choice(NAME_KINDS), rng.choice((1, 2, 2, 3, 3)))
    return word_question(rng, rng.choice((1, 1, 2)), rng.choice((3, 4, 5)))


def choice_question(rng: Random) -> Question:
    """A question whose answer is one of the two to eight numbers that it names."""
    items = rng.sample(range(10, 100), rng.randint(2, 8))
    kind = rng.choice(("max", "min", "next", "odd", "near"))
    if kind == "next":
        place = rng.randrange(1, len(items))
        head, answer = f"next {items[place - 1]}", items[place]
    elif kind == "odd":
        place = rng.randrange(len(items))
        items = [item // 2 * 2 for item in items]
        items[place] += 1
        if len(set(items)) < len(items):
            return choice_question(rng)
        head, answer = "odd", items[place]
    elif kind == "near":
        target = rng.randint(10, 99)
        answer = min(items, key=lambda item: (abs(item - target), item))
        head = f"near {target}"
    else:
        head, answer = kind, max(items) if kind == "max" else min(items)
    listed = " ".join(map(str, items))
    # Orders of the same numbers are one question, except where the order is asked about.
    key = f"{head}:{listed if kind == 'next' else sorted(items)}"
    prompt = f"{CHOICE_HEAD}{head} {listed}{ANSWER_MARK}"
    return Question(prompt, str(answer), key, choices=tuple(map(str, items)))


def steps_question(rng: Random, n_steps: int) -> Question:
    """A chain of sums and products modulo 100 whose answer is every intermediate result."""
    value = start = rng.randint(0, 99)
    texts, results, steps = [], [], []
    for _ in range(n_steps):
        sign = rng.choice("+-*")
        operand = rng.randint(2, 5) if sign == "*" else rng.randint(2, 30)
        before = value
        if sign == "*":
            value = value * operand % 100
        else:
            value = (value + (operand if sign == "+" else -operand)) % 100
        texts.append(f"{sign}{operand}")
        results.append(str(value))
        steps.append((f"{STEPS_HEAD}{before} {sign}{operand}{ANSWER_MARK}", str(value)))
    prompt = f"{STEPS_HEAD}{start} {' '.join(texts)}{ANSWER_MARK}"
    key = f"{start}>{'>'.join(results)}"
    return Question(prompt, " ".join(results), key, steps=tuple(steps))
