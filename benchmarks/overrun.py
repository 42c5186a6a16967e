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
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from arms import (
    MODEL,
    TASK,
    Arm,
    Generator,
    describe_machine,
    drive,
    job_file,
    n_tokens_of,
    print_json,
    print_machine,
)

from passuntil.checkers.pool import CheckerPool
from passuntil.config import Job
from passuntil.ports import Decoding, Sampler
from passuntil.records import Completion, ExactAnswer, Instance, SampleKey, Verdict, sample_seeds
from passuntil.runner.engine import start_vllm
from passuntil.sampler.scripted import ScriptedSampler

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


def drive_mix(
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
    with CheckerPool({TASK: Lottery(rates, seed)}) as pool:
        return drive(sampler, instances, pool, budget=budget, seed=seed, decoding=decoding)


def prompts_of(job: Job, n: int) -> list[str]:
    texts = [instance.prompt for instance in job.instances(job.tasks[0])]
    return [texts[k % len(texts)] for k in range(n)]


def make_job_arm(job: Job) -> Callable[..., Any]:
    """Return a function that runs the mix as passuntil does."""
    sampler = start_vllm(job, job.family[0])

    def run(rates: dict[str, float], budget: int, seed: int) -> dict[str, Any]:
        return drive_mix(
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
    engine = Generator(job)

    def generate(wanted: list[tuple[str, str, int, int]], seed: int) -> int:
        """Draw (name, prompt, first, last) of each with its seeds; return the tokens."""
        prepared = engine.prepare(
            (prompt, seeds(index))
            for name, prompt, first, last in wanted
            for seeds in [sample_seeds(seed, MODEL, TASK, name)]
            for index in range(first, last + 1)
        )
        return n_tokens_of(engine.generate(prepared))

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
            drawn = drive_mix(
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


def measure(options: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Return overrun and wall-time ratios on vLLM."""
    with (
        closing(Arm(make_job_arm, path)) as ours,
        closing(Arm(make_today_arm, path)) as today,
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
    machine = describe_machine(options)
    print_machine(machine)
    if options.scripted:
        result: Any = scripted(options.instances, options.seeds)
    else:
        with job_file(JOB, **vars(options)) as path:
            result = measure(options, path)
        for name, value in result.items():
            print(f"{name}: {value}", file=sys.stderr)
    if options.json:
        print_json(machine, result=result)


if __name__ == "__main__":
    main()
