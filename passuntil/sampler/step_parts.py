"""What the engine steps of vLLM are made of, timed inside a running engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, final

__all__ = ["StepParts"]

# Where the parts lie is no promise of vLLM: only versions that were looked at are timed.
_KNOWN: Final = ("0.32.",)


@final
class StepParts:
    """Adds up the seconds that the steps of an in-process ``LLMEngine`` spend in their parts.

    Sampling is the call of vLLM's sampler: where a GPU runs it asynchronously, the time to launch
    it. Scheduling is vLLM's own choice of what to compute and its bookkeeping. Detokenising is what
    turns token ids into finished outputs, and into text where stop strings are looked for. The rest
    of a step is the model.

    Parameters
    ----------
    engine : LLMEngine
        Its methods are replaced by timed ones; nothing of an untimed engine is slower.
    version : str
        Of vLLM. Where it is none of the known ones nothing is timed.
    """

    def __init__(self, engine: Any, version: str) -> None:
        self._seconds: dict[str, float] = {}
        core = engine.engine_core.engine_core
        # a model split over GPUs has its runners in other processes
        executor = core.model_executor
        self._is_known = version.startswith(_KNOWN) and hasattr(executor, "driver_worker")
        if not self._is_known:
            return
        runner = executor.driver_worker.worker.model_runner
        runner.sampler = _Timed(runner.sampler, self._timed("sampling", runner.sampler))
        for owner, name, part in (
            (core.scheduler, "schedule", "scheduling"),
            (core.scheduler, "update_from_output", "scheduling"),
            (engine.output_processor, "process_outputs", "detokenising"),
        ):
            setattr(owner, name, self._timed(part, getattr(owner, name)))

    def _timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time added to a part."""

        def run(*args: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return call(*args, **options)
            finally:
                spent = time.perf_counter() - begin
                self._seconds[part] = self._seconds.get(part, 0.0) + spent

        return run if self._is_known else call

    def take(self) -> Mapping[str, float]:
        """Return the seconds by part since the last call."""
        found, self._seconds = self._seconds, {}
        return found


class _Timed:
    """An object that is called by a timed function and is itself in all else."""

    def __init__(self, inner: Any, call: Callable[..., Any]) -> None:
        self._inner = inner
        self._call = call

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
