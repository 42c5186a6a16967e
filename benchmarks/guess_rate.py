"""How often forecasts cover, and single instances, where some passes are guessed.

P = g + (1 - g) exp(-exp(F)), F = log c - alpha log N: sd of alpha 0.04, of log c 1.0 over
instances, model scatter 0.03; six sizes, a fixed number of samples of every instance. Targets 3x
and 10x the largest size; single instances at 3x. "mle" is the dataset's line, on the same families.

    python benchmarks/guess_rate.py --families 200 --json out.json
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

from families import SIZES

from passuntil import fit_scaling_law
from passuntil.estimator import TallyArray
from passuntil.fitter.instance import InstanceFit

TIMES = (3.0, 10.0)


def draw(
    rng: np.random.Generator, g: float, samples: int, n: int, *, sizes: np.ndarray = SIZES
) -> tuple[list[TallyArray], np.ndarray]:
    """Return the tallies of the measured sizes, and every instance's rate at the targets."""
    x = np.log(np.append(sizes, sizes[-1] * np.array(TIMES)))
    alpha = np.maximum(rng.normal(0.2, 0.04, (n, 1)), 0.0)
    hazard = rng.normal(np.log(200), 1.0, (n, 1)) - alpha * x + rng.normal(0, 0.03, len(x))
    rates = g + (1 - g) * np.exp(-np.exp(hazard))
    k = len(sizes)
    passes = rng.binomial(samples, rates[:, :k])
    return [TallyArray.fixed(passes=c, trials=samples) for c in passes.T], rates[:, k:]


def show(name: str, rows: list[tuple[float, float, float]], seconds: float) -> dict[str, object]:
    """Print and return coverage, error and width of (log error, covered, log width)."""
    table = np.array(rows).reshape(-1, len(TIMES), 3)
    out = {
        "coverage": table[..., 1].mean(0).tolist(),
        "median_abs_log_error": np.median(np.abs(table[..., 0]), 0).tolist(),
        "mean_log_error": table[..., 0].mean(0).tolist(),
        "median_log_width": np.median(table[..., 2], 0).tolist(),
        "processor_seconds": seconds / len(table),
    }
    text = "  ".join(
        f"{t:.0f}x: cover {c:.3f}, error {e:.3f}, mean {m:+.3f}, width {w:.3f}"
        for t, c, e, m, w in zip(TIMES, *list(out.values())[:4], strict=True)
    )
    print(f"  {name:9s} {text}  {seconds / len(table):.2f} s a fit", flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--families", type=int, default=200)
    parser.add_argument("--guess-rates", type=float, nargs="*", default=[0.25, 0.1])
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--instances", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}, one core; seed {args.seed}, {args.instances} instances, "
        f"{args.samples} samples of each, 90 % intervals"
    )
    out = []
    for g in args.guess_rates:
        rows: dict[str, list[tuple[float, float, float]]] = {"instance": [], "mle": []}
        seconds = dict.fromkeys(rows, 0.0)
        single: list[float] = []
        cells: dict[str, object] = {}
        for i in range(args.families):
            rng = np.random.default_rng([args.seed, round(1000 * g), i])
            tallies, rates = draw(rng, g, args.samples, args.instances)
            for method, found_rows in rows.items():
                begin = time.process_time()
                fit = fit_scaling_law(n_params=SIZES, tallies=tallies, method=method, guess_rate=g)
                seconds[method] += time.process_time() - begin
                for times, truth in zip(TIMES, rates.mean(0), strict=True):
                    found = fit.predict(SIZES[-1] * times, 0.9)
                    found_rows.append(
                        (
                            float(np.log(found.value / truth)),
                            float(found.low <= truth <= found.high),
                            float(np.log(found.high / found.low)),
                        )
                    )
                if isinstance(fit, InstanceFit):
                    ahead = fit.predict_instances(SIZES[-1] * TIMES[0], 0.9)
                    inside = (ahead.low <= rates[:, 0]) & (rates[:, 0] <= ahead.high)
                    single.append(float(inside.mean()))
            if (i + 1) % 50 == 0 or i + 1 == args.families:
                print(f"g = {g}, {i + 1} families; single instances covered {np.mean(single):.3f}")
                cells = {m: show(m, r, seconds[m]) for m, r in rows.items()}
        out.append({"guess_rate": g, "single_coverage": float(np.mean(single)), **cells})
        if args.json:
            args.json.write_text(json.dumps({"seed": args.seed, "cells": out}, indent=1))


if __name__ == "__main__":
    main()
