"""Log-likelihoods of given tokens from vLLM's V1 engine, in this process: nothing is drawn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, final

from passuntil.errors import EngineError, UsageError
from passuntil.sampler.scorer import Continuation, Likelihood, NextTokens, Node

# first of the two imports of vLLM: it sets the variables that vLLM reads when it is imported
from passuntil.sampler.vllm_engine import describe_engine, load_engine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from vllm import SamplingParams
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory
    from vllm.platforms import current_platform
    from vllm.sampling_params import MAX_LOGPROB_TOKEN_IDS, RequestOutputKind
    from vllm.v1.engine.llm_engine import LLMEngine

__all__ = ["VllmScorer"]

Key = TypeVar("Key", bound=Hashable)


@final
class VllmScorer:
    """A :class:`passuntil.sampler.scorer.Scorer` on one in-process vLLM engine.

    Parameters
    ----------
    model, max_num_seqs, enforce_eager
        As in `VllmSampler`.
    **options
        Of `passuntil.sampler.vllm_engine.load_engine`, likewise.

    Raises
    ------
    EngineError
        The engine does not start.

    Notes
    -----
    A continuation of several tokens is one request with prompt log-probabilities, for which vLLM
    reads no prefix cache. Single-token continuations of one context are one request together,
    which asks for the log-probabilities of these next tokens: four times fewer requests on a task
    with four lettered answers.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        max_num_seqs: int = 256,
        enforce_eager: bool | None = None,
        **options: Any,
    ) -> None:
        if current_platform.is_cpu() and enforce_eager is not False:
            # vLLM compiles the one line that ranks tokens, which takes longer than small models do
            torch.compiler.set_stance("force_eager")
        self._engine: LLMEngine | None = load_engine(
            model,
            engine_seed=0,
            max_num_seqs=max_num_seqs,
            enforce_eager=enforce_eager,
            **options,
        )
        self.tokenizer: Any = self._engine.get_tokenizer()
        self.max_model_len: int = self._engine.vllm_config.model_config.max_model_len
        self.end_tokens: tuple[int, ...] = _end_tokens(self._engine)
        self._most_in_flight: Final = 2 * max_num_seqs
        self.provenance: Mapping[str, object] = describe_engine(self._engine)

    @property
    def longest(self) -> int:
        """Most tokens of a context and its continuation: vLLM always adds one more."""
        return self.max_model_len - 1

    def continuations(
        self, questions: Iterable[Continuation[Key]]
    ) -> Iterator[tuple[Key, Likelihood]]:
        """Yield the likelihood of each continuation, in any order.

        Raises
        ------
        UsageError
            A continuation without context or tokens, or longer than the model's context.
        EngineError
            vLLM fails.
        """
        for output, read in self._run(_group(questions, self.longest)):
            yield from read(output)

    def next_tokens(self, nodes: Iterable[Node[Key]]) -> Iterator[tuple[Key, NextTokens]]:
        """Yield the log-probabilities of each node's candidates, in any order.

        Raises
        ------
        UsageError
            A prefix longer than the model's context.
        EngineError
            vLLM fails.
        """
        found: dict[Key, tuple[dict[int, float], int]] = {}
        n_parts: dict[Key, int] = {}

        def requests() -> Iterator[_Request]:
            for node in nodes:
                parts = [
                    node.candidates[i : i + MAX_LOGPROB_TOKEN_IDS]
                    for i in range(0, len(node.candidates), MAX_LOGPROB_TOKEN_IDS)
                ]
                n_parts[node.key] = len(parts)
                for part in parts:
                    yield _next_request(node.prefix, part, _node_reader(node.key))

        for output, read in self._run(requests()):
            ((key, answer),) = read(output)
            log_probs, _ = found.setdefault(key, ({}, answer.best))
            log_probs.update(answer.log_probs)
            n_parts[key] -= 1
            if n_parts[key] == 0:
                log_probs, best = found.pop(key)
                yield key, NextTokens(log_probs, best)

    def close(self) -> None:
        """Free the engine. Idempotent."""
        if self._engine is None:
            return
        self._engine.engine_core.shutdown()
        self._engine = None
        torch.compiler.set_stance("default")
        # A second engine in this process needs the first one's process group gone.
        cleanup_dist_env_and_memory()

    def _run(self, requests: Iterable[_Request]) -> Iterator[tuple[Any, _Reader]]:
        """Keep the engine full and yield each output with its reader."""
        engine = self._engine
        if engine is None:
            raise EngineError("scorer: got a call after close(); allowed: none; make a new one.")
        waiting = iter(requests)
        readers: dict[str, _Reader] = {}
        n_added = 0
        is_drained = False
        try:
            while True:
                while not is_drained and len(readers) < self._most_in_flight:
                    request = next(waiting, None)
                    if request is None:
                        is_drained = True
                        break
                    name = str(n_added)
                    n_added += 1
                    _add(engine, name, request)
                    readers[name] = request.read
                if not readers:
                    return
                for output in _step(engine):
                    if output.finished:
                        yield output, readers.pop(output.request_id)
        finally:
            if readers:  # the caller stopped early
                engine.abort_request(list(readers))


_Reader = Callable[[Any], Iterator[tuple[Any, Any]]]


@dataclass(frozen=True, slots=True)
class _Request:
    token_ids: list[int]
    parameters: SamplingParams
    read: _Reader


def _end_tokens(engine: LLMEngine) -> tuple[int, ...]:
    parameters = SamplingParams()  # as VllmSampler has them: nothing is ignored
    parameters.update_from_generation_config(
        engine.vllm_config.model_config.try_get_generation_config(),
        engine.get_tokenizer().eos_token_id,
    )
    return tuple(sorted(parameters.all_stop_token_ids))


def _add(engine: LLMEngine, name: str, request: _Request) -> None:
    try:
        engine.add_request(name, {"prompt_token_ids": request.token_ids}, request.parameters)
    except ValueError as error:
        raise UsageError(f"vLLM refuses a request: {error}") from error


def _step(engine: LLMEngine) -> Sequence[Any]:
    try:
        outputs: Sequence[Any] = engine.step()
    except Exception as error:  # the engine is in an unknown state
        raise EngineError(
            f"vLLM: got {type(error).__name__}: {error} in a step; allowed: none; "
            "run the same command again to resume."
        ) from error
    return outputs


def _parameters(**options: Any) -> SamplingParams:
    return SamplingParams(
        max_tokens=1,  # vLLM does not take less
        temperature=0.0,
        detokenize=False,
        flat_logprobs=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_clone=True,
        **options,
    )


def _group(questions: Iterable[Continuation[Key]], longest: int) -> Iterator[_Request]:
    """Yield a request per continuation; one for all single tokens in a run of equal contexts."""
    singles: list[Continuation[Key]] = []
    for question in questions:
        n_tokens = len(question.context) + len(question.tokens)
        if not question.context or not question.tokens or n_tokens > longest:
            raise UsageError(
                f"continuation {question.key!r}: got {len(question.context)} + "
                f"{len(question.tokens)} tokens; allowed: one or more each, at most {longest} "
                "together; cut the context from the left."
            )
        is_next = bool(singles) and singles[0].context != question.context
        if is_next or len(singles) == MAX_LOGPROB_TOKEN_IDS:
            yield _single_request(singles)
            singles = []
        if len(question.tokens) == 1:
            singles.append(question)
        else:
            yield _prompt_request(question)
    if singles:
        yield _single_request(singles)


def _prompt_request(question: Continuation[Key]) -> _Request:
    tokens = [*question.context, *question.tokens]
    n = len(question.tokens)

    def read(output: Any) -> Iterator[tuple[Key, Likelihood]]:
        # one entry per prompt token but the first; with prompt_logprobs=0 nothing but its own
        found = output.prompt_logprobs
        is_greedy = all(rank == 1 for rank in found.ranks[-n:])
        yield question.key, Likelihood(float(sum(found.logprobs[-n:])), n, is_greedy)

    return _Request(tokens, _parameters(prompt_logprobs=0), read)


def _single_request(questions: list[Continuation[Key]]) -> _Request:
    candidates = tuple({q.tokens[0]: None for q in questions})

    def read(output: Any) -> Iterator[tuple[Key, Likelihood]]:
        best, log_probs = _read_next(output)
        for question in questions:
            token = question.tokens[0]
            yield question.key, Likelihood(log_probs[token], 1, token == best)

    return _next_request(questions[0].context, candidates, read)


def _next_request(prefix: Sequence[int], candidates: Sequence[int], read: _Reader) -> _Request:
    return _Request(list(prefix), _parameters(logprob_token_ids=list(candidates)), read)


def _node_reader(key: Key) -> _Reader:
    def read(output: Any) -> Iterator[tuple[Key, NextTokens]]:
        best, log_probs = _read_next(output)
        yield key, NextTokens(log_probs, best)

    return read


def _read_next(output: Any) -> tuple[int, dict[int, float]]:
    (generated,) = output.outputs
    found = generated.logprobs
    log_probs = zip(found.token_ids, map(float, found.logprobs), strict=True)
    # at temperature 0 the generated token is the most probable one; it is among the entries too
    return int(generated.token_ids[0]), dict(log_probs)
