"""Scores every choice of every instance under every model, and goes on where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol

import passuntil
from passuntil.choices.encoding import PairEncoder
from passuntil.choices.formats import ChoiceInstance
from passuntil.choices.job import ChoiceJob, ChoiceTask, decisive
from passuntil.choices.scores import ChoiceScores
from passuntil.choices.store import Part, Score, ScoreStore
from passuntil.config import ModelSpec
from passuntil.errors import UsageError
from passuntil.sampler.scorer import Continuation, Scorer
from passuntil.sampler.start import start_scorer

__all__ = ["ScoringObserver", "load_scores", "score_choices"]

# A second between transactions: what a kill can lose is scored again.
_FLUSH_INTERVAL_S: Final = 1.0

Place = tuple[int, int]


class ScoringObserver(Protocol):
    """Is told how scoring goes on; a progress display."""

    def on_model(self, family: str, model: ModelSpec, n_left: int) -> None:
        """Report that a model's engine is about to start, for so many choices."""
        ...

    def on_scores(self, n_scored: int) -> None:
        """Report how many more choices are scored and written.

        Raises
        ------
        RunInterrupted
            To stop.
        """
        ...


def score_choices(
    job: ChoiceJob,
    folder: Path,
    *,
    observer: ScoringObserver,
    make_scorer: Callable[[ChoiceJob, ModelSpec], Scorer] = start_scorer,
) -> None:
    """Score a job, or go on with it where `folder` holds a part of it.

    Parameters
    ----------
    job : ChoiceJob
        What to score.
    folder : Path
        Where the scores lie; made if it is not there.
    observer : ScoringObserver
        Is told of progress.
    make_scorer : callable
        Starts the engine; replaced in tests.

    Raises
    ------
    UsageError
        `folder` holds scores of another job, or a task file is broken.
    EngineError, LedgerError
        What was scored before is in the folder; the same call goes on from there.
    """
    instances = {task.name: job.instances(task) for task in job.tasks}
    with closing(ScoreStore(folder, mode="write")) as store:
        _write_job(job, store, folder)
        for name, found in instances.items():
            store.write_instances(name, found)

        def write(part: Part, scores: list[Score]) -> None:
            if scores:
                store.append(part, scores)
                observer.on_scores(len(scores))

        for family, model in job.parts():
            work = []
            for task in job.tasks:
                part = Part(family.name, model.name, task.name)
                left = _left(instances[task.name], store.done(part))
                if left:
                    work.append((task, part, left))
            if not work:
                continue
            observer.on_model(family.name, model, sum(len(left) for _, _, left in work))
            with closing(make_scorer(job, model)) as scorer:
                for _, part, _ in work:
                    _write_engine(store, part, scorer.provenance)
                _score(work, instances, scorer=scorer, write=write)


def _score(
    work: Sequence[tuple[ChoiceTask, Part, Sequence[Place]]],
    instances: Mapping[str, Sequence[ChoiceInstance]],
    *,
    scorer: Scorer,
    write: Callable[[Part, list[Score]], None],
) -> None:
    """Score what is left of one model; write once a second, and what there is when it fails."""
    for task, part, left in work:
        encoder = PairEncoder(scorer.tokenizer, boundary=task.boundary, longest=scorer.longest)
        questions = _questions(instances[task.name], left, encoder, task)
        waiting: list[Score] = []
        flushed = time.monotonic()
        try:
            for (place, choice), answer in scorer.continuations(questions):
                waiting.append(
                    Score(place, choice, answer.log_likelihood, answer.n_tokens, answer.is_greedy)
                )
                if time.monotonic() - flushed >= _FLUSH_INTERVAL_S:
                    batch, waiting = waiting, []  # a write that fails is not tried twice
                    write(part, batch)
                    flushed = time.monotonic()
        finally:
            write(part, waiting)


def _write_engine(store: ScoreStore, part: Part, provenance: Mapping[str, object]) -> None:
    """Record the engine; a list, since a run may go on with another version or device."""
    key = f"engines {part.family}/{part.model}/{part.benchmark}"
    before = (store.read_meta(key) or {"starts": []})["starts"]
    store.write_meta(key, {"starts": [*before, dict(provenance)]})


def _left(instances: Sequence[ChoiceInstance], done: set[Place]) -> list[Place]:
    return [
        (place, choice)
        for place, instance in enumerate(instances)
        for choice in range(len(instance.pairs))
        if (place, choice) not in done
    ]


def _questions(
    instances: Sequence[ChoiceInstance],
    places: Sequence[Place],
    encoder: PairEncoder,
    task: ChoiceTask,
) -> Iterator[Continuation[Place]]:
    for place, choice in places:
        instance = instances[place]
        try:
            context, tokens = encoder.encode(*instance.pairs[choice])
        except UsageError as error:
            raise UsageError(f"{task.name}, instance {instance.id}: {error}") from error
        yield Continuation((place, choice), context, tokens)


def _write_job(job: ChoiceJob, store: ScoreStore, folder: Path) -> None:
    """Record the job. Models and benchmarks may join a run; those in it may not change."""
    now = decisive(job)
    meta = store.read_meta("decisive") or {}
    changed = [
        f"{part}.{key}: was {before[key]}, is {now[part][key]}"
        for part, before in meta.items()
        for key in before
        if part in now and now[part][key] != before[key]
    ]
    if changed:
        lines = "\n  ".join(changed)
        raise UsageError(
            f"run {folder}: got a job that differs from the one it was begun with; allowed: the "
            f"same models and tasks, and others beside them; choose another folder with -o, or "
            f"change back:\n  {lines}"
        )
    store.write_meta("decisive", {**meta, **now})
    families: dict[str, Any] = dict(store.read_meta("families") or {})
    for family, model in job.parts():
        models = families.setdefault(family.name, {})
        models[model.name] = model.model_dump(mode="json", exclude={"path", "revision"})
    store.write_meta("families", families)
    known = store.read_meta("benchmarks") or {}
    store.write_meta("benchmarks", dict.fromkeys([*known, *(task.name for task in job.tasks)]))
    store.write_meta(
        "job", {"job": job.model_dump(mode="json"), "passuntil": passuntil.__version__}
    )


def load_scores(folder: Path) -> tuple[list[ChoiceScores], list[str]]:
    """Return the scores of every family on every benchmark, and what is left out, in words.

    Parameters
    ----------
    folder : Path
        Of a run; it may still go on.

    Returns
    -------
    scores : list of ChoiceScores
        Families in turn; the models that are scored on all instances of the benchmark.
    missing : list of str
        One line per model that is not.

    Raises
    ------
    UsageError
        `folder` holds no scores.
    """
    with closing(ScoreStore(folder, mode="read")) as store:
        found: list[ChoiceScores] = []
        missing: list[str] = []
        for family, models in (store.read_meta("families") or {}).items():
            for benchmark in store.read_meta("benchmarks") or {}:
                scores = _load(store, family, models, benchmark, missing)
                if scores is not None:
                    found.append(scores)
    return found, missing


def _load(
    store: ScoreStore,
    family: str,
    models: Mapping[str, Mapping[str, Any]],
    benchmark: str,
    missing: list[str],
) -> ChoiceScores | None:
    instances = store.instances(benchmark)
    counts = [len(texts) for _, texts, _ in instances]
    complete: list[str] = []
    log_likelihood, n_tokens, is_greedy = [], [], []
    for model in models:
        scores = store.scores(Part(family, model, benchmark))
        if len(scores) != sum(counts):
            missing.append(
                f"{family}/{model} on {benchmark}: {len(scores)} of {sum(counts)} choices scored"
            )
            continue
        rows = iter(scores)
        nested = [[next(rows) for _ in range(count)] for count in counts]
        complete.append(model)
        log_likelihood.append([[score.log_likelihood for score in row] for row in nested])
        n_tokens.append([[score.n_tokens for score in row] for row in nested])
        is_greedy.append([[score.is_greedy for score in row] for row in nested])
    if not complete:
        return None
    specs = [models[name] for name in complete]
    return ChoiceScores.of(
        log_likelihood,
        models=complete,
        compute=[_compute(spec) for spec in specs],
        n_params=[spec["n_params"] for spec in specs],
        n_train_tokens=(
            [spec["n_tokens"] for spec in specs] if all(s["n_tokens"] for s in specs) else None
        ),
        instances=[name for name, _, _ in instances],
        correct=[correct for _, _, correct in instances],
        benchmark=benchmark,
        family=family,
        n_tokens=n_tokens,
        is_greedy=is_greedy,
        choices=[texts for _, texts, _ in instances],
    )


def _compute(spec: Mapping[str, Any]) -> float:
    """Return C in FLOP, 6 N D where the job does not give it."""
    if spec["compute"] is not None:
        return float(spec["compute"])
    return 6.0 * float(spec["n_params"]) * float(spec["n_tokens"])
