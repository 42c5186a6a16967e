"""The log-likelihood of every choice of every instance under every model of a family."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.choices.checks import (
    check_correct,
    check_lengths,
    check_log_likelihood,
    check_names,
    check_padding,
    check_positive,
)
from passuntil.choices.padding import Nested, fit_in, pad_nested
from passuntil.choices.score_file import read_scores, write_scores
from passuntil.errors import EstimationError, UsageError

__all__ = ["ChoiceScores"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_PER_MODEL: Final = frozenset({"models", "compute", "n_params", "n_train_tokens"})
_PER_INSTANCE: Final = frozenset({"instances", "correct", "is_choice", "n_characters", "n_bytes"})
_PER_BOTH: Final = frozenset({"log_likelihood", "n_tokens", "is_greedy"})


@dataclass(frozen=True, eq=False)
class ChoiceScores:
    """What the models of one family give to the choices of one benchmark.

    Arrays over choices are padded to the longest instance; `is_choice` says where there is one.
    Whatever the padding holds is replaced: log-likelihoods by -inf, counts by 0, flags by False.

    Parameters
    ----------
    benchmark, family : str
        Names, for tables and plots.
    models : sequence of str, length n_models
        Names, each once, in any order; `by_compute` sorts.
    compute : ndarray of float, shape (n_models,)
        Training compute C in FLOP, > 0. `ChoiceScores.of` takes C = 6 N D from the other two.
    instances : sequence of str, length n_instances
        Identities, each once.
    correct : sequence of int or None, length n_instances
        Index of the correct choice; None where it is unknown.
    log_likelihood : ndarray of float, shape (n_models, n_instances, max_choices)
        Log-probability of the whole choice after its context, natural, summed over its tokens;
        finite and <= 0.
    is_choice : ndarray of bool, shape (n_instances, max_choices)
        True for the first M_i choices of instance i, M_i >= 1.
    n_params, n_train_tokens : ndarray of float, shape (n_models,), optional
        N and D.
    n_tokens : ndarray of int, shape (n_models, n_instances, max_choices), optional
        Tokens of each choice, >= 1.
    n_characters, n_bytes : ndarray of int, shape (n_instances, max_choices), optional
        Length of each choice's text, without the blank in front of it: in Unicode characters,
        which is what ``acc_norm`` of lm-evaluation-harness divides by [1]_, and in UTF-8 bytes,
        its ``acc_bytes``.
    is_greedy : ndarray of bool, shape (n_models, n_instances, max_choices), optional
        Whether greedy decoding writes the choice.

    Raises
    ------
    UsageError
        Shapes that do not fit, names given twice, log-likelihoods that are not finite or above 0,
        a correct choice that is not there.

    References
    ----------
    .. [1] EleutherAI/lm-evaluation-harness, ``lm_eval/api/task.py``, ``process_results``.

    Examples
    --------
    >>> scores = ChoiceScores.of(
    ...     [[[-1.0, -2.0, -4.0], [-3.0, -2.5]], [[-0.5, -2.0, -3.0], [-1.5, -2.0]]],
    ...     models=["small", "large"], compute=[1e18, 1e20], correct=[0, 0])
    >>> scores
    <ChoiceScores: 2 instances of benchmark with 2 to 3 choices, 2 models of family>
    >>> scores.shape, scores.n_choices.tolist()
    ((2, 2, 3), [3, 2])
    >>> scores.log_likelihood[0, 1]
    array([-3. , -2.5, -inf])
    """

    benchmark: str
    family: str
    models: tuple[str, ...]
    compute: Floats
    instances: tuple[str, ...]
    correct: tuple[int | None, ...]
    log_likelihood: Floats
    is_choice: Mask
    n_params: Floats | None = None
    n_train_tokens: Floats | None = None
    n_tokens: Ints | None = None
    n_characters: Ints | None = None
    n_bytes: Ints | None = None
    is_greedy: Mask | None = None

    def __post_init__(self) -> None:
        for name in ("models", "instances", "correct"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_names("models", self.models)
        check_names("instances", self.instances)
        self._set("is_choice", np.bool_, self.shape[1:], None)
        check_padding(self.is_choice)
        for name in ("compute", "n_params", "n_train_tokens"):
            self._set(name, np.float64, self.shape[:1], None)
            check_positive(name, getattr(self, name))
        self._set("log_likelihood", np.float64, self.shape, -np.inf)
        self._set("is_greedy", np.bool_, self.shape, False)
        self._set("n_tokens", np.int64, self.shape, 0)
        for name in ("n_characters", "n_bytes"):
            self._set(name, np.int64, self.shape[1:], 0)
        for name in ("n_tokens", "n_characters", "n_bytes"):
            check_lengths(name, getattr(self, name), self.is_choice)
        check_log_likelihood(self.log_likelihood, self.is_choice)
        check_correct(self.correct, self.n_choices)

    @classmethod
    def of(
        cls,
        log_likelihood: Nested,
        *,
        models: Sequence[str],
        correct: Sequence[int | None],
        compute: ArrayLike | None = None,
        n_params: ArrayLike | None = None,
        n_train_tokens: ArrayLike | None = None,
        instances: Iterable[str] | None = None,
        benchmark: str = "benchmark",
        family: str = "family",
        n_tokens: Nested | None = None,
        is_greedy: Nested | None = None,
        choices: Sequence[Sequence[str]] | None = None,
    ) -> ChoiceScores:
        """Return the scores of nested lists, padded.

        Parameters
        ----------
        log_likelihood, n_tokens, is_greedy : nested sequences, (model, instance, choice)
            Instances may differ in their number of choices, models may not.
        compute, n_params, n_train_tokens : array_like, shape (n_models,)
            Without compute, C = 6 N D.
        instances : iterable of str, optional
            Numbered from 0 without.
        choices : sequence of sequence of str, optional
            Texts, for the lengths in characters and bytes.
        models, correct, benchmark, family
            As in `ChoiceScores`.

        Raises
        ------
        UsageError
            As `ChoiceScores`; or neither compute nor both of the others.

        Examples
        --------
        Compute comes from sizes and tokens where it is not given:

        >>> scores = ChoiceScores.of(
        ...     [[[-1.0, -2.0]], [[-0.5, -2.0]]], models=["70M", "1B"], correct=[0],
        ...     n_params=[7e7, 1e9], n_train_tokens=[3e11, 3e11], choices=[["yes", "no"]])
        >>> scores.compute, scores.n_characters
        (array([1.26e+20, 1.80e+21]), array([[3, 2]]))
        """
        if compute is None:
            if n_params is None or n_train_tokens is None:
                raise UsageError(
                    "compute: got none, nor both n_params and n_train_tokens; allowed: compute in "
                    "FLOP, or both, for 6 N D."
                )
            compute = 6 * np.asarray(n_params, float) * np.asarray(n_train_tokens, float)
        arrays = pad_nested(
            {"log_likelihood": log_likelihood, "n_tokens": n_tokens, "is_greedy": is_greedy},
            choices,
        )
        per_model = {"n_params": n_params, "n_train_tokens": n_train_tokens, "compute": compute}
        arrays |= {name: np.asarray(v, float) for name, v in per_model.items() if v is not None}
        names = range(len(arrays["is_choice"])) if instances is None else instances
        return cls(
            benchmark=benchmark,
            family=family,
            models=tuple(models),
            instances=tuple(map(str, names)),
            correct=tuple(correct),
            **arrays,
        )

    def __repr__(self) -> str:
        fewest, most = int(self.n_choices.min()), int(self.n_choices.max())
        choices = f"{most} choices" if fewest == most else f"{fewest} to {most} choices"
        return (
            f"<ChoiceScores: {self.n_instances} instances of {self.benchmark} with {choices}, "
            f"{self.n_models} models of {self.family}>"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of models, instances and, at most, choices."""
        array = np.asarray(self.log_likelihood)
        return (len(self.models), len(self.instances), array.shape[-1] if array.ndim else 0)

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.models)

    @property
    def n_instances(self) -> int:
        """Number of instances."""
        return len(self.instances)

    @cached_property
    def n_choices(self) -> Ints:
        """Number of choices of each instance, shape (n_instances,)."""
        return np.asarray(self.is_choice.sum(1), dtype=np.int64)

    @cached_property
    def correct_index(self) -> Ints:
        """Index of the correct choice, shape (n_instances,).

        Raises
        ------
        EstimationError
            Some are unknown; `partial` is the mask of the known ones.
        """
        known = np.array([index is not None for index in self.correct], dtype=bool)
        if not known.all():
            raise EstimationError(
                f"correct choice: got {int((~known).sum())} of {self.n_instances} instances "
                "without one; allowed: a known one in each; select with "
                "scores.take_instances(error.partial).",
                partial=known,
            )
        return np.array(self.correct, dtype=np.int64)

    @cached_property
    def is_incorrect(self) -> Mask:
        """Where an incorrect choice is, shape (n_instances, max_choices)."""
        places = np.arange(self.shape[2])
        return np.asarray(self.is_choice & (places != self.correct_index[:, None]))

    def by_compute(self) -> ChoiceScores:
        """Return the same with the models in the order of compute.

        Examples
        --------
        >>> scores = ChoiceScores.of(
        ...     [[[-1.0]], [[-2.0]]], models=["large", "small"], compute=[1e20, 1e18], correct=[0])
        >>> scores.by_compute().models
        ('small', 'large')
        """
        return self.take_models(np.argsort(self.compute, kind="stable"))

    def take_models(self, which: ArrayLike) -> ChoiceScores:
        """Return the models at these places, or where a mask is true, in that order.

        Parameters
        ----------
        which : array_like of int or bool
            Places, or a mask of shape (n_models,).

        Raises
        ------
        UsageError
            Nothing is selected.

        Examples
        --------
        >>> scores = ChoiceScores.of(
        ...     [[[-1.0]], [[-2.0]]], models=["large", "small"], compute=[1e20, 1e18], correct=[0])
        >>> scores.take_models(scores.compute < 1e19).models
        ('small',)
        """
        return self._take(which, axis=0)

    def take_instances(self, which: ArrayLike) -> ChoiceScores:
        """Return the instances at these places, or where a mask is true, in that order.

        Parameters
        ----------
        which : array_like of int or bool
            Places, or a mask of shape (n_instances,).

        Raises
        ------
        UsageError
            Nothing is selected.

        Examples
        --------
        >>> scores = ChoiceScores.of(
        ...     [[[-1.0, -2.0], [-3.0, -1.0]]], models=["a"], compute=[1e18], correct=[0, None])
        >>> scores.take_instances([index is not None for index in scores.correct]).n_instances
        1
        """
        return self._take(which, axis=1)

    def save(self, path: str | Path) -> None:
        """Write one ``.npz``, whole or not at all.

        Parameters
        ----------
        path : str or Path

        Examples
        --------
        >>> import tempfile
        >>> scores = ChoiceScores.of([[[-1.0, -2.0]]], models=["a"], compute=[1e18], correct=[0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     scores.save(f"{folder}/scores.npz")
        ...     ChoiceScores.load(f"{folder}/scores.npz").models
        ('a',)
        """
        write_scores(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> ChoiceScores:
        """Return what `save` wrote.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        UsageError
            Not such a file.

        Examples
        --------
        >>> ChoiceScores.load("no_such_file.npz")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        passuntil.errors.UsageError: no_such_file.npz: got a file that cannot be read ...
        """
        return cls(**read_scores(path, known={field.name for field in fields(cls)}))

    def _take(self, which: ArrayLike, *, axis: int) -> ChoiceScores:
        places = np.arange(self.shape[axis])[np.asarray(which)]
        if not places.size:
            raise UsageError("selection: got nothing; allowed: one or more.")
        changed: dict[str, Any] = {}
        for name in _PER_BOTH | (_PER_MODEL if axis == 0 else _PER_INSTANCE):
            value = getattr(self, name)
            if isinstance(value, tuple):
                changed[name] = tuple(value[i] for i in places)
            elif value is not None:
                changed[name] = np.take(value, places, axis if name in _PER_BOTH else 0)
        return replace(self, **changed)

    def _set(self, name: str, kind: Any, shape: tuple[int, ...], padding: object) -> None:
        value = getattr(self, name)
        if value is None:
            return
        array = fit_in(name, value, kind, shape)
        if padding is not None:
            array[..., ~self.is_choice] = padding
        array.flags.writeable = False
        object.__setattr__(self, name, array)
