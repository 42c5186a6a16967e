"""How the correlation with compute depends on the number of choices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from passuntil.choices.averaging import Mean, mean_of, share_of
from passuntil.choices.coefficients import CorrelationKind
from passuntil.choices.correlation import correlate_with_compute
from passuntil.choices.incorrect import need_incorrect
from passuntil.choices.metrics import METRICS
from passuntil.choices.scores import ChoiceScores
from passuntil.choices.subsets import subset_choices
from passuntil.errors import UsageError

__all__ = ["ChoiceCountEffect", "CountRow", "choice_count_effect"]

_ENOUGH_SAMPLES: Final = 20

COMPARATIVE: Final = ("p_choices", "brier", "accuracy")
"""The scores that depend on the incorrect choices."""


@dataclass(frozen=True, slots=True)
class CountRow:
    """Correlation of one score with compute when instances have so many choices.

    Attributes
    ----------
    metric : str
    n_choices : int
    rescored : Mean
        Over the instances with that many choices or more, each scored on subsets of its incorrect
        choices and averaged over them.
    since_two : Mean
        Change from 2 choices, in the same instances.
    as_asked : Mean
        Over the instances that have just so many choices, as they are: other instances at each
        number, so a mere description.
    constant : Mean
        Share of the rescored subsets whose score is the same under every model.

    Examples
    --------
    >>> nothing = Mean(None, None, None, 0)
    >>> row = CountRow("accuracy", 4, Mean(0.3, 0.2, 0.4, 50), nothing, nothing, nothing)
    >>> row.rescored.words, row.since_two.words
    ('0.30 [0.20, 0.40]', '-')
    """

    metric: str
    n_choices: int
    rescored: Mean
    since_two: Mean
    as_asked: Mean
    constant: Mean


@dataclass(frozen=True, slots=True)
class ChoiceCountEffect:
    """See `choice_count_effect`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.arange(6.0)  # log10 of compute, from 1e18
    >>> slopes = np.array([1.4, 0.9, 0.9, 0.9])  # the first choice is correct
    >>> logs = -9 + slopes * x[:, None, None] + rng.normal(0, 1, (6, 40, 4))
    >>> scores = ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x), correct=[0] * 40)
    >>> for row in choice_count_effect(scores, metrics=["accuracy"], n_subsets=4).rows:
    ...     print(row.n_choices, row.rescored.words)
    2 0.494 [0.428, 0.561]
    3 0.543 [0.474, 0.611]
    4 0.575 [0.499, 0.651]
    """

    kind: CorrelationKind
    rows: tuple[CountRow, ...]

    @property
    def words(self) -> str:
        """For a person."""
        sentences = []
        for metric in dict.fromkeys(row.metric for row in self.rows):
            mine = [row for row in self.rows if row.metric == metric and row.since_two.n > 1]
            # the largest number of choices that enough instances have to compare
            often = [row for row in mine if row.since_two.n >= _ENOUGH_SAMPLES] or mine
            last = often[-1] if often else None
            if last is None or last.n_choices == 2:
                continue
            change = last.since_two
            assert change.low is not None
            assert change.high is not None
            told = "" if change.low > 0 or change.high < 0 else ", not told from 0"
            sentences.append(
                f"{METRICS[metric].label} {change.words} with {last.n_choices} choices instead of "
                f"2 in the same {change.n} instances{told}"
            )
        if not sentences:
            return "The number of choices does not vary enough to say what it does."
        return "Change of the correlation with compute: " + "; ".join(sentences) + "."

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "words": self.words}


def choice_count_effect(
    scores: ChoiceScores,
    *,
    metrics: Iterable[str] = COMPARATIVE,
    kind: CorrelationKind = "pearson",
    n_choices: Iterable[int] | None = None,
    n_subsets: int = 16,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> ChoiceCountEffect:
    """Return the correlation with compute at each number of choices.

    Parameters
    ----------
    scores : ChoiceScores
        Three models or more.
    metrics : iterable of str
        Names of `METRICS` that compare with incorrect choices.
    kind : {"pearson", "spearman", "kendall"}
    n_choices : iterable of int, optional
        Numbers of choices, each >= 2; from 2 to the largest there is by default.
    n_subsets : int
        Subsets of incorrect choices an instance and number; all where there are no more.
    confidence_level : float
        Of the means over instances.
    seed : int
        Of the subsets.

    Returns
    -------
    ChoiceCountEffect

    Raises
    ------
    EstimationError
        No instance with two choices, or fewer than 3 models.
    UsageError
        A number of choices below 2.

    Notes
    -----
    An instance with M choices is scored at M' <= M on subsets of M' - 1 of its M - 1 incorrect
    choices, the same under every model. log p_vocab and p_vocab do not depend on M'.

    Examples
    --------
    >>> x = np.arange(4.0)
    >>> logs = -9 + np.array([2.0, -0.5, 1.9])[None, None, :] * x[:, None, None]
    >>> scores = ChoiceScores.of(
    ...     logs, models=list("abcd"), compute=10 ** (18 + x), correct=[0])
    >>> for row in choice_count_effect(scores, metrics=["p_choices"]).rows:
    ...     print(row.n_choices, round(row.rescored.value, 4))
    2 0.9241
    3 0.915
    """
    largest = int(scores.n_choices.max())
    need_incorrect(scores)
    numbers = sorted(set(range(2, largest + 1) if n_choices is None else n_choices))
    if not numbers or numbers[0] < 2:
        raise UsageError(f"n_choices: got {numbers}; allowed: numbers from 2 on.")
    names = tuple(metrics)
    rng = np.random.default_rng(seed)
    found = {
        number: _at(scores, number, rng, metrics=names, kind=kind, n_subsets=n_subsets)
        for number in sorted({2, *numbers})
        if number <= largest
    }
    as_asked = correlate_with_compute(scores, metrics=names, kinds=[kind])
    rows = []
    for m, metric in enumerate(names):
        for number in numbers:
            if number > largest:
                continue
            here, two = found[number][m], found[2][m]
            both = here.exists & two.exists
            exactly = as_asked[m].exists & (scores.n_choices == number)
            rows.append(
                CountRow(
                    metric,
                    number,
                    mean_of(here.values[here.exists], confidence_level),
                    mean_of((here.values - two.values)[both], confidence_level),
                    mean_of(as_asked[m].values[exactly], confidence_level),
                    share_of(here.constant[scores.n_choices >= number], confidence_level),
                )
            )
    return ChoiceCountEffect(kind, tuple(rows))


@dataclass(frozen=True, slots=True, eq=False)
class _PerSample:
    """Means over the subsets of each instance."""

    values: NDArray[np.float64]
    exists: NDArray[np.bool_]
    constant: NDArray[np.float64]


def _at(
    scores: ChoiceScores,
    number: int,
    rng: np.random.Generator,
    *,
    metrics: tuple[str, ...],
    kind: CorrelationKind,
    n_subsets: int,
) -> list[_PerSample]:
    subsets, owners = subset_choices(scores, number, n_subsets=n_subsets, rng=rng)
    n = scores.n_instances
    asked = np.bincount(owners, minlength=n)
    samples = []
    for found in correlate_with_compute(subsets, metrics=metrics, kinds=[kind]):
        sums = np.bincount(owners, np.where(found.exists, found.values, 0.0), minlength=n)
        counts = np.bincount(owners, found.exists, minlength=n)
        samples.append(
            _PerSample(
                sums / np.maximum(counts, 1),
                counts > 0,
                1 - counts / np.maximum(asked, 1),
            )
        )
    return samples
