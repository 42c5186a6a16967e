"""How often forecasts cover, and single instances, where some passes are guessed.

P = g + (1 - g) exp(-exp(F)), F = log c - alpha log N: sd of alpha 0.04, of log c 1.0 over
instances, model scatter 0.03 unless asked otherwise; six sizes, a fixed number of samples of every
instance. Targets 3x and 10x the largest size; single instances at 3x. "combined" is the default
forecast, "dataset only" the same without the instances' laws, "mle" the dataset's line; all on the
same families. With --exact nothing is guessed and the rates are known without sampling, each
instance off its line by 0.1 in F.

    python benchmarks/guess_rate.py --families 200 --json out.json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy

sys.path.insert(0, str(Path(__file__).parent))

from families import SIZES

from passuntil.estimator import TallyArray
from passuntil.estimator.exact import ExactRate, ExactRates
from passuntil.fitter.combined import CombinedFit
from passuntil.fitter.family import as_family
from passuntil.fitter.fit import ScalingFit
from passuntil.fitter.instance import InstanceFit
from passuntil.fitter.scaling_law import fit_family

TIMES = (3.0, 10.0)
METHODS = ("combined", "dataset only", "instance", "mle")


def draw(
    rng: np.random.Generator,
    g: float,
    samples: int,
    n: int,
    *,
    sizes: np.ndarray = SIZES,
    scatter: float = 0.03,
) -> tuple[list[TallyArray] | list[ExactRates], np.ndarray]:
    """Return the tallies of the measured sizes, and every instance's rate at the targets.

    No samples: exact rates, nothing guessed.
    """
    x = np.log(np.append(sizes, sizes[-1] * np.array(TIMES)))
    alpha = np.maximum(rng.normal(0.2, 0.04, (n, 1)), 0.0)
    hazard = rng.normal(np.log(200), 1.0, (n, 1)) - alpha * x + rng.normal(0, scatter, len(x))
    rates = g + (1 - g) * np.exp(-np.exp(hazard))
    k = len(sizes)
    if not samples:
        hazard = hazard + rng.normal(0, 0.1, hazard.shape)
        rates = np.exp(-np.exp(hazard))
        exact = [ExactRates([ExactRate(float(p), 0.0) for p in c]) for c in rates[:, :k].T]
        return exact, rates[:, k:]
    passes = rng.binomial(samples, rates[:, :k])
    return [TallyArray.fixed(passes=c, trials=samples) for c in passes.T], rates[:, k:]


def without_instances(fit: CombinedFit) -> CombinedFit:
    """Return the pool of the dataset's laws alone."""
    parts = {n: p for n, p in fit.parts.items() if "instance" not in n}
    return replace(fit, parts=parts, shares={n: fit.shares[n] for n in parts})


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
    print(
        f"  {name:12s} {text}" + (f"  {seconds / len(table):.2f} s a fit" if seconds else ""),
        flush=True,
    )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--families", type=int, default=200)
    parser.add_argument("--guess-rates", type=float, nargs="*", default=[0.25, 0.1])
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--instances", type=int, default=60)
    parser.add_argument("--scatter", type=float, default=0.03)
    parser.add_argument("--exact", action="store_true", help="exact rates, nothing guessed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.exact:
        args.guess_rates, args.samples = [0.0], 0
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}, one core; seed {args.seed}, {args.instances} instances, "
        f"{args.samples or 'no'} samples of each, model scatter {args.scatter}, 90 % intervals"
    )
    out = []
    for g in args.guess_rates:
        rows: dict[str, list[tuple[float, float, float]]] = {m: [] for m in METHODS}
        seconds = dict.fromkeys(rows, 0.0)
        single: list[float] = []
        cells: dict[str, object] = {}
        for i in range(args.families):
            rng = np.random.default_rng([args.seed, round(1000 * g), i])
            tallies, rates = draw(rng, g, args.samples, args.instances, scatter=args.scatter)
            family = as_family(SIZES, tallies)
            begin = time.process_time()
            pool = fit_family(family, "combined", guess_rate=g)
            seconds["combined"] += time.process_time() - begin
            assert isinstance(pool, CombinedFit), "a pool"
            for method, found_rows in rows.items():
                fit: ScalingFit = pool
                if method == "dataset only":
                    fit = without_instances(pool)
                elif method in pool.parts:
                    fit = pool.parts[method]
                elif method != "combined":
                    continue  # an exact rate of 0, below what a float holds
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
