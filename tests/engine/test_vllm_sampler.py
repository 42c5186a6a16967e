"""The vLLM adapter keeps the port's promises."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from passuntil.conformance import check_sampler
from passuntil.errors import EngineError, UsageError
from passuntil.ports import Decoding, SampleRequest, Undecoded
from passuntil.records import Completion, FinishReason, SampleKey
from passuntil.sampler.process import ProcessSampler
from passuntil.sampler.vllm import VllmSampler


def request(
    index: int, decoding: Decoding, *, prompt: str = "Q: ends rev ckel\nA: ", seed: int = 1
):
    return SampleRequest(SampleKey("m", "t", "i", index), prompt, decoding, seed)


def drain(sampler: VllmSampler, requests: list[SampleRequest]) -> dict[int, Completion]:
    sampler.submit(requests)
    done: dict[int, Completion] = {}
    while len(done) < len(requests):
        done.update({c.key.index: c for c in sampler.step()})
    return done


def test_conformance(model_folder: Path) -> None:
    check_sampler(
        lambda: VllmSampler(model_folder, dtype="float32", max_num_seqs=16, cpu_threads=1),
        prompts=("Q: ends rev ckel\nA: ", "def f(xs):\n", "xs"),
        decoding=Decoding(max_tokens=24),
        too_long_prompt="x" * 400,
    )


def test_conformance_in_a_process_of_its_own(model_folder: Path) -> None:
    options = {"model": model_folder, "dtype": "float32", "max_num_seqs": 16, "cpu_threads": 1}
    check_sampler(
        lambda: ProcessSampler("passuntil.sampler.vllm:VllmSampler", options),
        prompts=("Q: ends rev ckel\nA: ", "def f(xs):\n", "xs"),
        decoding=Decoding(max_tokens=24),
        too_long_prompt="x" * 400,
    )


def test_a_models_own_generation_config_changes_nothing(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "generation_config.json").write_text(
        json.dumps({"do_sample": True, "temperature": 0.01, "top_k": 1, "top_p": 0.01})
    )
    sampler = VllmSampler(folder, dtype="float32", max_num_seqs=64, cpu_threads=1)
    try:
        done = drain(sampler, [request(i, Decoding(max_tokens=8), seed=i) for i in range(1, 65)])
        assert len({c.text for c in done.values()}) > 5
    finally:
        sampler.close()


def test_text_is_that_of_the_tokens_up_to_the_end(sampler: VllmSampler) -> None:
    done = drain(sampler, [request(i, Decoding(max_tokens=10), seed=i) for i in range(1, 101)])
    reasons = {c.finish_reason for c in done.values()}
    assert FinishReason.END in reasons
    for completion in done.values():
        if completion.finish_reason is FinishReason.LENGTH:
            assert completion.n_tokens == 10
        else:
            assert "eos" not in completion.text


def test_texts_made_later_in_another_thread_are_those_of_a_step(sampler: VllmSampler) -> None:
    requests = [request(i, Decoding(max_tokens=10), seed=i) for i in range(1, 41)]
    plain = drain(sampler, requests)
    sampler.submit(requests)
    undecoded: list[Undecoded] = []
    while len(undecoded) < len(requests):
        undecoded += sampler.step_undecoded()
    with ThreadPoolExecutor(1) as thread:
        texts = thread.map(Undecoded.completion, undecoded)
        other = drain(sampler, [request(1, Decoding(max_tokens=2), prompt="def f(xs):\n")])
    assert {c.key.index: c for c in texts} == plain
    assert other[1].n_tokens <= 2


def test_stop_string_ends_the_text_before_it(sampler: VllmSampler) -> None:
    plain = drain(sampler, [request(i, Decoding(max_tokens=10), seed=i) for i in range(1, 41)])
    letter = max(
        "abcdefghijklmnopqrstuvwxyz", key=lambda x: sum(x in c.text for c in plain.values())
    )
    cut = drain(
        sampler, [request(i, Decoding(max_tokens=10, stop=(letter,)), seed=i) for i in range(1, 41)]
    )
    n_stopped = 0
    for index, completion in cut.items():
        text = plain[index].text
        assert completion.text == text.split(letter)[0]
        if letter in text:
            n_stopped += 1
            assert completion.finish_reason is FinishReason.STOP
    assert n_stopped > 0


def test_greedy_does_not_depend_on_seed(sampler: VllmSampler) -> None:
    greedy = Decoding(max_tokens=10, temperature=0.0)
    done = drain(sampler, [request(i, greedy, seed=i) for i in range(1, 9)])
    assert len({c.token_ids for c in done.values()}) == 1


def test_abort_reports_tokens_and_leaves_nothing(sampler: VllmSampler) -> None:
    requests = [request(i, Decoding(max_tokens=60), seed=i) for i in range(1, 9)]
    sampler.submit(requests)
    finished: list[Completion] = []
    for _ in range(4):
        finished.extend(sampler.step())
    alive = 8 - len(finished)
    n_tokens = sampler.abort([r.key for r in requests])
    assert alive <= n_tokens <= 4 * alive
    assert list(sampler.step()) == []


def test_prompt_beyond_the_context_is_refused_whole(sampler: VllmSampler) -> None:
    fitting = request(1, Decoding(max_tokens=8))
    long = request(2, Decoding(max_tokens=8), prompt="Q: " + "zq" * 400)
    with pytest.raises(UsageError, match=r"t/i: got a prompt of \d+ tokens.*allowed"):
        sampler.submit([fitting, long])
    assert list(sampler.step()) == []


def test_missing_model_is_an_engine_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="did not start"):
        VllmSampler(tmp_path / "nothing-here")


def test_steps_are_told_apart_only_when_asked(sampler: VllmSampler, model_folder: Path) -> None:
    decoding = Decoding(max_tokens=24)
    plain = drain(sampler, [request(i, decoding, seed=i) for i in range(1, 65)])
    assert sampler.take_step_parts() == {}
    timed = VllmSampler(
        model_folder, dtype="float32", max_num_seqs=128, cpu_threads=1, times_steps=True
    )
    try:
        begin = time.perf_counter()
        found = drain(timed, [request(i, decoding, seed=i) for i in range(1, 65)])
        elapsed = time.perf_counter() - begin
        parts = timed.take_step_parts()
        assert timed.take_step_parts() == {}
    finally:
        timed.close()
    assert {k: c.token_ids for k, c in found.items()} == {k: c.token_ids for k, c in plain.items()}
    assert set(parts) == {"sampling", "scheduling", "detokenising"}
    assert all(seconds > 0 for seconds in parts.values())
    assert sum(parts.values()) < elapsed
    assert parts["sampling"] > 0.02 * elapsed  # 64 rows with a generator each
