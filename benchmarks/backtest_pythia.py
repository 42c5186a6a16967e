"""Rolling-origin backtest on the public Pythia MATH outcomes, beside the baselines.

The data (public, not shipped): ordered outcomes of 128 MATH problems x 10,000 samples for seven
Pythia models, from huggingface.co/datasets/ScalingIntelligence/monkey_business, as one npz with an
int8 array (128, 10000) per model. No setting of passuntil was chosen on this family.

    python benchmarks/backtest_pythia.py pythia_math_outcomes.npz --json out.json
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import scipy

from passuntil.estimator import TallyArray
from passuntil.fitter import backtest
from passuntil.stopping import StopRule

NAMES = ["70M", "160M", "410M", "1B", "2.8B", "6.9B", "12B"]
N_NON_EMBEDDING = [
    18_915_328,
    85_056_000,
    302_311_424,
    805_736_448,
    2_517_652_480,
    6_444_163_072,
    11_327_027_200,
]


def replay(outcomes: np.ndarray, rule: StopRule) -> TallyArray:
    """Stop each row of ordered outcomes by the rule."""
    passes = outcomes[:, : rule.budget].cumsum(1, dtype=np.int64)
    is_end = passes >= rule.passes
    is_end[:, : rule.min_samples - 1] = False
    trials = np.where(is_end.any(1), is_end.argmax(1) + 1, rule.budget)
    return TallyArray.from_rule(
        rule, passes=passes[np.arange(len(trials)), trials - 1], trials=trials
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    data = np.load(args.outcomes)
    outcomes = [data[f"Pythia_{name}"] for name in NAMES]
    truth = [o.mean() for o in outcomes]
    designs = {
        "full counts": [TallyArray.fixed(passes=o.sum(1), trials=o.shape[1]) for o in outcomes],
        "r=2, cap 1e4": [replay(o, StopRule(passes=2, budget=10_000)) for o in outcomes],
        "r=1, floor 100, cap 1e4": [
            replay(o, StopRule(passes=1, min_samples=100, budget=10_000)) for o in outcomes
        ],
    }
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}, one core; 128 instances, N non-embedding, 90 % intervals"
    )
    out = {}
    for design, tallies in designs.items():
        begin = time.time()
        result = backtest(n_params=N_NON_EMBEDDING, tallies=tallies, truth=truth)
        print(f"\n{design} ({time.time() - begin:.1f} s)")
        for line in result.summary():
            print(
                f"  {line.method:14s} mean |log error| {line.mean_abs_log_error:.3f}  coverage "
                f"{line.coverage:.2f}  interval score {line.mean_interval_score:.2f}  median log "
                f"width {line.median_log_width:.2f}  ({line.n_forecasts} forecasts)"
            )
        flagged = [
            r.is_flagged
            for r in result.rows
            if r.method == "combined" and r.n_train == 5 and r.steps == 1
        ]
        print(f"  lack of fit flagged at 2.8B -> 6.9B: {flagged[0]}")
        out[design] = result.to_json()
    if args.json:
        args.json.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
