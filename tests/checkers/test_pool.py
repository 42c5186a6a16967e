import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passuntil.checkers.exact import ExactChecker
from passuntil.checkers.pool import CheckerPool
from passuntil.errors import CheckerError, EngineError, UsageError
from passuntil.ports import Undecoded
from passuntil.records import Completion, ExactAnswer, FinishReason, Instance, SampleKey, Verdict

INSTANCE = Instance("t", "i", "p", ExactAnswer(("good",)))


class Fake:
    """Judges by the text; raises CheckerError the first `faults` times each text comes."""

    def __init__(self, *, faults=0, concurrency=2, is_cheap=False, gate=None, bug=None):
        self.faults = faults
        self.concurrency = concurrency
        self.is_cheap = is_cheap
        self.gate = gate
        self.bug = bug
        self.calls = Counter()
        self.threads = set()
        self.n_closed = 0

    def prepare(self, instance):
        pass

    def check(self, instance, completion):
        self.threads.add(threading.current_thread().name)
        self.calls[completion.text] += 1
        if self.gate is not None:
            self.gate.wait(10)
        if self.bug is not None:
            raise self.bug
        if self.calls[completion.text] <= self.faults:
            raise CheckerError(f"fault {self.calls[completion.text]}")
        return Verdict.passed() if "good" in completion.text else Verdict.failed("mismatch")

    def describe(self):
        return {"name": "fake"}

    def close(self):
        self.n_closed += 1


def completion(text, index=1, finish=FinishReason.END, instance="i"):
    return Completion(SampleKey("m", "t", instance, index), text, (1,), finish)


def undecoded(text, index=1, finish=FinishReason.END, threads=None):
    def decode():
        if threads is not None:
            threads.add(threading.current_thread().name)
        if isinstance(text, BaseException):
            raise text
        return text

    return Undecoded(SampleKey("m", "t", "i", index), (1,), finish, decode)


def drain(pool):
    judgements = []
    while pool.backlog:
        judgements += pool.collect(timeout_s=5)
    return judgements + pool.collect()


@pytest.mark.parametrize("is_cheap", [True, False])
def test_every_completion_is_judged_exactly_once(is_cheap):
    checker = Fake(is_cheap=is_cheap)
    with CheckerPool({"t": checker}) as pool:
        for index in range(1, 201):
            pool.submit(INSTANCE, completion(f"{'good' if index % 3 else 'bad'} {index}", index))
        judged = drain(pool)
        assert pool.collect(timeout_s=5) == []  # nothing is on its way: returns at once
    assert sorted(j.key.index for j in judged) == list(range(1, 201))
    assert all(j.error is None and j.verdict.is_pass == bool(j.key.index % 3) for j in judged)
    assert ("MainThread" in checker.threads) == is_cheap


@pytest.mark.parametrize("is_cheap", [True, False])
@pytest.mark.parametrize(
    ("retries", "faults", "is_judged"), [(2, 2, True), (2, 3, False), (0, 1, False)]
)
def test_faults_are_retried_and_then_errors_never_verdicts(is_cheap, retries, faults, is_judged):
    checker = Fake(faults=faults, is_cheap=is_cheap)
    with CheckerPool({"t": checker}, retries=retries) as pool:
        pool.submit(INSTANCE, completion("bad"))
        (judgement,) = drain(pool)
    assert checker.calls["bad"] == min(faults, retries) + 1
    if is_judged:
        assert judgement.verdict == Verdict.failed("mismatch")
        assert judgement.error is None
    else:
        assert judgement.verdict is None
        assert str(judgement.error) == f"fault {retries + 1}"


def test_a_checker_that_always_fails_yields_only_errors():
    with CheckerPool({"t": Fake(faults=10**9)}, retries=1) as pool:
        for index in range(1, 51):
            pool.submit(INSTANCE, completion(f"{index % 5}", index))
        judged = drain(pool)
    assert len(judged) == 50
    assert all(j.verdict is None and isinstance(j.error, CheckerError) for j in judged)


def test_equal_text_is_judged_once_and_joins_what_is_in_progress():
    gate = threading.Event()
    checker = Fake(gate=gate)
    with CheckerPool({"t": checker}) as pool:
        for index in range(1, 11):
            pool.submit(INSTANCE, completion("good", index))
        assert pool.backlog == 10
        assert pool.collect() == []
        gate.set()
        judged = drain(pool)
        pool.submit(INSTANCE, completion("good", 11))
        judged += drain(pool)
        assert pool.n_joined == 10
    assert checker.calls["good"] == 1
    assert [j.verdict.is_pass for j in judged] == [True] * 11
    assert sorted(j.key.index for j in judged) == list(range(1, 12))


def test_finish_reason_and_instance_keep_equal_texts_apart():
    checker = Fake()
    other = Instance("t", "j", "p", ExactAnswer(("bad",)))
    with CheckerPool({"t": checker}) as pool:
        pool.submit(INSTANCE, completion("good", 1))
        pool.submit(INSTANCE, completion("good", 2, FinishReason.LENGTH))
        pool.submit(other, completion("good", 1, instance="j"))
        assert len(drain(pool)) == 3
    assert checker.calls["good"] == 3


def test_an_error_is_not_cached():
    checker = Fake(faults=1)
    with CheckerPool({"t": checker}, retries=0) as pool:
        pool.submit(INSTANCE, completion("good", 1))
        (first,) = drain(pool)
        pool.submit(INSTANCE, completion("good", 2))
        (second,) = drain(pool)
    assert first.error is not None
    assert second.verdict.is_pass


@pytest.mark.parametrize(("max_cached", "calls"), [(2, 1), (1, 2), (0, 2)])
def test_the_cache_forgets_the_least_recently_used(max_cached, calls):
    checker = Fake(concurrency=1)
    with CheckerPool({"t": checker}, max_cached=max_cached) as pool:
        for text in ("a", "b", "a"):
            pool.submit(INSTANCE, completion(text))
            drain(pool)
    assert checker.calls["a"] == calls


def test_submit_blocks_at_the_bound_until_there_is_room():
    gate = threading.Event()
    with CheckerPool({"t": Fake(gate=gate, concurrency=1)}, max_backlog=2) as pool:
        pool.submit(INSTANCE, completion("a", 1))
        pool.submit(INSTANCE, completion("b", 2))
        threading.Timer(0.1, gate.set).start()
        start = time.monotonic()
        pool.submit(INSTANCE, completion("c", 3))
        assert time.monotonic() - start > 0.05
        assert len(drain(pool)) == 3


def test_collect_waits_for_the_first_judgement_only():
    gate = threading.Event()
    with CheckerPool({"t": Fake(gate=gate)}) as pool:
        pool.submit(INSTANCE, completion("a"))
        start = time.monotonic()
        assert pool.collect(timeout_s=0.05) == []
        assert 0.04 < time.monotonic() - start < 5
        gate.set()
        assert len(pool.collect(timeout_s=5)) == 1


def test_checkers_of_several_tasks_do_not_wait_for_each_other():
    gate = threading.Event()
    slow, exact = Fake(gate=gate, concurrency=1), ExactChecker()
    other = Instance("exact", "i", "p", ExactAnswer(("good",)))
    with CheckerPool({"t": slow, "exact": exact}) as pool:
        pool.submit(INSTANCE, completion("slow", 1))
        pool.submit(other, completion("good", 2))
        assert [j.key.index for j in pool.collect()] == [2]
        gate.set()
        assert [j.key.index for j in drain(pool)] == [1]


def test_a_bug_in_a_checker_is_raised_in_the_driver():
    with CheckerPool({"t": Fake(bug=ZeroDivisionError("bug"))}) as pool:
        pool.submit(INSTANCE, completion("a"))
        with pytest.raises(ZeroDivisionError, match="bug"):
            pool.collect(timeout_s=5)
        with pytest.raises(ZeroDivisionError, match="bug"):
            pool.submit(INSTANCE, completion("b"))


def test_close_is_idempotent_drops_the_queue_and_closes_each_checker_once():
    checker = Fake(concurrency=3)
    before = threading.active_count()
    pool = CheckerPool({"t": checker, "u": checker})
    for index in range(1, 101):
        pool.submit(INSTANCE, completion(f"{index}", index))
    pool.close()
    pool.close()
    assert checker.n_closed == 1
    assert threading.active_count() == before
    with pytest.raises(UsageError, match="after close"):
        pool.submit(INSTANCE, completion("late"))


def test_usage_errors():
    with pytest.raises(UsageError, match="retries: got -1; allowed: >= 0"):
        CheckerPool({}, retries=-1)
    with (
        CheckerPool({"code": Fake()}) as pool,
        pytest.raises(UsageError, match=r"got 'coed'; allowed: code; .*Did you mean 'code'\?"),
    ):
        pool.submit(Instance("coed", "i", "p", ExactAnswer(("a",))), completion("a"))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["good", "bad", "good 2", "\ud800"]), max_size=40))
def test_any_mix_of_texts_gets_the_verdicts_of_a_plain_loop(texts):
    checker = Fake(faults=1)
    with CheckerPool({"t": checker}, max_backlog=3, max_cached=2) as pool:
        for index, text in enumerate(texts, start=1):
            pool.submit(INSTANCE, completion(text, index))
        judged = drain(pool)
    assert {j.key.index: j.verdict.is_pass for j in judged} == {
        index: "good" in text for index, text in enumerate(texts, start=1)
    }


class Many(Fake):
    """A fake that judges batches, and notes how large they were."""

    batch_size = 8

    def __init__(self, **options):
        super().__init__(**options)
        self.sizes = []

    def check_many(self, samples):
        self.sizes.append(len(samples))
        verdicts = []
        for instance, text in samples:
            try:
                verdicts.append(self.check(instance, text))
            except CheckerError as error:
                verdicts.append(error)
        return verdicts


@pytest.mark.parametrize("faults", [0, 1])
def test_what_waits_is_judged_in_batches(faults):
    gate = threading.Event()
    checker = Many(concurrency=2, gate=gate, faults=faults)
    with CheckerPool({"t": checker}) as pool:
        for index in range(1, 101):
            pool.submit(INSTANCE, completion(f"{'good' if index % 3 else 'bad'} {index}", index))
        gate.set()
        judged = drain(pool)
    assert sorted(j.key.index for j in judged) == list(range(1, 101))
    assert all(j.error is None and j.verdict.is_pass == bool(j.key.index % 3) for j in judged)
    assert max(checker.sizes) == checker.batch_size
    assert pool.backlog == 0


def test_the_last_of_a_queue_are_shared_out_and_close_ends_every_thread():
    checker = Many(concurrency=3)
    pool = CheckerPool({"t": checker})
    for index in range(1, 30):
        pool.submit(INSTANCE, completion(f"good {index}", index))
    drain(pool)
    pool.close()
    assert not any(thread.is_alive() for thread in pool._threads)
    assert checker.n_closed == 1


def test_a_bug_in_a_batch_is_raised_to_the_driver():
    gate = threading.Event()
    checker = Many(concurrency=1, gate=gate, bug=UsageError("broken task"))
    with CheckerPool({"t": checker}) as pool:
        for index in range(1, 6):
            pool.submit(INSTANCE, completion(f"good {index}", index))
        gate.set()
        with pytest.raises(UsageError, match="broken task"):
            drain(pool)


def test_texts_are_made_by_a_thread_of_the_pool():
    checker, threads = Fake(), set()
    with CheckerPool({"t": checker}) as pool:
        for index in range(1, 101):
            text = f"{'good' if index % 3 else 'bad'} {index % 10}"
            pool.submit(INSTANCE, undecoded(text, index, threads=threads))
        judged = drain(pool)
        assert pool.n_joined + sum(checker.calls.values()) == 100
    assert sorted(j.key.index for j in judged) == list(range(1, 101))
    assert all(j.verdict.is_pass == ("good" in j.completion.text) for j in judged)
    assert all(j.completion.text.endswith(f" {j.key.index % 10}") for j in judged)
    assert threads == {"decoding"}


def test_a_text_joins_an_equal_one_whoever_made_it():
    gate = threading.Event()
    checker = Fake(gate=gate)
    with CheckerPool({"t": checker}) as pool:
        pool.submit(INSTANCE, completion("good", 1))
        pool.submit(INSTANCE, undecoded("good", 2))
        pool.submit(INSTANCE, undecoded("good", 3, FinishReason.LENGTH))
        gate.set()
        assert len(drain(pool)) == 3
        pool.submit(INSTANCE, undecoded("good", 4))
        assert len(drain(pool)) == 1
    assert checker.calls["good"] == 2


def test_cheap_checkers_make_the_text_where_they_judge_it():
    threads = set()
    with CheckerPool({"t": Fake(is_cheap=True)}) as pool:
        pool.submit(INSTANCE, undecoded("good", threads=threads))
        assert [j.verdict.is_pass for j in pool.collect()] == [True]
    assert threads == {"MainThread"}


def test_undecoded_completions_count_towards_the_bound():
    gate = threading.Event()
    with CheckerPool({"t": Fake(gate=gate, concurrency=1)}, max_backlog=2) as pool:
        pool.submit(INSTANCE, undecoded("a", 1))
        pool.submit(INSTANCE, undecoded("b", 2))
        late = threading.Thread(target=pool.submit, args=(INSTANCE, undecoded("c", 3)))
        late.start()
        late.join(0.2)
        assert late.is_alive()
        gate.set()
        late.join(5)
        assert not late.is_alive()
        assert len(drain(pool)) == 3


def test_a_failure_to_decode_is_raised_to_the_driver():
    with CheckerPool({"t": Fake()}) as pool:
        pool.submit(INSTANCE, undecoded(ZeroDivisionError("bug")))
        with pytest.raises(EngineError, match="got ZeroDivisionError: bug from decoding"):
            drain(pool)
        with pytest.raises(EngineError, match="bug"):
            pool.submit(INSTANCE, undecoded("good"))


class Panic(BaseException):
    """What a panic of code in Rust arrives as is no Exception."""


def test_a_panic_of_a_tokenizer_does_not_leave_the_driver_waiting():
    with CheckerPool({"t": Fake()}) as pool:
        pool.submit(INSTANCE, undecoded(Panic("in Rust")))
        with pytest.raises(Panic, match="in Rust"):
            drain(pool)


def test_close_drops_what_is_not_decoded_and_ends_the_thread():
    before = threading.active_count()
    pool = CheckerPool({"t": Fake()})
    for index in range(1, 1001):
        pool.submit(INSTANCE, undecoded(f"{index}", index))
    pool.close()
    pool.close()
    assert threading.active_count() == before
