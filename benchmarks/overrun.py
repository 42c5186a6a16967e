"""Tokens drawn over tokens that count, and the wall time of what people do today.

    python benchmarks/overrun.py --scripted [--json]
    python benchmarks/overrun.py --max-num-seqs 64 [--budget 2000] [--pairs 2] [--bulk 1000]

200 instances with pass rates log-uniform over 1e-4 ... 0.5, first pass, no floor. The rates are
known: a sample passes by a hash of its key, whatever its text. `--scripted` takes a sampler without
a model and the full budget of 1e5, text lengths uniform over 4 ... 32 tokens, and compares engine
steps too, which is the wall time where a step costs the same however full it is. Otherwise the
bundled model generates real text with vLLM, and beside the job stand, in an engine of its own with
the same options, prompts, seeds and verdicts: `chunks` (`LLM.generate` of 100 per open instance,
check, repeat) and `bulk` (`LLM.generate` of `--bulk` of each instance, its time scaled to the
budget). Job and chunks alternate. Printed are wall-time ratios, one a pair.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import math
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from throughput import Arm

import passuntil
from passuntil.checkers.pool import CheckerPool
from passuntil.config import Job
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Decoding, Sampler
from passuntil.records import Completion, ExactAnswer, Instance, SampleKey, Verdict, sample_seeds
from passuntil.runner.drive import Drive
from passuntil.runner.engine import start_vllm
from passuntil.runner.instance import InstanceRun
from passuntil.sampler.scripted import ScriptedSampler
from passuntil.stopping import InstanceState, StopRule

MODEL = "m"
TASK = "t"
CHUNK = 100
JOB = """\
name: overrun
family: [{{name: m, path: "builtin:{model}", n_params: 1}}]
tasks: [{{name: t, path: "builtin:pico-answer", format: answers}}]
sampling: {{max_tokens: {max_tokens}}}
engine: {{dtype: float32, max_num_seqs: {max_num_seqs}, cpu_threads: 1}}
"""


def mix(n_instances: int, seed: int) -> dict[str, float]:
    """Return the pass rates by instance."""
    rng = random.Random(seed)
    ends = math.log(1e-4), math.log(0.5)
    return {f"i{k}": math.exp(rng.uniform(*ends)) for k in range(n_instances)}


def is_pass(name: str, index: int, rate: float, seed: int) -> bool:
    digest = hashlib.blake2b(f"{seed}\0{name}\0{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < rate * 2**64


class Lottery:
    """A checker whose verdict is a function of the key."""

    concurrency = 1
    is_cheap = True

    def __init__(self, rates: Mapping[str, float], seed: int) -> None:
        self._rates = rates
        self._seed = seed

    def prepare(self, instance: Instance) -> None:
        """Do nothing."""

    def check(self, instance: Instance, completion: Completion) -> Verdict:
        """Pass by the hash."""
        key = completion.key
        if is_pass(key.instance, key.index, self._rates[key.instance], self._seed):
            return Verdict.passed()
        return Verdict.failed("mismatch")

    def describe(self) -> dict[str, object]:
        """Name it."""
        return {"name": "lottery", "version": 1}

    def close(self) -> None:
        """Do nothing."""


def drive(
    sampler: Sampler,
    rates: Mapping[str, float],
    *,
    prompts: Iterable[str],
    budget: int,
    seed: int,
    decoding: Decoding,
) -> dict[str, Any]:
    """Run the mix; return tokens, samples and seconds."""
    instances = [
        Instance(TASK, name, prompt, ExactAnswer(("pass",)))
        for name, prompt in zip(rates, prompts, strict=True)
    ]
    rule = StopRule(passes=1, min_samples=1, budget=budget)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(SqliteLedger(Path(folder) / "ledger.sqlite")) as ledger,
        CheckerPool({TASK: Lottery(rates, seed)}) as pool,
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
        "stops": stops,
    }


def prompts_of(job: Job, n: int) -> list[str]:
    texts = [instance.prompt for instance in job.instances(job.tasks[0])]
    return [texts[k % len(texts)] for k in range(n)]


def make_job_arm(job: Job) -> Callable[..., Any]:
    """Return a function that runs the mix as passuntil does."""
    sampler = start_vllm(job, job.family[0])

    def run(rates: dict[str, float], budget: int, seed: int) -> dict[str, Any]:
        return drive(
            sampler,
            rates,
            prompts=prompts_of(job, len(rates)),
            budget=budget,
            seed=seed,
            decoding=job.decoding(job.tasks[0]),
        )

    return run


def make_today_arm(job: Job) -> Callable[..., Any]:
    """Return a function that runs the mix in chunks or in bulk."""
    engine_arguments = import_module("passuntil.sampler.vllm_engine").engine_arguments
    torch, vllm = import_module("torch"), import_module("vllm")
    options = job.engine.model_dump(exclude={"kind"})
    torch.set_num_threads(options.pop("cpu_threads"))
    llm = vllm.LLM.from_engine_args(
        engine_arguments(job.model_location(job.family[0]), engine_seed=0, **options)
    )
    decoding = job.decoding(job.tasks[0])

    def generate(wanted: list[tuple[str, str, int, int]], seed: int) -> int:
        """Draw (name, prompt, first, last) of each with its seeds; return the tokens."""
        texts, parameters = [], []
        for name, prompt, first, last in wanted:
            seeds = sample_seeds(seed, MODEL, TASK, name)
            for index in range(first, last + 1):
                texts.append(prompt)
                parameters.append(
                    vllm.SamplingParams(
                        temperature=decoding.temperature,
                        max_tokens=decoding.max_tokens,
                        seed=seeds(index),
                    )
                )
        outputs = llm.generate(texts, parameters, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    def run(rates: dict[str, float], budget: int, seed: int, bulk: int) -> dict[str, Any]:
        prompts = dict(zip(rates, prompts_of(job, len(rates)), strict=True))
        begin = time.perf_counter()
        if bulk:
            tokens = generate([(name, prompts[name], 1, bulk) for name in rates], seed)
            return {"seconds": time.perf_counter() - begin, "tokens": tokens}
        tokens, first, stops = 0, 1, {}
        while len(stops) < len(rates):
            last = min(first + CHUNK - 1, budget)
            is_open = [name for name in rates if name not in stops]
            tokens += generate([(name, prompts[name], first, last) for name in is_open], seed)
            for name in is_open:
                for index in range(first, last + 1):
                    if is_pass(name, index, rates[name], seed):
                        stops[name] = index
                        break
                else:
                    if last == budget:
                        stops[name] = budget
            first = last + 1
        return {"seconds": time.perf_counter() - begin, "tokens": tokens, "stops": stops}

    return run


def length_of(key: SampleKey) -> tuple[str, int]:
    """Script of the sampler without a model: no text, 4 ... 32 tokens."""
    return "", 4 + key.seed(1) % 29


def chunk_steps(rates: Mapping[str, float], stops: Mapping[str, int], max_num_seqs: int) -> int:
    """Return the engine steps of the chunks: each waits for its longest sample."""
    steps, first = 0, 1
    while is_open := [name for name in rates if stops[name] >= first]:
        busy = [0] * max_num_seqs  # when each place of the batch is free again
        for name in is_open:
            for index in range(first, first + CHUNK):
                _, n_tokens = length_of(SampleKey(MODEL, TASK, name, index))
                heapq.heapreplace(busy, busy[0] + n_tokens)
        steps += max(busy)
        first += CHUNK
    return steps


def scripted(n_instances: int, n_seeds: int) -> list[dict[str, Any]]:
    """Return the overrun with the scripted sampler at the full budget."""
    rows = []
    for max_num_seqs in (64, 256):
        ratios, steps = [], []
        for seed in range(n_seeds):
            rates = mix(n_instances, seed)
            sampler = ScriptedSampler(length_of, capacity=max_num_seqs)
            drawn = drive(
                sampler,
                rates,
                prompts=["p"] * n_instances,
                budget=100_000,
                seed=seed,
                decoding=Decoding(max_tokens=32),
            )
            ratios.append(1 + drawn["overrun_tokens"] / drawn["tokens"])
            steps.append(chunk_steps(rates, drawn["stops"], max_num_seqs) / sampler._clock)
        row = {
            "max_num_seqs": max_num_seqs,
            "budget": 100_000,
            "overrun": sum(ratios) / len(ratios),
            "overrun_low": min(ratios),
            "overrun_high": max(ratios),
            "chunk_steps_over_job_steps": steps,
            "mixes": n_seeds,
        }
        rows.append(row)
        print(
            f"scripted, max_num_seqs {max_num_seqs}, budget 1e5, {n_seeds} mixes: drawn / counted "
            f"{row['overrun']:.4f} ({min(ratios):.4f} ... {max(ratios):.4f}); engine steps of "
            f"chunks / job {min(steps):.2f} ... {max(steps):.2f}",
            file=sys.stderr,
            flush=True,
        )
    return rows


def measure(options: argparse.Namespace, job_file: Path) -> dict[str, Any]:
    """Return overrun and wall-time ratios on vLLM."""
    with (
        closing(Arm(make_job_arm, job_file)) as ours,
        closing(Arm(make_today_arm, job_file)) as today,
    ):
        warm = mix(8, 0)
        ours(warm, 50, 0)
        today(warm, 50, 0, 0)
        if options.no_chunks:
            a = ours(mix(options.instances, 0), options.budget, 0)
            return {
                "overrun": 1 + a["overrun_tokens"] / a["tokens"],
                "samples": sum(a["stops"].values()),
                "job_seconds": a["seconds"],
                "tokens": a["tokens"],
            }
        pairs = []
        for seed in range(options.pairs):
            rates = mix(options.instances, seed)
            a = ours(rates, options.budget, seed)
            b = today(rates, options.budget, seed, 0)
            assert a["stops"] == b["stops"], "one key, one verdict"
            pairs.append((a, b))
            print(
                f"mix {seed}: {sum(a['stops'].values())} samples count, "
                f"{sum(n == options.budget for n in a['stops'].values())} instances at the budget; "
                f"job {a['seconds']:.1f} s, {a['tokens']} tokens counted, "
                f"{a['overrun_tokens']} overrun, "
                f"{(a['tokens'] + a['overrun_tokens']) / a['seconds']:.0f} tokens/s; chunks "
                f"{b['seconds']:.1f} s, {b['tokens']} tokens, {b['tokens'] / b['seconds']:.0f}/s",
                file=sys.stderr,
                flush=True,
            )
        result: dict[str, Any] = {
            "overrun": [1 + a["overrun_tokens"] / a["tokens"] for a, _ in pairs],
            "chunks_over_job_seconds": [b["seconds"] / a["seconds"] for a, b in pairs],
            "chunks_over_counted_tokens": [b["tokens"] / a["tokens"] for a, b in pairs],
            "job_seconds": [a["seconds"] for a, _ in pairs],
        }
        if options.bulk:
            c = today(mix(options.instances, 0), options.budget, 0, options.bulk)
            scaled = c["seconds"] * options.budget / options.bulk
            result["bulk_seconds_at_n"] = c["seconds"]
            result["bulk_n"] = options.bulk
            result["bulk_over_job_seconds"] = scaled / pairs[0][0]["seconds"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scripted", action="store_true")
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5, help="mixes of the scripted sampler")
    parser.add_argument("--model", default="pico-20k")
    parser.add_argument("--max-num-seqs", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=8)
    parser.add_argument("--budget", type=int, default=2_000)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--no-chunks", action="store_true", help="the job of mix 0 alone")
    parser.add_argument("--bulk", type=int, default=0, help="samples of each instance; 0: none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    machine = {
        "python": platform.python_version(),
        "passuntil": passuntil.__version__,
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        **{name: value for name, value in vars(options).items() if name != "json"},
    }
    print(" ".join(f"{key}={value}" for key, value in machine.items()), file=sys.stderr)
    if options.scripted:
        result: Any = scripted(options.instances, options.seeds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            job_file = Path(folder) / "job.yaml"
            job_file.write_text(JOB.format(**vars(options)))
            result = measure(options, job_file)
        for name, value in result.items():
            print(f"{name}: {value}", file=sys.stderr)
    if options.json:
        json.dump({**machine, "result": result}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
