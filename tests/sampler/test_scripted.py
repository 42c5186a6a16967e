from __future__ import annotations

import pytest
from scipy.stats import binom

from passuntil.errors import EngineError, UsageError
from passuntil.ports import Decoding, SampleRequest
from passuntil.records import FinishReason, SampleKey
from passuntil.sampler.scripted import ScriptedSampler, bernoulli

DECODING = Decoding(max_tokens=100)
LENGTHS = {1: 9, 2: 3, 3: 5, 4: 3, 5: 1}


def key(index: int) -> SampleKey:
    return SampleKey("m", "t", "i", index)


def request(index: int, decoding: Decoding = DECODING) -> SampleRequest:
    return SampleRequest(key(index), "prompt", decoding, None)


def by_index(key: SampleKey) -> tuple[str, int]:
    return f"text {key.index}", LENGTHS[key.index]


def drain(sampler: ScriptedSampler) -> list[list[int]]:
    steps = []
    while found := sampler.step():
        steps.append([completion.key.index for completion in found])
    return steps


def test_short_ones_finish_first() -> None:
    sampler = ScriptedSampler(by_index)
    sampler.submit([request(index) for index in LENGTHS])
    assert drain(sampler) == [[5], [2, 4], [3], [1]]


def test_capacity_bounds_what_runs() -> None:
    sampler = ScriptedSampler(by_index, capacity=2)
    sampler.submit([request(index) for index in LENGTHS])
    # 1 runs to step 9; beside it 2 to step 3, 3 to step 8, 4 from step 8 to 11, 5 from 9 to 10
    assert drain(sampler) == [[2], [3], [1], [5], [4]]


def test_latency_decides_the_order() -> None:
    sampler = ScriptedSampler(by_index, latency=lambda n_tokens: 10 - n_tokens)
    sampler.submit([request(index) for index in LENGTHS])
    assert drain(sampler) == [[1], [3], [2, 4], [5]]


def test_abort_counts_what_was_generated() -> None:
    sampler = ScriptedSampler(by_index, capacity=3)
    sampler.submit([request(index) for index in LENGTHS])
    assert [completion.key.index for completion in sampler.step()] == [2]
    # at step 3: samples 1 and 3 have 3 tokens each, 4 and 5 wait
    assert sampler.abort([key(1), key(4), key(77)]) == 3
    assert sampler.abort([key(1)]) == 0
    sampler.submit([request(1)])
    assert drain(sampler) == [[5], [3], [1]]


def test_max_tokens_and_stop_cut() -> None:
    sampler = ScriptedSampler(lambda key: ("abcdef\nghijkl", 12))
    sampler.submit([request(1, Decoding(max_tokens=6)), request(2, Decoding(20, stop=("\n",)))])
    cut, stopped = sampler.step()[0], sampler.step()[0]
    assert (cut.text, cut.n_tokens, cut.finish_reason) == ("abcdef", 6, FinishReason.LENGTH)
    assert (stopped.text, stopped.finish_reason) == ("abcdef", FinishReason.STOP)


def test_bad_use_is_refused() -> None:
    with pytest.raises(UsageError, match="capacity: got 0"):
        ScriptedSampler(by_index, capacity=0)
    with pytest.raises(UsageError, match="pass_tokens: got"):
        bernoulli({}, pass_tokens=(3, 2))
    with pytest.raises(UsageError, match=r"no rate of instance 'i'.*Did you mean 'ii'"):
        bernoulli({"ii": 0.5})(key(1))
    sampler = ScriptedSampler(lambda key: ("", 0))
    sampler.submit([request(1)])
    with pytest.raises(EngineError, match="got 0 tokens"):
        sampler.step()
    sampler.close()
    with pytest.raises(EngineError, match="after close"):
        sampler.step()


def test_bernoulli_passes_at_its_rate_with_its_lengths() -> None:
    n, rate = 20_000, 0.2
    script = bernoulli({"i": rate}, pass_tokens=(10, 12), fail_tokens=(1, 4))
    samples = [script(key(index)) for index in range(1, n + 1)]
    assert samples == [script(key(index)) for index in range(1, n + 1)]
    lengths = {text: [k for t, k in samples if t == text] for text in ("pass", "fail")}
    n_passes = len(lengths["pass"])
    # two-sided binomial tests, familywise 1e-6 over 8 of them
    level = 1 - 1e-6 / 8
    assert binom.interval(level, n, rate)[0] <= n_passes <= binom.interval(level, n, rate)[1]
    for text, values in (("pass", range(10, 13)), ("fail", range(1, 5))):
        assert set(lengths[text]) == set(values)
        low, high = binom.interval(level, len(lengths[text]), 1 / len(values))
        assert all(low <= lengths[text].count(value) <= high for value in values)
    other = bernoulli({"i": rate}, seed=1)
    assert any(other(key(i))[0] != script(key(i))[0] for i in range(1, 100))
    assert bernoulli({"i": 1.0})(key(1))[0] == "pass"
    assert bernoulli({"i": 0.0})(key(1))[0] == "fail"
