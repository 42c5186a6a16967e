"""How the incorrect choices scale, and how they move with the correct one.

References
----------
.. [1] Schaeffer et al. 2024, arXiv 2406.04391, section 6: predicting accuracy needs the mass on
   the specific incorrect choices too; it suggests scaling laws for them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from passuntil.choices.averaging import Mean, mean_of, share_of
from passuntil.choices.coefficients import correlate
from passuntil.choices.correlation import log10_compute
from passuntil.choices.metrics import metric_scores
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError

__all__ = ["ChoiceScaling", "CoVariation", "choice_scaling", "co_variation", "need_incorrect"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LEAST_FOR_RESIDUALS: Final = 4  # residuals of a line through 3 points are all +-1 apart


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceScaling:
    """The line of each choice's log-likelihood in log10 C; see `choice_scaling`.

    Attributes
    ----------
    slopes : ndarray of float, shape (n_instances, max_choices)
        Nats per tenfold compute; 0 in the padding.
    scatter : ndarray of float, shape (n_instances, max_choices)
        Standard deviation of the models about the line, nats.
    correlations : ndarray of float, shape (n_instances, max_choices)
        Pearson's, of the log-likelihood with log10 C; 0 where there is none.
    is_incorrect : ndarray of bool, shape (n_instances, max_choices)
    correct_slope, incorrect_slope : Mean
        Over instances; incorrect choices averaged in each instance first.
    correct_scatter, incorrect_scatter : Mean
    correct_correlation, incorrect_correlation : Mean
    share_rising : Mean
        Of the incorrect choices, those that gain log-likelihood with compute.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.arange(6.0)  # log10 of compute, from 1e18
    >>> slopes = np.array([1.4, 0.9, 0.9, 0.9])  # the first choice is correct
    >>> logs = -9 + slopes * x[:, None, None] + rng.normal(0, 1, (6, 40, 4))
    >>> scores = ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x), correct=[0] * 40)
    >>> found = choice_scaling(scores)
    >>> found.slopes.shape, found.share_rising.percent
    ((40, 4), '100 % [91, 100]')
    >>> print(found.words.split(", an")[0])
    With tenfold compute the correct choice gains 1.398 [1.323, 1.473] nats
    """

    slopes: Floats = field(repr=False)
    scatter: Floats = field(repr=False)
    correlations: Floats = field(repr=False)
    is_incorrect: Mask = field(repr=False)
    correct_slope: Mean
    incorrect_slope: Mean
    correct_scatter: Mean
    incorrect_scatter: Mean
    correct_correlation: Mean
    incorrect_correlation: Mean
    share_rising: Mean

    @property
    def words(self) -> str:
        """For a person."""
        return (
            f"With tenfold compute the correct choice gains {self.correct_slope.words} nats, an "
            f"incorrect one {self.incorrect_slope.words}; {self.share_rising.percent} of the "
            f"incorrect ones rise. Models scatter about their lines by "
            f"{self.correct_scatter.words} nats (correct) and {self.incorrect_scatter.words} "
            f"(incorrect); correlation with compute {self.correct_correlation.words} and "
            f"{self.incorrect_correlation.words}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the summary in plain values."""
        names = ("slope", "scatter", "correlation")
        found = {f"{which}_{n}": getattr(self, f"{which}_{n}") for n in names for which in _WHICH}
        found["share_rising"] = self.share_rising
        return {**{name: asdict(mean) for name, mean in found.items()}, "words": self.words}


_WHICH: Final = ("correct", "incorrect")


def choice_scaling(scores: ChoiceScores, *, confidence_level: float = 0.95) -> ChoiceScaling:
    """Return how the log-likelihood of each choice goes with compute.

    Parameters
    ----------
    scores : ChoiceScores
        Three models or more.
    confidence_level : float
        Of the means over instances.

    Raises
    ------
    EstimationError
        Fewer than 3 models, or no incorrect choice anywhere.

    Notes
    -----
    Least squares ll_j = a_j + b_j log10 C; scatter^2 = residual sum of squares / (n - 2).

    Examples
    --------
    >>> x = np.arange(4.0)
    >>> logs = -9 + np.array([2.0, -0.5])[None, None, :] * x[:, None, None]
    >>> scores = ChoiceScores.of(
    ...     logs, models=list("abcd"), compute=10 ** (18 + x), correct=[0])
    >>> found = choice_scaling(scores)
    >>> round(found.correct_slope.value, 6), round(found.incorrect_slope.value, 6)
    (2.0, -0.5)
    """
    x = log10_compute(scores)
    need_incorrect(scores)
    logs = np.where(scores.is_choice, scores.log_likelihood, 0.0)
    dx = x - x.mean()
    slopes = np.tensordot(dx, logs, 1) / (dx @ dx)
    residuals = logs - logs.mean(0) - dx[:, None, None] * slopes
    scatter = np.sqrt((residuals**2).sum(0) / (len(x) - 2))
    flat, exists = correlate(x, logs.reshape(len(x), -1))
    correlations = flat.reshape(slopes.shape)
    has_correlation = exists.reshape(slopes.shape) & scores.is_choice

    def per_sample(values: Floats, where: Mask) -> Floats:
        """Average the choices of an instance first: they are not independent."""
        n = where.sum(1)
        sums = np.where(where, values, 0.0).sum(1)
        return np.asarray(sums[n > 0] / n[n > 0])

    def summary(values: Floats, where: Mask) -> Mean:
        return mean_of(per_sample(values, where), confidence_level)

    right, wrong = scores.is_choice & ~scores.is_incorrect, scores.is_incorrect
    return ChoiceScaling(
        slopes,
        scatter,
        correlations,
        wrong,
        correct_slope=summary(slopes, right),
        incorrect_slope=summary(slopes, wrong),
        correct_scatter=summary(scatter, right),
        incorrect_scatter=summary(scatter, wrong),
        correct_correlation=summary(correlations, right & has_correlation),
        incorrect_correlation=summary(correlations, wrong & has_correlation),
        share_rising=share_of(per_sample((slopes > 0).astype(float), wrong), confidence_level),
    )


@dataclass(frozen=True, slots=True, eq=False)
class CoVariation:
    """How the mass on the correct and on the incorrect choices move together.

    Attributes
    ----------
    together : Mean
        Pearson's correlation over models of log p_vocab(correct) with the log of the mass on
        incorrect choices, averaged over instances. 1: scale feeds all choices alike.
    beyond_compute : Mean
        The same of what is left of both when their lines in log10 C are taken out: 1 where a
        model that is luckier than its size is so with every choice; needs 4 models.
    incorrect_with_compute : Mean
        Correlation of the log mass on incorrect choices with log10 C.
    share_falling : Mean
        Instances whose mass on incorrect choices falls with compute.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.arange(6.0)  # log10 of compute, from 1e18
    >>> slopes = np.array([1.4, 0.9, 0.9, 0.9])  # the first choice is correct
    >>> logs = -9 + slopes * x[:, None, None] + rng.normal(0, 1, (6, 40, 4))
    >>> scores = ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x), correct=[0] * 40)
    >>> co_variation(scores).together.words
    '0.908 [0.889, 0.927]'
    """

    together: Mean
    beyond_compute: Mean
    incorrect_with_compute: Mean
    share_falling: Mean

    @property
    def words(self) -> str:
        """For a person."""
        text = (
            "Over models, the mass on incorrect choices moves with the mass on the correct one by "
            f"{self.together.words} (mean correlation of logs)"
        )
        if self.beyond_compute.value is not None:
            text += f", {self.beyond_compute.words} beyond what compute explains"
        return (
            f"{text}. It correlates with compute by {self.incorrect_with_compute.words} and falls "
            f"with it in {self.share_falling.percent} of instances."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "words": self.words}


def co_variation(scores: ChoiceScores, *, confidence_level: float = 0.95) -> CoVariation:
    """Return how correct and incorrect mass move together over the models of a family.

    Parameters
    ----------
    scores : ChoiceScores
        Three models or more.
    confidence_level : float
        Of the means over instances.

    Raises
    ------
    EstimationError
        Fewer than 3 models, or no incorrect choice anywhere.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0, 3.0])
    >>> both = (-9 + x)[:, None, None] + np.array([[[0.0, 1.0]]])
    >>> scores = ChoiceScores.of(
    ...     both, models=list("abcd"), compute=10 ** (18 + x), correct=[0])
    >>> co_variation(scores).together.value
    1.0
    """
    x = log10_compute(scores)
    need_incorrect(scores)
    kept = scores.take_instances(scores.is_incorrect.any(1))
    right = metric_scores(kept, "log_p_vocab").values
    wrong = metric_scores(kept, "mass_incorrect").order

    def mean(found: tuple[Floats, Mask]) -> Mean:
        values, exists = found
        return mean_of(values[exists], confidence_level)

    beyond = Mean(None, None, None, 0)
    if len(x) >= _LEAST_FOR_RESIDUALS:
        beyond = mean(correlate(_residuals(x, right), _residuals(x, wrong)))
    with_compute = correlate(x, wrong)
    falling = (with_compute[0] < 0).astype(float)
    return CoVariation(
        mean(correlate(right, wrong)),
        beyond,
        mean(with_compute),
        share_of(falling[with_compute[1]], confidence_level),
    )


def _residuals(x: Floats, y: Floats) -> Floats:
    """Return what a line in x leaves of each column; exactly 0 where only rounding is left."""
    dx = x - x.mean()
    left = y - y.mean(0) - dx[:, None] * (dx @ y / (dx @ dx))
    return np.where(np.abs(left).max(0) > 1e-12 * np.abs(y).max(0), left, 0.0)


def need_incorrect(scores: ChoiceScores) -> None:
    """Raise `EstimationError` where no instance has an incorrect choice.

    Examples
    --------
    >>> scores = ChoiceScores.of([[[-1.0]]], models=["a"], compute=[1e18], correct=[0])
    >>> need_incorrect(scores)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    passuntil.errors.EstimationError: benchmark: got one choice in every instance; ...
    """
    if not scores.is_incorrect.any():
        raise EstimationError(
            f"{scores.benchmark}: got one choice in every instance; allowed: two or more in some; "
            "there is no incorrect choice to look at."
        )
