"""How long the fits take on one core.

python benchmarks/fit_speed.py
"""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy

sys.path.insert(0, str(Path(__file__).parent))

import guess_rate
from families import draw_family

from passuntil import fit_scaling_law
from passuntil.stopping import StopRule


def main() -> None:
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{platform.machine()}; processor seconds of one fit, seed 1"
    )
    rng = np.random.default_rng(1)
    rule = StopRule(passes=1, min_samples=100, budget=10_000)
    for n_models, n_instances in ((8, 164), (12, 2000)):
        sizes = np.exp(np.linspace(np.log(36e6), np.log(2449e6), n_models))
        family = draw_family(rng, scatter=0.03, rule=rule, n_instances=n_instances, sizes=sizes)
        for method in ("ols", "mle", "instance", "combined"):
            begin = time.process_time()
            fit_scaling_law(n_params=sizes, tallies=family.tallies, method=method).predict(1e10)
            print(
                f"{n_models} models x {n_instances} instances, {method}: "
                f"{time.process_time() - begin:.2f} s",
                flush=True,
            )
    g, n_instances = 0.25, 164
    sizes = np.exp(np.linspace(np.log(36e6), np.log(2449e6), 8))
    tallies, _ = guess_rate.draw(rng, g, 100, n_instances, sizes=sizes)
    for method in ("mle", "instance", "combined"):
        begin = time.process_time()
        fit_scaling_law(n_params=sizes, tallies=tallies, method=method, guess_rate=g).predict(1e10)
        print(
            f"{len(sizes)} models x {n_instances} instances, a quarter guessed, {method}: "
            f"{time.process_time() - begin:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
