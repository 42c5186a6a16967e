"""Train the pico family from scratch: `python benchmarks/family/train.py`.

Deterministic for one machine and build of torch, and resumable: the same command goes on from
the last checkpoint and ends with the same bits. Every model sees the same tokens in the same
order.
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from benchmarks.family import model as llama
from benchmarks.family.model import Shape
from benchmarks.family.packing import ROW_LENGTH, Rows, packed_stream


@dataclass(frozen=True, slots=True)
class Size:
    """A member of the family: its shape and what of the recipe is its own.

    `base_rate` is the learning rate that a width of 32 would take.
    """

    shape: Shape
    base_rate: float = 1e-2
    seed: int = 0


# Shapes by search: ratios of about 1.93 in parameters, at least three layers from 39k on (with
# two, 75k parameters learn less than 39k with three).
FAMILY: Final = {
    "pico-20k": Size(Shape(hidden=32, n_layers=2, mlp=40)),
    "pico-39k": Size(Shape(hidden=32, n_layers=3, mlp=80)),
    "pico-75k": Size(Shape(hidden=64, n_layers=3, mlp=32)),
    "pico-145k": Size(Shape(hidden=64, n_layers=4, mlp=92), seed=1),
    "pico-280k": Size(Shape(hidden=96, n_layers=4, mlp=104), seed=1),
    "pico-540k": Size(Shape(hidden=128, n_layers=4, mlp=170)),
    "pico-1m": Size(Shape(hidden=160, n_layers=5, mlp=212)),
    "pico-2m": Size(Shape(hidden=192, n_layers=6, mlp=314), base_rate=6e-3),
}
# A stream of its own for the held-out loss; training seeds are far from it.
LOSS_STREAM: Final = 1_000_003
LOSS_TOKENS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """What, with the shape and the stream, determines the trained weights."""

    n_tokens: int = 5_000_000
    rows_per_step: int = 24
    peak_rate: float = 1e-2  # at width 32
    rate_exponent: float = 0.75
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    # Prompts are mostly drawn at random: their irreducible loss would drown the rest.
    prompt_weight: float = 0.1
    seed: int = 0
    data_seed: int = 0

    def rate(self, step: int, n_steps: int, hidden: int) -> float:
        """Learning rate: linear warm-up, then linear to zero; the peak falls with the width."""
        peak = self.peak_rate * (32 / hidden) ** self.rate_exponent
        warmup = max(1, round(self.warmup_share * n_steps))
        return peak * min((step + 1) / warmup, (n_steps - step) / (n_steps - warmup + 1))


DEFAULT: Final = Recipe()


@dataclass
class Run:
    """One model in training: the state that a checkpoint holds."""

    shape: Shape
    recipe: Recipe
    device: torch.device

    def __post_init__(self) -> None:
        self.model = llama.Llama(self.shape, self.recipe.seed).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            betas=(0.9, 0.98),
            weight_decay=self.recipe.weight_decay,
            fused=True,
        )
        self.step = 0
        self.seconds = 0.0
        self.curve: list[tuple[int, float]] = []

    def save(self, path: Path) -> None:
        """Write a checkpoint so that a reader sees the old one or the new one, never half."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
            "identity": self.identity(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint of the same shape and recipe."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["identity"] != self.identity():
            raise ValueError(
                f"{path} belongs to another shape or recipe ({state['identity']}); "
                "choose another --out or delete it"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.curve = [tuple(point) for point in state["curve"]]

    def identity(self) -> str:
        """Shape and recipe as text."""
        return json.dumps([asdict(self.shape), asdict(self.recipe)])

    def advance(self, rows: Rows, n_steps: int) -> float:
        """One optimiser step; returns the loss in nats per token of the completions."""
        size = self.recipe.rows_per_step
        batch = rows[self.step * size : (self.step + 1) * size]
        self.model.train()
        losses, is_completion = token_losses(self.model, batch, self.device)
        weights = torch.where(is_completion, 1.0, self.recipe.prompt_weight)
        ((losses * weights).sum() / weights.sum()).backward()
        loss = losses.detach()[is_completion].mean()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step, n_steps, self.shape.hidden)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return float(loss)


def token_losses(model: llama.Llama, rows: Rows, device: torch.device) -> tuple[Tensor, Tensor]:
    """Loss of every predicted token, and whether it belongs to a completion; both 1-D."""
    ids = torch.tensor(rows.ids, dtype=torch.long, device=device)
    segments = torch.tensor(rows.segments, device=device)
    targets = torch.tensor(rows.targets(), device=device).flatten()
    is_completion = torch.tensor(rows.is_target_of_completion(), device=device).flatten()
    is_target = targets >= 0
    logits = model(ids, segments).flatten(0, 1)
    losses = functional.cross_entropy(logits, targets, ignore_index=-100, reduction="none")
    return losses[is_target], is_completion[is_target]


@torch.no_grad()
def held_out_loss(model: llama.Llama, rows: Rows, device: torch.device) -> float:
    """Mean loss in nats per token of the completions of rows outside the training stream."""
    model.eval()
    found = []
    for first in range(0, len(rows.ids), 64):
        losses, is_completion = token_losses(model, rows[first : first + 64], device)
        found.append(losses[is_completion])
    return float(torch.cat(found).double().mean())


def stream_rows(recipe: Recipe, folder: Path) -> Rows:
    """The packed training stream, made once and kept in `folder`."""
    path = folder / f"stream-{recipe.data_seed}-{recipe.n_tokens}.npz"
    if not path.exists():
        rows = packed_stream(recipe.data_seed, recipe.n_tokens)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **{field.name: getattr(rows, field.name) for field in fields(rows)})
        os.replace(partial, path)
    with np.load(path) as stored:
        return Rows(**{name: stored[name] for name in stored.files})


def train(
    run: Run, rows: Rows, folder: Path, *, progress: Progress, label: str, every_s: float
) -> None:
    """Train to the end of the rows, writing a checkpoint every `every_s` seconds."""
    n_steps = len(rows.ids) // run.recipe.rows_per_step
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        run.restore(checkpoint)
    bar = progress.add_task(label, total=n_steps, completed=run.step, loss=math.nan)
    start, saved, before = time.monotonic(), time.monotonic(), run.seconds
    recent: list[float] = []
    while run.step < n_steps:
        recent.append(run.advance(rows, n_steps))
        run.seconds = before + time.monotonic() - start
        if run.step % 20 == 0 or run.step == n_steps:
            run.curve.append((run.step, sum(recent) / len(recent)))
            recent.clear()
            progress.update(bar, completed=run.step, loss=run.curve[-1][1])
            if time.monotonic() - saved > every_s or run.step == n_steps:
                run.save(checkpoint)
                saved = time.monotonic()


def record(name: str, run: Run, rows: Rows, loss: float, command: str) -> dict[str, Any]:
    """One model's entry of `family.json`."""
    n_tokens = rows[: run.step * run.recipe.rows_per_step].n_tokens
    return {
        "name": name,
        "n_params": run.shape.n_params,
        "n_params_non_embedding": run.shape.n_params_non_embedding,
        "n_tokens": n_tokens,
        "compute": 6 * run.shape.n_params * n_tokens,
        "loss": round(loss, 5),
        "seed": run.recipe.seed,
        "shape": asdict(run.shape),
        "recipe": asdict(run.recipe),
        "training_seconds": round(run.seconds, 1),
        "machine": f"{platform.machine()}, torch {torch.__version__}, {run.device.type}, "
        f"{torch.get_num_threads()} thread(s)",
        "command": command,
    }


def table(entries: list[dict[str, Any]]) -> str:
    """The family as a Markdown table."""
    lines = [
        "| model | n | n non-embedding | tokens | compute, 6nD | loss, nats/completion token |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for entry in entries:
        lines.append(
            f"| {entry['name']} | {entry['n_params']:,} | {entry['n_params_non_embedding']:,} "
            f"| {entry['n_tokens']:,} | {entry['compute']:.2e} | {entry['loss']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def plot(folder: Path, names: list[str]) -> None:
    """Loss curves of all models, as a picture."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in names:
        curve = json.loads((folder / name / "curve.json").read_text())
        axes.plot(curve["n_tokens"], curve["loss"], label=name, linewidth=1)
    axes.set(
        xlabel="training tokens", ylabel="training loss, nats per completion token", yscale="log"
    )
    axes.legend(fontsize=8)
    figure.savefig(folder / "loss.png", dpi=120)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/family"), help="working folder")
    parser.add_argument("--bundle", type=Path, help="also write the package data here")
    parser.add_argument("--names", nargs="+", choices=FAMILY, default=list(FAMILY))
    parser.add_argument("--tokens", type=int, default=DEFAULT.n_tokens, help="tokens per model")
    parser.add_argument("--base-rate", type=float, help="learning rate at width 32, for all sizes")
    parser.add_argument("--rows-per-step", type=int, default=DEFAULT.rows_per_step)
    parser.add_argument("--seed", type=int, help="seed of the initial weights, for all sizes")
    parser.add_argument("--data-seed", type=int, default=0, help="seed of the training stream")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--checkpoint-every-s", type=float, default=60.0)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Train the chosen models, smallest first, and write what they are."""
    options = arguments(argv)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    recipe = Recipe(
        n_tokens=options.tokens,
        rows_per_step=options.rows_per_step,
        data_seed=options.data_seed,
    )
    command = "python benchmarks/family/train.py " + " ".join(
        sys.argv[1:] if argv is None else argv
    )
    options.out.mkdir(parents=True, exist_ok=True)
    rows = stream_rows(recipe, options.out)
    unseen = packed_stream(LOSS_STREAM, LOSS_TOKENS)
    device = torch.device(options.device)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    entries = []
    with Progress(*columns, refresh_per_second=1) as progress:
        for name in options.names:
            folder = options.out / name
            folder.mkdir(exist_ok=True)
            size = FAMILY[name]
            own = replace(
                recipe,
                peak_rate=size.base_rate if options.base_rate is None else options.base_rate,
                seed=size.seed if options.seed is None else options.seed,
            )
            run = Run(size.shape, own, device)
            every_s = options.checkpoint_every_s
            train(run, rows, folder, progress=progress, label=name, every_s=every_s)
            llama.export(run.model, folder)
            loss = held_out_loss(llama.load(folder).to(device), unseen, device)
            entry = record(name, run, rows, loss, command.strip())
            entries.append(entry)
            (folder / "record.json").write_text(json.dumps(entry, indent=2) + "\n")
            tokens = [step * recipe.rows_per_step * ROW_LENGTH for step, _ in run.curve]
            curve = {"n_tokens": tokens, "loss": [round(value, 5) for _, value in run.curve]}
            (folder / "curve.json").write_text(json.dumps(curve) + "\n")
    (options.out / "family.md").write_text(table(entries))
    (options.out / "family.json").write_text(json.dumps({"models": entries}, indent=2) + "\n")
    plot(options.out, options.names)
    if options.bundle is not None:
        bundle(options.out, options.bundle, entries)
    print(table(entries))


def bundle(source: Path, target: Path, entries: list[dict[str, Any]]) -> None:
    """Copy the exported models and `family.json` into the package's data folder."""
    files = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    for entry in entries:
        folder = target / entry["name"]
        folder.mkdir(parents=True, exist_ok=True)
        for name in files:
            (folder / name).write_bytes((source / entry["name"] / name).read_bytes())
    (target / "family.json").write_text(json.dumps({"models": entries}, indent=2) + "\n")


if __name__ == "__main__":
    main()
