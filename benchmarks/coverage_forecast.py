"""Coverage of the forecasts' 90 % intervals, and their width beside an oracle's.

Families from the law (6 sizes, 100 instances), targets 3 and 10 times the largest size. The
oracle knows the hyper-parameters (mean and spread of the instances' laws, model scatter), not the
instances.

    python benchmarks/coverage_forecast.py --families 200 --json out.json
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

from families import SIZES, draw_family

from passuntil import fit_scaling_law
from passuntil.errors import EstimationError
from passuntil.fitter.hierarchy import warp
from passuntil.fitter.instance import build_hierarchy, forecast_mean
from passuntil.fitter.observations import as_family, from_hazard
from passuntil.fitter.prediction import HazardMixture
from passuntil.stopping import StopRule

LEVEL = 0.9


def oracle(family, scatter: float, residual: float) -> list[tuple[float, float, float]]:
    """Return value, low, high at each target with the true hyper-parameters."""
    data, center, _ = build_hierarchy(as_family(family.sizes, family.tallies))
    sd_a = np.hypot(1.0, 0.04 * center)
    rho = -0.04 * center / sd_a
    theta = np.array(
        [[np.log(200) - 0.2 * center, 0.2, np.log(sd_a), np.log(0.04), np.arctanh(rho)]]
    )
    theta = np.append(theta, [[np.log(max(scatter, 1e-3)), np.log(max(residual, 3e-3))]], 1)
    latents = data.latents(theta)
    out = []
    for target in family.targets:
        forecast = forecast_mean(
            latents,
            tau=np.exp(theta[:, 5]),
            residual=np.exp(theta[:, 6]),
            z=np.array([[np.log(target) - center]]),
            measured_z=warp(theta, data.z, "none"),
            counts=data.counts,
        )
        mixture = HazardMixture(forecast.hazard, forecast.sds, np.ones(1))
        out.append(tuple(from_hazard([mixture.quantile(q) for q in (0.5, 0.95, 0.05)])))
    return out


def run_cell(
    rng: np.random.Generator, *, methods: list[str], n: int, scatter: float, floor: int, bend: float
) -> list[dict[str, float | str]]:
    """Return one row per method and target."""
    rule = StopRule(passes=1, min_samples=floor, budget=10_000)
    logs: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for _ in range(n):
        family = draw_family(rng, scatter=scatter, rule=rule, bend=bend)
        results = {} if bend else {"oracle": oracle(family, scatter, 0.0)}
        for method in methods:
            try:
                fit = fit_scaling_law(n_params=family.sizes, tallies=family.tallies, method=method)
            except EstimationError:
                continue
            predicted = [fit.predict(t, LEVEL) for t in family.targets]
            results[method] = [(p.value, p.low, p.high) for p in predicted]
        for method, ends in results.items():
            for j, (value, low, high) in enumerate(ends):
                truth = family.truth[j]
                row = (
                    abs(np.log(max(value, 1e-12) / truth)),
                    float(low <= truth <= high),
                    np.log(max(high, 1e-12) / max(low, 1e-12)),
                )
                logs.setdefault((method, j), []).append(row)
    rows = []
    for (method, j), values in logs.items():
        table = np.array(values)
        rows.append(
            {
                "scatter": scatter,
                "floor": floor,
                "bend": bend,
                "times": [3, 10][j],
                "method": method,
                "families": len(table),
                "median_error": float(np.median(table[:, 0])),
                "coverage": float(table[:, 1].mean()),
                "median_log_width": float(np.median(table[:, 2])),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", type=int, default=100)
    parser.add_argument("--methods", default="ols,mle,instance,combined")
    parser.add_argument("--bend", type=float, nargs="*", default=[0.0])
    parser.add_argument("--floors", type=int, nargs="*", default=[1, 100])
    parser.add_argument("--scatters", type=float, nargs="*", default=[0.0, 0.03, 0.1])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    begin = time.time()
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}, one core; seed {args.seed}, {args.families} families a cell, "
        f"sizes {SIZES.tolist()}"
    )
    rows = []
    for bend in args.bend:
        for floor in args.floors:
            for scatter in args.scatters:
                rng = np.random.default_rng([args.seed, floor, round(1e3 * scatter)])
                cell = run_cell(
                    rng,
                    methods=args.methods.split(","),
                    n=args.families,
                    scatter=scatter,
                    floor=floor,
                    bend=bend,
                )
                rows += cell
                for row in cell:
                    print(
                        "bend {bend:4.2f} floor {floor:4d} scatter {scatter:4.2f} x{times:<3d}"
                        "{method:20s} median |log error| {median_error:.4f}  coverage "
                        "{coverage:.3f}  median log width {median_log_width:.3f}".format(**row),
                        flush=True,
                    )
    print(f"{time.time() - begin:.0f} s")
    if args.json:
        args.json.write_text(json.dumps({"seed": args.seed, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
