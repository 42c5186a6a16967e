"""What r and the floor buy: dataset estimates on random orders of public outcomes.

The data (public, not shipped): see benchmarks/backtest_pythia.py.

    python benchmarks/replay_dataset.py pythia_math_outcomes.npz --orders 200 --json out.json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy

sys.path.insert(0, str(Path(__file__).parent))

from backtest_pythia import NAMES, replay

from passuntil.estimator import dataset_pass_rate
from passuntil.stopping import StopRule

DESIGNS = {
    "r=1": StopRule(passes=1, budget=10_000),
    "r=2": StopRule(passes=2, budget=10_000),
    "r=1, m=100": StopRule(passes=1, min_samples=100, budget=10_000),
    "r=1, m=400": StopRule(passes=1, min_samples=400, budget=10_000),
    "r=10": StopRule(passes=10, budget=10_000),
}


def run(
    outcomes: np.ndarray, rule: StopRule, rng: np.random.Generator, n_orders: int
) -> dict[str, dict[str, float]]:
    """Return bias, spread, coverage and width of each estimator over random orders."""
    truth = outcomes.mean()
    logs: dict[str, list[tuple[float, float, float]]] = {}
    samples = []
    for _ in range(n_orders):
        tallies = replay(rng.permuted(outcomes, axis=1), rule)
        samples.append(tallies.trials.sum())
        methods = ["mle", "mixing", "hierarchical"]
        methods += ["unbiased"] if rule.passes > 1 or rule.min_samples > 1 else []
        for method in methods:
            rate = dataset_pass_rate(tallies, method=method)
            covered, width = np.nan, np.nan
            if method in ("hierarchical", "unbiased"):
                interval = rate.confidence_interval(0.9)
                covered = float(interval.low <= truth <= interval.high)
                width = float(np.log(interval.high / interval.low))
            logs.setdefault(method, []).append((rate.value / truth, covered, width))
    out = {"samples": {"mean": float(np.mean(samples))}}
    for method, rows in logs.items():
        table = np.array(rows)
        out[method] = {
            "ratio": float(table[:, 0].mean()),
            "ratio_sd": float(table[:, 0].std(ddof=1)),
            "coverage": float(table[:, 1].mean()),
            "median_log_width": float(np.median(table[:, 2])),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    begin = time.time()
    data = np.load(args.outcomes)
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}, one core; {args.orders} orders, seed {args.seed}, 90 % intervals"
    )
    out: dict[str, dict[str, object]] = {}
    for i, name in enumerate(NAMES):
        for design in args.designs:
            rng = np.random.default_rng([args.seed, i])
            result = run(data[f"Pythia_{name}"], DESIGNS[design], rng, args.orders)
            out.setdefault(name, {})[design] = result
            text = f"{name:5s} {design:11s} {result['samples']['mean'] / 1e3:6.0f}k samples"
            for method, row in result.items():
                if method != "samples":
                    text += f" | {method} {row['ratio']:.2f}+-{row['ratio_sd']:.2f}"
                    if np.isfinite(row["coverage"]):
                        text += f" cov {row['coverage']:.3f} w {row['median_log_width']:.2f}"
            print(text, flush=True)
    print(f"{time.time() - begin:.0f} s")
    if args.json:
        args.json.write_text(json.dumps({"orders": args.orders, "models": out}, indent=1))


if __name__ == "__main__":
    main()
