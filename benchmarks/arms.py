"""What the benchmarks of whole jobs share: engines in processes of their own, and the machine."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import passuntil
from passuntil.config import Job, load_job
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Decoding, Sampler
from passuntil.records import Instance
from passuntil.runner.drive import Drive
from passuntil.runner.instance import InstanceRun
from passuntil.runner.shares import Judge
from passuntil.stopping import InstanceState, StopRule

MODEL = "m"
TASK = "t"


def describe_machine(options: argparse.Namespace) -> dict[str, Any]:
    """Return what belongs beside every figure, the options of the benchmark among it."""
    return {
        "python": platform.python_version(),
        "passuntil": passuntil.__version__,
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        **{name: value for name, value in vars(options).items() if name != "json"},
    }


def print_machine(machine: Mapping[str, Any]) -> None:
    print(" ".join(f"{key}={value}" for key, value in machine.items()), file=sys.stderr)


def print_json(machine: Mapping[str, Any], **results: Any) -> None:
    json.dump({**machine, **results}, sys.stdout, indent=1)


@contextmanager
def job_file(text: str, **values: Any) -> Iterator[Path]:
    """Write a job with these values filled in; it is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.yaml"
        path.write_text(text.format(**values))
        yield path


def serve(pipe: Any, make: Callable[[Job], Callable[..., Any]], path: Path) -> None:
    """Answer calls over the pipe with one engine, until None comes."""
    run = make(load_job(str(path)))
    pipe.send("ready")
    while (arguments := pipe.recv()) is not None:
        pipe.send(run(*arguments))


class Arm:
    """An engine in its own process."""

    def __init__(self, make: Callable[[Job], Callable[..., Any]], path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        # not a daemon: the jail starts processes of its own
        self._process = context.Process(target=serve, args=(other, make, path))
        self._process.start()
        other.close()
        assert self._pipe.recv() == "ready"

    def __call__(self, *arguments: Any) -> Any:
        """Run it once."""
        self._pipe.send(arguments)
        return self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()


class Generator:
    """`LLM.generate` with the engine options of a job."""

    def __init__(self, job: Job) -> None:
        # not in the parent; passuntil's module first, which sets vLLM up as it is imported
        engine_arguments = import_module("passuntil.sampler.vllm_engine").engine_arguments
        torch, vllm = import_module("torch"), import_module("vllm")
        options = job.engine.model_dump(exclude={"kind"})
        torch.set_num_threads(options.pop("cpu_threads"))
        location = job.model_location(job.family[0])
        self._llm = vllm.LLM.from_engine_args(
            engine_arguments(location, engine_seed=job.seed, **options)
        )
        self._parameters = vllm.SamplingParams
        self._decoding = job.decoding(job.tasks[0])

    def prepare(self, wanted: Iterable[tuple[str, int | None]]) -> tuple[list[str], list[Any]]:
        """Return what `generate` takes, of prompts and their seeds."""
        texts, parameters = [], []
        for prompt, seed in wanted:
            texts.append(prompt)
            parameters.append(
                self._parameters(
                    temperature=self._decoding.temperature,
                    max_tokens=self._decoding.max_tokens,
                    seed=seed,
                )
            )
        return texts, parameters

    def generate(self, prepared: tuple[list[str], list[Any]]) -> Sequence[Any]:
        """Draw all of them in one call."""
        outputs: Sequence[Any] = self._llm.generate(*prepared, use_tqdm=False)
        return outputs


def n_tokens_of(outputs: Iterable[Any]) -> int:
    return sum(len(output.outputs[0].token_ids) for output in outputs)


def drive(
    sampler: Sampler,
    instances: Iterable[Instance],
    pool: Judge,
    *,
    budget: int,
    seed: int,
    decoding: Decoding,
) -> dict[str, Any]:
    """Sample every instance until its first pass; return seconds, tokens, samples and stops."""
    rule = StopRule(passes=1, min_samples=1, budget=budget)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(SqliteLedger(Path(folder) / "ledger.sqlite")) as ledger,
    ):
        begin = time.perf_counter()
        Drive(
            MODEL,
            [InstanceRun(MODEL, instance, InstanceState(rule)) for instance in instances],
            greedy=(),
            decodings={TASK: decoding},
            sampler=sampler,
            pool=pool,
            ledger=ledger,
            run_seed=seed,
            on_progress=lambda snapshot: None,
        ).run()
        seconds = time.perf_counter() - begin
        blocks = list(ledger.blocks())
    stops: dict[str, int] = {}
    for block in blocks:
        stops[block.instance] = max(stops.get(block.instance, 0), block.stop - 1)
    return {
        "seconds": seconds,
        "tokens": sum(block.n_tokens for block in blocks),
        "overrun_tokens": sum(block.overrun_tokens for block in blocks),
        "samples": sum(len(block.verdicts) + block.overrun_samples for block in blocks),
        "stops": stops,
    }
