"""Where along the chain of scores the correlation with compute is lost.

References
----------
.. [1] Schaeffer et al. 2024, arXiv 2406.04391: log p_vocab -> p_vocab -> p_choices -> Brier ->
   accuracy loses correlation with compute step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np

from passuntil.choices.averaging import Mean, mean_of
from passuntil.choices.coefficients import CorrelationKind
from passuntil.choices.correlation import Correlations, correlate_with_compute
from passuntil.choices.metrics import CHAIN, METRICS
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import UsageError

__all__ = ["ChainLoss", "ChainStep", "chain_loss"]

Verdict = Literal[
    "reproduced", "partly reproduced", "not reproduced", "contradicted", "not enough data"
]

_LEAST_MODELS: Final = 5
_LEAST_SAMPLES: Final = 10


@dataclass(frozen=True, slots=True)
class ChainStep:
    """The correlation lost from one score to a later one.

    Attributes
    ----------
    before, after : str
        Names of the two metrics.
    loss : Mean
        Mean over the instances that have both of the correlation before less the one after.
    n_lost : int
        Instances that have a correlation before and none after: the score became constant.

    Examples
    --------
    >>> step = ChainStep("p_choices", "accuracy", Mean(0.21, 0.15, 0.27, 80), n_lost=3)
    >>> print(step.words.split(';')[0])
    p_choices(correct) to accuracy: loses 0.210 [0.150, 0.270] in 80 instances
    """

    before: str
    after: str
    loss: Mean
    n_lost: int

    @property
    def words(self) -> str:
        """In one line."""
        lost = f"; {self.n_lost} more become constant" if self.n_lost else ""
        return (
            f"{METRICS[self.before].label} to {METRICS[self.after].label}: loses "
            f"{self.loss.words} in {self.loss.n} instances{lost}"
        )


@dataclass(frozen=True, slots=True)
class ChainLoss:
    """The loss of correlation along the chain; see `chain_loss`.

    Attributes
    ----------
    kind : str
        Which correlation.
    correlations : tuple of Correlations
        One per metric, in the order of the chain.
    steps : tuple of ChainStep
        From each metric to the next.
    total : ChainStep
        From the first to the last.
    without_one : tuple of (float, float) or None
        Smallest and largest total loss when any one model is left out; None where no instance has
        both correlations, or too few models are left.
    confidence_level : float
        Of the intervals of losses.
    verdict : str
        "reproduced": a loss from first to last, and no link gains. "partly reproduced": a loss,
        but some link gains. "not reproduced": no loss that the interval tells from 0.
        "contradicted": a gain. "not enough data": fewer than 5 models or 10 instances.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.arange(6.0)  # log10 of compute, from 1e18
    >>> slopes = np.array([1.4, 0.9, 0.9, 0.9])  # the first choice is correct
    >>> logs = -9 + slopes * x[:, None, None] + rng.normal(0, 1, (6, 40, 4))
    >>> scores = ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x), correct=[0] * 40)
    >>> loss = chain_loss(scores, kind="spearman")
    >>> for step in loss.steps:
    ...     print(step.words)
    log p_vocab(correct) to p_vocab(correct): loses 0.00 [0.00, 0.00] in 40 instances
    p_vocab(correct) to p_choices(correct): loses 0.319 [0.245, 0.392] in 40 instances
    p_choices(correct) to Brier score: loses -0.006 [-0.025, 0.014] in 40 instances
    Brier score to accuracy: loses 0.042 [-0.022, 0.107] in 39 instances; 1 more become constant
    """

    kind: CorrelationKind
    correlations: tuple[Correlations, ...]
    steps: tuple[ChainStep, ...]
    total: ChainStep
    without_one: tuple[float, float] | None
    confidence_level: float
    verdict: Verdict
    n_models: int

    @property
    def words(self) -> str:
        """The verdict for a person."""
        first, last = self.correlations[0], self.correlations[-1]
        level = f"{100 * self.confidence_level:.3g} % interval"
        if self.verdict == "not enough data":
            return (
                f"Not enough data: {self.n_models} models and {self.total.loss.n} instances whose "
                f"{last.metric.label} changes between them; {_LEAST_MODELS} and {_LEAST_SAMPLES} "
                "are the least."
            )
        assert first.mean is not None
        assert last.mean is not None
        change = {
            "reproduced": "is lost along the chain, as in the paper",
            "partly reproduced": "is lost along the chain, but not at every link",
            "not reproduced": "is not lost along the chain so that it could be told from chance",
            "contradicted": "grows along the chain, against the paper",
        }[self.verdict]
        text = (
            f"{self.verdict.capitalize()}: correlation with compute ({self.kind}) {change}: mean "
            f"{first.mean:.2f} of {first.metric.label}, {last.mean:.2f} of {last.metric.label}; "
            f"loss {self.total.loss.words} ({level}, the {self.total.loss.n} instances that have "
            "both)."
        )
        for title, steps in (("Gains", self._gains), ("No change told from 0", self._flat)):
            if steps:
                text += f" {title}: " + "; ".join(
                    f"{METRICS[step.before].label} to {METRICS[step.after].label} "
                    f"({-_value(step.loss):+.2g})"
                    for step in steps
                )
                text += "."
        if last.n_constant:
            text += (
                f" {last.n_constant} of {last.n_instances} instances have the same "
                f"{last.metric.label} under every model, so no correlation at all."
            )
        if self.without_one is not None:
            low, high = self.without_one
            text += f" Leaving out any one model, the loss is {low:.2g} to {high:.2g}"
            text += ": it hangs on one model." if low <= 0 < _value(self.total.loss) else "."
        return text

    @property
    def _gains(self) -> list[ChainStep]:
        return [step for step in self.steps if step.loss.high is not None and step.loss.high < 0]

    @property
    def _flat(self) -> list[ChainStep]:
        return [
            step
            for step in self.steps
            if step.loss.low is not None and step.loss.low <= 0 and step not in self._gains
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": self.kind,
            "verdict": self.verdict,
            "words": self.words,
            "confidence_level": self.confidence_level,
            "correlations": [found.to_json() for found in self.correlations],
            "steps": [asdict(step) for step in self.steps],
            "total": asdict(self.total),
            "without_one": None if self.without_one is None else list(self.without_one),
        }


def chain_loss(
    scores: ChoiceScores,
    *,
    metrics: Sequence[str] = CHAIN,
    kind: CorrelationKind = "pearson",
    confidence_level: float = 0.95,
) -> ChainLoss:
    """Return how much correlation with compute each link of a chain of scores loses.

    Parameters
    ----------
    scores : ChoiceScores
        Three models or more.
    metrics : sequence of str
        Names of `METRICS`, two or more; the paper's chain by default.
    kind : {"pearson", "spearman", "kendall"}
        Correlation. The first link of the paper's chain loses nothing of the last two.
    confidence_level : float
        Between 0 and 1; the intervals are over instances like these, for these models.

    Returns
    -------
    ChainLoss

    Raises
    ------
    UsageError
        Fewer than two metrics, an unknown one.
    EstimationError
        Fewer than 3 models.

    Notes
    -----
    Loss of a link: mean over instances of r(before) - r(after), where both exist; Student's
    interval. Instances whose later score is constant are counted, not averaged as 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> compute = np.geomspace(1e18, 1e21, 6)
    >>> logs = -9 + 2 * np.log10(compute / 1e18)[:, None, None] + rng.normal(0, 1, (6, 40, 4))
    >>> scores = ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=compute, correct=[0] * 40)
    >>> loss = chain_loss(scores)
    >>> loss.verdict, round(loss.total.loss.value, 2)
    ('partly reproduced', 0.92)
    """
    if len(metrics) < 2:
        raise UsageError(f"metrics: got {list(metrics)}; allowed: two or more names.")
    found = correlate_with_compute(scores, metrics=metrics, kinds=[kind])
    steps = tuple(_step(before, after, confidence_level) for before, after in pairwise(found))
    total = _step(found[0], found[-1], confidence_level)
    return ChainLoss(
        kind,
        found,
        steps,
        total,
        _without_one(scores, (metrics[0], metrics[-1]), kind),
        confidence_level,
        _judge(steps, total, scores.n_models),
        scores.n_models,
    )


def _step(before: Correlations, after: Correlations, confidence_level: float) -> ChainStep:
    both = before.exists & after.exists
    loss = mean_of((before.values - after.values)[both], confidence_level)
    n_lost = int((before.exists & ~after.exists).sum())
    return ChainStep(before.metric.name, after.metric.name, loss, n_lost)


def _without_one(
    scores: ChoiceScores, ends: tuple[str, str], kind: CorrelationKind
) -> tuple[float, float] | None:
    if scores.n_models <= _LEAST_MODELS - 1:
        return None
    losses = []
    for left_out in range(scores.n_models):
        kept = scores.take_models(np.arange(scores.n_models) != left_out)
        if np.ptp(kept.compute) == 0:
            return None
        first, last = correlate_with_compute(kept, metrics=ends, kinds=[kind])
        both = first.exists & last.exists
        if not both.any():
            return None
        losses.append(float((first.values - last.values)[both].mean()))
    return min(losses), max(losses)


def _judge(steps: Sequence[ChainStep], total: ChainStep, n_models: int) -> Verdict:
    loss = total.loss
    if n_models < _LEAST_MODELS or loss.n < _LEAST_SAMPLES or loss.low is None:
        return "not enough data"
    assert loss.high is not None
    if loss.high < 0:
        return "contradicted"
    if loss.low <= 0:
        return "not reproduced"
    gains = any(step.loss.high is not None and step.loss.high < 0 for step in steps)
    return "partly reproduced" if gains else "reproduced"


def _value(mean: Mean) -> float:
    assert mean.value is not None
    return mean.value
