"""Tasks with `method: likelihood`: exact pass rates from a model's probabilities, no samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final

from passuntil.config import Job, ModelSpec
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.ports import Checker
from passuntil.records import Instance
from passuntil.runner.rates import MeasuredRate, read_rates, write_rates
from passuntil.runner.segmentations import Pieces, Search
from passuntil.sampler.scorer import Node, Scorer
from passuntil.sampler.start import start_scorer

__all__ = ["measure_exact"]

_TOGETHER: Final = 256  # instances searched at once, and written in one transaction


def measure_exact(
    job: Job,
    model: ModelSpec,
    instances: Sequence[Instance],
    *,
    checkers: Mapping[str, Checker],
    ledger: SqliteLedger,
    on_start: Callable[[], None],
    on_engine: Callable[[Mapping[str, object]], None],
    make_scorer: Callable[[Job, ModelSpec], Scorer] = start_scorer,
) -> None:
    """Measure what the ledger does not hold yet.

    Parameters
    ----------
    job, model
        What is measured.
    instances : sequence of Instance
        Of the tasks with ``method: likelihood``.
    checkers : mapping of str to Checker
        By task; they judge sequences as they judge samples.
    ledger : SqliteLedger
        Where the rates go, in batches: a killed run goes on after the last one.
    on_start : callable
        Called before an engine starts.
    on_engine : callable
        Called with the engine's provenance once it has started, before the first rate.
    make_scorer : callable
        Starts the engine; replaced in tests.

    Raises
    ------
    EngineError, UsageError, CheckerError
        What was measured before is in the ledger.
    """
    tasks = {instance.task for instance in instances}
    known = {task: read_rates(ledger, model.name, task) for task in tasks}
    left = [instance for instance in instances if instance.id not in known[instance.task]]
    if not left:
        return
    on_start()
    with closing(make_scorer(job, model)) as scorer:
        on_engine(scorer.provenance)
        pieces = Pieces(scorer.tokenizer, scorer.end_tokens)
        for start in range(0, len(left), _TOGETHER):
            together = left[start : start + _TOGETHER]
            searches = [
                Search(
                    instance,
                    job.decoding(instance.task),
                    checker=checkers[instance.task],
                    scorer=scorer,
                    pieces=pieces,
                )
                for instance in together
            ]
            _search(searches, scorer)
            write_rates(
                ledger,
                model.name,
                {
                    (instance.task, instance.id): MeasuredRate(
                        search.rate, search.is_greedy_pass, search.n_nodes
                    )
                    for instance, search in zip(together, searches, strict=True)
                },
            )


def _search(searches: Sequence[Search], scorer: Scorer) -> None:
    """Advance all searches together, so that the engine's batch is full."""
    while True:
        nodes = [
            Node((number, tokens), search.prompt + tokens, candidates)
            for number, search in enumerate(searches)
            if not search.is_done
            for tokens, candidates in search.ask()
        ]
        if not nodes:
            return
        for (number, tokens), answer in scorer.next_tokens(nodes):
            searches[number].take(tokens, answer)
