"""Write the bundled tasks from the held-out part of the language.

`python benchmarks/family/tasks.py` writes `pico-code`, `pico-answer`, `pico-choice` and
`pico-steps` as JSON lines into `passuntil/demo/tasks`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.family import corpus, programs, questions, tokenizer

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "passuntil" / "demo" / "tasks"
N_INSTANCES: Final = 64
SEED: Final = 20230

# The instances cycle through these cells, so that difficulty varies evenly. How many of the
# constants go by a one-letter name, by a two-letter name, and by a name plus a digit decides
# most of it.
CODE_CELLS: Final = (
    # calls, one-letter names, two-letter names, of these plus a digit
    (3, 0, 2, 0),
    (3, 1, 1, 1),
    (4, 1, 2, 0),
    (4, 1, 1, 1),
    (4, 0, 3, 0),
    (4, 2, 0, 1),
)
ANSWER_CELLS: Final = (
    # about names: kind, one-letter names, two-letter names
    ("say", 0, 2),
    ("back", 1, 2),
    ("rank", 1, 1),
    # about words: operations, letters
    (1, 4),
    ("say", 0, 3),
    ("rank", 0, 2),
    (2, 4),
    (1, 5),
)
STEP_COUNTS: Final = (2, 3, 4)


def _cell(found: Iterable[str]) -> tuple[int, int]:
    lengths = [len(name) for name in found]
    return lengths.count(1), lengths.count(2)


def _is_of_cell(program: programs.Program, cell: tuple[int, int, int, int]) -> bool:
    used = [call.name for call in program.calls if call.name is not None]
    n_sums = sum("+" in name for name in used)
    return (*_cell(name.partition("+")[0] for name in used), n_sums) == cell[1:]


def code_instances() -> Iterator[dict[str, Any]]:
    """Programs in HumanEval's form."""
    rng = Random(f"{SEED}/code")
    seen: set[bytes] = set()
    while True:
        cell = CODE_CELLS[len(seen) % len(CODE_CELLS)]
        program = programs.random_program(rng, cell[0])
        if not _is_of_cell(program, cell):
            continue
        signature = program.signature()
        if not corpus.is_held_out(signature) or signature in seen:
            continue
        if programs.is_degenerate(program):
            continue
        test = programs.test_source(program, Random(f"{SEED}/code/{len(seen)}"))
        seen.add(signature)
        yield {
            "prompt": program.prompt,
            "canonical_solution": program.completion,
            "test": test,
            "entry_point": programs.ENTRY_POINT,
        }


def _distinct(
    draw: Callable[[int, Random], questions.Question], label: str
) -> Iterator[questions.Question]:
    rng = Random(f"{SEED}/{label}")
    seen: set[str] = set()
    while True:
        question = draw(len(seen), rng)
        if corpus.is_held_out(question.key) and question.key not in seen:
            seen.add(question.key)
            yield question


def _name_question(rng: Random, kind: str, cell: tuple[int, int]) -> questions.Question:
    while True:
        question = questions.name_question(rng, kind, sum(cell))
        prompt = question.prompt.removesuffix(questions.ANSWER_MARK)
        if _cell(prompt.split()[2:]) == cell:
            return question


def answer_instances() -> Iterator[dict[str, Any]]:
    """What names stand for, and words changed letter by letter."""

    def draw(index: int, rng: Random) -> questions.Question:
        match ANSWER_CELLS[index % len(ANSWER_CELLS)]:
            case (n_calls, length):
                return questions.word_question(rng, n_calls, length)
            case (kind, n_short, n_long):
                return _name_question(rng, kind, (n_short, n_long))

    for question in _distinct(draw, "answer"):
        yield {"prompt": question.prompt, "answer": question.answer}


def choice_instances() -> Iterator[dict[str, Any]]:
    """One of two to eight numbers."""
    for question in _distinct(lambda index, rng: questions.choice_question(rng), "choice"):
        choices = list(question.choices)
        yield {
            "prompt": question.prompt,
            "choices": choices,
            "answer_index": choices.index(question.answer),
        }


def steps_instances() -> Iterator[dict[str, Any]]:
    """Chains whose steps are questions of their own."""

    def draw(index: int, rng: Random) -> questions.Question:
        return questions.steps_question(rng, STEP_COUNTS[index % len(STEP_COUNTS)])

    for question in _distinct(draw, "steps"):
        steps = [{"prompt": prompt, "answer": answer} for prompt, answer in question.steps]
        yield {"prompt": question.prompt, "answer": question.answer, "steps": steps}


TASKS: Final = {
    "pico-code": code_instances,
    "pico-answer": answer_instances,
    "pico-choice": choice_instances,
    "pico-steps": steps_instances,
}


def instances(task: str, n_instances: int = N_INSTANCES) -> list[dict[str, Any]]:
    """The first instances of a task, in order."""
    drawn = islice(TASKS[task](), n_instances)
    return [{"task_id": f"{task}/{index}", **row} for index, row in enumerate(drawn)]


def main(argv: list[str] | None = None) -> None:
    """Write all tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--instances", type=int, default=N_INSTANCES)
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        rows = instances(task, options.instances)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (options.out / f"{task}.jsonl").write_text(text)
        longest = max(len(tokenizer.encode(row["prompt"])) for row in rows)
        print(f"{task}: {len(rows)} instances, longest prompt {longest} tokens")


if __name__ == "__main__":
    main()
