"""A sampler in a process of its own keeps the port's promises, and dies alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from passuntil.conformance import check_sampler
from passuntil.errors import EngineError, UsageError
from passuntil.ports import Decoding, SampleRequest
from passuntil.records import SampleKey
from passuntil.sampler.process import ProcessSampler
from passuntil.sampler.scripted import ScriptedSampler


def script(key: SampleKey) -> tuple[str, int]:
    return f"text {key.index}", 1 + key.seed(1) % 16


class Paced:
    """Takes time for a step, as an engine does."""

    def __init__(self, seconds: float, max_prompt_chars: int | None) -> None:
        self._inner = ScriptedSampler(script, capacity=8, max_prompt_chars=max_prompt_chars)
        self._seconds = seconds

    def step(self) -> object:
        time.sleep(self._seconds)
        return self._inner.step()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def make(seconds: float = 0.002, max_prompt_chars: int | None = None) -> Paced:
    return Paced(seconds, max_prompt_chars)


def refuse() -> None:
    raise EngineError("model: got nothing; allowed: something; give one.")


def crash() -> None:
    os._exit(7)


def started(factory: str = "make", **options: object) -> ProcessSampler:
    return ProcessSampler(f"test_process:{factory}", options)


@pytest.fixture
def sampler() -> Iterator[ProcessSampler]:
    made = started()
    yield made
    made.close()


def requests(n: int, prompt: str = "p") -> list[SampleRequest]:
    keys = [SampleKey("m", "t", "i", index) for index in range(1, n + 1)]
    return [SampleRequest(key, prompt, Decoding(max_tokens=16), key.seed(0)) for key in keys]


def test_conformance() -> None:
    check_sampler(
        lambda: started(max_prompt_chars=10), too_long_prompt="x" * 11, is_reproducible=True
    )


def test_it_steps_without_being_asked(sampler: ProcessSampler) -> None:
    sampler.submit(requests(64))
    time.sleep(0.5)
    begin = time.monotonic()
    assert len(sampler.step()) == 64
    assert time.monotonic() - begin < 0.1


def test_what_had_finished_when_it_was_aborted_never_appears(sampler: ProcessSampler) -> None:
    wanted = requests(40)
    sampler.submit(wanted)
    time.sleep(0.3)
    n_tokens = sampler.abort([request.key for request in wanted])
    assert n_tokens == sum(script(request.key)[1] for request in wanted)
    assert sampler.step() == ()


def test_many_requests_and_completions_cross() -> None:
    """Both pipes fill at once: neither side may wait for the other to read."""
    wanted, n_done = requests(10_000), 0
    with closing(started(seconds=0.0)) as sampler:
        for first in range(0, len(wanted), 1000):
            sampler.submit(wanted[first : first + 1000])
        deadline = time.monotonic() + 60
        while n_done < len(wanted):
            n_done += len(sampler.step())
            assert time.monotonic() < deadline


def test_a_killed_engine_is_an_engine_error(sampler: ProcessSampler) -> None:
    sampler.submit(requests(4))
    os.kill(sampler.pid, signal.SIGKILL)
    time.sleep(0.2)

    def drain() -> None:
        for _ in range(3):  # what it had finished before may come first
            sampler.step()

    with pytest.raises(EngineError, match="exit status -9"):
        drain()
    with pytest.raises(EngineError, match="exit status -9"):
        sampler.submit(requests(8)[4:])


def test_an_engine_that_does_not_start_says_why() -> None:
    for factory, words in (("refuse", "got nothing; allowed"), ("crash", "exit status 7")):
        failed = started(factory)
        try:
            while not failed.is_ready:
                time.sleep(0.01)
            with pytest.raises(EngineError, match=words):
                _ = failed.capacity
        finally:
            failed.close()


def test_a_closed_one_refuses(sampler: ProcessSampler) -> None:
    _ = sampler.provenance
    sampler.submit(requests(2))
    with pytest.raises(UsageError, match="in flight already"):
        sampler.submit(requests(1))
    sampler.close()
    with pytest.raises(EngineError):
        sampler.submit(requests(1))


DRIVER = """\
import os, sys, time
from test_process import requests, started
sampler = started(seconds=600.0)
sampler.submit(requests(4))
print(sampler.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_when_its_driver_is_killed_amid_a_step() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, env=environment
    ) as driver:
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        driver.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "Z":
            break  # nobody reaps orphans in this container
        assert time.monotonic() < deadline
        time.sleep(0.02)
