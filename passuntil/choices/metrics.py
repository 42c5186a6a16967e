"""Scores of an instance made from the log-likelihoods of its choices.

Per instance with choices j = 1 ... M, log-likelihoods ll_j and the correct choice t [1]_:

==================== ============================================================ ==============
name                 value                                                        better
==================== ============================================================ ==============
log_p_vocab          ll_t                                                         higher
p_vocab              exp(ll_t)                                                    higher
mass_incorrect       sum over j != t of exp(ll_j)                                 (not a score)
mass_choices         sum over j of exp(ll_j)                                      (not a score)
p_choices            exp(ll_t) / sum over j of exp(ll_j)                          higher
brier                sum over j of (1{j = t} - p_choices(j))^2, in [0, 2]         lower
accuracy             1 if ll_t is the largest, the first of equals, else 0        higher
accuracy_token       the same with ll_j / tokens of choice j                      higher
accuracy_character   ... / characters: ``acc_norm`` of lm-evaluation-harness [2]_ higher
accuracy_byte        ... / UTF-8 bytes: its ``acc_bytes``                         higher
==================== ============================================================ ==============

References
----------
.. [1] Schaeffer et al. 2024, arXiv 2406.04391, section 3. Its code averages the Brier score over
   choices where Brier 1950 and lm-evaluation-harness sum; correlations are the same.
.. [2] EleutherAI/lm-evaluation-harness, ``lm_eval/api/task.py``, ``process_results``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from passuntil.choices.scores import ChoiceScores
from passuntil.errors import UsageError, nearest

__all__ = [
    "CHAIN",
    "METRICS",
    "Metric",
    "MetricScores",
    "available_metrics",
    "chosen_metrics",
    "metric_scores",
]

Floats = NDArray[np.float64]

CHAIN: Final = ("log_p_vocab", "p_vocab", "p_choices", "brier", "accuracy")
"""The chain of the paper: each score is computed from the one before and the other choices."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A score in words.

    Attributes
    ----------
    name, label : str
        For code and for people.
    sign : int
        1 where more is better or no direction is, -1 where less is.
    needs : str or None
        The optional array of `ChoiceScores` it is computed from.

    Examples
    --------
    >>> METRICS["brier"].label, METRICS["brier"].sign
    ('Brier score', -1)
    """

    name: str
    label: str
    sign: int = 1
    needs: str | None = None


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("log_p_vocab", "log p_vocab(correct)"),
            Metric("p_vocab", "p_vocab(correct)"),
            Metric("mass_incorrect", "mass on incorrect choices"),
            Metric("mass_choices", "mass on all choices"),
            Metric("p_choices", "p_choices(correct)"),
            Metric("brier", "Brier score", sign=-1),
            Metric("accuracy", "accuracy"),
            Metric("accuracy_token", "accuracy per token", needs="n_tokens"),
            Metric("accuracy_character", "accuracy per character", needs="n_characters"),
            Metric("accuracy_byte", "accuracy per byte", needs="n_bytes"),
        )
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class MetricScores:
    """One score of every instance under every model.

    Attributes
    ----------
    metric : Metric
        Which.
    values : ndarray of float, shape (n_models, n_instances)
        The score.
    order : ndarray of float, shape (n_models, n_instances)
        An increasing function of the score that keeps what rounding takes from it: exp(-800) and
        exp(-900) are both 0 as floats, their logs differ. Ranks are taken from here.
    shape : ndarray of float, shape (n_models, n_instances)
        The score divided by a positive number per instance, so that it does not underflow.
        Pearson's correlation, which no such number changes, is taken from here.

    Examples
    --------
    Probabilities underflow, their order does not:

    >>> scores = ChoiceScores.of(
    ...     [[[-900.0, -2.0]], [[-800.0, -2.0]]], models=["a", "b"], compute=[1e18, 1e19],
    ...     correct=[0])
    >>> found = metric_scores(scores, "p_vocab")
    >>> found.values.ravel(), found.order.ravel()
    (array([0., 0.]), array([-900., -800.]))
    """

    metric: Metric
    values: Floats
    order: Floats
    shape: Floats

    def __repr__(self) -> str:
        n_models, n_instances = self.values.shape
        size = f"{n_instances} instances under {n_models} models"
        return f"<MetricScores: {self.metric.label} of {size}>"


def metric_scores(scores: ChoiceScores, metric: str) -> MetricScores:
    """Return a score of every instance under every model.

    Parameters
    ----------
    scores : ChoiceScores
        Log-likelihoods of the choices.
    metric : str
        A name of `METRICS`.

    Returns
    -------
    MetricScores
        Arrays of shape (n_models, n_instances).

    Raises
    ------
    UsageError
        An unknown metric, or lengths it needs are not there.
    EstimationError
        Some correct choice is unknown.

    Examples
    --------
    >>> scores = ChoiceScores.of(
    ...     [[[-1.0, -2.0, -4.0]]], models=["small"], compute=[1e18], correct=[0])
    >>> round(float(metric_scores(scores, "p_choices").values[0, 0]), 4)
    0.7054
    >>> metric_scores(scores, "accuracy").values.tolist()
    [[1.0]]
    """
    if metric not in METRICS:
        raise UsageError(
            f"metric: got {metric!r}; allowed: {', '.join(METRICS)}." + nearest(metric, METRICS)
        )
    found = METRICS[metric]
    if found.needs is not None and getattr(scores, found.needs) is None:
        raise UsageError(
            f"{metric}: got scores without {found.needs}; allowed: scores with it; give it, or "
            f"take one of {', '.join(available_metrics(scores))}."
        )
    return _COMPUTE[metric](found, scores)


def available_metrics(scores: ChoiceScores) -> tuple[str, ...]:
    """Return the names of the metrics whose inputs are there.

    Examples
    --------
    >>> scores = ChoiceScores.of([[[-1.0, -2.0]]], models=["a"], compute=[1e18], correct=[0])
    >>> "accuracy" in available_metrics(scores), "accuracy_byte" in available_metrics(scores)
    (True, False)
    """
    return tuple(
        metric.name
        for metric in METRICS.values()
        if metric.needs is None or getattr(scores, metric.needs) is not None
    )


def _correct(scores: ChoiceScores) -> Floats:
    places = scores.correct_index[None, :, None]
    return np.take_along_axis(scores.log_likelihood, places, axis=2)[..., 0]


def _incorrect(scores: ChoiceScores) -> Floats:
    """Return the log mass on incorrect choices; -inf where there are none."""
    masked = np.where(scores.is_incorrect, scores.log_likelihood, -np.inf)
    return _log_sum(masked)


def _log_sum(logs: Floats) -> Floats:
    return np.asarray(logsumexp(logs, axis=-1), dtype=np.float64)


def _log_p_vocab(metric: Metric, scores: ChoiceScores) -> MetricScores:
    values = _correct(scores)
    return MetricScores(metric, values, values, values)


def _from_logs(metric: Metric, logs: Floats) -> MetricScores:
    """Return probabilities given by their logs."""
    most = logs.max(0)
    return MetricScores(
        metric, np.exp(logs), logs, np.exp(logs - np.where(np.isfinite(most), most, 0.0))
    )


def _p_vocab(metric: Metric, scores: ChoiceScores) -> MetricScores:
    return _from_logs(metric, _correct(scores))


def _mass_incorrect(metric: Metric, scores: ChoiceScores) -> MetricScores:
    return _from_logs(metric, _incorrect(scores))


def _mass_choices(metric: Metric, scores: ChoiceScores) -> MetricScores:
    return _from_logs(metric, _log_sum(scores.log_likelihood))


def _p_choices(metric: Metric, scores: ChoiceScores) -> MetricScores:
    correct = _correct(scores)
    logit = correct - _incorrect(scores)
    values = np.asarray(expit(logit), dtype=np.float64)
    scaled = _from_logs(metric, correct - _log_sum(scores.log_likelihood))
    return MetricScores(metric, values, logit, scaled.shape)


def _brier(metric: Metric, scores: ChoiceScores) -> MetricScores:
    logs = scores.log_likelihood - _log_sum(scores.log_likelihood)[..., None]
    wrong = np.where(scores.is_incorrect, np.exp(logs), 0.0)
    # 1 - p_choices(correct) as the sum of the others: no cancellation where p is near 1
    values = wrong.sum(-1) ** 2 + (wrong**2).sum(-1)
    return MetricScores(metric, values, values, values)


def _accuracy(metric: Metric, scores: ChoiceScores) -> MetricScores:
    logs = scores.log_likelihood
    if metric.needs is not None:
        lengths = np.maximum(getattr(scores, metric.needs), 1)
        logs = np.where(scores.is_choice, logs / lengths, -np.inf)
    values = (logs.argmax(-1) == scores.correct_index).astype(np.float64)
    return MetricScores(metric, values, values, values)


_COMPUTE: Final[Mapping[str, Callable[[Metric, ChoiceScores], MetricScores]]] = {
    "log_p_vocab": _log_p_vocab,
    "p_vocab": _p_vocab,
    "mass_incorrect": _mass_incorrect,
    "mass_choices": _mass_choices,
    "p_choices": _p_choices,
    "brier": _brier,
    "accuracy": _accuracy,
    "accuracy_token": _accuracy,
    "accuracy_character": _accuracy,
    "accuracy_byte": _accuracy,
}


def chosen_metrics(scores: ChoiceScores, names: Iterable[str] | None) -> tuple[MetricScores, ...]:
    """Return the named metrics, or all whose inputs are there.

    Raises
    ------
    UsageError
        An unknown name.

    Examples
    --------
    >>> scores = ChoiceScores.of([[[-1.0, -2.0]]], models=["a"], compute=[1e18], correct=[0])
    >>> [found.metric.name for found in chosen_metrics(scores, ["brier", "accuracy"])]
    ['brier', 'accuracy']
    """
    wanted = available_metrics(scores) if names is None else tuple(names)
    return tuple(metric_scores(scores, name) for name in wanted)
