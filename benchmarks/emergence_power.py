"""How often the emergence test is right: straight families, kinks, products of steps.

python benchmarks/emergence_power.py --families 100
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import scipy

sys.path.insert(0, str(Path(__file__).parent))

from families import draw_tallies

from passuntil.fitter import emergence
from passuntil.stopping import StopRule

LOG_RANGE = np.log([36e6, 2449e6])


def hazards(rng: np.random.Generator, kind: str, x: np.ndarray, n: int) -> np.ndarray:
    """Return F of each instance (rows) at each log size.

    straight: log c ~ N(log 200, 1), alpha ~ N(0.2, 0.04). max: below the kink (the middle of the
    range) slope 0.3 of the line's, above it 1.8 of it. product: the steps of such a pair.
    """
    alpha = np.maximum(rng.normal(0.2, 0.04, (n, 1)), 0.02)
    level = rng.normal(np.log(200), 1.0, (n, 1)) - alpha * x.mean()
    z = x - x.mean()
    if kind == "straight":
        return level - alpha * z
    slow, fast = level - 0.3 * alpha * z, level - 1.8 * alpha * z
    if kind == "max":
        return np.minimum(slow, fast)
    return np.logaddexp(level - 0.1 * alpha * z, level - 3.0 * alpha * z) - np.log(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", type=int, default=100)
    parser.add_argument("--scatters", type=float, nargs="*", default=[0.0, 0.03])
    parser.add_argument("--floor", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    begin = time.time()
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}, one core; seed {args.seed}, 100 instances, r = 1, floor "
        f"{args.floor}, cap 1e4"
    )
    rule = StopRule(passes=1, min_samples=args.floor, budget=10_000)
    rows = []
    for kind, n_sizes in (
        ("straight", 8),
        ("straight", 6),
        ("max", 8),
        ("product", 8),
        ("straight", 4),
        ("max", 4),
    ):
        for scatter in args.scatters:
            rng = np.random.default_rng([args.seed, n_sizes, round(1e3 * scatter)])
            verdicts: Counter[str] = Counter()
            x = np.linspace(*LOG_RANGE, n_sizes)
            for _ in range(args.families):
                f = hazards(rng, kind, x, 100) + rng.normal(0, scatter, n_sizes)
                tallies = [draw_tallies(rng, p, rule) for p in np.exp(-np.exp(f)).T]
                verdicts[emergence(n_params=np.exp(x), tallies=tallies).verdict] += 1
            rows.append(
                {"kind": kind, "sizes": n_sizes, "scatter": scatter, "verdicts": dict(verdicts)}
            )
            print(
                f"{kind:9s} {n_sizes} sizes, scatter {scatter:4.2f}: {dict(verdicts)}", flush=True
            )
    print(f"{time.time() - begin:.0f} s")
    if args.json:
        args.json.write_text(json.dumps({"seed": args.seed, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
