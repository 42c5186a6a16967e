"""Samples from vLLM's V1 engine, in this process: one request and one seed per sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy, deepcopy
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, final

# first: it sets vLLM up before that is imported, and says how to install it
from passuntil.sampler.vllm_engine import describe_engine, load_engine

# isort: split
import vllm
from vllm import SamplingParams
from vllm.distributed.parallel_state import cleanup_dist_env_and_memory
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.llm_engine import LLMEngine

from passuntil.errors import EngineError, UsageError
from passuntil.ports import Decoding, SampleRequest, Undecoded
from passuntil.records import Completion, FinishReason, SampleKey
from passuntil.sampler.step_parts import StepParts

__all__ = ["VllmSampler"]


@final
class VllmSampler:
    """A :class:`passuntil.ports.Sampler` on one in-process vLLM engine.

    Parameters
    ----------
    model : str or Path
        Folder or hub id.
    revision, tokenizer : str, optional
        As in vLLM.
    dtype : str
        "auto", "float32", "bfloat16" or "float16".
    max_num_seqs : int
        Sequences computed together.
    max_model_len : int, optional
        Context length in tokens; by default the model's own.
    engine_seed : int
        Seed of the engine's own stream, which only requests without a seed draw from. Two engines
        with the same one repeat each other.
    gpu_memory_utilization : float
        Share of GPU memory; not used on a CPU.
    kv_cache_memory_bytes : int, optional
        Size of the key-value cache; by default 1 GiB on a CPU, on a GPU what vLLM measures.
    enforce_eager : bool, optional
        Without compilation and CUDA graphs. By default true on a CPU, where compiling costs more
        than it brings for small models, and false on a GPU.
    tensor_parallel_size : int
        GPUs the model is split over.
    trust_remote_code : bool
        Run code that comes with a hub model.
    cpu_threads : int, optional
        Threads of the computation on a CPU; by default torch's own choice. One is fastest for
        models of a few million parameters, and leaves the other cores to the checkers.
    times_steps : bool
        Tell apart what steps are made of, for `take_step_parts`; a few clock readings a step.

    Raises
    ------
    EngineError
        The engine does not start.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        tokenizer: str | None = None,
        dtype: str = "auto",
        max_num_seqs: int = 256,
        max_model_len: int | None = None,
        engine_seed: int = 0,
        gpu_memory_utilization: float = 0.9,
        kv_cache_memory_bytes: int | None = None,
        enforce_eager: bool | None = None,
        tensor_parallel_size: int = 1,
        trust_remote_code: bool = False,
        cpu_threads: int | None = None,
        times_steps: bool = False,
    ) -> None:
        self._engine: LLMEngine | None = load_engine(
            model,
            engine_seed=engine_seed,
            max_num_seqs=max_num_seqs,
            revision=revision,
            tokenizer=tokenizer,
            dtype=dtype,
            max_model_len=max_model_len,
            gpu_memory_utilization=gpu_memory_utilization,
            kv_cache_memory_bytes=kv_cache_memory_bytes,
            enforce_eager=enforce_eager,
            tensor_parallel_size=tensor_parallel_size,
            trust_remote_code=trust_remote_code,
            cpu_threads=cpu_threads,
        )
        self._tokenizer = self._engine.get_tokenizer()
        # encoding may set up a tokenizer anew, which fails while another thread decodes with it
        self._decoder = deepcopy(self._tokenizer)
        self._max_model_len: int = self._engine.vllm_config.model_config.max_model_len
        self._max_num_seqs = max_num_seqs
        self._prompts: dict[str, tuple[list[int], int, str]] = {}
        self._in_flight: dict[str, SampleRequest] = {}
        self._parameters = lru_cache(_parameters)
        self._parts = StepParts(self._engine, vllm.__version__) if times_steps else None
        self._provenance = {**describe_engine(self._engine), "engine_seed": engine_seed}

    @property
    def capacity(self) -> int:
        """A full batch, and a quarter more so that freed places are taken in the same step."""
        return self._max_num_seqs + self._max_num_seqs // 4

    @property
    def provenance(self) -> Mapping[str, object]:
        """Versions, device and sizes of the engine."""
        return self._provenance

    def submit(self, requests: Sequence[SampleRequest]) -> None:
        """Take requests; see :class:`passuntil.ports.Sampler`."""
        engine = self._live()
        names = [_request_id(request.key) for request in requests]
        twice = [n for n in names if n in self._in_flight] or len(set(names)) < len(names)
        if twice:
            raise UsageError(
                f"requests: got a key that is in flight already ({twice}); allowed: each key once; "
                "wait for its completion or abort it."
            )
        encoded = [self._encode(request) for request in requests]
        for name, request, token_ids in zip(names, requests, encoded, strict=True):
            parameters = copy(self._parameters(request.decoding))
            parameters.seed = request.seed
            # typed as vLLM's renderer returns it: a raw prompt costs 20 us more to look at
            prompt = {"type": "token", "prompt_token_ids": token_ids}
            try:
                engine.add_request(name, prompt, parameters)
            except ValueError as error:
                engine.abort_request(names)  # none of the call is taken
                for taken in names:
                    self._in_flight.pop(taken, None)
                raise UsageError(f"{request.key}: vLLM refuses the request: {error}") from error
            self._in_flight[name] = request

    def step(self) -> Sequence[Completion]:
        """Advance one engine step; see :class:`passuntil.ports.Sampler`."""
        return [undecoded.completion() for undecoded in self.step_undecoded()]

    def step_undecoded(self) -> Sequence[Undecoded]:
        """Advance one engine step; see :class:`passuntil.ports.DecodesLater`."""
        engine = self._live()
        if not self._in_flight:
            return ()
        try:
            outputs = engine.step()
        except Exception as error:  # the engine is in an unknown state
            raise EngineError(
                f"vLLM: got {type(error).__name__}: {error} in a step; allowed: none; "
                "run the same command again to resume."
            ) from error
        return [self._undecoded(output) for output in outputs if output.finished]

    def abort(self, keys: Iterable[SampleKey]) -> int:
        """Drop requests in flight; see :class:`passuntil.ports.Sampler`."""
        engine = self._live()
        names = [name for key in keys if (name := _request_id(key)) in self._in_flight]
        n_tokens = sum(self._tokens_so_far(name) for name in names)
        engine.abort_request(names)
        for name in names:
            del self._in_flight[name]
        return n_tokens

    def take_step_parts(self) -> Mapping[str, float]:
        """Return seconds of steps by part since the last call; none without `times_steps`."""
        return {} if self._parts is None else self._parts.take()

    def close(self) -> None:
        """Free the engine. Idempotent."""
        if self._engine is None:
            return
        self._engine.engine_core.shutdown()
        self._engine = None
        self._in_flight.clear()
        # A second engine in this process needs the first one's process group gone.
        cleanup_dist_env_and_memory()

    def _live(self) -> LLMEngine:
        if self._engine is None:
            raise EngineError("sampler: got a call after close(); allowed: none; make a new one.")
        return self._engine

    def _encode(self, request: SampleRequest) -> list[int]:
        token_ids, _, _ = self._prompt(request.prompt)
        longest = self._max_model_len - request.decoding.max_tokens
        if len(token_ids) > longest:
            key = request.key
            raise UsageError(
                f"{key.task}/{key.instance}: got a prompt of {len(token_ids)} tokens with "
                f"max_tokens={request.decoding.max_tokens}; allowed with {key.model}'s context of "
                f"{self._max_model_len}: {longest}; lower max_tokens or leave the instance out."
            )
        return token_ids

    def _prompt(self, prompt: str) -> tuple[list[int], int, str]:
        """Return token ids, the last of them, and its text, which decoding starts from."""
        found = self._prompts.get(prompt)
        if found is None:
            token_ids = self._tokenizer.encode(prompt)
            if not token_ids:
                raise UsageError(
                    "prompt: got no tokens; allowed: at least one; the tokenizer adds no "
                    "beginning-of-sequence token to an empty prompt, so give it some text."
                )
            found = token_ids, token_ids[-1], self._tokenizer.decode(token_ids[-1:])
            self._prompts[prompt] = found
        return found

    def _undecoded(self, output: Any) -> Undecoded:
        request = self._in_flight.pop(output.request_id)
        generated = output.outputs[0]
        token_ids = tuple(generated.token_ids)
        if generated.finish_reason == "length":
            reason = FinishReason.LENGTH
        elif generated.finish_reason == "stop":
            is_string = isinstance(generated.stop_reason, str)
            reason = FinishReason.STOP if is_string else FinishReason.END
        else:
            raise EngineError(
                f"{request.key}: vLLM ended it with {generated.finish_reason!r}; allowed: 'stop', "
                "'length'; run the same command again to resume."
            )
        if request.decoding.stop:  # detokenised on the way, to find the stop strings
            return Undecoded(request.key, token_ids, reason, lambda: generated.text)
        _, last, last_text = self._prompt(request.prompt)
        content = token_ids[:-1] if reason is FinishReason.END else token_ids
        decode = partial(_decode, self._decoder, last, last_text, content)
        return Undecoded(request.key, token_ids, reason, decode)

    def _tokens_so_far(self, name: str) -> int:
        # final-only output hides partial generations; the engine's own record has their length
        processor = self._live().output_processor
        return sum(
            state.detokenizer.num_output_tokens()
            for internal in processor.external_req_ids.get(name, ())
            if (state := processor.request_states.get(internal)) is not None
        )


def _request_id(key: SampleKey) -> str:
    return f"{key.task}\x1f{key.instance}\x1f{key.index}"


def _decode(tokenizer: Any, last: int, last_text: str, content: tuple[int, ...]) -> str:
    """Return the text of the tokens that follow a prompt's last one.

    Special tokens are kept: one inside an answer must not vanish from it. The prompt's last token
    is decoded too, since some tokenizers drop a space at the start of a text.
    """
    text: str = tokenizer.decode([last, *content])
    return text.removeprefix(last_text)


def _parameters(decoding: Decoding) -> SamplingParams:
    """Return vLLM's words for a decoding; each request gets a copy with its own seed."""
    has_stop = bool(decoding.stop)
    return SamplingParams(
        n=1,
        temperature=decoding.temperature,
        top_p=decoding.top_p,
        top_k=decoding.top_k,
        max_tokens=decoding.max_tokens,
        stop=list(decoding.stop),
        # 0.3 us against 3.3 us a token: vLLM need not decode unless it must find stop strings
        detokenize=has_stop,
        skip_special_tokens=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_clone=True,
    )
