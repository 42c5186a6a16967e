"""Real vLLM on bundled models. One engine at a time per process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from passuntil.config import bundled

vllm = pytest.importorskip("passuntil.sampler.vllm", reason="vLLM is not installed: run `make`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """A bundled model large enough to pass now and then, small enough to be fast."""
    return bundled("model")["pico-280k"]


@pytest.fixture(scope="module")
def sampler(model_folder: Path) -> Iterator[object]:
    """One engine for the tests of a module that leave nothing in flight."""
    made = vllm.VllmSampler(model_folder, dtype="float32", max_num_seqs=128, cpu_threads=1)
    yield made
    made.close()
