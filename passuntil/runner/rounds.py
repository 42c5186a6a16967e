"""The rounds of a run that a forecast steers: what the ledger records of them, and the next one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np

from passuntil.config import Job
from passuntil.errors import UsageError
from passuntil.estimator import TallyArray
from passuntil.ledger.sqlite import SqliteLedger
from passuntil.records import Instance
from passuntil.steering import decide
from passuntil.steering.forecast import Decision, ForecastGoal
from passuntil.stopping import InstanceState, StopRule

__all__ = [
    "ROUNDS",
    "RoundObserver",
    "check_rounds",
    "decide_rounds",
    "final_rules_of",
    "rules_of",
]

ROUNDS: Final = "rounds"
"""Name of the ledger's record: by task, the trials wanted and what each round found."""

Address = tuple[str, str, str]
Rule = Callable[[str, str, str], StopRule]
FindState = Callable[[str, str, str], InstanceState | None]


@runtime_checkable
class RoundObserver(Protocol):
    """An observer that is told of rounds too."""

    def on_round(self, task: str, words: str) -> None:
        """Report what a complete round found and what follows."""
        ...


def rules_of(job: Job, ledger: SqliteLedger) -> Rule:
    """Return when sampling of a model, task and instance ends.

    One rule for all, but where a forecast steers: there an instance ends at the trials its last
    round wants, so that a state closes when the round is complete.
    """
    rule = job.stop_rule()
    if job.forecast is None:
        return lambda model, task, instance: rule
    measured = {model.name for model in job.family if not model.held_out}
    recorded: Mapping[str, Any] = ledger.read_meta(ROUNDS) or {}
    names: Mapping[str, Any] = ledger.read_meta("instances") or {}
    wanted: dict[Address, int] = {}
    for task, found in recorded.items():
        for model, trials in found["trials"].items():
            wanted |= {(model, task, i): n for i, n in zip(names[task], trials, strict=True)}

    def find(model: str, task: str, instance: str) -> StopRule:
        if model not in measured:
            return rule
        n = wanted.get((model, task, instance), rule.min_samples)
        return StopRule.steered(min_samples=n, budget=n)

    return find


def final_rules_of(job: Job, ledger: SqliteLedger) -> Rule:
    """Return the same for readers: nothing is closed by a round that another may follow."""
    rules, whole = rules_of(job, ledger), job.stop_rule()
    if job.forecast is None:
        return rules
    measured = {model.name for model in job.family if not model.held_out}
    recorded: Mapping[str, Any] = ledger.read_meta(ROUNDS) or {}
    ended = {task for task, found in recorded.items() if found["end"] is not None}

    def find(model: str, task: str, instance: str) -> StopRule:
        is_going_on = model in measured and task not in ended
        return whole if is_going_on else rules(model, task, instance)

    return find


def check_rounds(job: Job, instances: Iterable[Instance]) -> None:
    """Raise where the first round of a task is more than its budget."""
    n_models = sum(not model.held_out for model in job.family)
    for task, n in Counter(instance.task for instance in instances).items():
        first = n_models * n * job.min_samples
        if job.total_budget is not None and job.total_budget < first:
            raise UsageError(
                f"total_budget: got {job.total_budget}; allowed: at least min_samples for each of "
                f"the {n} instances of {task} under each of {n_models} models, {first}; raise it "
                "or lower min_samples."
            )


def decide_rounds(
    job: Job, ledger: SqliteLedger, find_state: FindState
) -> Iterator[tuple[str, str]]:
    """Decide and record the next round of each task whose last one is complete; yield the words.

    Parameters
    ----------
    find_state : callable
        From model, task and instance to what is judged; an instance behind its round's trials was
        aborted, and gets no more than those.
    """
    goal = job.forecast_goal()
    assert goal is not None
    names: Mapping[str, Any] = ledger.read_meta("instances") or {}
    models = [model for model in job.family if not model.held_out]
    for task in job.tasks:
        recorded: dict[str, Any] = dict(ledger.read_meta(ROUNDS) or {})
        before: Mapping[str, Any] = recorded.get(task.name, {})
        if task.method == "likelihood" or before.get("end") is not None:
            continue
        ids: Sequence[str] = names[task.name]
        floor = [job.min_samples] * len(ids)
        wanted = np.array([before.get("trials", {}).get(m.name, floor) for m in models], np.int64)
        states = [[find_state(m.name, task.name, i) for i in ids] for m in models]
        passes = np.array([[s.n_passes if s else 0 for s in row] for row in states], np.int64)
        trials = np.array([[s.n_committed if s else 0 for s in row] for row in states], np.int64)
        is_behind = trials < wanted
        # what aborted instances are owed is theirs, should they be mended
        owed = int((wanted - trials)[is_behind].sum())
        history = list(before.get("history", []))
        decision = decide(
            _less(goal, owed),
            [model.n_params for model in models],
            [TallyArray.open(passes=c, trials=n) for c, n in zip(passes, trials, strict=True)],
            most=np.where(is_behind, trials, job.budget),
            n_rounds=len(history) + 1,
            cost=None if job.sample_cost == "equal" else [model.n_params for model in models],
        )
        following = np.where(is_behind, wanted, decision.trials)
        recorded[task.name] = {
            "trials": {m.name: row.tolist() for m, row in zip(models, following, strict=True)},
            "end": None if decision.end is None else str(decision.end),
            "history": [*history, _plain(decision, int(trials.sum()))],
        }
        ledger.write_meta(ROUNDS, recorded)
        yield task.name, decision.words


def _less(goal: ForecastGoal, n_samples: int) -> ForecastGoal:
    """Return the goal with so many samples of its budget spent elsewhere."""
    if goal.total_budget is None:
        return goal
    return replace(goal, total_budget=max(1, goal.total_budget - n_samples))


def _plain(decision: Decision, n_samples: int) -> dict[str, Any]:
    forecast = decision.forecast
    return {
        "samples": n_samples,
        "value": None if forecast is None else forecast.value,
        "low": None if forecast is None else forecast.low,
        "high": None if forecast is None else forecast.high,
        "width": decision.width,
        "least_width": decision.least_width,
        "words": decision.words,
    }
