"""Target mode steered by a forecast beside uniform sampling: samples and coverage.

    python benchmarks/target_forecast.py [--families 100] [--scatters 0 0.03] [--json]

Families follow the law (6 sizes, 100 instances: log c ~ N(log 200, 1), alpha ~ N(0.2, 0.04), model
scatter in F), the forecast is that of 3 times the largest size. Each family is sampled three ways:

* "budget": rounds from a pilot of 20 each to a total of 120 a cell (model x instance);
* "target": rounds until the interval is `--width` of the forecast, or sampling hardly pays, or 960
  a cell are spent;
* "uniform": as many of every cell, at 60, 120, ... 960.

"ratio" is the samples of "budget" over those at which the median interval of "uniform" is as wide
as that of "budget", between the points of the grid straight in logs; its 95 % interval comes from
drawing the families again, 2,000 times. Coverage is the share of 90 % intervals that hold the
mean rate of the bigger model, its own scatter included; +- two binomial standard errors at 0.9.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import scipy

sys.path.insert(0, str(Path(__file__).parent))

from families import SimulatedFamily, draw_family

from passuntil.estimator import TallyArray
from passuntil.fitter.combined import fit_combined
from passuntil.fitter.family import as_family
from passuntil.steering import Decision, ForecastGoal, decide
from passuntil.stopping import StopRule

TIMES = 3.0
PILOT, BUDGET, MOST = 20, 120, 960
GRID = 60 * 2 ** np.arange(5)
LEVEL = 0.9
Row = tuple[float, float, float]  # samples, width over value, whether it covers


def steer(rng: np.random.Generator, family: SimulatedFamily, goal: ForecastGoal) -> list[Decision]:
    """Return the decisions of a whole run."""
    rates = family.rates.T
    trials = np.full(rates.shape, PILOT)
    passes = rng.binomial(trials, rates)
    decisions: list[Decision] = []
    while not decisions or decisions[-1].end is None:
        tallies = [TallyArray.open(passes=c, trials=n) for c, n in zip(passes, trials, strict=True)]
        decisions.append(
            decide(
                goal,
                family.sizes,
                tallies,
                most=np.full(rates.shape, 100_000),
                n_rounds=len(decisions) + 1,
            )
        )
        passes = passes + rng.binomial(decisions[-1].trials - trials, rates)
        trials = decisions[-1].trials
    return decisions


def row_of(decision: Decision, truth: float) -> Row:
    """Return samples, width, and whether the interval holds the truth."""
    forecast = decision.forecast
    assert forecast is not None
    assert decision.width is not None
    held = forecast.low <= truth <= forecast.high
    return float(decision.trials.sum()), decision.width, float(held)


def uniform(rng: np.random.Generator, family: SimulatedFamily) -> list[Row]:
    """Return the forecasts at every point of the grid, from one growing sample."""
    rates, rows = family.rates.T, []
    passes, before = np.zeros(rates.shape, int), 0
    for n in GRID.tolist():
        passes = passes + rng.binomial(n - before, rates)
        before = n
        tallies = [TallyArray.open(passes=c, trials=np.full(len(c), n)) for c in passes]
        fit = fit_combined(as_family(family.sizes, tallies))
        found = fit.predict(float(family.targets[0]), LEVEL)
        held = found.low <= family.truth[0] <= found.high
        rows.append((float(n * rates.size), (found.high - found.low) / found.value, float(held)))
    return rows


def samples_at(width: float, n: np.ndarray, widths: np.ndarray) -> float:
    """Return the samples at which widths, falling with n, reach one; the ends of the grid hold."""
    falling = np.minimum.accumulate(widths)
    return float(np.exp(np.interp(-np.log(width), -np.log(falling), np.log(n))))


def simulate(scatter: float, width: float, n_families: int, seed: int) -> dict[str, Any]:
    """Return the row of one scatter."""
    arms: dict[str, list[Any]] = {"budget": [], "target": [], "uniform": []}
    ends: Counter[str] = Counter()
    n_rounds, expected = [], []
    for replicate in range(n_families):
        rng = np.random.default_rng([seed, round(1000 * scatter), replicate])
        family = draw_family(rng, scatter=scatter, rule=StopRule.fixed(1), times=(TIMES,))
        size, truth = float(family.targets[0]), float(family.truth[0])
        cells = family.rates.size
        spent = steer(rng, family, ForecastGoal(size, total_budget=BUDGET * cells))
        arms["budget"].append(row_of(spent[-1], truth))
        aimed = steer(rng, family, ForecastGoal(size, width, MOST * cells))
        arms["target"].append(row_of(aimed[-1], truth))
        ends[str(aimed[-1].end)] += 1
        n_rounds.append(len(aimed))
        expected.append([aimed[0].least_width, aimed[-1].least_width])
        arms["uniform"].append(uniform(rng, family))
        if (replicate + 1) % 10 == 0:
            print(f"scatter {scatter:.2f}: {replicate + 1} families", file=sys.stderr, flush=True)
    budget, target = np.array(arms["budget"]), np.array(arms["target"])
    grid = np.array(arms["uniform"])  # (n_families, n_grid, 3)
    n_grid = grid[0, :, 0]

    def ratio(which: np.ndarray) -> float:
        median = float(np.median(budget[which, 1]))
        needed = samples_at(median, n_grid, np.median(grid[which][:, :, 1], 0))
        return float(np.median(budget[which, 0])) / needed

    rng = np.random.default_rng(seed)
    again = [ratio(rng.integers(0, n_families, n_families)) for _ in range(2000)]
    row = {
        "scatter": scatter,
        "families": n_families,
        "width_asked": width,
        "budget": {
            "samples": float(np.median(budget[:, 0])),
            "width": float(np.median(budget[:, 1])),
        },
        "uniform_widths": dict(
            zip(n_grid.tolist(), np.median(grid[:, :, 1], 0).tolist(), strict=True)
        ),
        "ratio": ratio(np.arange(n_families)),
        "ratio_95": np.quantile(again, [0.025, 0.975]).tolist(),
        "target": {
            "samples": float(np.median(target[:, 0])),
            "width": float(np.median(target[:, 1])),
            "ends": dict(ends),
            "rounds": float(np.mean(n_rounds)),
        },
        "least_width_after_pilot_and_at_the_end": np.median(np.array(expected), 0).tolist(),
        "coverage": {
            "budget": float(budget[:, 2].mean()),
            "target": float(target[:, 2].mean()),
            "uniform": float(grid[:, :, 2].mean()),
        },
        "coverage_two_se": 2 * float(np.sqrt(LEVEL * (1 - LEVEL) / n_families)),
    }
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", type=int, default=100)
    parser.add_argument("--scatters", type=float, nargs="+", default=[0.0, 0.03])
    parser.add_argument("--width", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}, one core; seed {options.seed}, 90 % intervals",
        file=sys.stderr,
    )
    started = time.monotonic()
    rows = [
        simulate(scatter, options.width, options.families, options.seed)
        for scatter in options.scatters
    ]
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    if options.json:
        json.dump(rows, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
