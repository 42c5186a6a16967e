"""Target mode beside uniform sampling, replayed on public outcomes: samples to the same interval.

    python benchmarks/target_mode.py OUTCOMES.npz [--orders 20] [--json]
    python benchmarks/target_mode.py --coverage 400
    python benchmarks/target_mode.py --mixes 4

OUTCOMES.npz holds pass/fail outcomes of the Pythia models on 128 MATH problems, 10,000 samples each
(released with "Large Language Monkeys", Brown et al. 2024, arXiv 2407.21787: Hugging Face
ScalingIntelligence/monkey_business): an int8 array of shape (128, 10000) per model. Each order is
another random permutation of each problem's outcomes. Uniform sampling draws n of every problem,
the smallest n whose interval (`dataset_pass_rate` on fixed-n tallies) is as narrow as asked.

`--coverage` needs no file: it draws rates of 40 instances anew each time (log odds normal with mean
-4 and sd 2), steers, and counts how often the 95 % interval holds their mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from passuntil.estimator import TallyArray, dataset_pass_rate
from passuntil.steering import Goal, Steering, dataset
from passuntil.stopping import InstanceState, StopRule

Outcomes = np.ndarray[Any, np.dtype[np.uint8]]
Rates = np.ndarray[Any, np.dtype[np.float64]]


def steer(outcomes: Outcomes, goal: Goal, *, min_samples: int) -> TallyArray:
    """Replay target mode; return the tallies it ends with."""
    rule = StopRule.steered(min_samples=min_samples, budget=outcomes.shape[1])
    states = [InstanceState(rule) for _ in outcomes]
    steered = Steering(goal, states)
    while not steered.is_finished:
        for state, row in zip(states, outcomes, strict=True):
            if state.limit > state.n_committed and not state.is_closed:
                state.observe_prefix(row[state.n_committed : state.limit].tobytes())
        steered.advance()
    return TallyArray.from_tallies([state.tally() for state in states])


def relative_width(tallies: TallyArray) -> tuple[float, float, float, float]:
    """Width of the 95 % interval over the estimate, the estimate, and the interval."""
    rate = dataset_pass_rate(tallies)
    interval = rate.confidence_interval()
    return (interval.high - interval.low) / rate.value, rate.value, interval.low, interval.high


def uniform_samples(outcomes: Outcomes, width: float) -> int | None:
    """Samples of all problems together at the smallest n whose interval is narrow enough."""
    total = outcomes.cumsum(1, dtype=np.int64)
    low, high = 1, outcomes.shape[1] + 1
    while low < high:
        n = (low + high) // 2
        passes = total[:, n - 1]
        is_narrow = passes.any() and (
            relative_width(TallyArray.fixed(passes=passes, trials=n))[0] <= width
        )
        low, high = (low, n) if is_narrow else (n + 1, high)
    return low * len(outcomes) if low <= outcomes.shape[1] else None


def replay(
    path: Path,
    widths: list[float],
    n_orders: int,
    *,
    models: list[str] | None,
    min_samples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return one row per model and width."""
    rows = []
    with np.load(path) as data:
        for name in [key for key in data if key != "problem_idx"]:
            stored = data[name].astype(np.uint8)
            truth = float(stored.mean())
            spread = stored.mean(1) * (1 - stored.mean(1))
            for width in widths if models is None or name in models else ():
                steered, uniform, reached, held = [], [], [], 0
                for order in range(n_orders):
                    rng = np.random.default_rng([seed, order])
                    outcomes = rng.permuted(stored, axis=1)
                    needed = uniform_samples(outcomes, width)
                    if needed is None:
                        break
                    tallies = steer(outcomes, Goal(width), min_samples=min_samples)
                    got, _, low, high = relative_width(tallies)
                    reached.append(got)
                    steered.append(int(tallies.trials.sum()))
                    uniform.append(needed)
                    held += low <= truth <= high
                if len(steered) < n_orders:
                    continue  # 10,000 samples of each problem are too few for this width
                ratio = np.array(steered) / np.array(uniform)
                rows.append(
                    {
                        "model": name,
                        "pu": truth,
                        "width": width,
                        "width_reached_max": max(reached),
                        "uniform": float(np.mean(uniform)),
                        "uniform_sd": float(np.std(uniform, ddof=1)),
                        "steered": float(np.mean(steered)),
                        "steered_sd": float(np.std(steered, ddof=1)),
                        "ratio": float(ratio.mean()),
                        "ratio_sd": float(ratio.std(ddof=1)),
                        "ratio_max": float(ratio.max()),
                        "least_ratio": float(np.sqrt(spread).mean() ** 2 / spread.mean()),
                        "held": held,
                        "orders": n_orders,
                    }
                )
                show(rows[-1])
    return rows


def show(row: dict[str, Any]) -> None:
    print(
        f"{row['model']:12s} PU {row['pu']:.5f}  width {row['width']:.2f} PU: "
        f"uniform {row['uniform']:8.0f} +- {row['uniform_sd']:5.0f}, "
        f"target mode {row['steered']:8.0f} +- {row['steered_sd']:5.0f}, "
        f"ratio {row['ratio']:.3f} +- {row['ratio_sd']:.3f} (most {row['ratio_max']:.3f}; "
        f"with the rates known {row['least_ratio']:.3f}; widest {row['width_reached_max']:.3f}); "
        f"interval holds the mean of all 10,000 in {row['held']}/{row['orders']}",
        file=sys.stderr,
        flush=True,
    )


def coverage(n_replicates: int, width: float, *, min_samples: int, seed: int) -> dict[str, Any]:
    """Return how often the interval holds the mean rate, and what it cost."""
    n_held, samples, ratios = 0, 0, []
    for replicate in range(n_replicates):
        rng = np.random.default_rng([seed, replicate])
        rates = 1 / (1 + np.exp(-rng.normal(-4, 2, 40)))
        outcomes = (rng.random((40, 20_000)) < rates[:, None]).astype(np.uint8)
        tallies = steer(outcomes, Goal(width), min_samples=min_samples)
        _, value, low, high = relative_width(tallies)
        n_held += bool(low <= rates.mean() <= high)
        samples += int(tallies.trials.sum())
        ratios.append(value / rates.mean())
    share = n_held / n_replicates
    row = {
        "width": width,
        "replicates": n_replicates,
        "coverage": share,
        "coverage_se": float(np.sqrt(share * (1 - share) / n_replicates)),
        "mean_value_over_truth": float(np.mean(ratios)),
        "samples": samples / n_replicates,
    }
    print(
        f"width {width:.2f} PU: 95 % interval holds the truth in {share:.3f} "
        f"+- {row['coverage_se']:.3f} of {n_replicates}; mean of estimate / truth "
        f"{row['mean_value_over_truth']:.4f}; {row['samples']:.0f} samples",
        file=sys.stderr,
        flush=True,
    )
    return row


def draw_mixes(rng: np.random.Generator, n: int = 100) -> dict[str, Rates]:
    """Return pass rates of n instances from unlike distributions."""
    log_c, alpha = rng.normal(np.log(200), 1, n), np.maximum(rng.normal(0.2, 0.04, n), 0)
    return {
        "log uniform": np.exp(rng.uniform(np.log(1e-4), np.log(0.5), n)),
        "Beta(0.3, 10)": rng.beta(0.3, 10, n),
        "half zeros": np.where(rng.random(n) < 0.5, 0, rng.beta(1, 5, n)),
        "three points": rng.choice([0.003, 0.03, 0.3], n),
        "log-odds normal": 1 / (1 + np.exp(-rng.normal(-4, 2, n))),
        "law at 892M": np.exp(-np.exp(log_c - alpha * np.log(892e6))),
        "law at 36M": np.exp(-np.exp(log_c - alpha * np.log(36e6))),
    }


def simulated_mixes(
    n_replicates: int, width: float, *, min_samples: int, seed: int
) -> list[dict[str, Any]]:
    """Return one row per distribution of pass rates: samples over uniform's, width reached."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for replicate in range(n_replicates):
        rng = np.random.default_rng([seed, replicate])
        for name, rates in draw_mixes(rng).items():
            outcomes = (rng.random((len(rates), 20_000)) < rates[:, None]).astype(np.uint8)
            uniform = uniform_samples(outcomes, width)
            if uniform is None:
                continue
            tallies = steer(outcomes, Goal(width), min_samples=min_samples)
            spread = rates * (1 - rates)
            least = float(np.sqrt(spread).mean() ** 2 / spread.mean())
            reached = relative_width(tallies)[0] / width
            found.setdefault(name, []).append(
                (uniform, tallies.trials.sum() / uniform, reached, least)
            )
    rows = []
    for name, values in found.items():
        uniform, ratio, reached, least = np.mean(values, 0).tolist()
        rows.append({"mix": name, "width": width, "uniform": uniform, "ratio": ratio})
        rows[-1] |= {"width_reached": reached, "least_ratio": least, "replicates": len(values)}
        print(
            f"{name:16s} width {width:.2f} PU: uniform {uniform:7.0f}, ratio {ratio:.3f} (with the "
            f"rates known {least:.3f}); width reached over asked {reached:.3f}; n {len(values)}",
            file=sys.stderr,
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outcomes", type=Path, nargs="?")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--models", nargs="+", help="of the file; all of them by default")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.2, 0.1])
    parser.add_argument("--coverage", type=int, default=0, metavar="REPLICATES")
    parser.add_argument("--mixes", type=int, default=0, metavar="REPLICATES")
    parser.add_argument("--min-samples", type=int, default=10)
    parser.add_argument("--prior-a", type=float, default=dataset.PRIOR_A)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dataset.PRIOR_A = options.prior_a  # type: ignore[misc]
    machine = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "seed": options.seed,
        "min_samples": options.min_samples,
        "prior_a": options.prior_a,
    }
    print(" ".join(f"{k}={v}" for k, v in machine.items()), file=sys.stderr)
    common = {"min_samples": options.min_samples, "seed": options.seed}
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    if options.coverage:
        rows += [coverage(options.coverage, width, **common) for width in options.widths]
    if options.mixes:
        for width in options.widths:
            rows += simulated_mixes(options.mixes, width, **common)
    if options.outcomes is None:
        print("replay: left out; give the file of outcomes", file=sys.stderr)
    elif not options.outcomes.is_file():
        print(f"replay: left out; {options.outcomes} is not there", file=sys.stderr)
    else:
        rows += replay(
            options.outcomes, options.widths, options.orders, models=options.models, **common
        )
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    if options.json:
        json.dump({**machine, "rows": rows}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
