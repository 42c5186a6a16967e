"""Instances cut to fewer choices: the correct one and subsets of the others."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError

__all__ = ["subset_choices"]

Ints = NDArray[np.int64]


def subset_choices(
    scores: ChoiceScores, n_choices: int, *, n_subsets: int, rng: np.random.Generator
) -> tuple[ChoiceScores, Ints]:
    """Return scores of instances cut to the correct choice and subsets of the incorrect ones.

    Parameters
    ----------
    scores : ChoiceScores
        Instances with fewer choices are left out.
    n_choices : int
        Choices kept in each.
    n_subsets : int
        Subsets an instance: all of them where there are no more, else so many drawn, each once.
    rng : numpy Generator
        Draws them.

    Returns
    -------
    subsets : ChoiceScores
        One instance per subset, the correct choice first.
    owners : ndarray of int
        Place in `scores` of the instance each was made from.

    Raises
    ------
    EstimationError
        No instance has as many choices.

    Examples
    --------
    >>> scores = ChoiceScores.of(
    ...     [[[-1.0, -2.0, -4.0]]], models=["a"], compute=[1e18], correct=[1])
    >>> pairs, owners = subset_choices(scores, 2, n_subsets=9, rng=np.random.default_rng(0))
    >>> pairs.log_likelihood[0].tolist(), owners.tolist()
    ([[-2.0, -1.0], [-2.0, -4.0]], [0, 0])
    """
    owners: list[int] = []
    picked: list[list[int]] = []
    for i, count in enumerate(scores.n_choices):
        if count < n_choices:
            continue
        right = int(scores.correct_index[i])
        wrong = [j for j in range(int(count)) if j != right]
        for subset in _subsets(wrong, n_choices - 1, n_subsets, rng):
            owners.append(i)
            picked.append([right, *subset])
    if not owners:
        raise EstimationError(
            f"{scores.benchmark}: got no instance with {n_choices} choices or more; allowed: up to "
            f"{int(scores.n_choices.max())}."
        )
    rows, columns = np.array(owners), np.array(picked)
    # lengths go with the choices; the metrics here need none of them
    return ChoiceScores(
        benchmark=scores.benchmark,
        family=scores.family,
        models=scores.models,
        compute=scores.compute,
        instances=tuple(map(str, range(len(owners)))),
        correct=(0,) * len(owners),
        log_likelihood=scores.log_likelihood[:, rows[:, None], columns],
        is_choice=np.ones(columns.shape, dtype=bool),
    ), rows


def _subsets(
    items: list[int], size: int, most: int, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    if comb(len(items), size) <= most:
        return list(combinations(items, size))
    chosen: set[tuple[int, ...]] = set()
    while len(chosen) < most:
        chosen.add(tuple(sorted(rng.choice(items, size, replace=False).tolist())))
    return sorted(chosen)
