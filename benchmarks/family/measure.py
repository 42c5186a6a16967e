"""Pass rates of the family without any engine: `python benchmarks/family/measure.py`.

Exact-answer tasks: the exact probability of the right completion, summed over its spellings.
Code: the exact probability of the canonical solution (a lower bound) and sampled pass rates.
Greedy scores beside both. Writes JSON and prints a table.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from statistics import fmean
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from benchmarks.family import judging, sampling
from benchmarks.family import model as llama

ROOT: Final = Path(__file__).resolve().parents[2]
TASKS: Final = ("pico-code", "pico-answer", "pico-choice", "pico-steps")


def read_task(folder: Path, task: str) -> list[dict[str, Any]]:
    """The rows of a bundled task."""
    return [json.loads(line) for line in (folder / f"{task}.jsonl").read_text().splitlines()]


def exact_rates(model: llama.Llama, rows: list[dict[str, Any]]) -> list[float]:
    """P(completion equals the answer, then EOS) for each row."""
    pairs = [(row["prompt"], row["answer"]) for row in rows]
    return [math.exp(value) for value in sampling.log_probabilities(model, pairs)]


def canonical_rates(model: llama.Llama, rows: list[dict[str, Any]]) -> list[float]:
    """P(the canonical solution in its canonical tokens): a lower bound of the pass rate."""
    pairs = [(row["prompt"], row["canonical_solution"]) for row in rows]
    logs = sampling.log_probabilities(model, pairs, is_canonical_only=True)
    return [math.exp(value) for value in logs]


def code_scores(
    model: llama.Llama, rows: list[dict[str, Any]], n_samples: int, seed: int
) -> dict[str, Any]:
    """Sampled passes, canonical probabilities and greedy passes on the code task."""
    generator = torch.Generator().manual_seed(seed)
    passes, is_greedy = [], []
    for row in rows:
        counts = sampling.sample(model, row["prompt"], n_samples, generator=generator)
        greedy = sampling.greedy(model, row["prompt"])
        texts = [*counts, greedy]
        verdicts = judging.passing(row, texts)
        pairs = zip(counts.values(), verdicts[:-1], strict=True)
        passes.append(sum(count for count, is_pass in pairs if is_pass))
        is_greedy.append(verdicts[-1])
    return {
        "pass_rate": fmean(passes) / n_samples,
        "passes": passes,
        "n_samples": n_samples,
        "canonical": canonical_rates(model, rows),
        "greedy": sum(is_greedy),
        "n_instances": len(rows),
    }


def answer_scores(model: llama.Llama, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Exact pass rates and greedy passes."""
    rates = exact_rates(model, rows)
    greedy = sum(sampling.greedy(model, row["prompt"]) == row["answer"] for row in rows)
    return {
        "pass_rate": fmean(rates),
        "rates": rates,
        "greedy": greedy,
        "n_instances": len(rows),
    }


def choice_scores(model: llama.Llama, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy of the likeliest choice, beside that of a guess."""
    n_right = 0
    for row in rows:
        pairs = [(row["prompt"], choice) for choice in row["choices"]]
        scores = sampling.log_probabilities(model, pairs)
        n_right += scores.index(max(scores)) == row["answer_index"]
    guess = fmean(1 / len(row["choices"]) for row in rows)
    return {"accuracy": n_right / len(rows), "guess": guess, "n_instances": len(rows)}


def steps_scores(model: llama.Llama, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Exact rates of whole chains, and of their steps asked one by one."""
    scores = answer_scores(model, rows)
    products = [math.prod(exact_rates(model, row["steps"])) for row in rows]
    return {**scores, "product_of_steps": fmean(products), "products": products}


def measure(
    model: llama.Llama, tasks: Path, n_samples: int, seed: int, chosen: list[str]
) -> dict[str, Any]:
    """All scores of one model."""
    scores: dict[str, Any] = {}
    for task in chosen:
        rows = read_task(tasks, task)
        if task == "pico-code":
            scores[task] = code_scores(model, rows, n_samples, seed)
        elif task == "pico-choice":
            scores[task] = choice_scores(model, rows)
        elif task == "pico-steps":
            scores[task] = steps_scores(model, rows)
        else:
            scores[task] = answer_scores(model, rows)
    return scores


def cells(scores: dict[str, Any]) -> list[str]:
    """A model's row of the table."""
    row = []
    if code := scores.get("pico-code"):
        n_zero = sum(count == 0 for count in code["passes"])
        row += [
            f"{code['pass_rate']:.2e}",
            f"{fmean(code['canonical']):.2e}",
            f"{n_zero}",
            f"{code['greedy']}/{code['n_instances']}",
        ]
    if answer := scores.get("pico-answer"):
        row += [f"{answer['pass_rate']:.2e}", f"{answer['greedy']}/{answer['n_instances']}"]
    if choice := scores.get("pico-choice"):
        row += [f"{choice['accuracy']:.2f}"]
    if steps := scores.get("pico-steps"):
        row += [f"{steps['pass_rate']:.2e}", f"{steps['product_of_steps']:.2e}"]
    return row


HEADS: Final = {
    "pico-code": ["code: PU", "canonical", "instances without a pass", "greedy"],
    "pico-answer": ["answer: PU", "greedy"],
    "pico-choice": ["choice: accuracy"],
    "pico-steps": ["steps: PU", "product of steps"],
}


def main(argv: list[str] | None = None) -> None:
    """Measure every model of a family folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    demo = ROOT / "passuntil" / "demo"
    parser.add_argument("--family", type=Path, default=demo / "family")
    parser.add_argument("--tasks-folder", type=Path, default=demo / "tasks")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--names", nargs="+", help="only these models")
    parser.add_argument("--samples", type=int, default=2000, help="per code instance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the scores as JSON")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    models = json.loads((options.family / "family.json").read_text())["models"]
    if options.names:
        models = [entry for entry in models if entry["name"] in options.names]
    heads = ["model", *(head for task in options.tasks for head in HEADS[task])]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    result = {}
    for entry in models:
        model = llama.load(options.family / entry["name"])
        scores = measure(model, options.tasks_folder, options.samples, options.seed, options.tasks)
        result[entry["name"]] = scores
        print("| " + " | ".join([entry["name"], *cells(scores)]) + " |", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
