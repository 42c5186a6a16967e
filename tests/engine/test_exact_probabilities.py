"""Sampled passes agree with exact probabilities: the strictest end-to-end test of a sampler.

It catches a wrong temperature, a model's own generation_config, seeds that collide and prompts
that are tokenised differently, all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exact_rates import ExactModel
from scipy.stats import binom, binomtest

from passuntil.checkers.exact import ExactChecker
from passuntil.config import bundled
from passuntil.ports import Decoding, Sampler, SampleRequest
from passuntil.records import ExactAnswer, Instance, SampleKey
from passuntil.tasks import load_task

N_INSTANCES = 24
N_SAMPLES = 600
FAMILYWISE = 1e-6
DECODING = Decoding(max_tokens=12)


@pytest.fixture(scope="module")
def cases(model_folder: Path) -> list[tuple[Instance, float]]:
    """Instances that the model passes now and then, with their exact pass rates."""
    exact = ExactModel(model_folder)
    path = bundled("task")["pico-answer"]
    instances = load_task("pico-answer", path, "answers", None)
    rates = []
    for instance in instances:
        assert isinstance(instance.target, ExactAnswer)
        (answer,) = instance.target.accepted
        rates.append(exact.pass_rate(instance.prompt, answer, max_tokens=DECODING.max_tokens))
    # far from 0 and 1 the count tells most; chosen by the exact rate, not by what is sampled
    chosen = sorted(zip(instances, rates, strict=True), key=lambda pair: abs(pair[1] - 0.3))
    return chosen[:N_INSTANCES]


def draw(
    sampler: Sampler,
    instances: Sequence[Instance],
    decoding: Decoding,
    *,
    repeat_seed: bool = False,
) -> list[int]:
    """Return passes per instance among N_SAMPLES."""
    checker = ExactChecker(normalise=(), require_end=True)
    passes = []
    for instance in instances:
        keys = [SampleKey("m", instance.task, instance.id, i + 1) for i in range(N_SAMPLES)]
        sampler.submit(
            [
                SampleRequest(
                    key, instance.prompt, decoding, keys[0 if repeat_seed else i].seed(run_seed=7)
                )
                for i, key in enumerate(keys)
            ]
        )
        found = 0
        n_left = N_SAMPLES
        while n_left:
            for completion in sampler.step():
                n_left -= 1
                found += checker.check(instance, completion).is_pass
        passes.append(found)
    return passes


def rejects(passes: Sequence[int], rates: Sequence[float]) -> bool:
    """Exact tests of each instance and of their sum, familywise level FAMILYWISE."""
    level = FAMILYWISE / (len(rates) + 1)
    single = [binomtest(c, N_SAMPLES, p).pvalue for c, p in zip(passes, rates, strict=True)]
    total = np.array([1.0])  # distribution of the sum of the binomial counts
    for p in rates:
        total = np.convolve(total, binom.pmf(np.arange(N_SAMPLES + 1), N_SAMPLES, p))
    pooled = 2 * min(total[: sum(passes) + 1].sum(), total[sum(passes) :].sum())
    return min([*single, pooled]) < level


def test_sampled_passes_agree_with_teacher_forcing(sampler, cases) -> None:
    instances, rates = zip(*cases, strict=True)
    passes = draw(sampler, instances, DECODING)
    assert not rejects(passes, rates), list(zip(passes, np.array(rates) * N_SAMPLES, strict=True))


def test_temperature_is_noticed(sampler, cases) -> None:
    instances, rates = zip(*cases, strict=True)
    assert rejects(draw(sampler, instances, replace(DECODING, temperature=0.9)), rates)


def test_repeated_seed_is_noticed(sampler, cases) -> None:
    instances, rates = zip(*cases, strict=True)
    assert rejects(draw(sampler, instances, DECODING, repeat_seed=True), rates)
