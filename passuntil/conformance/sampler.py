"""What every sampler must keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from passuntil.conformance.failure import require, require_error, require_record
from passuntil.errors import UsageError
from passuntil.ports import DecodesLater, Decoding, Sampler, SampleRequest, Undecoded
from passuntil.records import Completion, FinishReason, SampleKey

__all__ = ["check_sampler"]


def check_sampler(
    make_sampler: Callable[[], Sampler],
    *,
    prompts: Sequence[str] = ("a", "b", "c"),
    decoding: Decoding | None = None,
    model: str = "model",
    n_samples: int = 24,
    too_long_prompt: str | None = None,
    is_reproducible: bool = False,
    timeout_s: float = 120.0,
) -> None:
    """Check an adapter of ``Sampler``; one sampler is made and closed.

    Parameters
    ----------
    make_sampler : callable
        Returns a new sampler.
    prompts : sequence of str
        Prompts that fit the model, one or more.
    decoding : Decoding, optional
        How tokens are drawn; 16 tokens at temperature 1 where it is not given. Allow enough
        tokens that samples outlive a step.
    model : str
        Name of the model in the keys.
    n_samples : int
        Samples of a round, >= 4.
    too_long_prompt : str, optional
        A prompt that does not fit; refused as a whole call.
    is_reproducible : bool
        The completion is a function of key and seed whatever else is in flight: drawn again in
        reverse order, it must be the same.
    timeout_s : float
        Longest time for a round, seconds.

    Raises
    ------
    ConformanceError
        A promise does not hold.
    """
    round_ = _SamplerRound(
        make_sampler(), prompts, decoding or Decoding(max_tokens=16), model, n_samples, timeout_s
    )
    sampler = round_.sampler
    try:
        require(sampler.capacity >= 1, "capacity is at least 1", sampler.capacity)
        require_record(lambda: sampler.provenance, "provenance", ("engine",))
        _check_idle(sampler)
        drawn = _check_each_once(round_)
        _check_abort(round_)
        _check_refusals(round_, too_long_prompt)
        if is_reproducible:
            again = round_.drain(list(reversed(round_.requests("once"))))
            require(again == drawn, "the same keys and seeds give the same completions", again)
        if isinstance(sampler, DecodesLater):
            late = _check_decoded_later(round_, sampler)
            if is_reproducible:
                require(late == drawn, "decoding later gives the same completions", late)
        sampler.submit(round_.requests("closing"))  # closing aborts what is in flight
    finally:
        sampler.close()
    sampler.close()


@dataclass(frozen=True, slots=True)
class _SamplerRound:
    """A sampler under test and what it is fed."""

    sampler: Sampler
    prompts: Sequence[str]
    decoding: Decoding
    model: str
    n_samples: int
    timeout_s: float

    def requests(self, name: str) -> list[SampleRequest]:
        """Return a round of requests under that task name."""
        n_prompts = len(self.prompts)
        keys = [
            SampleKey(self.model, name, f"instance-{i % n_prompts}", i // n_prompts + 1)
            for i in range(self.n_samples)
        ]
        return [
            SampleRequest(key, self.prompts[i % n_prompts], self.decoding, key.seed(0))
            for i, key in enumerate(keys)
        ]

    def drain(
        self, requests: Sequence[SampleRequest], *, is_submitted: bool = False
    ) -> dict[SampleKey, Completion]:
        """Step until all `requests` are finished; refuse strangers and repetitions."""
        wanted = {request.key for request in requests}
        found: dict[SampleKey, Completion] = {}
        if not is_submitted:
            self.sampler.submit(requests)
        deadline = time.monotonic() + self.timeout_s
        while len(found) < len(wanted):
            for completion in self.sampler.step():
                require(completion.key in wanted, "only what is in flight finishes", completion)
                require(completion.key not in found, "each sample finishes once", completion)
                self.check_sound(completion)
                found[completion.key] = completion
            missing = len(wanted) - len(found)
            require(time.monotonic() < deadline, "all samples finish in time", f"{missing} left")
        for _ in range(self.decoding.max_tokens + 1):  # as long as a sample nobody asked for takes
            left = self.sampler.step()
            require(not left, "nothing finishes where nothing is in flight", left)
        return found

    def check_sound(self, completion: Completion) -> None:
        """Refuse a completion that keeps to no decoding."""
        n, most = completion.n_tokens, self.decoding.max_tokens
        require(1 <= n <= most, f"a completion has 1 ... {most} tokens", completion)
        is_full = completion.finish_reason is not FinishReason.LENGTH or n == most
        require(is_full, "finish_reason 'length' means max_tokens tokens", completion)
        is_cut = not any(stop in completion.text for stop in self.decoding.stop)
        require(is_cut, "the text ends before the stop string", completion)


def _check_idle(sampler: Sampler) -> None:
    begin = time.monotonic()
    got = sampler.step()
    elapsed_s = time.monotonic() - begin
    require(not got, "an idle step returns nothing", got)
    require(elapsed_s < 1.0, "an idle step returns at once", f"{elapsed_s:.1f} s")
    n_tokens = sampler.abort([SampleKey("model", "unknown", "unknown", 1)])
    require(n_tokens == 0, "aborting an unknown key does nothing", n_tokens)


def _check_each_once(round_: _SamplerRound) -> dict[SampleKey, Completion]:
    requests = round_.requests("once")
    round_.sampler.submit([])
    half = len(requests) // 2
    round_.sampler.submit(requests[:half])
    early = list(round_.sampler.step())
    round_.sampler.submit(requests[half:])
    early_keys = {completion.key for completion in early}
    require(len(early_keys) == len(early), "each sample finishes once", early)
    late = [request for request in requests if request.key not in early_keys]
    found = round_.drain(late, is_submitted=True)
    found.update({completion.key: completion for completion in early})
    wanted = {request.key for request in requests}
    require(set(found) == wanted, "each request finishes once", set(found) ^ wanted)
    return found


def _check_decoded_later(
    round_: _SamplerRound, sampler: DecodesLater
) -> dict[SampleKey, Completion]:
    """Texts may be made when the sampler has long gone on."""
    requests = round_.requests("once")
    round_.sampler.submit(requests)
    done: list[Undecoded] = []
    deadline = time.monotonic() + round_.timeout_s
    while len(done) < len(requests):
        done += sampler.step_undecoded()
        missing = len(requests) - len(done)
        require(time.monotonic() < deadline, "all samples finish in time", f"{missing} left")
    found = {undecoded.key: undecoded.completion() for undecoded in done}
    wanted = {request.key for request in requests}
    require(set(found) == wanted, "each request finishes once", set(found) ^ wanted)
    for completion in found.values():
        round_.check_sound(completion)
    return found


def _check_abort(round_: _SamplerRound) -> None:
    """Aborted samples never appear, the others do, and an aborted key may come again."""
    sampler, requests = round_.sampler, round_.requests("abort")
    sampler.submit(requests)
    finished = {completion.key for completion in sampler.step()}
    running = [request for request in requests if request.key not in finished]
    dropped = running[1::2]
    n_tokens = sampler.abort(request.key for request in dropped)
    most = round_.decoding.max_tokens * len(dropped)
    require(0 <= n_tokens <= most, f"abort returns 0 ... {most} tokens", n_tokens)
    again = sampler.abort(request.key for request in dropped)
    require(again == 0, "aborting twice does nothing", again)
    round_.drain(running[0::2], is_submitted=True)
    round_.drain(dropped)


def _check_refusals(round_: _SamplerRound, too_long_prompt: str | None) -> None:
    """A refused call takes nothing."""
    sampler = round_.sampler
    flying, *others = round_.requests("refused")
    twice = "a key in flight twice"
    require_error(lambda: sampler.submit([others[0], others[0]]), UsageError, twice)
    sampler.submit([flying])
    require_error(lambda: sampler.submit([*others, flying]), UsageError, twice)
    if too_long_prompt is not None:
        long = replace(others[0], prompt=too_long_prompt)
        require_error(lambda: sampler.submit([*others[1:], long]), UsageError, "a long prompt")
    round_.drain([flying], is_submitted=True)
