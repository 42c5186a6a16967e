"""Write the bundled tasks from the held-out part of the language.

`python benchmarks/family/tasks.py` writes `pico-code`, `pico-answer`, `pico-choice` and
`pico-steps` as JSON lines into `passuntil/demo/tasks`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.family import corpus, programs, questions, tokenizer

FOLDER: Final = ROOT / "passuntil" / "demo" / "tasks"
N_INSTANCES: Final = 64
SEED: Final = 20230

# The instances cycle through these, so that difficulty varies evenly.
CODE_CALLS: Final = (3, 3, 4)
ANSWER_CALLS_AND_LENGTHS: Final = ((1, 5), (2, 4), (2, 5))
STEP_COUNTS: Final = (2, 3, 4)


def code_instances() -> Iterator[dict[str, Any]]:
    """Programs in HumanEval's form."""
    rng = Random(f"{SEED}/code")
    seen: set[bytes] = set()
    while True:
        program = programs.random_program(rng, CODE_CALLS[len(seen) % len(CODE_CALLS)])
        signature = program.signature()
        if not corpus.is_held_out(signature) or signature in seen:
            continue
        if sum(call.name is not None for call in program.calls) < 2:
            continue
        if programs.is_degenerate(program):
            continue
        seen.add(signature)
        yield {
            "prompt": program.prompt,
            "canonical_solution": program.completion,
            "test": programs.test_source(program, rng),
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


def answer_instances() -> Iterator[dict[str, Any]]:
    """Names and, every fourth, words."""

    def draw(index: int, rng: Random) -> questions.Question:
        if index % 4 == 3:
            kind = ANSWER_CALLS_AND_LENGTHS[index // 4 % len(ANSWER_CALLS_AND_LENGTHS)]
            return questions.word_question(rng, *kind)
        kinds = questions.NAME_KINDS
        return questions.name_question(rng, kinds[index % len(kinds)], 2 + index // 5 % 2)

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
