"""What r and the floor buy: dataset estimates on random orders of public outcomes.

Per model and design: mean and sd of estimate / truth, coverage and median log width of 90 %
sampling intervals. Beside the table of the design page (25 orders) each ratio must lie within the
Monte-Carlo error of both sides. Last, what a design buys: the samples for which an estimate of the
same design would have a relative error of 10 %, if errors fall as 1 / sqrt(samples).

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

REFERENCE_ORDERS = 25
REFERENCE: dict[str, dict[str, dict[str, tuple[float, float]]]] = {
    # estimate / truth and its sd over orders
    "r=1": {
        "70M": {"mle": (4.88, 4.03), "mixing": (3.02, 3.64)},
        "160M": {"mle": (5.00, 1.97), "mixing": (1.95, 1.30)},
        "410M": {"mle": (3.38, 1.02), "mixing": (1.29, 0.62)},
        "1B": {"mle": (3.64, 0.82), "mixing": (1.54, 0.59)},
        "2.8B": {"mle": (2.98, 0.54), "mixing": (1.31, 0.45)},
        "6.9B": {"mle": (2.97, 0.54), "mixing": (1.21, 0.40)},
        "12B": {"mle": (2.85, 0.46), "mixing": (1.18, 0.30)},
    },
    "r=1, m=100": {
        "70M": {"mle": (1.51, 0.35), "mixing": (1.02, 0.37), "unbiased": (1.00, 0.40)},
        "160M": {"mle": (1.48, 0.16), "mixing": (1.10, 0.17), "unbiased": (1.09, 0.19)},
        "410M": {"mle": (1.15, 0.08), "mixing": (0.98, 0.09), "unbiased": (0.98, 0.08)},
        "1B": {"mle": (1.17, 0.07), "mixing": (1.03, 0.08), "unbiased": (1.03, 0.08)},
        "2.8B": {"mle": (1.05, 0.05), "mixing": (0.99, 0.05), "unbiased": (0.99, 0.05)},
        "6.9B": {"mle": (1.07, 0.07), "mixing": (1.01, 0.07), "unbiased": (1.00, 0.07)},
        "12B": {"mle": (1.05, 0.05), "mixing": (1.00, 0.05), "unbiased": (0.99, 0.05)},
    },
    "r=1, m=400": {
        "70M": {"mixing": (1.06, 0.16)},
        "160M": {"mixing": (1.02, 0.11)},
        "410M": {"mixing": (1.00, 0.06)},
        "1B": {"mixing": (1.01, 0.05)},
        "2.8B": {"mixing": (1.00, 0.02)},
        "6.9B": {"mixing": (1.01, 0.03)},
        "12B": {"mixing": (1.00, 0.02)},
    },
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
            # the paper's mean has no interval of its own where it is biased
            if method in ("hierarchical", "unbiased"):
                interval = rate.confidence_interval(0.9)
                covered = float(interval.low <= truth <= interval.high)
                # no pass within any floor: an unbiased estimate of 0, and an end at 0
                is_open = interval.low == 0
                width = np.inf if is_open else float(np.log(interval.high / interval.low))
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


def far_off(name: str, design: str, method: str, row: dict[str, float], orders: int) -> str:
    """Say by how many standard errors a ratio misses the design page's, beyond three."""
    try:
        mean, sd = REFERENCE[design][name][method]
    except KeyError:
        return ""
    # the page's numbers are rounded to 0.01
    error = np.sqrt(row["ratio_sd"] ** 2 / orders + sd**2 / REFERENCE_ORDERS + 0.01**2 / 12)
    z = (row["ratio"] - mean) / error
    return f" OFF the page's {mean:.2f} by {z:+.1f} se" if abs(z) > 3 else " as the page"


def show_prices(out: dict[str, dict[str, dict[str, dict[str, float]]]]) -> None:
    """Print the samples that a relative root mean square error of 10 % would take."""
    print("\nsamples (thousands) for a relative error of 10 %, by the default estimate")
    designs = list(next(iter(out.values())))
    print("      " + "".join(f"{d:>14s}" for d in designs))
    for name, results in out.items():
        cells = []
        for design in designs:
            result = results[design]
            row = result.get("unbiased", result["hierarchical"])
            error = np.hypot(row["ratio"] - 1, row["ratio_sd"])
            cells.append(f"{result['samples']['mean'] * (error / 0.1) ** 2 / 1e3:14.0f}")
        print(f"{name:6s}" + "".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--models", nargs="*", default=NAMES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    begin = time.time()
    data = np.load(args.outcomes)
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}, one core; {args.orders} orders, seed {args.seed}, 90 % intervals"
    )
    out: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for name in args.models:
        for design in args.designs:
            rng = np.random.default_rng([args.seed, NAMES.index(name)])
            result = run(data[f"Pythia_{name}"], DESIGNS[design], rng, args.orders)
            out.setdefault(name, {})[design] = result
            print(f"{name:5s} {design:11s} {result['samples']['mean'] / 1e3:6.0f}k samples")
            for method, row in result.items():
                if method == "samples":
                    continue
                text = f"      {method:13s} ratio {row['ratio']:.2f}+-{row['ratio_sd']:.2f}"
                text += far_off(name, design, method, row, args.orders)
                if np.isfinite(row["coverage"]):
                    text += f"  coverage {row['coverage']:.3f}  log width"
                    text += f" {row['median_log_width']:.2f}"
                print(text, flush=True)
    show_prices(out)
    print(f"{time.time() - begin:.0f} s")
    if args.json:
        args.json.write_text(json.dumps({"orders": args.orders, "models": out}, indent=1))


if __name__ == "__main__":
    main()
